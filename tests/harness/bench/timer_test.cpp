#include "harness/bench/timer.h"

#include "tests/status_matchers.h"

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
  Timing timing;
  ASSERT_OK(time_launches(copies, flush, {.warm_up_ms = 0.0, .measure_ms = 0.0, .least_samples = 20}, nullptr,
                          timing));
  EXPECT_EQ(timing.samples_ms.size(), 20u);
  EXPECT_EQ(runs, std::vector<int>(3, flushes));
  EXPECT_GE(timing.high_ms, timing.median_ms);
  EXPECT_GE(timing.median_ms, timing.low_ms);
}

TEST(Timer, ALaunchThatFailsIsTheResult) {
  const Launch bad = [](hipStream_t) { return invalid_argument("no such thing"); };
  Timing timing;
  EXPECT_EQ(time_launches({&bad, 1}, {}, {}, nullptr, timing).message, "no such thing");
  EXPECT_FALSE(time_launches({}, {}, {}, nullptr, timing).ok());
}

}  // namespace
}  // namespace hipforge::harness
