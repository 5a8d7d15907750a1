#include "harness/core/scan.h"

#include "kernels/runtime/device_buffer.h"

#include <gtest/gtest.h>

#include <limits>
#include <span>

namespace hipforge::harness {
namespace {

template <class T>
DeviceBuffer on_device(const std::vector<T>& values) {
  DeviceBuffer buffer(values.size() * sizeof(T));
  buffer.upload(std::as_bytes(std::span(values)));
  return buffer;
}

TEST(Scan, AChecksumTellsAnyWordThatChangedAndAnyTwoThatChangedPlaces) {
  std::vector<std::uint32_t> words(3001);
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = static_cast<std::uint32_t>(i * 2654435761u);
  const auto sum = [&] {
    const DeviceBuffer buffer = on_device(words);
    return checksum(buffer.data(), buffer.bytes(), nullptr);
  };
  const std::uint64_t before = sum();
  EXPECT_EQ(sum(), before);
  for (std::size_t at : {std::size_t{0}, std::size_t{1500}, words.size() - 1}) {
    words[at] ^= 1u;
    EXPECT_NE(sum(), before) << at;
    words[at] ^= 1u;
  }
  std::swap(words[7], words[8]);
  EXPECT_NE(sum(), before);
  // Zeros count, by their place.
  const std::vector<std::uint32_t> none(2);
  const DeviceBuffer zeros = on_device(none);
  EXPECT_NE(checksum(zeros.data(), 4, nullptr), checksum(zeros.data(), 8, nullptr));
  EXPECT_THROW((void)checksum(zeros.data(), 7, nullptr), Error);
}

TEST(Scan, NaNAndInfinitiesAreCountedAndTheLargestNumberIsNot) {
  constexpr float kInfinite = std::numeric_limits<float>::infinity();
  std::vector<float> values(2000, 1.0f);
  values[0] = std::numeric_limits<float>::quiet_NaN();
  values[1999] = -kInfinite;
  values[500] = kInfinite;
  values[501] = std::numeric_limits<float>::max();
  const DeviceBuffer wide = on_device(values);
  EXPECT_EQ(count_not_finite(TensorView::contiguous(wide.data(), DType::kF32, {2000}), nullptr), 3u);
  // The largest number, infinity and a NaN of either narrow dtype.
  const DeviceBuffer half = on_device(std::vector<std::uint16_t>{0x7bff, 0x7c00, 0xfe00, 0x0001});
  EXPECT_EQ(count_not_finite(TensorView::contiguous(half.data(), DType::kF16, {4}), nullptr), 2u);
  const DeviceBuffer brain = on_device(std::vector<std::uint16_t>{0x7f7f, 0xff80, 0x7fc0, 0x7c00});
  EXPECT_EQ(count_not_finite(TensorView::contiguous(brain.data(), DType::kBF16, {2, 2}), nullptr), 2u);
  TensorView gaps = TensorView::contiguous(wide.data(), DType::kF32, {2, 900});
  gaps.strides[0] = 1000;
  gaps.elements = 1900;
  EXPECT_THROW((void)count_not_finite(gaps, nullptr), Error);
}

TEST(Scan, ElementsAreGatheredByTheirOffsetsAndNoneFromOutside) {
  const DeviceBuffer buffer = on_device(std::vector<std::uint16_t>{10, 11, 12, 13, 14, 15});
  const TensorView view = TensorView::contiguous(buffer.data(), DType::kBF16, {2, 3});
  const std::vector<std::int64_t> offsets{5, 0, 5};
  const std::vector<std::byte> bytes = gather_elements(view, offsets, nullptr);
  const std::uint16_t expected[] = {15, 10, 15};
  EXPECT_TRUE(std::ranges::equal(bytes, std::as_bytes(std::span(expected))));
  EXPECT_TRUE(gather_elements(view, {}, nullptr).empty());
  for (std::int64_t outside : {std::int64_t{-1}, std::int64_t{6}}) {
    EXPECT_THROW((void)gather_elements(view, {{outside}}, nullptr), Error) << outside;
  }
}

}  // namespace
}  // namespace hipforge::harness
