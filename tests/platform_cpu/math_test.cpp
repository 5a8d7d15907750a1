// Device math, bit tricks, conversions and vector types.
#include "platform_fixture.h"

#include <cmath>
#include <limits>

namespace hipforge::test {
namespace {

static_assert(sizeof(float3) == 12 && alignof(float3) == 4);
static_assert(sizeof(float4) == 16 && alignof(float4) == 16);
static_assert(sizeof(char4) == 4 && alignof(char4) == 4);
static_assert(sizeof(uchar2) == 2 && alignof(uchar2) == 2);
static_assert(sizeof(short4) == 8 && alignof(short4) == 8);
static_assert(sizeof(int2) == 8 && alignof(int2) == 8);
static_assert(sizeof(double2) == 16 && alignof(double2) == 16);
static_assert(sizeof(ulonglong2) == 16 && alignof(ulonglong2) == 16);
static_assert(make_float4(1, 2, 3, 4).w == 4.0f);
static_assert(dim3(3).y == 1 && dim3(uint3{1, 2, 3}).z == 3);

TEST(MathTest, Bits) {
  EXPECT_EQ(__popc(0xf0f0u), 8);
  EXPECT_EQ(__popcll(~0ull), 64);
  EXPECT_EQ(__ffs(0), 0);
  EXPECT_EQ(__ffs(8), 4);
  EXPECT_EQ(__ffsll(1ull << 63), 64);
  EXPECT_EQ(__clz(0), 32);
  EXPECT_EQ(__clz(1), 31);
  EXPECT_EQ(__clzll(1), 63);
  EXPECT_EQ(__brev(1u), 0x80000000u);
  EXPECT_EQ(__brev(0x12345678u), 0x1e6a2c48u);
  EXPECT_EQ(__brevll(1ull), 1ull << 63);
  EXPECT_EQ(__byte_perm(0x33221100u, 0x77665544u, 0x7250u), 0x77225500u);
  EXPECT_EQ(__funnelshift_l(0x80000000u, 1u, 1), 3u);
  EXPECT_EQ(__funnelshift_r(0u, 1u, 1), 0x80000000u);
}

TEST(MathTest, Integers) {
  EXPECT_EQ(__mulhi(-1, 5), -1);
  EXPECT_EQ(__umulhi(~0u, ~0u), 0xfffffffeu);
  EXPECT_EQ(__umul64hi(~0ull, ~0ull), ~0ull - 1);
  EXPECT_EQ(__mul64hi(-1, 5), -1);
  EXPECT_EQ(__mul64hi(std::numeric_limits<long long>::min(), -2), 1);
  EXPECT_EQ(__mul24(-3, 7), -21);
  EXPECT_EQ(__umul24(0x1000003u, 2u), 6u);
  EXPECT_EQ(__sad(-5, 5, 1u), 11u);
  EXPECT_EQ(min(2, -3), -3);
  EXPECT_EQ(max(2u, 3u), 3u);
  EXPECT_EQ(max(std::nanf(""), 1.0f), 1.0f);
  EXPECT_EQ(min(-1.0, 2.0), -1.0);
}

TEST(MathTest, Conversions) {
  EXPECT_EQ(__float2int_rn(2.5f), 2);
  EXPECT_EQ(__float2int_rn(3.5f), 4);
  EXPECT_EQ(__float2int_rz(-2.9f), -2);
  EXPECT_EQ(__float2int_ru(2.1f), 3);
  EXPECT_EQ(__float2int_rd(-2.1f), -3);
  EXPECT_EQ(__float2int_rn(1e20f), std::numeric_limits<int>::max());
  EXPECT_EQ(__float2int_rn(-1e20f), std::numeric_limits<int>::min());
  EXPECT_EQ(__float2int_rn(std::nanf("")), 0);
  EXPECT_EQ(__float2uint_rn(-5.0f), 0u);
  EXPECT_EQ(__float2uint_rn(4294967296.0f), ~0u);
  EXPECT_EQ(__double2ll_rn(9.3e18), std::numeric_limits<long long>::max());
  EXPECT_EQ(__double2ull_rz(18446744073709551616.0), ~0ull);
  EXPECT_EQ(__float_as_uint(1.0f), 0x3f800000u);
  EXPECT_EQ(__int_as_float(0x40000000), 2.0f);
  EXPECT_EQ(__double_as_longlong(1.0), 0x3ff0000000000000ll);
  EXPECT_EQ(__hiloint2double(0x3ff00000, 0), 1.0);
  EXPECT_EQ(__double2hiint(-2.0), static_cast<int>(0xc0000000u));
}

TEST(MathTest, Functions) {
  EXPECT_EQ(rsqrtf(4.0f), 0.5f);
  EXPECT_EQ(rsqrt(0.25), 2.0);
  EXPECT_EQ(__fdividef(1.0f, 4.0f), 0.25f);
  EXPECT_EQ(__fsqrt_rn(2.0f), std::sqrt(2.0f));
  EXPECT_EQ(__fmaf_rn(2.0f, 3.0f, 4.0f), 10.0f);
  EXPECT_EQ(__saturatef(1.5f), 1.0f);
  EXPECT_EQ(__saturatef(std::nanf("")), 0.0f);
  EXPECT_NEAR(__expf(1.0f), 2.7182817f, 1e-6f);
  EXPECT_NEAR(__exp10f(2.0f), 100.0f, 1e-4f);
  EXPECT_NEAR(__logf(10.0f), 2.3025851f, 1e-6f);
  EXPECT_NEAR(normcdff(1.0f), 0.8413447f, 1e-6f);
  EXPECT_EQ(sinpif(1.0f), 0.0f);
  EXPECT_EQ(sinpi(0.5), 1.0);
  EXPECT_EQ(cospi(0.5), 0.0);
  for (double x = -3.0; x <= 3.0; x += 0.03125) {
    EXPECT_NEAR(sinpi(x), std::sin(M_PI * x), 1e-14) << x;
    EXPECT_NEAR(cospi(x), std::cos(M_PI * x), 1e-14) << x;
  }
  float sine = 0;
  float cosine = 0;
  __sincosf(0.5f, &sine, &cosine);
  EXPECT_EQ(sine, std::sin(0.5f));
  EXPECT_EQ(cosine, std::cos(0.5f));
  const long long start = clock64();
  EXPECT_GE(wall_clock64(), start);
}

// What an optimiser that was told to be fast would break; the platform promises IEEE arithmetic.
TEST(MathTest, ArithmeticIsIeee) {
  volatile float tiny = std::numeric_limits<float>::min();
  volatile float half_of_tiny = tiny / 2.0f;
  EXPECT_GT(half_of_tiny, 0.0f) << "subnormals are kept";
  volatile float nan = std::nanf("");
  EXPECT_TRUE(nan != nan);
  volatile float one = 1.0f;
  volatile float three = 3.0f;
  EXPECT_EQ(__float_as_uint(one / three), 0x3eaaaaabu);
  volatile float zero = 0.0f;
  EXPECT_TRUE(std::isinf(one / zero));
}

}  // namespace
}  // namespace hipforge::test
