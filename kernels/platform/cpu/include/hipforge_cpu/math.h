// The device math of HIP that the C library does not have by the same name. Everything else (sinf, fma,
// erff, …) is the C library's; the fast intrinsics are as exact as their slow namesakes.
#pragma once

#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include <math.h>
#include <stdint.h>
#include <stdio.h>

#include <hipforge_cpu/qualifiers.h>

namespace hipforge::cpu {

/// As GPUs convert: NaN is 0 (the top bit for 64-bit targets does not matter to any kernel), what is too
/// large or too small saturates. `value` is rounded already.
template <typename Integer, typename Float>
constexpr Integer saturate(Float value) {
  constexpr int kBits = std::numeric_limits<Integer>::digits;
  constexpr Float kEnd = static_cast<Float>(uint64_t{1} << (kBits - 1)) * Float{2};
  if (value != value) return 0;
  if (value >= kEnd) return std::numeric_limits<Integer>::max();
  if (value <= (std::is_signed_v<Integer> ? -kEnd : Float{0})) return std::numeric_limits<Integer>::min();
  return static_cast<Integer>(value);
}

HIPFORGE_CPU_API long long device_clock();

}  // namespace hipforge::cpu

// ---- Bits ----

constexpr int __popc(unsigned int x) {
  return std::popcount(x);
}
constexpr int __popcll(unsigned long long x) {
  return std::popcount(x);
}
constexpr int __ffs(int x) {
  return __builtin_ffs(x);
}
constexpr int __ffs(unsigned int x) {
  return __builtin_ffs(static_cast<int>(x));
}
constexpr int __ffsll(long long x) {
  return __builtin_ffsll(x);
}
constexpr int __ffsll(unsigned long long x) {
  return __builtin_ffsll(static_cast<long long>(x));
}
constexpr int __ffsll(unsigned long x) {
  return __builtin_ffsll(static_cast<long long>(x));
}
constexpr int __clz(int x) {
  return std::countl_zero(static_cast<unsigned int>(x));
}
constexpr int __clzll(long long x) {
  return std::countl_zero(static_cast<unsigned long long>(x));
}
constexpr unsigned long long __brevll(unsigned long long x) {
  x = __builtin_bswap64(x);
  x = ((x >> 4) & 0x0f0f0f0f0f0f0f0fu) | ((x & 0x0f0f0f0f0f0f0f0fu) << 4);
  x = ((x >> 2) & 0x3333333333333333u) | ((x & 0x3333333333333333u) << 2);
  return ((x >> 1) & 0x5555555555555555u) | ((x & 0x5555555555555555u) << 1);
}
constexpr unsigned int __brev(unsigned int x) {
  return static_cast<unsigned int>(__brevll(static_cast<unsigned long long>(x) << 32));
}
/// Byte i of the result is the byte of {y, x} that nibble i of `selector` names.
constexpr unsigned int __byte_perm(unsigned int x, unsigned int y, unsigned int selector) {
  const uint64_t bytes = (uint64_t{y} << 32) | x;
  unsigned int result = 0;
  for (unsigned int i = 0; i < 4; ++i) {
    const unsigned int from = (selector >> (4 * i)) & 7u;
    result |= static_cast<unsigned int>((bytes >> (8 * from)) & 0xffu) << (8 * i);
  }
  return result;
}
constexpr unsigned int __funnelshift_l(unsigned int low, unsigned int high, unsigned int shift) {
  return static_cast<unsigned int>((((uint64_t{high} << 32) | low) << (shift & 31u)) >> 32);
}
constexpr unsigned int __funnelshift_r(unsigned int low, unsigned int high, unsigned int shift) {
  return static_cast<unsigned int>(((uint64_t{high} << 32) | low) >> (shift & 31u));
}

// ---- Integers ----

constexpr int __mul24(int x, int y) {
  const auto narrow = [](int v) { return static_cast<int>(static_cast<unsigned int>(v) << 8) >> 8; };
  return static_cast<int>(static_cast<unsigned int>(narrow(x)) * static_cast<unsigned int>(narrow(y)));
}
constexpr unsigned int __umul24(unsigned int x, unsigned int y) {
  return (x & 0xffffffu) * (y & 0xffffffu);
}
constexpr int __mulhi(int x, int y) {
  return static_cast<int>((int64_t{x} * y) >> 32);
}
constexpr unsigned int __umulhi(unsigned int x, unsigned int y) {
  return static_cast<unsigned int>((uint64_t{x} * y) >> 32);
}
constexpr unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
  const uint64_t x_low = x & 0xffffffffu, x_high = x >> 32, y_low = y & 0xffffffffu, y_high = y >> 32;
  const uint64_t middle = x_high * y_low + ((x_low * y_low) >> 32);
  const uint64_t other = x_low * y_high + (middle & 0xffffffffu);
  return x_high * y_high + (middle >> 32) + (other >> 32);
}
constexpr long long __mul64hi(long long x, long long y) {
  unsigned long long high =
      __umul64hi(static_cast<unsigned long long>(x), static_cast<unsigned long long>(y));
  if (x < 0) high -= static_cast<unsigned long long>(y);
  if (y < 0) high -= static_cast<unsigned long long>(x);
  return static_cast<long long>(high);
}
constexpr unsigned int __sad(int x, int y, unsigned int z) {
  return z + (x > y ? static_cast<unsigned int>(x) - static_cast<unsigned int>(y)
                    : static_cast<unsigned int>(y) - static_cast<unsigned int>(x));
}

