#include "harness/bench/bandwidth.h"

#include "kernels/runtime/check.h"
#include "kernels/runtime/device_buffer.h"
#include "tests/status_matchers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace hipforge::harness {
namespace {

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
