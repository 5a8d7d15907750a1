#include "harness/check/check_command.h"

#include "harness/candidate/candidate.h"
#include "harness/candidate/emulated.h"
#include "harness/check/accuracy_baseline.h"
#include "harness/check/check_sheets.h"
#include "harness/check/explain.h"
#include "harness/check/failure_report.h"
#include "harness/check/loose_bounds.h"
#include "harness/core/device_info.h"
#include "harness/replay/emulatable.h"
#include "harness/report/report.h"
#include "harness/run/isolation.h"
#include "harness/run/race_runner.h"
#include "harness/sweep/families.h"
#include "harness/sweep/variants.h"
#include "harness/system/progress.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/device.h"
#include "kernels/runtime/recorder.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <regex>
#include <set>
#include <tuple>

namespace hipforge::harness {
namespace {

template <class T>
bool selected(const std::vector<T>& wanted, const T& value) {
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), value) != wanted.end();
}

// Names in `wanted` that are not among the legal ones, as one message; empty where all are.
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

struct Group {
  std::size_t cases = 0;
  std::size_t failed = 0;
  std::size_t unsupported = 0;
  bool bounded = false;
  double worst_share = 0.0;
  std::string where;
  double seconds = 0.0;
};

using GroupKey = std::tuple<std::string, std::string, int>;

std::string share_text(const Group& group) {
  if (group.unsupported == group.cases) return "none ran";
  if (!group.bounded && group.worst_share == 0.0) return "exact";
  return std::isinf(group.worst_share) ? "wrong" : fmt::format("{:.3f}", group.worst_share);
}

void print_table(const std::vector<CaseRecord>& records) {
  std::vector<GroupKey> order;
  std::map<GroupKey, Group> groups;
  for (const CaseRecord& record : records) {
    const GroupKey key{record.test->op, dtype_name(record.test->dtype), record.target.wave};
    if (!groups.contains(key)) order.push_back(key);
    Group& group = groups[key];
    ++group.cases;
    group.failed += record.failed() ? 1 : 0;
    group.unsupported += record.result.unsupported ? 1 : 0;
    group.bounded = group.bounded || record.result.bounded;
    group.seconds += record.seconds;
    if (record.result.worst_share >= group.worst_share) {
      group.worst_share = record.result.worst_share;
      group.where = fmt::format("{} {}", record.test->id, record.result.where);
    }
  }
  fmt::print("{:<18}{:<6}{:>5}{:>8}{:>8}{:>9}{:>8}  {}\n", "op", "dtype", "wave", "cases", "failed", "share",
             "s", "worst at");
  for (const GroupKey& key : order) {
    const Group& group = groups.at(key);
    const auto& [op, dtype, wave] = key;
    fmt::print("{:<18}{:<6}{:>5}{:>8}{:>8}{:>9}{:>8.1f}  {}\n", op, dtype, wave, group.cases, group.failed,
               share_text(group), group.seconds, group.bounded || group.failed > 0 ? group.where : "");
  }
}

bool is_excluded(const OpSuite& suite, const std::string& feature, const std::string& layout, DType dtype) {
  return std::any_of(suite.exclusions.begin(), suite.exclusions.end(), [&](const Exclusion& exclusion) {
    return exclusion.feature == feature && (exclusion.layout.empty() || exclusion.layout == layout) &&
           selected(exclusion.dtypes, dtype);
  });
}

