// Half precision: every half, and every float near a rounding boundary, against an oracle in double.
#include "platform_fixture.h"

#include <hip/hip_fp16.h>

#include <bit>
#include <cmath>
#include <limits>

namespace hipforge::test {
namespace {

/// The value of half bits by the definition of the format.
double half_value(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int mantissa = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == 31) return mantissa == 0 ? sign * HUGE_VAL : std::nan("");
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

/// Rounds to nearest even by scaling to whole multiples of the spacing, apart from the bits of any format.
double round_to_half(double value) {
  if (std::isnan(value) || std::isinf(value) || value == 0) return value;
  int exponent = 0;
  std::frexp(value, &exponent);
  const double spacing = std::ldexp(1.0, std::max(exponent - 11, -24));
  const double rounded = std::nearbyint(value / spacing) * spacing;
  return std::fabs(rounded) >= 65520.0 ? std::copysign(HUGE_VAL, value) : rounded;
}

void expect_same(__half got, double expected, double input) {
  const double value = half_value(__half_as_ushort(got));
  if (std::isnan(expected)) {
    ASSERT_TRUE(std::isnan(value)) << input;
  } else {
    ASSERT_EQ(value, expected) << input;
    ASSERT_EQ(std::signbit(value), std::signbit(expected)) << input;
  }
}

TEST(Fp16Test, EveryHalfToFloatAndBack) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const __half half = __ushort_as_half(static_cast<unsigned short>(bits));
    const double expected = half_value(static_cast<uint16_t>(bits));
    const float value = __half2float(half);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << bits;
      ASSERT_TRUE(std::isnan(__half2float(__float2half(value)))) << bits;
      ASSERT_TRUE(__hisnan(half));
    } else {
      ASSERT_EQ(static_cast<double>(value), expected) << bits;
      ASSERT_EQ(std::signbit(value), (bits & 0x8000) != 0) << bits;
      ASSERT_EQ(__half_as_ushort(__float2half(value)), bits);
      ASSERT_EQ(__half_as_ushort(__double2half(expected)), bits);
    }
  }
}

TEST(Fp16Test, FloatsRoundToNearestEven) {
  // Around every half and every midpoint between two: the nearest floats on either side.
  for (unsigned bits = 0; bits < 0x7c00; ++bits) {
    const double low = half_value(static_cast<uint16_t>(bits));
    const double high = bits == 0x7bff ? 65536.0 : half_value(static_cast<uint16_t>(bits + 1));
    for (const double at : {low, (low + high) / 2}) {
      const auto middle = static_cast<float>(at);
      for (const float value : {std::nextafterf(middle, -1.0f), middle, std::nextafterf(middle, HUGE_VALF)}) {
        for (const float signed_value : {value, -value}) {
          expect_same(__float2half(signed_value), round_to_half(static_cast<double>(signed_value)),
                      static_cast<double>(signed_value));
        }
      }
      // Doubles closer to the midpoint than any float: going through float would round twice.
      for (const double value : {std::nextafter(at, -1.0), std::nextafter(at, HUGE_VAL)}) {
        expect_same(__double2half(value), round_to_half(value), value);
        expect_same(__double2half(-value), round_to_half(-value), -value);
      }
    }
  }
}

TEST(Fp16Test, RandomFloatsOfEveryExponent) {
  uint32_t state = 1;
  for (int i = 0; i < 500000; ++i) {
    state = state * 1664525u + 1013904223u;
    const auto value = std::bit_cast<float>(state ^ (state >> 16));
    expect_same(__float2half(value), round_to_half(static_cast<double>(value)), static_cast<double>(value));
  }
  for (const double value :
       {0.0, -0.0, HUGE_VAL, -HUGE_VAL, 1e300, -1e300, 1e-300, 65519.999, 65520.0, 65536.0}) {
    expect_same(__float2half(static_cast<float>(value)),
                round_to_half(static_cast<double>(static_cast<float>(value))), value);
    expect_same(__double2half(value), round_to_half(value), value);
  }
}

TEST(Fp16Test, ArithmeticRoundsOnce) {
  uint32_t state = 9;
  const auto next = [&state] {
    state = state * 1664525u + 1013904223u;
    return __ushort_as_half(static_cast<unsigned short>(state >> 16));
  };
  for (int i = 0; i < 100000; ++i) {
    const __half x = next();
    const __half y = next();
    const auto a = static_cast<double>(__half2float(x));
    const auto b = static_cast<double>(__half2float(y));
    expect_same(__hadd(x, y), round_to_half(a + b), a);
    expect_same(__hsub(x, y), round_to_half(a - b), a);
    expect_same(__hmul(x, y), round_to_half(a * b), a);
    expect_same(x / y, round_to_half(a / b), a);
    ASSERT_EQ(__hlt(x, y), a < b);
    ASSERT_EQ(x == y, a == b);
    ASSERT_EQ(x != y, a != b);
  }
}

__global__ void half_kernel(const float* in, float* out) {
  const __half2 pair = __floats2half2_rn(in[threadIdx.x], 1.0f);
  out[threadIdx.x] = __low2float(__hadd2(pair, __half2half2(__high2half(pair))));
}

TEST(Fp16Test, InAKernel) {
  float* data = nullptr;
  ASSERT_HIP(hipMalloc(&data, 2 * 32 * sizeof(float)));
  for (int i = 0; i < 32; ++i) data[i] = static_cast<float>(i) * 0.25f;
  hipLaunchKernelGGL(half_kernel, 1, 32, 0, nullptr, data, data + 32);
  ASSERT_HIP(hipDeviceSynchronize());
  for (int i = 0; i < 32; ++i) EXPECT_EQ(data[32 + i], static_cast<float>(i) * 0.25f + 1.0f);
  EXPECT_HIP(hipFree(data));
  static_assert(sizeof(__half) == 2 && sizeof(__half2) == 4 && alignof(__half2) == 4);
}

}  // namespace
}  // namespace hipforge::test
