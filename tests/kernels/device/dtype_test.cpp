#include "kernels/device/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>

namespace hipforge {
namespace {

std::uint32_t bits_of(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// widen may take another instruction than to_float; every number must come out with the same bits.
template <class T>
void expect_widen_is_to_float() {
  for (std::uint32_t first = 0; first < 0x10000; first += 8) {
    T source[8];
    for (std::uint32_t i = 0; i < 8; ++i) source[i] = T{static_cast<std::uint16_t>(first + i)};
    float values[8];
    widen(source, values);
    for (std::uint32_t i = 0; i < 8; ++i) {
      const float one = to_float(source[i]);
      if (std::isnan(one)) {
        ASSERT_TRUE(std::isnan(values[i])) << std::hex << first + i;
      } else {
        ASSERT_EQ(bits_of(values[i]), bits_of(one)) << std::hex << first + i;
      }
    }
  }
}

TEST(Widen, GivesTheBitsOfToFloatForEveryHalf) {
  expect_widen_is_to_float<F16>();
}

TEST(Widen, GivesTheBitsOfToFloatForEveryBfloat16) {
  expect_widen_is_to_float<BF16>();
}

TEST(Widen, TakesCountsThatAreNoMultipleOfAPack) {
  const F16 source[3] = {F16{0x3c00}, F16{0xc000}, F16{0x0001}};
  float values[3];
  widen(source, values);
  EXPECT_EQ(values[0], 1.0f);
  EXPECT_EQ(values[1], -2.0f);
  EXPECT_EQ(values[2], 0x1p-24f);
}

}  // namespace
}  // namespace hipforge
