#include "harness/check/check_command.h"

#include "harness/candidate/candidate.h"
#include "harness/check/accuracy_baseline.h"
#include "harness/check/check_summary.h"
#include "harness/check/coverage.h"
#include "harness/check/explain.h"
#include "harness/check/shrink.h"
#include "harness/core/device_info.h"
#include "harness/core/selection.h"
#include "harness/replay/emulatable.h"
#include "harness/replay/replay_command.h"
#include "harness/replay/rerun.h"
#include "harness/run/case_runner.h"
#include "harness/system/child_process.h"
#include "harness/system/number.h"
#include "harness/system/progress.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/device.h"
#include "kernels/runtime/recorder.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <regex>
#include <set>

namespace hipforge::harness {
namespace {

std::vector<Target> targets_of(const CheckOptions& options) {
  std::vector<Target> targets;
  for (int wave : options.waves.empty() ? default_waves() : options.waves) {
    Target target;
#if defined(HIPFORGE_PLATFORM_CPU)
    throw_if_error(target_from_name(options.target.empty() ? "cpu" : options.target, wave, target));
#else
    throw_if_error(options.target.empty() ? device_target(target)
                                          : target_from_name(options.target, wave, target));
#endif
    if (std::ranges::count(targets, target) == 0) targets.push_back(target);
  }
  return targets;
}

std::vector<const Case*> select_cases(const CheckOptions& options) {
  if (!options.case_id.empty()) {
    static std::deque<Case> named;
    try {
      return {&named.emplace_back(find_case(options.case_id))};
    } catch (const Error& error) {
      throw UsageError(fmt::format("--case '{}': {}", options.case_id, error.what()));
    }
  }
  const std::regex filter = parse_filter("--filter", options.filter);
  std::vector<const Case*> cases;
  for (const OpSuite& suite : all_suites()) {
    if (!selected(options.ops, suite.op)) continue;
    for (const Case& test : suite.cases) {
      const bool wanted = selected(options.dtypes, std::string(dtype_name(test.dtype))) &&
                          (test.quick || !options.quick) && std::regex_search(test.id, filter);
      if (wanted) cases.push_back(&test);
    }
  }
  std::size_t index = 0;
  std::erase_if(cases, [&](const Case*) { return index++ % options.shards != options.shard; });
  return cases;
}

std::unique_ptr<CaseRunner> make_runner(const CheckOptions& options, const std::vector<Target>& targets,
                                        Recorder* recorder, CandidateKernel* candidate) {
  if (options.race) throw_if_error(race_support());
  if (!options.isolate || options.serve) {
    std::unique_ptr<CaseRunner> runner = make_local_runner({{}, options.seed, nullptr, recorder, candidate});
    return options.race ? make_race_runner(std::move(runner), options.schedules) : std::move(runner);
  }
  IsolationOptions isolation{options.arguments, options.timeout_s, options.memory_limit_mib};
  isolation.arguments.emplace_back("--serve-cases");
  if (candidate != nullptr) {
    isolation.arguments.insert(isolation.arguments.end(), {"--candidate-built", candidate->library()});
  }
  return make_isolated_runner(isolation, targets);
}

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Prints a failure: the case, what is wrong with it, and a command that repeats it; then the smallest and
// simplest case that fails in the same way, which the record takes note of, with the command that repeats it.
// One case is shrunk for each op, dtype, wave and way to fail, which `shrunk` holds; the command of any other
// does it for that one.
void print_failure(const CheckOptions& options, CaseRunner& runner, std::set<std::string>& shrunk,
                   CaseRecord& record) {
  const Case& test = *record.test;
  fmt::print("FAIL {} (wave {}): {}\n     repeat: {}\n", test.id, record.target.wave, record.result.message,
             case_command(record.test->id, record.target, options));
  std::fflush(stdout);
  const std::string kind = fmt::format("{} {} {} {}", test.op, dtype_name(test.dtype), record.target.wave,
                                       failure_name(record.result.failure));
  if (options.shrink_seconds <= 0.0 || !shrunk.insert(kind).second) return;

  const auto begin = Clock::now();
  // One that hangs must leave time for others.
  runner.limit(options.shrink_seconds / 5.0);
  const std::optional<Shrunk> smaller = shrink(
      test, record.result, [&](const Case& other) { return runner.run(other, record.target); },
      options.shrink_seconds);
  runner.limit(options.timeout_s);
  if (!smaller) return;
  record.shrunk_id = smaller->test.id;
  record.shrunk_message = smaller->result.message;
  fmt::print("     shrunk, {} cases in {:.1f} s{}: {}\n     shape {} -> {}: {}\n     repeat: {}\n",
             smaller->tries, seconds_since(begin), smaller->finished ? "" : ", then time was over",
             smaller->changes, test.shape, smaller->test.shape, smaller->result.message,
             case_command(smaller->test.id, record.target, options));
  std::fflush(stdout);
}

// Every case under every target, but for what comes after a failure with --fail-fast.
std::vector<CaseRecord> run_cases(const CheckOptions& options, const std::vector<const Case*>& cases,
                                  const std::vector<Target>& targets, CaseRunner& runner) {
  std::vector<CaseRecord> records;
  std::set<std::string> shrunk;
  Progress progress(cases.size() * targets.size());
  for (const Target& target : targets) {
    for (const Case* test : cases) {
      const auto begin = Clock::now();
      CaseRecord& record =
          records.emplace_back(CaseRecord{test, target, runner.run(*test, target), 0.0, {}, {}});
      record.seconds = seconds_since(begin);
      progress.step(test->id);
      if (record.result.passed) continue;
      progress.clear();
      if (record.failed()) {
        print_failure(options, runner, shrunk, record);
        if (options.fail_fast) return records;
      } else {
        fmt::print("UNSUPPORTED {} (wave {})\n", test->id, target.wave);
      }
    }
  }
  return records;
}

// Throws UsageError for options that are wrong whatever is to be done with them.
void require_usable(const CheckOptions& options) {
  std::vector<std::string> waves;
  for (int wave : options.waves) waves.push_back(std::to_string(wave));
  require_known("op", options.ops, op_names());
  require_known("dtype", options.dtypes, {"f32", "f16", "bf16"});
  require_known("wave", waves, {"32", "64"});
  if (!options.target.empty()) require_known("target", {options.target}, known_targets());
  if (!options.emulate.empty()) require_known("target", {options.emulate}, known_targets());
  const auto refuse = [](bool wrong, const std::string& why) {
    if (wrong) throw UsageError(why);
  };
  refuse(options.accept && options.accept->find_first_not_of(" \t") == std::string::npos,
         "--accept needs a reason");
  if (!options.candidate_path.empty()) {
    refuse(options.coverage, "--coverage and --candidate do not go together: it counts our own cases");
    refuse(options.ops.size() != 1,
           fmt::format("--candidate goes with one --op, {} are named", options.ops.size()));
    refuse(!options.record_path.empty(),
           "--record and --candidate do not go together: only our own launches are recorded");
    refuse(options.baseline || options.accept,
           "--baseline and --candidate do not go together: it holds our own kernels' shares");
  }
  refuse(options.isolate && !options.record_path.empty(),
         "--record and --isolate do not go together: launches are recorded in this process");
}

// Records the op's launches for an AMD architecture and replays them with a candidate's code object on an
// emulator of it.
int check_emulated(const CheckOptions& options) {
  if (options.candidate_path.empty())
    throw UsageError("--emulate goes with --candidate; our own code: hipforge replay");
  if (candidate_kind(options.candidate_path) != CandidateKind::kCodeObject) {
    throw Error(invalid_argument("candidate ", options.candidate_path,
                                 " is no AMD code object, which is what --emulate runs"));
  }
  const TemporaryFolder folder;
  const ReplayOptions replay{
      .folder = folder.path() / "record", .emulate = options.emulate, .code = folder.path() / "code"};
  const std::filesystem::path code = folder.path() / "code" / options.emulate;
  std::filesystem::create_directories(code);
  std::filesystem::copy_file(options.candidate_path, code / (options.ops.front() + ".co"));
  (void)find_emulation(replay.emulate, replay.code);  // before anything runs

  CheckOptions record = options;
  record.candidate_path.clear();
  record.emulate.clear();
  record.target = options.emulate;
  record.emulatable = true;
  record.record_path = replay.folder;
  fmt::print("our own kernels, recorded as {} would launch them:\n", options.emulate);
  if (const int recorded = run_check(record); recorded != kExitGood) return recorded;
  fmt::print("{} on the emulator:\n", options.candidate_path);
  return run_replay(replay);
}

}  // namespace

bool parse_shard(const std::string& text, CheckOptions& options) {
  const std::size_t slash = std::min(text.find('/'), text.size() - 1);
  const auto shards = parse_number(text.substr(slash + 1), kAboveZero<std::size_t>);
  const auto shard = parse_number<std::size_t>(text.substr(0, slash), {0, shards.value_or(1) - 1});
  if (!shards || !shard) return false;
  options.shard = *shard;
  options.shards = *shards;
  return true;
}

int run_check(const CheckOptions& options) {
  require_usable(options);
  if (!options.emulate.empty()) return check_emulated(options);
  if (options.coverage) return run_coverage(options);
  if (!options.explain.empty()) return run_explain(options, targets_of(options));

  std::vector<const Case*> cases = select_cases(options);
  if (cases.empty()) throw UsageError("no case matches");
  if (options.emulatable) {
    const std::vector<Target> targets = targets_of(options);
    if (targets.size() != 1) throw UsageError("--emulatable needs --target or one --wave");
    EmulatableCases chosen = emulatable_cases(cases, targets.front());
    cases = std::move(chosen.cases);
    for (const std::string& part : chosen.left_out) fmt::print("too large to emulate: {}\n", part);
  }
  if (options.list) {
    for (const Case* test : cases) fmt::print("{}\n", test->id);
    return kExitGood;
  }

  int devices = 0;
  throw_if_error(usable_devices(devices));
  const std::vector<Target> targets = targets_of(options);
  std::optional<TemporaryFolder> partial_record;
  std::optional<Recorder> recorder;
  if (!options.record_path.empty()) {
    partial_record.emplace([&] { return recorder.emplace(options.record_path).partial(); });
  }
  std::unique_ptr<CandidateKernel> candidate;
  if (!options.candidate_path.empty()) {
    const bool built = !options.candidate_built.empty();
    candidate = load_candidate(built ? options.candidate_built : options.candidate_path, options.ops.front());
  }
  const std::unique_ptr<CaseRunner> runner =
      make_runner(options, targets, recorder ? &*recorder : nullptr, candidate.get());
  if (options.serve) serve_cases(*runner, targets);
  const auto start = Clock::now();
  const std::vector<CaseRecord> records = run_cases(options, cases, targets, *runner);
  const double seconds = seconds_since(start);
  if (recorder) recorder->finish();

  const bool whole_suite = !options.quick && !options.emulatable && options.filter.empty() &&
                           options.case_id.empty() && options.shards == 1 && !options.fail_fast &&
                           options.candidate_path.empty();
  Summary summary = check_summary(options, records, seconds);
  fmt::print("{}", aligned(summary.groups));
  const std::vector<std::string> loose = whole_suite ? loose_bounds(records) : std::vector<std::string>();
  for (const std::string& message : loose) fmt::print("FAIL {}\n", message);
  summary.other_failures =
      loose.size() + (options.baseline || options.accept ? hold_to_accuracy_baseline(options, records) : 0);
  write_summary(options.files, summary);
  // The cpu platform runs both; what a device's own wave leaves out is no pass.
  if (options.waves.empty() && options.target.empty()) {
    for (int wave : {32, 64}) {
      if (std::ranges::count(targets, wave, &Target::wave) == 0 && repro_environment(wave).empty()) {
        fmt::print("SKIP check.wave_{}: {} cases, this device has waves of {}\n", wave, cases.size(),
                   targets.front().wave);
      }
    }
  }
  if (const std::string races = runner->summary(); !races.empty()) fmt::print("{}\n", races);
  if (recorder) fmt::print("recorded {} launches in {}\n", recorder->launches(), options.record_path);
  fmt::print("checked in {:.1f} s, seed {}\n", seconds, options.seed);
  fmt::print("{}\n", closing_line(summary));
  const std::size_t unsupported = summary.count(Entry::Verdict::kSkipped);
  if (unsupported > 0 && unsupported == records.size()) {
    throw UsageError(fmt::format("{} supports none of the {} cases", options.candidate_path, unsupported));
  }
  return summary.count(Entry::Verdict::kFailed) + summary.other_failures == 0 ? kExitGood : kExitFailed;
}

}  // namespace hipforge::harness
