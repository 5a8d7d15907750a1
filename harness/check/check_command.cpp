#include "harness/check/check_command.h"

#include "harness/candidate/candidate.h"
#include "harness/check/accuracy_baseline.h"
#include "harness/check/case_record.h"
#include "harness/check/check_summary.h"
#include "harness/check/coverage.h"
#include "harness/check/explain.h"
#include "harness/check/failure_report.h"
#include "harness/check/loose_bounds.h"
#include "harness/core/device_info.h"
#include "harness/replay/emulatable.h"
#include "harness/run/isolation.h"
#include "harness/run/race_runner.h"
#include "harness/sweep/find_case.h"
#include "harness/system/exit_code.h"
#include "harness/system/progress.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/device.h"
#include "kernels/runtime/recorder.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>
#include <regex>

namespace hipforge::harness {
namespace {

template <class T>
bool selected(const std::vector<T>& wanted, const T& value) {
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), value) != wanted.end();
}

// Names in `wanted` that are not among the legal ones, as one message; empty
// where all are.
std::string unknown_names(const char* what, const std::vector<std::string>& wanted,
                          const std::vector<std::string>& legal) {
  for (const std::string& name : wanted) {
    if (std::find(legal.begin(), legal.end(), name) != legal.end()) continue;
    return fmt::format("{} {} is not known, choose from {}", what, name, fmt::join(legal, ", "));
  }
  return {};
}

std::vector<std::string> op_names() {
  std::vector<std::string> names;
  for (const OpSuite& suite : all_suites()) names.push_back(suite.op);
  return names;
}

int usage_error(const std::string& message) {
  fmt::print(stderr, "hipforge check: {}\n", message);
  return kExitUsage;
}

std::vector<Target> targets_of(const CheckOptions& options) {
  std::vector<Target> targets;
  const std::vector<int> waves = options.waves.empty() ? default_waves() : options.waves;
  for (int wave : waves) {
    Target target;
    if (options.target.empty()) {
#if defined(HIPFORGE_PLATFORM_CPU)
      throw_if_error(target_from_name("cpu", wave, target));
#else
      throw_if_error(device_target(target));
#endif
    } else {
      throw_if_error(target_from_name(options.target, wave, target));
    }
    if (std::find(targets.begin(), targets.end(), target) == targets.end()) targets.push_back(target);
  }
  return targets;
}

std::vector<const Case*> select_cases(const CheckOptions& options) {
  if (!options.case_id.empty()) {
    static std::deque<Case> named;
    return {&named.emplace_back(find_case(options.case_id))};
  }
  const std::regex filter(options.filter);
  std::vector<const Case*> cases;
  for (const OpSuite& suite : all_suites()) {
    if (!selected(options.ops, suite.op)) continue;
    for (const Case& test : suite.cases) {
      if (!selected(options.dtypes, std::string(dtype_name(test.dtype)))) continue;
      if (options.quick && !test.quick) continue;
      if (!options.filter.empty() && !std::regex_search(test.id, filter)) continue;
      cases.push_back(&test);
    }
  }
  if (options.shards > 1) {
    std::size_t index = 0;
    std::erase_if(cases, [&](const Case*) { return index++ % options.shards != options.shard; });
  }
  return cases;
}

std::unique_ptr<CaseRunner> make_runner(const CheckOptions& options, const std::vector<Target>& targets,
                                        Recorder* recorder, CandidateKernel* candidate) {
  if (options.race) throw_if_error(race_support());
  if (!options.isolate || options.serve) {
    CaseEnvironment environment;
    environment.seed = options.seed;
    environment.recorder = recorder;
    environment.candidate = candidate;
    std::unique_ptr<CaseRunner> runner = make_local_runner(environment);
    return options.race ? make_race_runner(std::move(runner), options.schedules) : std::move(runner);
  }
  IsolationOptions isolation{options.arguments, options.timeout_s, options.memory_limit_mib};
  isolation.arguments.emplace_back("--serve-cases");
  if (candidate != nullptr) {
    isolation.arguments.insert(isolation.arguments.end(), {"--candidate-built", candidate->library()});
  }
  return make_isolated_runner(isolation, targets);
}

}  // namespace

