#include "harness/bench/bench_command.h"

#include "harness/bench/bench.h"
#include "harness/bench/compare_command.h"
#include "harness/candidate/candidate.h"
#include "harness/core/device_info.h"
#include "harness/core/selection.h"
#include "harness/system/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <regex>

namespace hipforge::harness {
namespace {

constexpr std::size_t kLeastBlocks = 12;

std::deque<Case> select_cases(const BenchOptions& options) {
  const std::regex filter = parse_filter("--filter", options.filter);
  std::deque<Case> cases = timed_cases(options.ops);
  std::erase_if(cases, [&](const Case& test) {
    return !selected(options.dtypes, std::string(dtype_name(test.dtype))) ||
           !std::regex_search(test.id, filter);
  });
  return cases;
}

// Sets the verdict of each of the candidate's records and prints them.
void judge_candidate(Run& run) {
  std::vector<ComparedCase> cases;
  for (std::size_t i = 0; i + 1 < run.records.size(); i += 2) {
    cases.push_back({&run.records[i], &run.records[i + 1], {}});
  }
  judge_cases(run.device.info.platform, 0.0, cases);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (!cases[i].lost()) run.records[2 * i + 1].against_ours = cases[i].judgement;
  }
  fmt::print("{}", aligned(comparison_sheet(run.device.info.platform, cases, "ours", "candidate")));
  fmt::print("the candidate, {}\n", changes_text(cases));
}

}  // namespace

int run_bench(const BenchOptions& options) {
  require_known("op", options.ops, op_names());
  require_known("dtype", options.dtypes, {"f32", "f16", "bf16"});
  if (!options.candidate_path.empty() && options.ops.size() != 1) {
    throw UsageError(fmt::format("--candidate goes with one --op, {} are named", options.ops.size()));
  }
  const std::deque<Case> cases = select_cases(options);
  if (cases.empty()) throw UsageError("no case matches");
  const DeviceInfo device = device_info();
  std::unique_ptr<CandidateKernel> candidate;
  if (!options.candidate_path.empty())
    candidate = load_candidate(options.candidate_path, options.ops.front());

  const std::size_t blocks =
      candidate == nullptr ? kLeastBlocks : std::max(kLeastBlocks, blocks_needed(cases.size(), kFalseAlarms));
  Bench bench({static_cast<int>(blocks), options.seconds, candidate.get()});
  {
    Progress progress(cases.size());
    for (const Case& test : cases) {
      for (std::size_t block = 0; block < blocks; ++block) bench.time_block(test);
      progress.step(test.id);
    }
  }
  Run run = make_run(bench.records());
  run.candidate = options.candidate_path;
  fmt::print("{} on {}, {}; {} blocks\n", device.platform, device.name, device.compiler, blocks);
  if (candidate != nullptr) {
    judge_candidate(run);
  } else {
    print_heading();
    for (const Record& record : run.records) print_record(record);
  }
  const bool good = print_verdict(run.records);
  if (!options.json_path.empty()) write_run(options.json_path, run);
  if (std::ranges::all_of(run.records,
                          [](const Record& record) { return !record.failed() && !record.timed(); })) {
    throw UsageError(fmt::format("{} supports none of the {} cases", options.candidate_path, cases.size()));
  }
  return good ? kExitGood : kExitFailed;
}

}  // namespace hipforge::harness