#define HIPFORGE_CPU_MIN_MAX(T) \
  constexpr T min(T x, T y) {   \
    return y < x ? y : x;       \
  }                             \
  constexpr T max(T x, T y) {   \
    return x < y ? y : x;       \
  }

HIPFORGE_CPU_MIN_MAX(int)
HIPFORGE_CPU_MIN_MAX(unsigned int)
HIPFORGE_CPU_MIN_MAX(long)
HIPFORGE_CPU_MIN_MAX(unsigned long)
HIPFORGE_CPU_MIN_MAX(long long)
HIPFORGE_CPU_MIN_MAX(unsigned long long)
#undef HIPFORGE_CPU_MIN_MAX
// As on a GPU, the operand that is not NaN.
inline float min(float x, float y) {
  return fminf(x, y);
}
inline float max(float x, float y) {
  return fmaxf(x, y);
}
inline double min(double x, double y) {
  return fmin(x, y);
}
inline double max(double x, double y) {
  return fmax(x, y);
}

// ---- The same bits as another type ----

constexpr int __float_as_int(float x) {
  return std::bit_cast<int>(x);
}
constexpr unsigned int __float_as_uint(float x) {
  return std::bit_cast<unsigned int>(x);
}
constexpr float __int_as_float(int x) {
  return std::bit_cast<float>(x);
}
constexpr float __uint_as_float(unsigned int x) {
  return std::bit_cast<float>(x);
}
constexpr long long __double_as_longlong(double x) {
  return std::bit_cast<long long>(x);
}
constexpr double __longlong_as_double(long long x) {
  return std::bit_cast<double>(x);
}
constexpr int __double2hiint(double x) {
  return static_cast<int>(std::bit_cast<uint64_t>(x) >> 32);
}
constexpr int __double2loint(double x) {
  return static_cast<int>(std::bit_cast<uint64_t>(x));
}
constexpr double __hiloint2double(int high, int low) {
  return std::bit_cast<double>((static_cast<uint64_t>(static_cast<unsigned int>(high)) << 32) |
                               static_cast<unsigned int>(low));
}

// ---- Conversions: _rn to nearest even, _rz towards zero, _ru up, _rd down ----

#define HIPFORGE_CPU_CONVERSIONS(from, From, to, To)       \
  inline To __##from##2##to##_rn(From x) {                 \
    return hipforge::cpu::saturate<To>(std::nearbyint(x)); \
  }                                                        \
  inline To __##from##2##to##_rz(From x) {                 \
    return hipforge::cpu::saturate<To>(std::trunc(x));     \
  }                                                        \
  inline To __##from##2##to##_ru(From x) {                 \
    return hipforge::cpu::saturate<To>(std::ceil(x));      \
  }                                                        \
  inline To __##from##2##to##_rd(From x) {                 \
    return hipforge::cpu::saturate<To>(std::floor(x));     \
  }

HIPFORGE_CPU_CONVERSIONS(float, float, int, int)
HIPFORGE_CPU_CONVERSIONS(float, float, uint, unsigned int)
HIPFORGE_CPU_CONVERSIONS(float, float, ll, long long)
HIPFORGE_CPU_CONVERSIONS(float, float, ull, unsigned long long)
HIPFORGE_CPU_CONVERSIONS(double, double, int, int)
HIPFORGE_CPU_CONVERSIONS(double, double, uint, unsigned int)
HIPFORGE_CPU_CONVERSIONS(double, double, ll, long long)
HIPFORGE_CPU_CONVERSIONS(double, double, ull, unsigned long long)
#undef HIPFORGE_CPU_CONVERSIONS

inline float __int2float_rn(int x) {
  return static_cast<float>(x);
}
inline float __uint2float_rn(unsigned int x) {
  return static_cast<float>(x);
}
inline float __ll2float_rn(long long x) {
  return static_cast<float>(x);
}
inline float __ull2float_rn(unsigned long long x) {
  return static_cast<float>(x);
}
inline double __int2double_rn(int x) {
  return x;
}
inline double __uint2double_rn(unsigned int x) {
  return x;
}
inline double __ll2double_rn(long long x) {
  return static_cast<double>(x);
}
inline double __ull2double_rn(unsigned long long x) {
  return static_cast<double>(x);
}
inline float __double2float_rn(double x) {
  return static_cast<float>(x);
}

