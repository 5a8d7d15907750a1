#include "harness/mutants/mutants.h"

#include "harness/core/case.h"
#include "harness/system/child_process.h"
#include "harness/system/file.h"
#include "kernels/runtime/status.h"
#include "kernels/runtime/target.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace hipforge::harness {
namespace {

// rms_norm → RmsNorm, as tests of the op are named.
std::string test_name(const std::string& op) {
  std::string name;
  bool capital = true;
  for (const char c : op) {
    if (c != '_') name += capital ? static_cast<char>(std::toupper(c)) : c;
    capital = c == '_';
  }
  return name;
}

bool is_op(const std::string& name) {
  return std::ranges::find(all_suites(), name, &OpSuite::op) != all_suites().end();
}

std::vector<std::string> short_check(const std::string& op, const std::vector<std::string>& more = {}) {
  std::vector<std::string> command{"hipforge", "check", "--op", op, "--quick", "--shrink", "0"};
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

// The failure that a line of output tells of; empty where none.
std::string failure_in(std::string_view line) {
  for (const auto& [begin, ends] :
       {std::pair<std::string_view, const char*>{"FAIL ", " "}, {"[  FAILED  ] ", " ,"}}) {
    if (!line.starts_with(begin)) continue;
    line.remove_prefix(begin.size());
    return std::string(line.substr(0, line.find_first_of(ends)));
  }
  return {};
}

}  // namespace

MutantBuild read_mutant_build(const std::string& folder) {
  const std::string path = folder + "/mutants.json";
  MutantBuild build;
  build.folder = folder;
  try {
    const nlohmann::json root = nlohmann::json::parse(read_file(path));
    build.platform = root.value("platform", "cpu");
    build.discarded = root.value("discarded", 0);
    for (const nlohmann::json& entry : root.at("mutants")) {
      Mutant& mutant = build.mutants.emplace_back();
      entry.at("number").get_to(mutant.number);
      entry.at("id").get_to(mutant.id);
      entry.at("op").get_to(mutant.op);
      entry.at("kind").get_to(mutant.kind);
      entry.at("what").get_to(mutant.what);
      mutant.chronicle = entry.value("chronicle", "");
      mutant.reason = entry.value("reason", "");
      mutant.left_out = entry.value("left_out", "");
      mutant.equivalent = entry.value("equivalent", false);
      mutant.where = fmt::format("{}", fmt::join(entry.at("where").get<std::vector<std::string>>(), ", "));
    }
  } catch (const nlohmann::json::exception& error) {
    throw Error(invalid_argument(path, ": ", error.what()));
  }
  return build;
}

std::vector<SuiteStep> suite_of(const std::string& op, const std::string& platform) {
  const SuiteStep chronicle{"chronicle_test", {"chronicle_test"}};
  if (op == "kv_cache")
    return {{"model_runner_test", {"model_runner_test", "--gtest_filter=*KvCache*"}}, chronicle};
  if (!is_op(op)) {
    const char* const rooms = "--gtest_filter=Check*:DeviceBuffer*:KernelRegistry*:Launch*:Target*";
    const char* const tools = "--gtest_filter=*Replay*:*CorruptRecord*:ContentName*:Timer*:DevicesCommand*";
    std::vector<SuiteStep> steps{{"kernels_test", {"kernels_test", rooms}},
                                 chronicle,
                                 {"harness_test", {"harness_test", tools}},
                                 {"check", {"hipforge", "check", "--quick", "--shrink", "0"}},
                                 {"kernels_test", {"kernels_test"}}};
    // CUDA's module functions are inline in our header: no fake can stand before them.
    if (platform == "cpu") steps.push_back({"module_fake_test", {"module_fake_test"}});
    return steps;
  }
  const std::string tests =
      fmt::format("--gtest_filter=*{}*:*MatrixCore*:OrderKey*:Rotation*:Widen*", test_name(op));
  std::vector<SuiteStep> steps{
      {"check", short_check(op)}, {"kernels_test", {"kernels_test", tests}}, chronicle};
  if (platform != "cpu") return steps;
  // As ctest runs them: the launches that each architecture would get, and the room again at the other wave
  // size and with the threads of a block in another order.
  for (const std::string& target : known_targets()) {
    if (target != "cpu") steps.push_back({"check.target_" + target, short_check(op, {"--target", target})});
  }
  constexpr std::pair<int, int> kSchedules[] = {{64, 0}, {32, 7}, {64, 11}};
  for (const auto& [wave, schedule] : kSchedules) {
    steps.push_back(
        {fmt::format("kernels_test.wave_{}.schedule_{}", wave, schedule),
         {"kernels_test", tests},
         {fmt::format("HIPFORGE_CPU_WAVE={}", wave), fmt::format("HIPFORGE_CPU_SCHEDULE={}", schedule)}});
  }
  return steps;
}

std::vector<SuiteStep> thorough_suite_of(const std::string& op, const std::string& platform) {
  if (!is_op(op)) return {};
  std::vector<SuiteStep> steps{{"full check", {"hipforge", "check", "--op", op, "--shrink", "0"}}};
  const std::string sanitizer =
      platform == "nvidia" ? find_tool({"/usr/local/cuda/bin/compute-sanitizer"}, "compute-sanitizer") : "";
  if (sanitizer.empty()) return steps;
  for (const char* tool : {"memcheck", "initcheck", "racecheck", "synccheck"})
    steps.push_back({tool, short_check(op), {}, {sanitizer, "--tool", tool, "--error-exitcode", "9"}});
  return steps;
}

std::vector<SuiteStep> race_suite_of(const std::string& op, const std::string& /*platform*/) {
  return {{"race", short_check(op, {"--race", "--schedules", "4"})},
          // Warpgroups have kernels of their own.
          {"race.target_sm_90", short_check(op, {"--race", "--schedules", "4", "--target", "sm_90"})}};
}

StepOutcome run_step(const MutantBuild& build, const SuiteStep& step, int mutant, double timeout_s) {
  std::vector<std::string> command = step.under;
  command.insert(command.end(), step.command.begin(), step.command.end());
  std::string& program = command[step.under.size()];
  program = build.folder + "/" + program;
  std::vector<std::string> variables = step.variables;
  variables.push_back(fmt::format("HIPFORGE_MUTANT={}", mutant));
  StepOutcome outcome;
  std::string last_test;
  const ChildOutcome child = run_child(command, variables, timeout_s, [&](const std::string& line) {
    constexpr std::string_view kRun = "[ RUN      ] ";
    if (line.starts_with(kRun)) last_test = line.substr(kRun.size());
    outcome.by = failure_in(line);
    return !outcome.by.empty();
  });
  outcome.seconds = child.seconds;
  const std::string place = last_test.empty() ? step.check : step.check + ": " + last_test;
  outcome.failed = !child.good();
  outcome.check = step.check;
  if (child.end == ChildOutcome::End::kTimeout) {
    outcome.check = "timeout";
    outcome.by = fmt::format("timeout: {} takes over {:.0f} s", place, timeout_s);
  } else if (child.end == ChildOutcome::End::kSignal) {
    outcome.check = "fault";
    outcome.by = fmt::format("fault: {} ended by signal {}", place, child.number);
  } else if (outcome.failed) {
    outcome.by = outcome.by.empty() ? fmt::format("{}: exit code {}", place, child.number)
                                    : fmt::format("{}: {}", step.check, outcome.by);
  }
  return outcome;
}

}  // namespace hipforge::harness
