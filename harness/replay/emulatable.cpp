#include "harness/replay/emulatable.h"

#include "kernels/runtime/launch.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
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

// The kernels of a case's plans, and the features that the op's suite names: the families beside those differ
// in values and sizes alone.
std::set<std::string> parts_of(const Case& test, const std::vector<LaunchPlan>& plans) {
  std::set<std::string> parts;
  for (const LaunchPlan& plan : plans) parts.insert("kernel " + std::string(plan.kernel));
  for (const std::string& feature : suite_of(test.op).features) {
    if (std::ranges::count(test.features, feature) > 0) parts.insert("feature " + feature);
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
    std::ranges::stable_sort(candidates, {}, [](const Candidate& candidate) {
      return std::tuple(!candidate.awkward, candidate.work);
    });
    std::set<std::string> covered;
    const auto choose = [&](const Candidate& candidate) {
      chosen.insert(candidate.test);
      covered.insert(candidate.parts.begin(), candidate.parts.end());
    };
    for (const Candidate& candidate : candidates) {
      if (candidate.test->emulated) choose(candidate);
    }
    for (const char* kind : {"kernel ", "feature "}) {
      for (const Candidate& candidate : candidates) {
        const bool adds = std::ranges::any_of(candidate.parts, [&](const std::string& part) {
          return part.starts_with(kind) && !covered.contains(part);
        });
        if (adds && candidate.work <= kMostWork) choose(candidate);
      }
    }
    std::set<std::string> missed;
    for (const Candidate& candidate : candidates) {
      std::ranges::set_difference(candidate.parts, covered, std::inserter(missed, missed.end()));
    }
    for (const std::string& part : missed) {
      result.left_out.push_back(fmt::format("{} {}: {}", key.first, dtype_name(key.second), part));
    }
  }
  std::ranges::copy_if(cases, std::back_inserter(result.cases),
                       [&](const Case* test) { return chosen.contains(test); });
  return result;
}

}  // namespace hipforge::harness
