#include "harness/check/shrink.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

namespace hipforge::harness {
namespace {

class Shrinker {
 public:
  Shrinker(const Case& failing, const CaseResult& result, const std::function<CaseResult(const Case&)>& run,
           double seconds)
      : run_(run),
        failure_(result.failure),
        end_(Clock::now() +
             std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))) {
    best_.test = failing;
    best_.result = result;
  }

  std::optional<Shrunk> shrink() {
    const std::vector<Knob> before = best_.test.variants().knobs;
    bool any = false;
    for (bool changed = true; changed && !over(); any = any || changed) {
      changed = false;
      for (std::size_t at = 0; at < before.size() && !over(); ++at) {
        const Knob knob = best_.test.variants().knobs[at];
        changed = (knob.is_size ? shrink_size(knob) : simplify(knob)) || changed;
      }
    }
    if (!any) return std::nullopt;
    best_.finished = !over();
    const std::vector<Knob> after = best_.test.variants().knobs;
    for (std::size_t at = 0; at < before.size(); ++at) {
      if (after[at].value == before[at].value) continue;
      best_.changes += fmt::format("{}{} {} -> {}", best_.changes.empty() ? "" : ", ", before[at].name,
                                   before[at].value, after[at].value);
    }
    return best_;
  }

 private:
  using Clock = std::chrono::steady_clock;

  bool over() const { return Clock::now() >= end_; }

  // Whether the best case fails with this setting too; then it is the best.
  bool try_setting(const Knob& knob, const std::string& value) {
    if (over()) return false;
    Case test;
    try {
      test = best_.test.variants().make({{knob.name, value}});
    } catch (const Error&) {
      return false;  // settings that do not go together
    }
    if (!passed_.insert(test.id).second) return false;
    ++best_.tries;
    CaseResult result = run_(test);
    if (result.passed || result.failure != failure_) return false;
    best_.test = std::move(test);
    best_.result = std::move(result);
    return true;
  }

  bool simplify(const Knob& knob) {
    return std::ranges::any_of(knob.simpler, [&](const auto& value) { return try_setting(knob, value); });
  }

  // The least size that fails is found where all above it fail as well; else one that fails and whose
  // neighbour does not.
  bool shrink_size(const Knob& knob) {
    std::int64_t failing = (std::stoll(knob.value) - knob.least) / knob.step;
    if (failing <= 0) return false;
    if (try_setting(knob, std::to_string(knob.least))) return true;
    std::int64_t passing = 0;
    const std::int64_t first = failing;
    while (failing - passing > 1 && !over()) {
      const std::int64_t middle = passing + (failing - passing) / 2;
      const bool fails = try_setting(knob, std::to_string(knob.least + middle * knob.step));
      (fails ? failing : passing) = middle;
    }
    return failing < first;
  }

  const std::function<CaseResult(const Case&)>& run_;
  Failure failure_;
  Clock::time_point end_;
  Shrunk best_;
  std::set<std::string> passed_;  // tried: those that failed are the best by now, or were
};

}  // namespace

std::optional<Shrunk> shrink(const Case& failing, const CaseResult& result,
                             const std::function<CaseResult(const Case&)>& run, double seconds) {
  if (!failing.variants || seconds <= 0.0) return std::nullopt;
  return Shrinker(failing, result, run, seconds).shrink();
}

}  // namespace hipforge::harness
