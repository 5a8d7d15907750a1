#include "harness/replay/emulatable.h"

#include "kernels/runtime/launch.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

namespace hipforge::harness {
namespace {

// Some seconds of emulation, in the units of work_of().
constexpr double kMostWork = 4e5;

/// While it lives launches are noted and not made.
class PlanCollector final : public LaunchObserver {
 public:
  PlanCollector() : previous_(set_launch_observer(this)) {}
  ~PlanCollector() override { set_launch_observer(previous_); }
  PlanCollector(const PlanCollector&) = delete;
  PlanCollector& operator=(const PlanCollector&) = delete;

  Status observe(const LaunchPlan& plan, std::span<const std::byte>, hipStream_t,
                 const std::function<Status()>&) override {
    plans_.push_back(plan);
    return {};
  }
  [[nodiscard]] const std::vector<LaunchPlan>& plans() const { return plans_; }

 private:
  LaunchObserver* previous_;
  std::vector<LaunchPlan> plans_;
};

struct Candidate {
  const Case* test = nullptr;
  std::set<std::string> parts;  // "kernel NAME", "feature NAME"
  double work = 0.0;
  bool awkward = false;
};

// Instructions of all waves, roughly: what each wave does anyway, and its share of the data and arithmetic.
double work_of(const PreparedCase& prepared, const std::vector<LaunchPlan>& plans, const Target& target) {
  constexpr double kPerWave = 300.0;
  double waves = 0.0;
  for (const LaunchPlan& plan : plans) {
    const auto threads = static_cast<double>(plan.block.x) * plan.block.y * plan.block.z;
    waves += static_cast<double>(plan.grid.x) * plan.grid.y * plan.grid.z *
             ((threads + target.wave - 1) / target.wave);
  }
  return waves * kPerWave + static_cast<double>(prepared.bytes + prepared.flops) / target.wave;
}

// What the chosen ones among the candidates have.
std::set<std::string> chosen_parts(const std::vector<Candidate>& candidates,
                                   const std::set<const Case*>& chosen) {
  std::set<std::string> parts;
  for (const Candidate& candidate : candidates) {
    if (chosen.contains(candidate.test)) parts.insert(candidate.parts.begin(), candidate.parts.end());
  }
  return parts;
}

// Chooses the cheapest candidates that have all the parts of that kind, in the order given.
void cover(const std::vector<Candidate>& candidates, std::string_view kind, std::set<const Case*>& chosen) {
  std::set<std::string> covered = chosen_parts(candidates, chosen);
  for (const Candidate& candidate : candidates) {
    if (candidate.work > kMostWork) continue;
    for (const std::string& part : candidate.parts) {
      if (part.starts_with(kind) && covered.insert(part).second) chosen.insert(candidate.test);
    }
  }
}

// The kernels of a case's plans, and the features that the op's suite names: the families beside those differ in
// values and sizes alone.
std::set<std::string> parts_of(const Case& test, const std::vector<LaunchPlan>& plans) {
  std::set<std::string> parts;
  for (const LaunchPlan& plan : plans) parts.insert("kernel " + std::string(plan.kernel));
  for (const OpSuite& suite : all_suites()) {
    if (suite.op != test.op) continue;
    for (const std::string& feature : suite.features) {
      if (std::ranges::count(test.features, feature) > 0) parts.insert("feature " + feature);
    }
  }
  return parts;
}

}  // namespace

EmulatableCases emulatable_cases(const std::vector<const Case*>& cases, const Target& target) {
  std::map<std::pair<std::string, DType>, std::vector<Candidate>> groups;
  for (const Case* test : cases) {
    if (test->metamorphic) continue;
    PreparedCase prepared = test->prepare({target, 1});
    const PlanCollector collector;
    throw_if_error(prepared.launch(nullptr));
    const std::vector<LaunchPlan>& plans = collector.plans();
    if (plans.empty()) continue;
    groups[{test->op, test->dtype}].push_back(
        {test, parts_of(*test, plans), work_of(prepared, plans, target), test->odd && test->over_tile});
  }

  std::set<const Case*> chosen;
  EmulatableCases result;
  for (auto& [key, candidates] : groups) {
    std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
      return std::tuple(!a.awkward, a.work) < std::tuple(!b.awkward, b.work);
    });
    for (const Candidate& candidate : candidates) {
      if (candidate.test->emulated) chosen.insert(candidate.test);
    }
    cover(candidates, "kernel ", chosen);
    cover(candidates, "feature ", chosen);

    const std::set<std::string> covered = chosen_parts(candidates, chosen);
    std::set<std::string> missed;
    for (const Candidate& candidate : candidates) {
      std::ranges::set_difference(candidate.parts, covered, std::inserter(missed, missed.end()));
    }
    for (const std::string& part : missed) {
      result.left_out.push_back(fmt::format("{} {}: {}", key.first, dtype_name(key.second), part));
    }
  }
  for (const Case* test : cases) {
    if (chosen.contains(test)) result.cases.push_back(test);
  }
  return result;
}

}  // namespace hipforge::harness
