#include "harness/bench/bench_command.h"

#include "harness/bench/statistics.h"
#include "harness/bench/timer.h"
#include "harness/candidate/candidate.h"
#include "harness/check/check_command.h"
#include "harness/check/sheet.h"
#include "harness/core/device_info.h"
#include "harness/report/report.h"
#include "harness/system/progress.h"
#include "harness/system/result_file.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/device.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <optional>
#include <regex>

namespace hipforge::harness {
namespace {

constexpr int kMostCopies = 16;
constexpr std::size_t kLeastBlocks = 12;

// One kernel on one case.
struct Timed {
  std::string wrong;  // why there is no figure
  std::vector<std::vector<double>> blocks_ms;
  std::vector<double> values_ms;  // one a block

  [[nodiscard]] double median_ms() const { return percentile(values_ms, 0.5); }
};

struct Row {
  const Case* test = nullptr;
  std::int64_t bytes = 0;
  std::int64_t flops = 0;
  Timed ours;
  Timed candidate;
  bool unsupported = false;  // by the candidate
  std::optional<Judgement> judgement;

  [[nodiscard]] bool wrong() const { return !ours.wrong.empty() || !candidate.wrong.empty(); }
};

// Launches on poisoned outputs and compares; what is wrong, or nothing.
std::string check_launch(PreparedCase& prepared, const Launch& launch, bool* not_supported = nullptr) {
  throw_if_error(prepared.rig->reset());
  if (const Status status = launch(nullptr); !status.ok()) {
    if (not_supported != nullptr && status.code == StatusCode::kUnsupported) *not_supported = true;
    return status.message;
  }
  const CaseResult result = check_case(prepared);
  return result.passed ? std::string() : result.message;
}

class CaseBench {
 public:
  CaseBench(const Case& test, CandidateKernel* candidate) {
    row_.test = &test;
    CaseEnvironment environment;
    throw_if_error(device_target(environment.target));
    copies_.push_back(test.prepare(environment));
    row_.bytes = copies_.front().bytes;
    row_.flops = copies_.front().flops;
    const int count = rotation_copies(row_.bytes, kMostCopies);
    while (copies_.size() < static_cast<std::size_t>(count)) {
      copies_.push_back(test.prepare(environment));
      throw_if_error(copies_.back().rig->reset());
    }
    for (const PreparedCase& copy : copies_) {
      ours_.push_back(copy.launch);
      if (candidate != nullptr) theirs_.push_back(bind_candidate(*candidate, copy));
    }
    flush_ = cache_flush(row_.bytes, count);
  }

  Row run(std::size_t blocks, double seconds, const std::string& platform) {
    check();
    if (row_.wrong() || row_.unsupported) return row_;
    TimerOptions timer;
    timer.warm_up_ms = 1.0;
    timer.measure_ms = 1e3 * seconds / static_cast<double>(blocks);
    timer.least_samples = 3;
    for (std::size_t block = 0; block < blocks; ++block) {
      time_block(ours_, timer, platform, row_.ours);
      if (!theirs_.empty()) time_block(theirs_, timer, platform, row_.candidate);
    }
    check();
    return row_;
  }

 private:
  void check() {
    row_.ours.wrong = check_launch(copies_.back(), ours_.back());
    if (theirs_.empty()) return;
    row_.candidate.wrong = check_launch(copies_.back(), theirs_.back(), &row_.unsupported);
    if (row_.unsupported) row_.candidate.wrong.clear();
  }

  void time_block(const std::vector<Launch>& launches, const TimerOptions& timer, const std::string& platform,
                  Timed& timed) {
    Timing timing;
    throw_if_error(time_launches(launches, flush_, timer, nullptr, timing));
    timed.values_ms.push_back(block_value(platform, timing.samples_ms));
    timed.blocks_ms.push_back(std::move(timing.samples_ms));
  }

