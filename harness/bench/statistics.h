#pragma once

#include <cstddef>
#include <span>
#include <vector>

/// Whether one set of timings is above another: by ranks, so that neither a shape of the distribution is
/// assumed nor one outlier decides. What goes in is one number a block, not single samples: samples taken
/// back to back share the clock, the heat and the neighbours of their moment, and are not independent.
namespace hipforge::harness {

/// Two-sided p of the Mann–Whitney test: how often a random division of all values into groups of these sizes
/// ranks them at least as far apart. Ties share their mean rank. Exact (the permutation distribution of the
/// very ranks seen) up to kExactValues in all, above by the normal approximation with corrections for ties
/// and continuity. 1 where a group is empty. Mann and Whitney 1947; Lehmann, Nonparametrics, section 1.2
/// and 1.4.
[[nodiscard]] double mann_whitney_p(std::span<const double> before, std::span<const double> after);
inline constexpr std::size_t kExactValues = 80;

/// after / before: the Hodges–Lehmann estimate (the median of all quotients) and the interval that the same
/// test does not reject, of at least `confidence` (0.95). Where so few values cannot have that confidence the
/// interval is 0 to infinity. All values must be over 0.
struct RatioInterval {
  double ratio = 1.0;
  double low = 0.0;
  double high = 0.0;
};
[[nodiscard]] RatioInterval ratio_interval(std::span<const double> before, std::span<const double> after,
                                           double confidence);

/// p-values corrected for their number (Holm 1979), in the order given: the chance that any of those at or
/// below a level is a false alarm is at most that level.
[[nodiscard]] std::vector<double> holm(std::span<const double> p);

/// The least number of values in each of two groups with which a test among `tests` can reject at `level`.
[[nodiscard]] std::size_t blocks_needed(std::size_t tests, double level);

enum class Change { kSame, kFaster, kSlower };
[[nodiscard]] const char* change_name(Change change);

/// Blocks of one case under two builds.
struct BlockPair {
  std::vector<double> before;
  std::vector<double> after;
};

/// What became of one case among several.
struct Judgement {
  RatioInterval interval;  ///< at the confidence that holds for all cases at once
  double p = 1.0;          ///< corrected for their number
  Change change = Change::kSame;
  /// Slower, and the whole interval beyond 1 + max_regression: not the noise of the machine, and not less
  /// than what was allowed either.
  bool regression = false;
};

/// What a file says of a verdict, under which names.
template <class Visit>
void for_each_field(const Judgement& judgement, const Visit& visit) {
  visit("ratio", judgement.interval.ratio);
  visit("low", judgement.interval.low);
  visit("high", judgement.interval.high);
  visit("p", judgement.p);
  visit("verdict", change_name(judgement.change));
}

/// The chance of a single false alarm over all cases.
inline constexpr double kFalseAlarms = 0.05;

/// What two runs of one build differ by, in either direction: a run has a temperature and places in memory of
/// its own, which its blocks share and no test over them sees. A change is one whose interval lies beyond it.
inline constexpr double kDrift = 0.005;

/// `max_regression` 0.03: 3 % slower is allowed.
[[nodiscard]] std::vector<Judgement> judge(std::span<const BlockPair> cases, double max_regression);

}  // namespace hipforge::harness