int run_coverage(const CheckOptions& options) {
  const std::vector<int> waves = options.waves.empty() ? std::vector<int>{32, 64} : options.waves;
  std::size_t holes = 0;
  std::size_t total = 0;
  for (const OpSuite& suite : all_suites()) {
    if (!selected(options.ops, suite.op)) continue;
    fmt::print("{}: {} cases\n", suite.op, suite.cases.size() * waves.size());
    total += suite.cases.size() * waves.size();
    fmt::print("  {:<22}{:<6}{:>5}", "feature", "dtype", "wave");
    for (const std::string& layout : suite.layouts) fmt::print("{:>14}", layout);
    fmt::print("{:>8}{:>6}{:>6}\n", "shapes", "odd", "tile");
    for (const std::string& feature : counted_features(suite)) {
      for (DType dtype : suite.dtypes) {
        const FeatureCount count = count_feature(suite, feature, dtype);
        for (int wave : waves) {
          fmt::print("  {:<22}{:<6}{:>5}", feature, dtype_name(dtype), wave);
          for (const std::string& layout : suite.layouts) {
            const bool excluded = is_excluded(suite, feature, layout, dtype);
            const auto at = count.by_layout.find(layout);
            const std::size_t cases = at == count.by_layout.end() ? 0 : at->second;
            fmt::print("{:>14}", excluded && cases == 0 ? "n/a" : std::to_string(cases));
          }
          fmt::print("{:>8}{:>6}{:>6}\n", count.shapes, count.odd, count.over_tile);
        }
      }
    }
    for (const Exclusion& exclusion : suite.exclusions) {
      std::string dtypes;
      for (DType dtype : exclusion.dtypes) dtypes += fmt::format(" {}", dtype_name(dtype));
      fmt::print("  n/a: {} ×{} {}: {}\n", exclusion.feature, dtypes,
                 exclusion.layout.empty() ? "any layout" : exclusion.layout, exclusion.reason);
    }
    for (const SizeEdge& edge : suite.edges) fmt::print("  around {} {}\n", edge.dimension, edge.at);
    for (const std::string& hole : coverage_holes(suite)) {
      fmt::print("  HOLE {}\n", hole);
      ++holes;
    }
  }
  fmt::print("{} cases in all, {} holes\n", total, holes);
  return holes == 0 ? kExitGood : kExitFailed;
}

}  // namespace

FeatureCount count_feature(const OpSuite& suite, const std::string& feature, DType dtype) {
  FeatureCount count;
  std::set<std::string> shapes;
  for (const Case& test : suite.cases) {
    if (test.dtype != dtype) continue;
    const auto has = [&](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), feature) != names.end();
    };
    if (!has(test.features) && !has(test.families)) continue;
    ++count.by_layout[test.layout];
    shapes.insert(test.shape);
    count.odd += test.odd ? 1 : 0;
    count.over_tile += test.over_tile ? 1 : 0;
  }
  count.shapes = shapes.size();
  return count;
}

std::vector<std::string> coverage_holes(const OpSuite& suite) {
  std::vector<std::string> holes = family_holes(suite);
  const std::vector<std::string> features = counted_features(suite);
  for (const std::string& feature : features) {
    for (DType dtype : suite.dtypes) {
      const FeatureCount count = count_feature(suite, feature, dtype);
      const std::string cell = fmt::format("{} {} {}", suite.op, feature, dtype_name(dtype));
      for (const std::string& layout : suite.layouts) {
        const bool excluded = is_excluded(suite, feature, layout, dtype);
        if (!excluded && !count.by_layout.contains(layout))
          holes.push_back(fmt::format("{}: no case is {}", cell, layout));
      }
      const bool possible =
          std::any_of(suite.layouts.begin(), suite.layouts.end(),
                      [&](const std::string& layout) { return !is_excluded(suite, feature, layout, dtype); });
      if (!possible) continue;
      if (count.shapes < kShapesPerFeature) {
        holes.push_back(fmt::format("{}: {} shapes, needs {}", cell, count.shapes, kShapesPerFeature));
      }
      // A dimension of 0 or 1 leaves no room for more.
      if (feature == "empty" || feature == "size_1") continue;
      if (count.odd == 0) holes.push_back(fmt::format("{}: no odd shape", cell));
      if (count.over_tile == 0) holes.push_back(fmt::format("{}: no shape over a tile", cell));
    }
  }
  // A feature, layout or dtype that cases use and the suite does not declare would never be counted.
  std::set<std::string> undeclared;
  for (const Case& test : suite.cases) {
    for (const std::string& feature : test.features) {
      if (!selected(features, feature)) undeclared.insert("feature " + feature);
    }
    for (const std::string& family : test.families) {
      if (!selected(features, family)) undeclared.insert("family " + family);
    }
    if (!selected(suite.layouts, test.layout)) undeclared.insert("layout " + test.layout);
  }
  for (const std::string& name : undeclared)
    holes.push_back(fmt::format("{}: {} is not declared", suite.op, name));
  return holes;
}

