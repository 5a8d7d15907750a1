#include "bench/report.h"

#include "harness/bench/timer.h"
#include "harness/core/device_info.h"
#include "harness/system/file.h"
#include "kernels/runtime/check.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <map>

namespace hipforge::bench {
namespace {

using Json = nlohmann::ordered_json;

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

// Of a time in microseconds: no clock here tells more.
double rounded(double microseconds) {
  if (!(microseconds > 0.0)) return microseconds;
  const double scale = std::pow(10.0, 4.0 - std::floor(std::log10(microseconds)));
  return std::round(microseconds * scale) / scale;
}

Json header() {
  const harness::DeviceDetails device = harness::device_details();
  Json root;
  root["platform"] = device.info.platform;
  root["device"] = device.info.name;
  root["architecture"] = device.architecture;
  root["compiler"] = device.info.compiler;
  root["driver"] = device.driver;
  root["runtime"] = device.runtime;
  root["core_clock_mhz"] = device.core_clock_mhz;
  root["memory_clock_mhz"] = device.memory_clock_mhz;
  root["recorded"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  return root;
}

Json row_of(const Record& record) {
  Json row;
  row["id"] = record.test->id;
  row["op"] = record.test->op;
  row["dtype"] = dtype_name(record.test->dtype);
  row["shape"] = record.test->shape;
  if (!record.error.empty()) {
    row["error"] = record.error;
    return row;
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
  row["blocks_us"] = Json::array();
  for (const std::vector<double>& block : record.blocks_ms) {
    Json samples = Json::array();
    for (double sample : block) samples.push_back(rounded(sample * 1e3));
    row["blocks_us"].push_back(std::move(samples));
  }
  return row;
}

// The blocks of an earlier process before those of this one. A case without a figure keeps its error.
void prepend_blocks(Record& record, const Json& earlier) {
  if (earlier.contains("error")) record.error = earlier["error"].get<std::string>();
  if (!record.error.empty()) return;
  std::vector<std::vector<double>> blocks;
  for (const Json& samples : earlier.at("blocks_us")) {
    std::vector<double>& block = blocks.emplace_back();
    for (const Json& sample : samples) block.push_back(sample.get<double>() * 1e-3);
  }
  blocks.insert(blocks.end(), record.blocks_ms.begin(), record.blocks_ms.end());
  const double before_ms = record.timing.median_ms;
  record.blocks_ms = std::move(blocks);
  join_blocks(record);
  const double slower = record.timing.median_ms / before_ms;
  record.gbps /= slower;
  record.tflops /= slower;
  record.share /= slower;
}

}  // namespace

void join_blocks(Record& record) {
  record.timing.samples_ms.clear();
  for (const std::vector<double>& block : record.blocks_ms) {
    record.timing.samples_ms.insert(record.timing.samples_ms.end(), block.begin(), block.end());
  }
  record.timing.median_ms = harness::percentile(record.timing.samples_ms, 0.5);
  record.timing.low_ms = harness::percentile(record.timing.samples_ms, 0.1);
  record.timing.high_ms = harness::percentile(record.timing.samples_ms, 0.9);
}

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

Verdict print_verdict(const std::deque<Record>& records) {
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

void write_json(const std::string& path, const std::deque<Record>& records, bool append) {
  Json root = header();
  std::map<std::string, Json> earlier;
  if (append && std::filesystem::exists(path)) {
    Json before = Json::parse(harness::read_file(path), nullptr, false);
    if (!before.is_object() || !before.contains("cases")) {
      throw Error(failure(StatusCode::kNotFound, path, " holds no cases to append to"));
    }
    for (const char* same : {"platform", "device", "compiler", "driver", "runtime"}) {
      if (before.value(same, Json()) == root[same]) continue;
      throw Error(invalid_argument(path, " is of ", same, " ", before.value(same, Json()).dump(),
                                   ", this is ", root[same].dump()));
    }
    root["recorded"] = before.value("recorded", root["recorded"]);
    for (const Json& row : before["cases"]) earlier[row.at("id").get<std::string>()] = row;
  }
  std::string lines;
  for (const Record& record : records) {
    Record joined = record;
    if (append && !earlier.empty()) {
      const auto found = earlier.find(record.test->id);
      if (found == earlier.end()) throw Error(invalid_argument(path, " lacks ", record.test->id));
      prepend_blocks(joined, found->second);
    }
    lines += (lines.empty() ? "" : ",\n") + row_of(joined).dump();
  }
  // One case a line: a diff shows which changed.
  std::string text = root.dump(1);
  text.resize(text.rfind('\n'));
  harness::write_file(path, text + ",\n \"cases\": [\n" + lines + "\n]}\n");
}

harness::Sheet record_sheet(const std::deque<Record>& records) {
  harness::Sheet sheet;
  sheet.headings = {"case", "us", "10 % us", "90 % us", "GB/s", "TFLOP/s", "share", "of", "floor", "error"};
  for (const Record& record : records) {
    if (!record.error.empty()) {
      sheet.rows.push_back({record.test->id, "", "", "", "", "", "", "", "", record.error});
      continue;
    }
    const harness::Timing& timing = record.timing;
    sheet.rows.push_back({record.test->id, fmt::format("{:.3f}", timing.median_ms * 1e3),
                          fmt::format("{:.3f}", timing.low_ms * 1e3),
                          fmt::format("{:.3f}", timing.high_ms * 1e3), fmt::format("{:.1f}", record.gbps),
                          fmt::format("{:.3f}", record.tflops),
                          record.ceiling.empty() ? "" : fmt::format("{:.3f}", record.share), record.ceiling,
                          floor_text(record), ""});
  }
  return sheet;
}

}  // namespace hipforge::bench
