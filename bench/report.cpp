#include "bench/report.h"

#include "harness/device_info.h"
#include "harness/report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>

namespace hipforge::bench {
namespace {

double spread(const Record& record) {
  return (record.timing.high_ms - record.timing.low_ms) / record.timing.median_ms;
}

std::string floor_text(const Record& record) {
  const harness::Case& test = *record.test;
  if (!record.has_floor()) return "";
  const std::string floor = test.floor_tflops > 0.0 ? fmt::format("{:.0f} TFLOP/s", test.floor_tflops)
                                                    : fmt::format("{:.0f} %", 100.0 * test.floor_share);
  return fmt::format("{} {}", record.reaches_floor() ? "meets" : "UNDER", floor);
}

}  // namespace

void print_heading() {
  fmt::print("{:<62}{:>11}{:>8}{:>9}{:>9}{:>8}  {:<8}{:<18}\n", "case", "us", "spread", "GB/s", "TFLOP/s",
             "share", "of", "floor");
}

void print_record(const Record& record) {
  if (!record.error.empty()) {
    fmt::print("{:<62} NO FIGURE: {}\n", record.test->id, record.error);
  } else {
    fmt::print("{:<62}{:>11.2f}{:>7.1f}%{:>9.1f}{:>9.2f}{:>8}  {:<8}{}\n", record.test->id,
               record.timing.median_ms * 1e3, 100.0 * spread(record), record.gbps, record.tflops,
               record.ceiling.empty() ? "" : fmt::format("{:.1f}%", 100.0 * record.share), record.ceiling,
               floor_text(record));
  }
  std::fflush(stdout);
}

Verdict print_verdict(const std::vector<Record>& records) {
  Verdict verdict;
  for (const Record& record : records) {
    if (!record.error.empty()) ++verdict.errors;
    if (!record.has_floor()) continue;
    ++verdict.with_floor;
    if (record.reaches_floor()) continue;
    ++verdict.under_floor;
    fmt::print("under its floor: {} ({})\n", record.test->id,
               record.error.empty() ? fmt::format("{:.1f} TFLOP/s, {:.1f} % of {}; {}", record.tflops,
                                                  100.0 * record.share, record.ceiling, floor_text(record))
                                    : record.error);
  }
  fmt::print("{} timed, {} without a figure; {} of {} floors met\n",
             records.size() - static_cast<std::size_t>(verdict.errors), verdict.errors,
             verdict.with_floor - verdict.under_floor, verdict.with_floor);
  return verdict;
}

void write_json(const std::string& path, const std::vector<Record>& records) {
  const harness::DeviceDetails device = harness::device_details();
  nlohmann::ordered_json root;
  root["platform"] = device.info.platform;
  root["device"] = device.info.name;
  root["architecture"] = device.architecture;
  root["compiler"] = device.info.compiler;
  root["driver"] = device.driver;
  root["runtime"] = device.runtime;
  root["core_clock_mhz"] = device.core_clock_mhz;
  root["memory_clock_mhz"] = device.memory_clock_mhz;
  root["cases"] = nlohmann::ordered_json::array();
  for (const Record& record : records) {
    nlohmann::ordered_json row;
    row["id"] = record.test->id;
    row["op"] = record.test->op;
    row["dtype"] = dtype_name(record.test->dtype);
    row["shape"] = record.test->shape;
    if (!record.error.empty()) {
      row["error"] = record.error;
      root["cases"].push_back(std::move(row));
      continue;
    }
    row["bytes"] = record.bytes;
    row["flops"] = record.flops;
    row["median_us"] = record.timing.median_ms * 1e3;
    row["low_us"] = record.timing.low_ms * 1e3;
    row["high_us"] = record.timing.high_ms * 1e3;
    row["gbps"] = record.gbps;
    row["tflops"] = record.tflops;
    if (!record.ceiling.empty()) {
      row["ceiling"] = record.ceiling;
      row["ceiling_rate"] = record.ceiling_rate;
      row["share"] = record.share;
    }
    if (record.has_floor()) {
      if (record.test->floor_share > 0.0) row["floor_share"] = record.test->floor_share;
      if (record.test->floor_tflops > 0.0) row["floor_tflops"] = record.test->floor_tflops;
      row["reaches_floor"] = record.reaches_floor();
    }
    row["copies"] = record.copies;
    row["cache_flushed"] = record.flushed;
    row["checked_elements"] = record.checked_elements;
    row["worst_error"] = record.worst_error;
    row["samples_us"] = nlohmann::ordered_json::array();
    for (double sample : record.timing.samples_ms) row["samples_us"].push_back(sample * 1e3);
    root["cases"].push_back(std::move(row));
  }
  harness::write_file(path, root.dump(1) + "\n");
}

}  // namespace hipforge::bench