std::string case_command(const std::string& id, const Target& target, const CheckOptions& options) {
  std::string flags;
  if (!options.target.empty()) flags += " --target " + options.target;
  if (!options.candidate_path.empty()) {
    flags += fmt::format(" --candidate '{}' --op {}", options.candidate_path, options.ops.front());
  }
  if (options.isolate) flags += " --isolate";
  const std::string race = options.race ? fmt::format(" --race --schedules {}", options.schedules) : "";
  return fmt::format("{}{} check{} --case '{}' --seed {} --wave {}{}", repro_environment(target.wave),
                     options.program, race, id, options.seed, target.wave, flags);
}

std::string repro_command(const CaseRecord& record, const CheckOptions& options) {
  return case_command(record.test->id, record.target, options);
}

bool parse_shard(const std::string& text, CheckOptions& options) {
  std::size_t shard = 0;
  std::size_t shards = 0;
  int end = 0;
  if (std::sscanf(text.c_str(), "%zu/%zu%n", &shard, &shards, &end) != 2 ||
      static_cast<std::size_t>(end) != text.size() || shard >= shards) {
    return false;
  }
  options.shard = shard;
  options.shards = shards;
  return true;
}

int run_check(const CheckOptions& options) {
  if (std::string bad = unknown_names("op", options.ops, op_names()); !bad.empty()) return usage_error(bad);
  if (std::string bad = unknown_names("dtype", options.dtypes, {"f32", "f16", "bf16"}); !bad.empty()) {
    return usage_error(bad);
  }
  for (int wave : options.waves) {
    if (wave != 32 && wave != 64)
      return usage_error(fmt::format("wave {} is not known, choose from 32, 64", wave));
  }
  if (!options.target.empty()) {
    if (std::string bad = unknown_names("target", {options.target}, known_targets()); !bad.empty()) {
      return usage_error(bad);
    }
  }
  if (options.accept && options.accept->find_first_not_of(" \t") == std::string::npos) {
    return usage_error("--accept needs a reason");
  }
  if (options.coverage) return run_coverage(options);
  if (!options.candidate_path.empty() && options.ops.size() != 1) {
    return usage_error(fmt::format("--candidate goes with one --op, {} are named", options.ops.size()));
  }
  if (!options.candidate_path.empty() && !options.record_path.empty()) {
    return usage_error("--record and --candidate do not go together: only our own launches are recorded");
  }
  if (!options.candidate_path.empty() && (options.baseline || options.accept)) {
    return usage_error("--baseline and --candidate do not go together: it holds our own kernels' shares");
  }
  if (!options.emulate.empty()) return run_emulated_candidate(options);
  if (options.isolate && !options.record_path.empty()) {
    return usage_error("--record and --isolate do not go together: launches are recorded in this process");
  }
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
  print_table(records);
  const std::vector<std::string> loose = whole_suite ? loose_bounds(records) : std::vector<std::string>();
  for (const std::string& message : loose) fmt::print("FAIL {}\n", message);
  const std::size_t grown =
      options.baseline || options.accept ? hold_to_accuracy_baseline(options, records) : 0;
  const auto failed = static_cast<std::size_t>(std::count_if(
      records.begin(), records.end(), [](const CaseRecord& record) { return record.failed(); }));
  if (!options.json_path.empty()) write_json(options, records, seconds);
  if (!options.junit_path.empty()) write_junit(options, records, seconds);
  if (!options.csv_path.empty()) write_file(options.csv_path, csv(result_sheet(options, records)));
  if (!options.markdown_path.empty()) write_file(options.markdown_path, check_markdown(options, records));
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
  if (const std::string summary = runner->summary(); !summary.empty()) fmt::print("{}\n", summary);
  if (recorder) fmt::print("recorded {} launches in {}\n", recorder->launches(), options.record_path);
  fmt::print("checked in {:.1f} s, seed {}\n", seconds, options.seed);
  const auto unsupported = static_cast<std::size_t>(std::count_if(
      records.begin(), records.end(), [](const CaseRecord& record) { return record.result.unsupported; }));
  fmt::print("{} passed, {} failed{}\n", records.size() - failed - unsupported, failed + loose.size() + grown,
             unsupported == 0 ? "" : fmt::format(", {} not supported", unsupported));
  if (unsupported > 0 && unsupported == records.size()) {
    return usage_error(fmt::format("{} supports none of the {} cases", options.candidate_path, unsupported));
  }
  return failed == 0 && loose.empty() && grown == 0 ? kExitGood : kExitFailed;
}

}  // namespace hipforge::harness