std::string usage_fault(const CheckOptions& options) {
  if (std::string bad = unknown_names("op", options.ops, op_names()); !bad.empty()) return bad;
  if (std::string bad = unknown_names("dtype", options.dtypes, {"f32", "f16", "bf16"}); !bad.empty())
    return bad;
  for (int wave : options.waves) {
    if (wave != 32 && wave != 64) return fmt::format("wave {} is not known, choose from 32, 64", wave);
  }
  if (!options.target.empty()) {
    if (std::string bad = unknown_names("target", {options.target}, known_targets()); !bad.empty())
      return bad;
  }
  if (options.accept && options.accept->find_first_not_of(" \t") == std::string::npos) {
    return "--accept needs a reason";
  }
  if (options.coverage) return {};
  if (!options.candidate_path.empty() && options.ops.size() != 1) {
    return fmt::format("--candidate goes with one --op, {} are named", options.ops.size());
  }
  if (!options.candidate_path.empty() && !options.record_path.empty()) {
    return "--record and --candidate do not go together: only our own launches "
           "are recorded";
  }
  if (!options.candidate_path.empty() && (options.baseline || options.accept)) {
    return "--baseline and --candidate do not go together: it holds our own "
           "kernels' shares";
  }
  if (options.isolate && !options.record_path.empty()) {
    return "--record and --isolate do not go together: launches are recorded "
           "in this process";
  }
  return {};
}

int run_check(const CheckOptions& options) {
  if (const std::string fault = usage_fault(options); !fault.empty()) return usage_error(fault);
  if (options.coverage) return run_coverage(options);
  if (!options.explain.empty()) return run_explain(options, targets_of(options));

  std::vector<const Case*> cases;
  try {
    cases = select_cases(options);
  } catch (const Error& error) {
    return usage_error(fmt::format("--case '{}': {}", options.case_id, error.what()));
  } catch (const std::regex_error& error) {
    return usage_error(
        fmt::format("--filter '{}' is no regular expression: {}", options.filter, error.what()));
  }
  if (cases.empty()) return usage_error("no case matches");
  if (options.emulatable) {
    const std::vector<Target> targets = targets_of(options);
    if (targets.size() != 1) return usage_error("--emulatable needs --target or one --wave");
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
  std::optional<Recorder> recorder;
  if (!options.record_path.empty()) recorder.emplace(options.record_path);
  std::unique_ptr<CandidateKernel> candidate;
  if (!options.candidate_path.empty()) {
    const bool built = !options.candidate_built.empty();
    candidate = load_candidate(built ? options.candidate_built : options.candidate_path, options.ops.front());
  }
  const std::unique_ptr<CaseRunner> runner =
      make_runner(options, targets, recorder ? &*recorder : nullptr, candidate.get());
  if (options.serve) serve_cases(*runner, targets);
  FailureReport failures(options, *runner);
  const auto start = std::chrono::steady_clock::now();
  std::vector<CaseRecord> records;
  {
    Progress progress(cases.size() * targets.size());
    bool stopped = false;
    for (const Target& target : targets) {
      for (const Case* test : cases) {
        if (stopped) break;
        const auto begin = std::chrono::steady_clock::now();
        CaseRecord record{test, target, runner->run(*test, target), 0.0, {}, {}};
        record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        progress.step(test->id);
        if (record.result.unsupported) {
          progress.clear();
          fmt::print("UNSUPPORTED {} (wave {})\n", test->id, target.wave);
        } else if (!record.result.passed) {
          progress.clear();
          failures.print(record);
          stopped = options.fail_fast;
        }
        records.push_back(std::move(record));
      }
    }
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
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
  write_summary({options.json_path, options.junit_path, options.csv_path, options.markdown_path}, summary);
  // The cpu platform runs both; what a device's own wave leaves out is no pass.
  if (options.waves.empty() && options.target.empty()) {
    for (int wave : {32, 64}) {
      const bool ran = std::any_of(targets.begin(), targets.end(),
                                   [wave](const Target& target) { return target.wave == wave; });
      if (!ran && repro_environment(wave).empty()) {
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
    return usage_error(fmt::format("{} supports none of the {} cases", options.candidate_path, unsupported));
  }
  return summary.count(Entry::Verdict::kFailed) + summary.other_failures == 0 ? kExitGood : kExitFailed;
}

}  // namespace hipforge::harness