// ---- Arithmetic by rounding mode: to nearest is what the machine does ----

inline float __fadd_rn(float x, float y) {
  return x + y;
}
inline float __fsub_rn(float x, float y) {
  return x - y;
}
inline float __fmul_rn(float x, float y) {
  return x * y;
}
inline float __fdiv_rn(float x, float y) {
  return x / y;
}
inline float __frcp_rn(float x) {
  return 1.0f / x;
}
inline float __fsqrt_rn(float x) {
  return sqrtf(x);
}
inline float __frsqrt_rn(float x) {
  return static_cast<float>(1.0 / sqrt(static_cast<double>(x)));
}
inline float __fmaf_rn(float x, float y, float z) {
  return fmaf(x, y, z);
}
inline double __dadd_rn(double x, double y) {
  return x + y;
}
inline double __dsub_rn(double x, double y) {
  return x - y;
}
inline double __dmul_rn(double x, double y) {
  return x * y;
}
inline double __ddiv_rn(double x, double y) {
  return x / y;
}
inline double __drcp_rn(double x) {
  return 1.0 / x;
}
inline double __dsqrt_rn(double x) {
  return sqrt(x);
}
inline double __fma_rn(double x, double y, double z) {
  return fma(x, y, z);
}

// ---- Functions ----

inline float __expf(float x) {
  return expf(x);
}
inline float __exp10f(float x) {
  return static_cast<float>(pow(10.0, static_cast<double>(x)));
}
inline float __logf(float x) {
  return logf(x);
}
inline float __log2f(float x) {
  return log2f(x);
}
inline float __log10f(float x) {
  return log10f(x);
}
inline float __powf(float x, float y) {
  return powf(x, y);
}
inline float __sinf(float x) {
  return sinf(x);
}
inline float __cosf(float x) {
  return cosf(x);
}
inline float __tanf(float x) {
  return tanf(x);
}
inline void __sincosf(float x, float* sine, float* cosine) {
  *sine = sinf(x);
  *cosine = cosf(x);
}
inline float __fdividef(float x, float y) {
  return x / y;
}
inline float fdividef(float x, float y) {
  return x / y;
}
inline float __saturatef(float x) {
  return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;
}
inline float rsqrtf(float x) {
  return static_cast<float>(1.0 / sqrt(static_cast<double>(x)));
}
inline double rsqrt(double x) {
  return 1.0 / sqrt(x);
}
inline float rcbrtf(float x) {
  return static_cast<float>(1.0 / cbrt(static_cast<double>(x)));
}
inline double rcbrt(double x) {
  return 1.0 / cbrt(x);
}
inline double sinpi(double x) {
  const double turn = x - 2.0 * nearbyint(0.5 * x);
  return fabs(turn) <= 0.5 ? sin(M_PI * turn) : copysign(1.0, turn) * sin(M_PI * (1.0 - fabs(turn)));
}
inline double cospi(double x) {
  const double turn = fabs(x - 2.0 * nearbyint(0.5 * x));
  return sin(M_PI * (0.5 - turn));
}
inline float sinpif(float x) {
  return static_cast<float>(sinpi(static_cast<double>(x)));
}
inline float cospif(float x) {
  return static_cast<float>(cospi(static_cast<double>(x)));
}
inline void sincospi(double x, double* sine, double* cosine) {
  *sine = sinpi(x);
  *cosine = cospi(x);
}
inline void sincospif(float x, float* sine, float* cosine) {
  *sine = sinpif(x);
  *cosine = cospif(x);
}
inline double normcdf(double x) {
  return 0.5 * erfc(-x * M_SQRT1_2);
}
inline float normcdff(float x) {
  return static_cast<float>(normcdf(static_cast<double>(x)));
}
inline float norm3df(float x, float y, float z) {
  return static_cast<float>(
      std::hypot(static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)));
}
inline float rhypotf(float x, float y) {
  return static_cast<float>(1.0 / hypot(static_cast<double>(x), static_cast<double>(y)));
}

// ---- The rest ----

/// Nanoseconds.
inline long long clock64() {
  return hipforge::cpu::device_clock();
}
inline long long wall_clock64() {
  return hipforge::cpu::device_clock();
}
inline long long __clock64() {
  return hipforge::cpu::device_clock();
}

template <typename T>
inline T __ldg(const T* address) {
  return *address;
}

[[noreturn]] inline void __trap() {
  __builtin_trap();
}
[[noreturn]] inline void trap() {
  __builtin_trap();
}
