#include "harness/mutants/mutants_command.h"

#include "harness/core/selection.h"
#include "harness/mutants/mutants.h"
#include "harness/output/summary.h"
#include "harness/system/exit_code.h"
#include "harness/system/file.h"
#include "harness/system/progress.h"
#include "kernels/runtime/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <regex>
#include <set>

namespace hipforge::harness {
namespace {

// A mutant may take this much longer than the code as it is, and never less than the floor.
constexpr double kTimeoutFactor = 5.0;
constexpr double kTimeoutFloor = 20.0;
constexpr double kUnmutatedTimeout = 900.0;

// A mutant and how the step went that caught it, or else the last; `seconds` are of all steps.
struct Trial {
  const Mutant* mutant = nullptr;
  StepOutcome outcome{};
  [[nodiscard]] bool caught() const { return outcome.failed; }
};

// work(0) … work(count − 1), `jobs` at a time; an exception is thrown here when all have stopped.
void in_parallel(std::size_t count, int jobs, const std::function<void(std::size_t)>& work) {
  std::atomic<std::size_t> next{0};
  const auto loop = [&] {
    try {
      for (std::size_t i = next++; i < count; i = next++) work(i);
    } catch (...) {
      next = count;
      throw;
    }
  };
  std::vector<std::future<void>> loops;
  for (int job = 0; job < jobs; ++job) loops.push_back(std::async(std::launch::async, loop));
  for (std::future<void>& running : loops) running.get();
}

using Suite = std::vector<SuiteStep> (*)(const std::string& op, const std::string& platform);

// A step, and how it went with no mutant on.
struct Unmutated {
  SuiteStep step;
  StepOutcome outcome{};
};

std::vector<Unmutated> run_unmutated(const MutantBuild& build, Suite suite, const std::set<std::string>& ops,
                                     int jobs) {
  std::vector<Unmutated> all;
  for (const std::string& op : ops) {
    for (SuiteStep& step : suite(op, build.platform)) {
      if (std::ranges::find(all, step, &Unmutated::step) == all.end()) all.push_back({std::move(step)});
    }
  }
  Progress progress(all.size());
  std::mutex mutex;
  in_parallel(all.size(), jobs, [&](std::size_t i) {
    all[i].outcome = run_step(build, all[i].step, 0, kUnmutatedTimeout);
    const std::lock_guard lock(mutex);
    progress.step("without a mutant: " + all[i].step.check);
  });
  return all;
}

void run_suite(const MutantBuild& build, Suite suite, const std::vector<Unmutated>& unmutated, Trial& trial) {
  for (const SuiteStep& step : suite(trial.mutant->op, build.platform)) {
    const double usual = std::ranges::find(unmutated, step, &Unmutated::step)->outcome.seconds;
    const double timeout = std::max(kTimeoutFloor, kTimeoutFactor * usual);
    const double spent = trial.outcome.seconds;
    trial.outcome = run_step(build, step, trial.mutant->number, timeout);
    trial.outcome.seconds += spent;
    if (trial.caught()) return;
  }
}

void print_trial(const Trial& trial) {
  const Mutant& mutant = *trial.mutant;
  const std::string how = trial.caught()
                              ? fmt::format("{} ({:.1f} s)", trial.outcome.by, trial.outcome.seconds)
                              : fmt::format("{}, {}{}", mutant.where, mutant.what,
                                            mutant.reason.empty() ? "" : "; " + mutant.reason);
  fmt::print("{} {}{}: {}\n", trial.caught() ? "caught  " : "SURVIVED", mutant.id,
             mutant.chronicle.empty() ? "" : " (chronicle " + mutant.chronicle + ")", how);
  std::fflush(stdout);
}

void print_counts(const std::string& title, const std::map<std::string, std::pair<int, int>>& counts) {
  fmt::print("{}", title);
  for (const auto& [name, count] : counts) {
    fmt::print(" {} {}{}", name, count.first,
               count.first == count.second ? "" : fmt::format(" of {}", count.second));
  }
  fmt::print("\n");
}

JsonFields trial_json(const Trial& trial) {
  const Mutant& mutant = *trial.mutant;
  JsonFields row{{"id", mutant.id},     {"op", mutant.op},       {"kind", mutant.kind},
                 {"what", mutant.what}, {"where", mutant.where}, {"caught", trial.caught()}};
  if (!mutant.chronicle.empty()) row.emplace_back("chronicle", mutant.chronicle);
  if (trial.caught()) {
    row.emplace_back("by", trial.outcome.by);
  } else if (!mutant.reason.empty()) {
    row.emplace_back("reason", mutant.reason);
    row.emplace_back("equivalent", mutant.equivalent);
  }
  return row;
}

}  // namespace

int run_mutants(const MutantsOptions& options) {
  if (options.hand_made && options.generated)
    throw UsageError("--hand-made and --generated exclude each other");
  if (options.race && options.generated) throw UsageError("--race is for the mutants made by hand");
  const std::regex wanted = parse_filter("--id", options.id);
  const std::string name = options.generated ? "generated" : "hand";
  const std::string folder = options.folder + "/" + name;
  if (!std::filesystem::exists(folder + "/mutants.json")) {
    throw Error(failure(StatusCode::kNotFound, "no mutants in ", folder,
                        ": configure with -DHIPFORGE_MUTANTS=ON and build the target mutants_", name));
  }
  MutantBuild build = read_mutant_build(folder);
  std::erase_if(build.mutants, [&](const Mutant& mutant) {
    const bool race = !options.race || mutant.kind == "barrier";
    return !selected(options.ops, mutant.op) || !race || !std::regex_search(mutant.id, wanted);
  });
  std::vector<Trial> trials;
  for (const Mutant& mutant : build.mutants) {
    if (options.list) fmt::print("{} {}: {}\n", mutant.id, mutant.where, mutant.what);
    if (mutant.left_out.empty()) trials.push_back({&mutant});
  }
  if (options.list && !build.mutants.empty()) return kExitGood;
  if (trials.empty()) throw UsageError("no mutant matches");
  std::vector<JsonFields> left_out;
  for (const Mutant& mutant : build.mutants) {
    if (mutant.left_out.empty()) continue;
    fmt::print("left out {} on {}: {}\n", mutant.id, build.platform, mutant.left_out);
    left_out.push_back({{"id", mutant.id}, {"what", mutant.what}, {"reason", mutant.left_out}});
  }

  const auto begin = std::chrono::steady_clock::now();
  std::mutex mutex;
  // The full check takes minutes, so that only what survives the rest is put to it.
  const std::vector<Suite> suites =
      options.race ? std::vector<Suite>{race_suite_of} : std::vector<Suite>{suite_of, thorough_suite_of};
  for (const Suite suite : suites) {
    std::vector<Trial*> alive;
    std::set<std::string> ops;
    for (Trial& trial : trials) {
      if (trial.caught()) continue;
      alive.push_back(&trial);
      ops.insert(trial.mutant->op);
    }
    const std::vector<Unmutated> unmutated = run_unmutated(build, suite, ops, options.jobs);
    const auto failing = std::ranges::find_if(unmutated, [](const auto& run) { return run.outcome.failed; });
    if (failing != unmutated.end()) {
      const std::string& failed = failing->outcome.by;
      fmt::print("FAIL without a mutant: {}\n", failed);
      fmt::print(stderr,
                 "hipforge mutants: the suite fails without a mutant ({}), so it says nothing with one\n",
                 failed);
      return kExitFailed;
    }
    if (!unmutated.empty())
      fmt::print("without a mutant: all {} steps of the suite pass\n", unmutated.size());
    std::fflush(stdout);
    Progress progress(alive.size());
    in_parallel(alive.size(), options.jobs, [&](std::size_t at) {
      run_suite(build, suite, unmutated, *alive[at]);
      const std::lock_guard lock(mutex);
      progress.clear();
      if (alive[at]->caught() || suite == suites.back()) print_trial(*alive[at]);
      progress.step(alive[at]->mutant->id);
    });
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();

  std::map<std::string, std::pair<int, int>> by_op;
  std::map<std::string, std::pair<int, int>> by_check;
  int caught = 0;
  int unexplained = 0;
  int equivalent = 0;
  for (const auto& [mutant, outcome] : trials) {
    auto& [op_caught, op_all] = by_op[mutant->op];
    ++op_all;
    if (outcome.failed) {
      ++caught;
      ++op_caught;
      auto& [count, all] = by_check[outcome.check];
      all = ++count;
    } else if (mutant->reason.empty()) {
      ++unexplained;
    } else if (mutant->equivalent) {
      ++equivalent;
    }
  }
  const int all = static_cast<int>(trials.size());
  const int survived = all - caught;
  const double share = static_cast<double>(caught) / all;
  const double real_share = static_cast<double>(caught) / std::max(1, all - equivalent);
  print_counts("caught by op:", by_op);
  print_counts("caught by check:", by_check);
  if (options.generated) {
    fmt::print(
        "generated: {} more do not compile; of the survivors {} are listed as doing what the code does, {} "
        "have no reason listed; of all others {:.1f} % are caught\n",
        build.discarded, equivalent, unexplained, 100.0 * real_share);
  }
  fmt::print(
      "{} mutants: {} caught ({:.1f} %), {} survived, in {:.0f} s{}\n", all, caught, 100.0 * share, survived,
      seconds,
      left_out.empty() ? "" : fmt::format("; {} more cannot show on {}", left_out.size(), build.platform));
  if (!options.json_path.empty()) {
    std::vector<JsonFields> rows;
    for (const Trial& trial : trials) rows.push_back(trial_json(trial));
    JsonFields root{{"set", options.generated ? "generated" : "hand-made"},
                    {"platform", build.platform},
                    {"count", all},
                    {"caught", caught},
                    {"survived", survived},
                    {"equivalent", equivalent},
                    {"seconds", seconds},
                    {"discarded", build.discarded},
                    {"mutants", std::move(rows)}};
    if (!left_out.empty()) root.emplace_back("left_out", std::move(left_out));
    write_file(options.json_path, json_text(root));
  }
  const bool good = options.generated ? real_share >= kGeneratedShare && unexplained == 0 : survived == 0;
  return good ? kExitGood : kExitFailed;
}

}  // namespace hipforge::harness
