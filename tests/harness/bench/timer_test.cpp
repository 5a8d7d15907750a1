#include "harness/bench/timer.h"

#include "kernels/runtime/status.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace hipforge::harness {
namespace {

TEST(Timer, PercentilesInterpolate) {
  EXPECT_EQ(percentile({3.0, 1.0, 2.0}, 0.5), 2.0);
  EXPECT_EQ(percentile({1.0, 2.0}, 0.5), 1.5);
  EXPECT_EQ(percentile({1.0, 2.0, 3.0, 4.0, 5.0}, 1.0), 5.0);
  EXPECT_EQ(percentile({}, 0.5), 0.0);
}

TEST(Timer, SpreadIsFromTheTenthToTheNinetiethPercentileOfTheMedian) {
  std::vector<double> samples;
  for (int i = 10; i >= 0; --i) samples.push_back(100.0 + i);  // deciles 100, 101, ... 110
  const Timing summary = summarize(samples);
  EXPECT_EQ(summary.median, 105.0);
  EXPECT_EQ(summary.low, 101.0);
  EXPECT_EQ(summary.high, 109.0);
  EXPECT_DOUBLE_EQ(summary.spread(), 8.0 / 105.0);
  EXPECT_EQ(summarize({}).spread(), 0.0);
}

TEST(Timer, EverySampleRunsEachCopyOnceAndTheFlushBeforeThem) {
  std::vector<int> runs(3, 0);
  int flushes = 0;
  std::vector<Launch> copies;
  for (int& count : runs) {
    copies.emplace_back([&count](hipStream_t) {
      ++count;
      return Status{};
    });
  }
  const Launch flush = [&](hipStream_t) {
    EXPECT_EQ(runs.front(), runs.back());
    ++flushes;
    return Status{};
  };
  const std::vector<double> samples_ms =
      time_launches(copies, flush, {.warm_up_ms = 0.0, .measure_ms = 0.0, .least_samples = 20});
  EXPECT_EQ(samples_ms.size(), 20u);
  EXPECT_LT(*std::max_element(samples_ms.begin(), samples_ms.end()), 1e9);
  EXPECT_EQ(runs, std::vector<int>(3, flushes));
}

TEST(Timer, ALaunchThatFailsIsTheError) {
  const Launch bad = [](hipStream_t) { return invalid_argument("no such thing"); };
  try {
    (void)time_launches({&bad, 1}, {}, {});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "no such thing");
  }
  EXPECT_THROW((void)time_launches({}, {}, {}), Error);
}

}  // namespace
}  // namespace hipforge::harness
