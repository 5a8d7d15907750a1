#include "harness/check/shrink.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

namespace hipforge::harness {
namespace {

using Clock = std::chrono::steady_clock;

struct Shrinker {
  const std::function<CaseResult(const Case&)>& run;
  Failure failure;
  Clock::time_point end;
  Shrunk best;
  std::set<std::string> tried{};  // of them, those that failed are the best by now, or were

  std::optional<Shrunk> shrink() {
    const std::vector<Knob> before = best.test.variants().knobs;
    for (bool changed = true; changed && !over();) {
      changed = false;
      for (std::size_t at = 0; at < before.size() && !over(); ++at) {
        const Knob knob = best.test.variants().knobs[at];
        changed = (knob.is_size ? shrink_size(knob) : simplify(knob)) || changed;
      }
    }
    best.finished = !over();
    const std::vector<Knob> after = best.test.variants().knobs;
    for (std::size_t at = 0; at < before.size(); ++at) {
      if (after[at].value == before[at].value) continue;
      best.changes += fmt::format("{}{} {} -> {}", best.changes.empty() ? "" : ", ", before[at].name,
                                  before[at].value, after[at].value);
    }
    return best.changes.empty() ? std::nullopt : std::optional(best);
  }

  [[nodiscard]] bool over() const { return Clock::now() >= end; }

  // Whether the best case fails with this setting too; then it is the best.
  bool try_setting(const Knob& knob, const std::string& value) {
    if (over()) return false;
    Case test;
    try {
      test = best.test.variants().make({{knob.name, value}});
    } catch (const Error&) {
      return false;  // settings that do not go together
    }
    if (!tried.insert(test.id).second) return false;
    ++best.tries;
    CaseResult result = run(test);
    if (result.passed || result.failure != failure) return false;
    best.test = std::move(test);
    best.result = std::move(result);
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
};

}  // namespace

std::optional<Shrunk> shrink(const Case& failing, const CaseResult& result,
                             const std::function<CaseResult(const Case&)>& run, double seconds) {
  if (!failing.variants || seconds <= 0.0) return std::nullopt;
  const auto end =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  return Shrinker{run, result.failure, end, {failing, result, {}}}.shrink();
}

}  // namespace hipforge::harness
