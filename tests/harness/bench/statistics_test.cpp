#include "harness/bench/statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

namespace hipforge::harness {
namespace {

// By going through all divisions of the values: the definition, without ranks that are doubled or counted.
double enumerated_p(const std::vector<double>& before, const std::vector<double>& after) {
  std::vector<double> all = before;
  all.insert(all.end(), after.begin(), after.end());
  const auto u = [&](unsigned mask) {
    double sum = 0.0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      for (std::size_t j = 0; j < all.size(); ++j) {
        if ((mask >> i & 1u) == 0 || (mask >> j & 1u) == 1) continue;
        sum += all[i] > all[j] ? 1.0 : all[i] == all[j] ? 0.5 : 0.0;
      }
    }
    return sum;
  };
  const double mean = 0.5 * static_cast<double>(before.size() * after.size());
  const double seen = std::fabs(u((1u << before.size()) - 1u) - mean);
  double extreme = 0.0;
  double every = 0.0;
  for (unsigned mask = 0; mask < 1u << all.size(); ++mask) {
    if (static_cast<std::size_t>(std::popcount(mask)) != before.size()) continue;
    every += 1.0;
    if (std::fabs(u(mask) - mean) >= seen - 1e-9) extreme += 1.0;
  }
  return extreme / every;
}

std::vector<double> normal(std::mt19937_64& random, std::size_t count, double mean, double deviation) {
  std::normal_distribution<double> draw(mean, deviation);
  std::vector<double> values(count);
  for (double& value : values) value = draw(random);
  return values;
}

TEST(MannWhitney, IsTheShareOfDivisionsAtLeastAsExtreme) {
  std::mt19937_64 random(1);
  for (std::size_t n : {1u, 3u, 5u}) {
    for (std::size_t m : {1u, 4u, 6u}) {
      for (int levels : {2, 5, 1000000}) {  // few levels: many ties
        std::vector<double> before(n);
        std::vector<double> after(m);
        for (double& value : before)
          value = static_cast<double>(random() % static_cast<std::uint64_t>(levels));
        for (double& value : after)
          value = static_cast<double>(random() % static_cast<std::uint64_t>(levels)) + 1.0;
        EXPECT_NEAR(mann_whitney_p(before, after), enumerated_p(before, after), 1e-12) << n << " " << m;
      }
    }
  }
}

TEST(MannWhitney, SeparatedGroupsHaveTheLeastP) {
  const std::vector<double> low{1, 2, 3, 4, 5};
  const std::vector<double> high{6, 7, 8, 9, 10};
  EXPECT_NEAR(mann_whitney_p(low, high), 2.0 / 252.0, 1e-12);
  EXPECT_NEAR(mann_whitney_p(high, low), 2.0 / 252.0, 1e-12);
  EXPECT_EQ(mann_whitney_p(low, low), 1.0);
  EXPECT_EQ(mann_whitney_p({}, low), 1.0);
}

TEST(MannWhitney, TheApproximationContinuesTheExactTest) {
  std::mt19937_64 random(3);
  for (double shift : {0.0, 0.3, 0.8}) {
    // One value more is one too many for the exact test.
    std::vector<double> before = normal(random, kExactValues / 2, 10.0, 1.0);
    std::vector<double> after = normal(random, kExactValues / 2, 10.0 + shift, 1.0);
    for (double& value : before) value = std::round(4.0 * value);
    for (double& value : after) value = std::round(4.0 * value);
    const double exact = mann_whitney_p(before, after);
    after.push_back(after.front());
    const double approximate = mann_whitney_p(before, after);
    EXPECT_NEAR(std::log(approximate), std::log(exact), 0.35 + 0.1 * std::fabs(std::log(exact))) << shift;
  }
  EXPECT_EQ(mann_whitney_p(std::vector<double>(60, 1.0), std::vector<double>(60, 1.0)), 1.0);
}

TEST(RatioInterval, HoldsTheRatioAsOftenAsItSays) {
  std::mt19937_64 random(5);
  for (std::size_t n : {8u, 45u}) {  // exact, and by approximation
    int holds = 0;
    constexpr int kRuns = 1000;
    for (int run = 0; run < kRuns; ++run) {
      const RatioInterval interval =
          ratio_interval(normal(random, n, 100.0, 5.0), normal(random, n, 110.0, 5.5), 0.9);
      EXPECT_LE(interval.low, interval.ratio);
      EXPECT_GE(interval.high, interval.ratio);
      holds += interval.low <= 1.1 && 1.1 <= interval.high ? 1 : 0;
    }
    EXPECT_GE(holds, 875) << n;
    EXPECT_LE(holds, 945) << n;  // nor wider than it need be
  }
}

TEST(RatioInterval, TooFewValuesHaveNoBounds) {
  const std::vector<double> before{1.0, 2.0};
  const std::vector<double> after{2.0, 4.0};
  const RatioInterval interval = ratio_interval(before, after, 0.95);
  EXPECT_EQ(interval.low, 0.0);
  EXPECT_TRUE(std::isinf(interval.high));
  EXPECT_DOUBLE_EQ(interval.ratio, 2.0);
}

TEST(Holm, CorrectsStepwiseAndKeepsTheOrder) {
  const std::vector<double> p{0.04, 0.01, 0.03, 0.5};
  const std::vector<double> corrected = holm(p);
  EXPECT_DOUBLE_EQ(corrected[1], 0.04);
  EXPECT_DOUBLE_EQ(corrected[2], 0.09);
  EXPECT_DOUBLE_EQ(corrected[0], 0.09);  // 0.08, but never below one that was smaller
  EXPECT_DOUBLE_EQ(corrected[3], 0.5);
}

TEST(BlocksNeeded, IsTheFirstSizeThatCanReject) {
  for (std::size_t tests : {1u, 3u, 40u, 300u}) {
    const std::size_t needed = blocks_needed(tests, 0.05);
    const auto least_p = [](std::size_t n) {
      std::vector<double> low(n);
      std::vector<double> high(n);
      for (std::size_t i = 0; i < n; ++i) {
        low[i] = static_cast<double>(i);
        high[i] = static_cast<double>(n + i);
      }
      return mann_whitney_p(low, high);
    };
    EXPECT_LE(least_p(needed) * static_cast<double>(tests), 0.05) << tests;
    EXPECT_GT(least_p(needed - 1) * static_cast<double>(tests), 0.05) << tests;
  }
}

// `slowdown` of one case among 20, whose blocks spread by 1 %.
std::vector<BlockPair> simulated(std::mt19937_64& random, double slowdown) {
  std::vector<BlockPair> cases;
  for (int i = 0; i < 20; ++i) {
    const double mean = i == 7 ? 100.0 * slowdown : 100.0;
    cases.push_back({normal(random, 10, 100.0, 1.0), normal(random, 10, mean, 1.0)});
  }
  return cases;
}

TEST(Judge, FindsFivePercentAndRaisesNoFalseAlarm) {
  std::mt19937_64 random(7);
  int found = 0;
  int false_alarms = 0;
  int changes_where_none_is = 0;
  for (int run = 0; run < 100; ++run) {
    const std::vector<Judgement> slowed = judge(simulated(random, 1.06), 0.03);
    found += slowed[7].regression ? 1 : 0;
    for (const Judgement& judgement : judge(simulated(random, 1.0), 0.03)) {
      false_alarms += judgement.regression ? 1 : 0;
      changes_where_none_is += judgement.change == Change::kSame ? 0 : 1;
    }
  }
  EXPECT_GE(found, 95);
  EXPECT_EQ(false_alarms, 0);
  EXPECT_LE(changes_where_none_is, 10);  // kFalseAlarms of 100 runs, and what chance adds
}

TEST(Judge, SlowerWithinWhatIsAllowedIsNoRegression) {
  std::mt19937_64 random(9);
  const std::vector<BlockPair> cases{{normal(random, 12, 100.0, 0.2), normal(random, 12, 102.0, 0.2)},
                                     {normal(random, 12, 100.0, 0.2), normal(random, 12, 90.0, 0.2)}};
  const std::vector<Judgement> allowed = judge(cases, 0.03);
  EXPECT_EQ(allowed[0].change, Change::kSlower);
  EXPECT_FALSE(allowed[0].regression);
  EXPECT_EQ(allowed[1].change, Change::kFaster);
  EXPECT_FALSE(allowed[1].regression);
  EXPECT_TRUE(judge(cases, 0.01)[0].regression);
}

TEST(Judge, WhatTwoRunsOfOneBuildDifferByIsNoChange) {
  std::mt19937_64 random(11);
  for (double drift : {0.998, 1.002}) {
    const std::vector<BlockPair> cases{
        {normal(random, 10, 100.0, 0.02), normal(random, 10, 100.0 * drift, 0.02)}};
    const Judgement judgement = judge(cases, 0.03)[0];
    EXPECT_LT(judgement.p, 0.001);
    EXPECT_EQ(judgement.change, Change::kSame);
  }
}

TEST(Judge, OneOutlierDecidesNothing) {
  std::vector<double> before{100, 101, 99, 100.5, 99.5, 100.2, 99.8, 100.1};
  std::vector<double> after = before;
  std::reverse(after.begin(), after.end());
  for (double& value : after) value += 0.01;
  after.front() = 1e6;
  EXPECT_EQ(judge(std::vector<BlockPair>{{before, after}}, 0.03)[0].change, Change::kSame);
}

}  // namespace
}  // namespace hipforge::harness
