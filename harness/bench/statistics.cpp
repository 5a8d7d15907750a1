#include "harness/bench/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <ranges>

namespace hipforge::harness {
namespace {

// Twice the rank of each value among all of them, the first group first: ties share their mean rank, and
// twice that is an integer.
std::vector<std::int64_t> doubled_ranks(std::span<const double> before, std::span<const double> after) {
  std::vector<double> values(before.begin(), before.end());
  values.insert(values.end(), after.begin(), after.end());
  std::vector<double> sorted = values;
  std::ranges::sort(sorted);
  std::vector<std::int64_t> ranks;
  for (const double value : values) {
    const auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), value);
    ranks.push_back((first - sorted.begin()) + (last - sorted.begin()) + 1);
  }
  return ranks;
}

std::int64_t sum_of(std::span<const std::int64_t> ranks) {
  return std::accumulate(ranks.begin(), ranks.end(), std::int64_t{0});
}

// counts[s]: in how many ways `chosen` of these ranks sum to s. Doubles count past 2^53 with a relative error
// that no p-value notices.
std::vector<double> sum_counts(std::span<const std::int64_t> ranks, std::size_t chosen) {
  const auto most = static_cast<std::size_t>(sum_of(ranks));
  std::vector<std::vector<double>> counts(chosen + 1, std::vector<double>(most + 1, 0.0));
  counts[0][0] = 1.0;
  for (const std::int64_t signed_rank : ranks) {
    const auto rank = static_cast<std::size_t>(signed_rank);
    for (std::size_t size = chosen; size > 0; --size) {
      for (std::size_t sum = most; sum >= rank; --sum) counts[size][sum] += counts[size - 1][sum - rank];
    }
  }
  return counts[chosen];
}

double exact_p(std::span<const std::int64_t> ranks, std::size_t first) {
  const std::vector<double> counts = sum_counts(ranks, first);
  const std::int64_t total = sum_of(ranks);
  const std::int64_t seen = sum_of(ranks.first(first));
  // The mean sum is total · first / all; compared without the division.
  const auto all = static_cast<std::int64_t>(ranks.size());
  const auto distance = [&](std::int64_t sum) {
    return std::abs(sum * all - total * static_cast<std::int64_t>(first));
  };
  double extreme = 0.0;
  double every = 0.0;
  for (std::size_t sum = 0; sum < counts.size(); ++sum) {
    every += counts[sum];
    if (distance(static_cast<std::int64_t>(sum)) >= distance(seen)) extreme += counts[sum];
  }
  return std::min(1.0, extreme / every);
}

double normal_p(std::span<const std::int64_t> ranks, std::size_t first) {
  const auto n = static_cast<double>(first);
  const auto all = static_cast<double>(ranks.size());
  const double m = all - n;
  const double sum = 0.5 * static_cast<double>(sum_of(ranks.first(first)));
  std::map<std::int64_t, double> sizes;
  for (const std::int64_t rank : ranks) ++sizes[rank];
  double ties = 0.0;
  for (const auto& [rank, size] : sizes) ties += size * size * size - size;
  const double variance = n * m / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
  if (!(variance > 0.0)) return 1.0;
  const double distance = std::max(0.0, std::fabs(sum - 0.5 * n * (all + 1.0)) - 0.5);
  return std::erfc(distance / std::sqrt(2.0 * variance));
}