  Row row_;
  std::vector<PreparedCase> copies_;
  std::vector<Launch> ours_;
  std::vector<Launch> theirs_;
  Launch flush_;
};

int usage_error(const std::string& message) {
  fmt::print(stderr, "hipforge bench: {}\n", message);
  return kExitUsage;
}

std::deque<Case> select_cases(const BenchOptions& options) {
  const std::regex filter(options.filter);
  const auto among = [](const std::vector<std::string>& wanted, const std::string& name) {
    return wanted.empty() || std::find(wanted.begin(), wanted.end(), name) != wanted.end();
  };
  std::deque<Case> selected;
  for (const OpSuite& suite : all_suites()) {
    if (!among(options.ops, suite.op)) continue;
    std::vector<Case> cases = suite.bench_cases;
#if !defined(HIPFORGE_PLATFORM_CPU)
    if (suite.large_cases) {
      for (Case& test : suite.large_cases(1)) cases.push_back(std::move(test));
    }
#endif
    for (Case& test : cases) {
      const bool wanted = among(options.dtypes, dtype_name(test.dtype)) &&
                          (options.filter.empty() || std::regex_search(test.id, filter));
      if (wanted) selected.push_back(std::move(test));
    }
  }
  return selected;
}

std::string spread_text(const Timed& timed) {
  const double half = 0.5 * (percentile(timed.values_ms, 0.9) - percentile(timed.values_ms, 0.1));
  return fmt::format("{:.1f}%", 100.0 * half / timed.median_ms());
}

Sheet sheet_of(const std::vector<Row>& rows, bool with_candidate) {
  Sheet sheet;
  sheet.headings = {"case", "us", "spread", "GB/s", "TFLOP/s"};
  if (with_candidate)
    sheet.headings = {"case", "ours us", "candidate us", "ratio", "interval", "p", "verdict"};
  for (const Row& row : rows) {
    std::vector<std::string> cells{row.test->id};
    if (row.wrong() || row.unsupported) {
      cells.resize(sheet.headings.size());
      cells.back() = row.wrong() ? "wrong" : "not supported";
    } else if (!with_candidate) {
      const double ms = row.ours.median_ms();
      cells.push_back(fmt::format("{:.2f}", 1e3 * ms));
      cells.push_back(spread_text(row.ours));
      cells.push_back(fmt::format("{:.1f}", static_cast<double>(row.bytes) * 1e-6 / ms));
      cells.push_back(fmt::format("{:.3f}", static_cast<double>(row.flops) * 1e-9 / ms));
    } else {
      const RatioInterval& interval = row.judgement->interval;
      cells.push_back(fmt::format("{:.2f}", 1e3 * row.ours.median_ms()));
      cells.push_back(fmt::format("{:.2f}", 1e3 * row.candidate.median_ms()));
      cells.push_back(fmt::format("{:.3f}", interval.ratio));
      cells.push_back(fmt::format("{:.3f} to {:.3f}", interval.low, interval.high));
      cells.push_back(fmt::format("{:.2g}", row.judgement->p));
      cells.emplace_back(change_name(row.judgement->change));
    }
    sheet.rows.push_back(std::move(cells));
  }
  return sheet;
}

nlohmann::ordered_json json_of(const Timed& timed) {
  nlohmann::ordered_json made;
  if (!timed.wrong.empty()) {
    made["wrong"] = timed.wrong;
  } else {
    made["median_ms"] = timed.median_ms();
    made["blocks_ms"] = timed.blocks_ms;
  }
  return made;
}

void write_bench_json(const BenchOptions& options, const DeviceInfo& info, const std::vector<Row>& rows) {
  nlohmann::ordered_json root;
  root["platform"] = info.platform;
  root["device"] = info.name;
  root["compiler"] = info.compiler;
  if (!options.candidate_path.empty()) root["candidate"] = options.candidate_path;
  root["results"] = nlohmann::ordered_json::array();
  for (const Row& row : rows) {
    nlohmann::ordered_json made;
    made["id"] = row.test->id;
    made["bytes"] = row.bytes;
    made["flops"] = row.flops;
    if (row.unsupported) {
      made["unsupported"] = true;
    } else {
      made["ours"] = json_of(row.ours);
      if (!options.candidate_path.empty()) made["candidate"] = json_of(row.candidate);
    }
    if (row.judgement) {
      const RatioInterval& interval = row.judgement->interval;
      made["ratio"] = interval.ratio;
      made["interval"] = {interval.low, interval.high};
      made["p"] = row.judgement->p;
      made["verdict"] = change_name(row.judgement->change);
    }
    root["results"].push_back(std::move(made));
  }
  write_file(options.json_path, root.dump(1) + "\n");
}

// All at once: the verdicts are corrected for their number.
void judge_rows(std::vector<Row>& rows) {
  std::vector<BlockPair> pairs;
  std::vector<Row*> judged;
  for (Row& row : rows) {
    if (row.wrong() || row.unsupported) continue;
    pairs.push_back({row.ours.values_ms, row.candidate.values_ms});
    judged.push_back(&row);
  }
  const std::vector<Judgement> judgements = judge(pairs, 0.0);
  for (std::size_t i = 0; i < judged.size(); ++i) judged[i]->judgement = judgements[i];
}

}  // namespace

int run_bench(const BenchOptions& options) {
  std::vector<std::string> known;
  for (const OpSuite& suite : all_suites()) known.push_back(suite.op);
  for (const std::string& op : options.ops) {
    if (std::find(known.begin(), known.end(), op) != known.end()) continue;
    return usage_error(fmt::format("op {} is not known, choose from {}", op, fmt::join(known, ", ")));
  }
  if (!options.candidate_path.empty() && options.ops.size() != 1) {
    return usage_error(fmt::format("--candidate goes with one --op, {} are named", options.ops.size()));
  }
  std::deque<Case> cases;
  try {
    cases = select_cases(options);
  } catch (const std::regex_error& error) {
    return usage_error(
        fmt::format("--filter '{}' is no regular expression: {}", options.filter, error.what()));
  }
  if (cases.empty()) return usage_error("no case matches");
  int devices = 0;
  throw_if_error(usable_devices(devices));
  std::unique_ptr<CandidateKernel> candidate;
  if (!options.candidate_path.empty())
    candidate = load_candidate(options.candidate_path, options.ops.front());

  const DeviceInfo info = device_info();
  const std::size_t blocks =
      candidate == nullptr ? kLeastBlocks : std::max(kLeastBlocks, blocks_needed(cases.size(), kFalseAlarms));
  std::vector<Row> rows;
  {
    Progress progress(cases.size());
    for (const Case& test : cases) {
      Row row;
      row.test = &test;
      try {
        row = CaseBench(test, candidate.get()).run(blocks, options.seconds, info.platform);
      } catch (const std::exception& error) {
        row.ours.wrong = error.what();
      }
      progress.step(test.id);
      if (row.wrong() && !recover_device()) {
        throw Error(failure(StatusCode::kHipError, "the device cannot go on after the fault of ", test.id));
      }
      rows.push_back(std::move(row));
    }
  }
  if (candidate != nullptr) judge_rows(rows);

  fmt::print("{} on {}, {}; {} blocks\n", info.platform, info.name, info.compiler, blocks);
  fmt::print("{}", aligned(sheet_of(rows, candidate != nullptr)));
  std::size_t wrong = 0;
  std::size_t unsupported = 0;
  for (const Row& row : rows) {
    unsupported += row.unsupported ? 1 : 0;
    if (!row.wrong()) continue;
    ++wrong;
    if (!row.ours.wrong.empty()) fmt::print("FAIL {}: {}\n", row.test->id, row.ours.wrong);
    if (!row.candidate.wrong.empty())
      fmt::print("FAIL {}: candidate: {}\n", row.test->id, row.candidate.wrong);
  }
  if (!options.json_path.empty()) write_bench_json(options, info, rows);
  if (candidate != nullptr) {
    const auto changed = [&](Change change) {
      return std::count_if(rows.begin(), rows.end(),
                           [&](const Row& row) { return row.judgement && row.judgement->change == change; });
    };
    fmt::print(
        "the candidate is faster in {} cases, slower in {}, the same in {}; {} wrong, {} not supported\n",
        changed(Change::kFaster), changed(Change::kSlower), changed(Change::kSame), wrong, unsupported);
  } else {
    fmt::print("{} cases timed, {} wrong\n", rows.size() - wrong, wrong);
  }
  if (unsupported == rows.size()) {
    return usage_error(fmt::format("{} supports none of the {} cases", options.candidate_path, unsupported));
  }
  return wrong == 0 ? kExitGood : kExitFailed;
}

}  // namespace hipforge::harness
