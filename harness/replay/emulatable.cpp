#include "harness/replay/emulatable.h"

#include "kernels/runtime/launch.h"

#include <fmt/format.h>

#include <algorithm>
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
  std::set<std::string> kernels;
  std::vector<std::string> features;
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

// The cheapest candidates that hold all that `parts` finds in any of them, in the order given.
template <class Parts>
void cover(const std::vector<Candidate>& candidates, const Parts& parts, std::set<const Case*>& chosen) {
  std::set<std::string> covered;
  for (const Candidate& candidate : candidates) {
    if (!chosen.contains(candidate.test)) continue;
    for (const std::string& part : parts(candidate)) covered.insert(part);
  }
  for (const Candidate& candidate : candidates) {
    if (candidate.work > kMostWork) continue;
    bool adds = false;
    for (const std::string& part : parts(candidate)) adds = covered.insert(part).second || adds;
    if (adds) chosen.insert(candidate.test);
  }
}

// The features that the op's suite names. The families beside them differ in values and sizes alone.
std::vector<std::string> named_features(const Case& test) {
  std::vector<std::string> named;
  for (const OpSuite& suite : all_suites()) {
    if (suite.op != test.op) continue;
    for (const std::string& feature : test.features) {
      if (std::find(suite.features.begin(), suite.features.end(), feature) != suite.features.end()) {
        named.push_back(feature);
      }
    }
  }
  return named;
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
    Candidate candidate{
        test, {}, named_features(*test), work_of(prepared, plans, target), test->odd && test->over_tile};
    for (const LaunchPlan& plan : plans) candidate.kernels.insert(plan.kernel);
    groups[{test->op, test->dtype}].push_back(std::move(candidate));
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
    const auto kernels = [](const Candidate& candidate) { return candidate.kernels; };
    cover(candidates, kernels, chosen);
    cover(
        candidates, [](const Candidate& candidate) { return candidate.features; }, chosen);

    std::set<std::string> missed;
    const auto for_each_part = [&](const Candidate& candidate, const auto& visit) {
      for (const std::string& kernel : candidate.kernels) visit("kernel " + kernel);
      for (const std::string& feature : candidate.features) visit("feature " + feature);
    };
    for (const Candidate& candidate : candidates) {
      for_each_part(candidate, [&](const std::string& part) { missed.insert(part); });
    }
    for (const Candidate& candidate : candidates) {
      if (!chosen.contains(candidate.test)) continue;
      for_each_part(candidate, [&](const std::string& part) { missed.erase(part); });
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