// The largest k such that U < k has at most this chance where nothing differs: U of untied groups.
std::size_t lower_critical(std::size_t n, std::size_t m, double chance) {
  if (n + m <= kExactValues) {
    std::vector<std::int64_t> ranks(n + m);
    std::iota(ranks.begin(), ranks.end(), std::int64_t{1});
    const std::vector<double> counts = sum_counts(ranks, n);
    const double every = std::accumulate(counts.begin(), counts.end(), 0.0);
    const std::size_t least = n * (n + 1) / 2;
    double below = counts[least];
    std::size_t k = 0;
    while (k < n * m && below <= chance * every) below += counts[least + ++k];
    return k;
  }
  // Bisection on the normal approximation with its correction for continuity.
  const double mean = 0.5 * static_cast<double>(n * m);
  const double deviation = std::sqrt(static_cast<double>(n * m) * static_cast<double>(n + m + 1) / 12.0);
  const auto is_unlikely = [&](std::size_t k) {
    const double z = (static_cast<double>(k) - 1.0 + 0.5 - mean) / deviation;
    return 0.5 * std::erfc(-z / std::sqrt(2.0)) <= chance;
  };
  std::vector<std::size_t> all(n * m / 2);
  std::iota(all.begin(), all.end(), std::size_t{1});
  return static_cast<std::size_t>(std::ranges::partition_point(all, is_unlikely) - all.begin());
}

}  // namespace

double mann_whitney_p(std::span<const double> before, std::span<const double> after) {
  if (before.empty() || after.empty()) return 1.0;
  const std::vector<std::int64_t> ranks = doubled_ranks(before, after);
  return ranks.size() <= kExactValues ? exact_p(ranks, before.size()) : normal_p(ranks, before.size());
}

RatioInterval ratio_interval(std::span<const double> before, std::span<const double> after,
                             double confidence) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (before.empty() || after.empty()) return {1.0, 0.0, kInfinity};
  std::vector<double> quotients;
  for (double a : after) {
    for (double b : before) quotients.push_back(a / b);
  }
  std::sort(quotients.begin(), quotients.end());
  RatioInterval interval;
  const std::size_t count = quotients.size();
  interval.ratio = std::sqrt(quotients[(count - 1) / 2] * quotients[count / 2]);
  const std::size_t k = lower_critical(before.size(), after.size(), 0.5 * (1.0 - confidence));
  interval.low = k == 0 ? 0.0 : quotients[k - 1];
  interval.high = k == 0 ? kInfinity : quotients[count - k];
  return interval;
}

std::vector<double> holm(std::span<const double> p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return p[i]; });
  std::vector<double> corrected(p.size());
  double worst = 0.0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const auto left = static_cast<double>(order.size() - rank);
    worst = std::max(worst, std::min(1.0, left * p[order[rank]]));
    corrected[order[rank]] = worst;
  }
  return corrected;
}

std::size_t blocks_needed(std::size_t tests, double level) {
  // Of all C(2n, n) divisions the two that put one group wholly below the other are the most extreme.
  double divisions = 1.0;
  for (std::size_t n = 1;; ++n) {
    divisions *= static_cast<double>(2 * (2 * n - 1)) / static_cast<double>(n);
    if (2.0 / divisions <= level / static_cast<double>(std::max<std::size_t>(tests, 1))) return n;
  }
}

const char* change_name(Change change) {
  constexpr const char* kNames[] = {"same", "faster", "slower"};
  return kNames[static_cast<int>(change)];
}

std::vector<Judgement> judge(std::span<const BlockPair> cases, double max_regression) {
  std::vector<double> p;
  for (const BlockPair& pair : cases) p.push_back(mann_whitney_p(pair.before, pair.after));
  const std::vector<double> corrected = holm(p);
  const double confidence = 1.0 - kFalseAlarms / static_cast<double>(std::max<std::size_t>(cases.size(), 1));
  std::vector<Judgement> judgements;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const RatioInterval interval = ratio_interval(cases[i].before, cases[i].after, confidence);
    const Change change = corrected[i] > kFalseAlarms            ? Change::kSame
                          : interval.low > 1.0 + kDrift          ? Change::kSlower
                          : interval.high < 1.0 / (1.0 + kDrift) ? Change::kFaster
                                                                 : Change::kSame;
    const bool regression = change == Change::kSlower && interval.low > 1.0 + max_regression;
    judgements.push_back({interval, corrected[i], change, regression});
  }
  return judgements;
}

}  // namespace hipforge::harness
