#include "harness/bench/timer.h"

#include "harness/bench/bandwidth.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/device_buffer.h"
#include "tests/status_matchers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

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
  const Summary summary = summarize(samples);
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
  std::vector<double> samples_ms{1e9};
  ASSERT_OK(time_launches(copies, flush, {.warm_up_ms = 0.0, .measure_ms = 0.0, .least_samples = 20}, nullptr,
                          samples_ms));
  EXPECT_EQ(samples_ms.size(), 20u);
  EXPECT_LT(*std::max_element(samples_ms.begin(), samples_ms.end()), 1e9);
  EXPECT_EQ(runs, std::vector<int>(3, flushes));
}

TEST(Timer, ALaunchThatFailsIsTheResult) {
  const Launch bad = [](hipStream_t) { return invalid_argument("no such thing"); };
  std::vector<double> samples_ms;
  EXPECT_EQ(time_launches({&bad, 1}, {}, {}, nullptr, samples_ms).message, "no such thing");
  EXPECT_FALSE(time_launches({}, {}, {}, nullptr, samples_ms).ok());
}

TEST(Bandwidth, EveryVariantMovesEveryByte) {
  constexpr std::size_t kBytes = 4096 * 37;
  std::vector<std::byte> pattern(kBytes);
  for (std::size_t i = 0; i < kBytes; ++i) pattern[i] = static_cast<std::byte>(i * 7 + i / 256);
  DeviceBuffer source(kBytes);
  source.upload(pattern);
  std::vector<std::byte> seen(kBytes);
  for (int variant = 0; variant < kBandwidthVariants; ++variant) {
    DeviceBuffer destination(kBytes);
    destination.fill(0);
    ASSERT_OK(move_bytes(Traffic::kCopy, variant, source.data(), destination.data(), 2 * kBytes, nullptr));
    HIPFORGE_HIP_CHECK(hipDeviceSynchronize());
    destination.download(seen);
    EXPECT_EQ(std::memcmp(seen.data(), pattern.data(), kBytes), 0) << "copy " << variant;
    destination.fill(0xff);
    ASSERT_OK(move_bytes(Traffic::kWrite, variant, nullptr, destination.data(), kBytes, nullptr));
    HIPFORGE_HIP_CHECK(hipDeviceSynchronize());
    destination.download(seen);
    EXPECT_EQ(std::count(seen.begin(), seen.end(), std::byte{0x3c}), static_cast<std::ptrdiff_t>(kBytes))
        << "write " << variant;
    // A read leaves what it is given alone.
    destination.fill(0x5a);
    ASSERT_OK(move_bytes(Traffic::kRead, variant, source.data(), destination.data(), kBytes, nullptr));
    HIPFORGE_HIP_CHECK(hipDeviceSynchronize());
    destination.download(seen);
    EXPECT_EQ(std::count(seen.begin(), seen.end(), std::byte{0x5a}), static_cast<std::ptrdiff_t>(kBytes));
  }
  EXPECT_FALSE(
      move_bytes(Traffic::kCopy, kBandwidthVariants, source.data(), source.data(), 4096, nullptr).ok());
  EXPECT_FALSE(move_bytes(Traffic::kCopy, 0, source.data(), source.data(), 100, nullptr).ok());
}

}  // namespace
}  // namespace hipforge::harness
