#include "harness/bench/record.h"

#include "harness/system/file.h"
#include "kernels/runtime/check.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <ranges>
#include <utility>

namespace hipforge::harness {
namespace {

using Json = nlohmann::ordered_json;

// What stands in a file under which name, said once for writing and reading. A field that is absent is zero,
// false or empty.
template <class R, class Visit>
void for_each_header_field(R& run, Visit&& visit) {
  visit("platform", run.device.info.platform);
  visit("device", run.device.info.name);
  visit("architecture", run.device.architecture);
  visit("compiler", run.device.info.compiler);
  visit("driver", run.device.driver);
  visit("runtime", run.device.runtime);
  visit("core_clock_mhz", run.device.core_clock_mhz);
  visit("memory_clock_mhz", run.device.memory_clock_mhz);
  visit("candidate", run.candidate);
  visit("recorded", run.recorded);
}

template <class R, class Visit>
void for_each_record_field(R& record, Visit&& visit) {
  visit("id", record.id);
  visit("op", record.op);
  visit("dtype", record.dtype);
  visit("shape", record.shape);
  visit("kernel", record.kernel);
  visit("error", record.error);
  visit("unsupported", record.unsupported);
  visit("bytes", record.bytes);
  visit("flops", record.flops);
  visit("median_us", record.us.median);
  visit("low_us", record.us.low);
  visit("high_us", record.us.high);
  visit("ceiling", record.ceiling);
  visit("ceiling_rate", record.ceiling_rate);
  visit("floor_share", record.floor_share);
  visit("floor_tflops", record.floor_tflops);
  visit("copies", record.copies);
  visit("cache_flushed", record.cache_flushed);
  visit("checked_elements", record.checked_elements);
  visit("worst_error", record.worst_error);
}

// Puts what is not zero, false or empty.
auto put_into(Json& row) {
  return [&row](const char* name, const auto& value) {
    if (value != std::decay_t<decltype(value)>{}) row[name] = value;
  };
}

Json row_of(const Record& record) {
  Json row;
  const auto put = put_into(row);
  for_each_record_field(record, put);
  if (!record.timed()) return row;
  // Of what stands there already, for readers that do not reckon.
  row["gbps"] = record.gbps();
  row["tflops"] = record.tflops();
  put("share", record.share());
  if (record.has_floor()) row["reaches_floor"] = record.reaches_floor();
  if (record.against_ours) {
    for_each_field(*record.against_ours, [&](const char* name, const auto& value) { row[name] = value; });
  }
  for (const std::vector<double>& block : record.blocks_us) {
    Json& samples = row["blocks_us"].emplace_back(Json::array());
    // No clock here tells more.
    for (double sample : block) samples.push_back(std::stod(fmt::format("{:.5g}", sample)));
  }
  return row;
}

Record record_of(const Json& row) {
  Record record;
  for_each_record_field(record, [&](const char* name, auto& value) { value = row.value(name, value); });
  (void)row.at("id");
  if (record.ended()) return record;
  (void)row.at("median_us");
  record.blocks_us = row.value("blocks_us", record.blocks_us);
  const auto is_time = [](double value) { return std::isfinite(value) && value > 0.0; };
  for (const std::vector<double>& samples : record.blocks_us) {
    if (!samples.empty() && std::all_of(samples.begin(), samples.end(), is_time)) continue;
    throw Error(invalid_argument(record.id, " has a block that is empty or holds no times"));
  }
  return record;
}

void summarize_blocks(Record& record) {
  std::vector<double> samples;
  for (const auto& block : record.blocks_us) samples.insert(samples.end(), block.begin(), block.end());
  record.us = summarize(std::move(samples));
}

// Of one build on one device: else their figures do not belong together.
void require_same_origin(const Run& a, const Run& b) {
  const auto require = [&](const char* what, const std::string& x, const std::string& y) {
    if (x == y) return;
    throw Error(invalid_argument(a.path, " is of ", what, " ", x, ", ",
                                 b.path.empty() ? "this build" : b.path, " of ", y));
  };
  // This process does not know what bench/record.sh knows of its build.
  if (!a.path.empty() && !b.path.empty()) {
    require("sources", a.sources, b.sources);
    require("compiler", a.toolchain, b.toolchain);
  }
  require("platform", a.device.info.platform, b.device.info.platform);
  require("device", a.device.info.name, b.device.info.name);
  require("compiler", a.device.info.compiler, b.device.info.compiler);
  require("driver", a.device.driver, b.device.driver);
  require("runtime", a.device.runtime, b.device.runtime);
}

std::string floor_text(const Record& record) {
  return record.has_floor() ? (record.reaches_floor() ? "meets " : "UNDER ") + record.floor() : "";
}

const std::vector<std::string> kHeadings{"case",    "us",    "10 % us", "90 % us", "spread", "GB/s",
                                         "TFLOP/s", "share", "of",      "floor",   "error"};

std::vector<std::string> cells_of(const Record& record) {
  std::vector<std::string> cells(kHeadings.size());
  if (record.timed()) {
    const Timing& us = record.us;
    cells = {"",
             fmt::format("{:.2f}", us.median),
             fmt::format("{:.2f}", us.low),
             fmt::format("{:.2f}", us.high),
             fmt::format("{:.1f}%", 100.0 * us.spread()),
             fmt::format("{:.1f}", record.gbps()),
             fmt::format("{:.3f}", record.tflops()),
             record.ceiling.empty() ? "" : fmt::format("{:.1f}%", 100.0 * record.share()),
             record.ceiling,
             floor_text(record),
             ""};
  }
  cells.front() = record.name();
  cells.back() = record.error;
  return cells;
}

void print_cells(const std::vector<std::string>& cells) {
  fmt::print("{:<62}{:>11}{:>8}{:>9}{:>10}{:>8}  {:<8}{}\n", cells[0], cells[1], cells[4], cells[5], cells[6],
             cells[7], cells[8], cells[9]);
}

}  // namespace

double Record::share() const {
  return ceiling.empty() ? 0.0 : (ceiling == "matrix" ? tflops() : gbps()) / ceiling_rate;
}

bool Record::reaches_floor() const {
  return !failed() && share() >= floor_share && tflops() >= floor_tflops;
}

std::string Record::floor() const {
  if (floor_tflops > 0.0) return fmt::format("{:.0f} TFLOP/s", floor_tflops);
  return floor_share > 0.0 ? fmt::format("{:.0f} %", 100.0 * floor_share) : "";
}

std::string Record::name() const {
  return kernel.empty() ? id : fmt::format("{} ({})", id, kernel);
}

void Record::add_block(const std::vector<double>& samples_ms) {
  std::vector<double>& block = blocks_us.emplace_back();
  for (double sample : samples_ms) block.push_back(sample * 1e3);
  summarize_blocks(*this);
}

Run make_run(std::deque<Record> records) {
  Run run;
  run.device = device_details();
  run.recorded = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  run.records = std::move(records);
  return run;
}

Run read_run(const std::string& path) {
  Run run;
  run.path = path;
  const std::string text = read_file(path);
  try {
    Json root = Json::parse(text);
    if (root.contains("result")) {
      run.sources = root.value("sources", "");
      run.toolchain = root.value("compiler", "");
      root = Json(root["result"]);
    }
    for (const char* needed : {"platform", "device"}) (void)root.at(needed);
    for_each_header_field(run, [&](const char* name, auto& value) { value = root.value(name, value); });
    for (const Json& row : root.at("cases")) run.records.push_back(record_of(row));
  } catch (const Error& error) {
    throw Error(invalid_argument(path, ": ", error.what()));
  } catch (const nlohmann::json::exception& error) {
    throw Error(invalid_argument(path, " is no result of hipforge_bench: ", error.what()));
  }
  return run;
}

void write_run(const std::string& path, const Run& run) {
  Json root;
  for_each_header_field(run, put_into(root));
  std::string lines;
  for (const Record& record : run.records) {
    if (!record.timed() && !record.ended()) continue;  // the candidate does not support its case
    lines += (lines.empty() ? "" : ",\n") + row_of(record).dump();
  }
  // One case a line: a diff shows which changed.
  std::string text = root.dump(1);
  text.resize(text.rfind('\n'));
  write_file(path, text + ",\n \"cases\": [\n" + lines + "\n]}\n");
}

void add_run(Run& whole, Run part, Adds adds) {
  require_same_origin(whole, part);
  for (Record& record : part.records) {
    const auto earlier = std::ranges::find(whole.records, record.name(), &Record::name);
    if ((earlier != whole.records.end()) != (adds == Adds::kBlocks)) {
      throw Error(invalid_argument(whole.path, adds == Adds::kBlocks ? " lacks " : " already holds ",
                                   record.name(), part.path.empty() ? "" : " of ", part.path));
    }
    if (adds == Adds::kCases) {
      whole.records.push_back(std::move(record));
      continue;
    }
    if (record.failed() && !earlier->failed()) earlier->error = record.error;
    earlier->blocks_us.insert(earlier->blocks_us.end(), record.blocks_us.begin(), record.blocks_us.end());
    earlier->worst_error = std::max(earlier->worst_error, record.worst_error);
    summarize_blocks(*earlier);
  }
}

std::vector<double> block_values(const std::string& platform, const Record& record) {
  std::vector<double> values;
  for (const auto& block : record.blocks_us)
    values.push_back(percentile(block, platform == "cpu" ? 0.0 : 0.5));
  return values;
}

void print_heading() {
  print_cells(kHeadings);
}

void print_record(const Record& record) {
  if (record.timed()) {
    print_cells(cells_of(record));
  } else {
    fmt::print("{:<62} NO FIGURE: {}\n", record.name(), record.error);
  }
  std::fflush(stdout);
}

bool print_verdict(const std::deque<Record>& records, bool gate) {
  std::ptrdiff_t under = 0;
  for (const Record& record : records) {
    if (!record.has_floor() || record.reaches_floor()) continue;
    ++under;
    fmt::print("under its floor: {} ({})\n", record.id,
               record.failed() ? record.error
                               : fmt::format("{:.1f} TFLOP/s, {:.1f} % of {}; {}", record.tflops(),
                                             100.0 * record.share(), record.ceiling, floor_text(record)));
  }
  const auto errors = std::ranges::count_if(records, &Record::failed);
  const auto floors = std::ranges::count_if(records, &Record::has_floor);
  fmt::print("{} timed, {} without a figure; {} of {} floors met\n",
             std::ranges::count_if(records, &Record::timed), errors, floors - under, floors);
  return errors == 0 && !(gate && under > 0);
}

Sheet record_sheet(const std::deque<Record>& records) {
  Sheet sheet;
  sheet.headings = kHeadings;
  for (const Record& record : records) sheet.rows.push_back(cells_of(record));
  return sheet;
}

}  // namespace hipforge::harness
