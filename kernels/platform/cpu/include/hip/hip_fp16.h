// IEEE half precision. Every operation rounds its exact result once, to nearest even.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include <hip/hip_runtime.h>

struct __half_raw {
  unsigned short x;
};

namespace hipforge::cpu {

constexpr float half_bits_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u) {  // infinity or NaN; a NaN becomes quiet and keeps its payload
    const uint32_t quiet = magnitude > 0x7c00u ? 0x400000u : 0u;
    return std::bit_cast<float>(sign | 0x7f800000u | quiet | ((magnitude & 0x3ffu) << 13));
  }
  if (magnitude >= 0x400u) return std::bit_cast<float>(sign | ((magnitude << 13) + ((127u - 15u) << 23)));
  // Subnormal: a whole number of 2^-24, exact in float.
  const float value = static_cast<float>(magnitude) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(value));
}

constexpr uint16_t float_to_half_bits(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  }
  if (magnitude >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 2^16 and more
  if (magnitude >= 0x38800000u) {                                              // 2^-14 and more
    const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    return static_cast<uint16_t>(sign | ((rounded - ((127u - 15u) << 23)) >> 13));
  }
  if (magnitude <= 0x33000000u) return static_cast<uint16_t>(sign);  // up to half of the least subnormal
  const uint32_t exponent = magnitude >> 23;
  const uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
  const uint32_t shift = 126u - exponent;  // to whole multiples of 2^-24
  const uint32_t kept = mantissa >> shift;
  const uint32_t rest = mantissa & ((1u << shift) - 1u);
  const uint32_t half = 1u << (shift - 1u);
  return static_cast<uint16_t>(sign |
                               (kept + ((rest > half || (rest == half && (kept & 1u) != 0)) ? 1u : 0u)));
}

/// Not through float, which would round twice.
constexpr uint16_t double_to_half_bits(double value) {
  const auto bits = std::bit_cast<uint64_t>(value);
  const uint32_t sign = static_cast<uint32_t>(bits >> 48) & 0x8000u;
  const uint64_t magnitude = bits & 0x7fffffffffffffffu;
  if (magnitude > 0x7ff0000000000000u) {
    return static_cast<uint16_t>(sign | 0x7e00u | (static_cast<uint32_t>(magnitude >> 42) & 0x3ffu));
  }
  // Rounding to odd first: the bits that float has beyond half keep every tie and every direction.
  const double clamped = std::bit_cast<double>(magnitude);
  if (clamped >= 65536.0) return static_cast<uint16_t>(sign | 0x7c00u);
  if (clamped < 0x1p-26) return static_cast<uint16_t>(sign);
  const uint64_t truncated = magnitude & ~uint64_t{0x1fffffff};
  const bool inexact = truncated != magnitude;
  const uint64_t odd = truncated | (inexact ? uint64_t{0x20000000} : 0u);
  return static_cast<uint16_t>(sign | float_to_half_bits(static_cast<float>(std::bit_cast<double>(odd))));
}

}  // namespace hipforge::cpu

struct __half {
  unsigned short bits;

  __half() = default;
  constexpr __half(float value) : bits(hipforge::cpu::float_to_half_bits(value)) {}
  constexpr __half(double value) : bits(hipforge::cpu::double_to_half_bits(value)) {}
  constexpr __half(int value) : __half(static_cast<double>(value)) {}
  constexpr __half(__half_raw raw) : bits(raw.x) {}
  constexpr operator float() const { return hipforge::cpu::half_bits_to_float(bits); }
  constexpr operator __half_raw() const { return __half_raw{bits}; }
};
typedef __half half;

struct alignas(4) __half2 {
  __half x, y;
};
typedef __half2 half2;

// ---- Conversions ----

constexpr __half __ushort_as_half(unsigned short bits) {
  return __half(__half_raw{bits});
}
constexpr __half __short_as_half(short bits) {
  return __ushort_as_half(static_cast<unsigned short>(bits));
}
constexpr unsigned short __half_as_ushort(__half x) {
  return x.bits;
}
constexpr short __half_as_short(__half x) {
  return static_cast<short>(x.bits);
}
constexpr __half __float2half(float x) {
  return __half(x);
}
constexpr __half __float2half_rn(float x) {
  return __half(x);
}
constexpr __half __double2half(double x) {
  return __half(x);
}
constexpr float __half2float(__half x) {
  return static_cast<float>(x);
}
constexpr __half __int2half_rn(int x) {
  return __half(x);
}
constexpr __half __uint2half_rn(unsigned int x) {
  return __half(static_cast<double>(x));
}
inline int __half2int_rn(__half x) {
  return __float2int_rn(__half2float(x));
}
inline int __half2int_rz(__half x) {
  return __float2int_rz(__half2float(x));
}
inline unsigned int __half2uint_rn(__half x) {
  return __float2uint_rn(__half2float(x));
}
inline unsigned int __half2uint_rz(__half x) {
  return __float2uint_rz(__half2float(x));
}

constexpr __half2 __halves2half2(__half x, __half y) {
  return __half2{x, y};
}
constexpr __half2 make_half2(__half x, __half y) {
  return __half2{x, y};
}
constexpr __half2 __half2half2(__half x) {
  return __half2{x, x};
}
constexpr __half2 __float2half2_rn(float x) {
  return __half2{__half(x), __half(x)};
}
constexpr __half2 __floats2half2_rn(float x, float y) {
  return __half2{__half(x), __half(y)};
}
constexpr __half2 __float22half2_rn(float2 v) {
  return __half2{__half(v.x), __half(v.y)};
}
constexpr float2 __half22float2(__half2 v) {
  return float2{__half2float(v.x), __half2float(v.y)};
}
constexpr __half __low2half(__half2 v) {
  return v.x;
}
constexpr __half __high2half(__half2 v) {
  return v.y;
}
constexpr float __low2float(__half2 v) {
  return __half2float(v.x);
}
constexpr float __high2float(__half2 v) {
  return __half2float(v.y);
}

// ---- Arithmetic: float holds the exact sum, difference or product of two halves, or enough of it ----

inline __half __hadd(__half x, __half y) {
  return __half(__half2float(x) + __half2float(y));
}
inline __half __hsub(__half x, __half y) {
  return __half(__half2float(x) - __half2float(y));
}
inline __half __hmul(__half x, __half y) {
  return __half(__half2float(x) * __half2float(y));
}
inline __half __hdiv(__half x, __half y) {
  return __half(__half2float(x) / __half2float(y));
}
inline __half __hneg(__half x) {
  return __ushort_as_half(static_cast<unsigned short>(x.bits ^ 0x8000u));
}
inline __half __habs(__half x) {
  return __ushort_as_half(static_cast<unsigned short>(x.bits & 0x7fffu));
}
inline __half __hfma(__half x, __half y, __half z) {
  // The product is exact in double, and so is the sum unless the exponents are too far apart to matter.
  return __half(static_cast<double>(__half2float(x)) * static_cast<double>(__half2float(y)) +
                static_cast<double>(__half2float(z)));
}
inline __half2 __hadd2(__half2 a, __half2 b) {
  return __half2{__hadd(a.x, b.x), __hadd(a.y, b.y)};
}
inline __half2 __hsub2(__half2 a, __half2 b) {
  return __half2{__hsub(a.x, b.x), __hsub(a.y, b.y)};
}
inline __half2 __hmul2(__half2 a, __half2 b) {
  return __half2{__hmul(a.x, b.x), __hmul(a.y, b.y)};
}
inline __half2 __h2div(__half2 a, __half2 b) {
  return __half2{__hdiv(a.x, b.x), __hdiv(a.y, b.y)};
}
inline __half2 __hneg2(__half2 a) {
  return __half2{__hneg(a.x), __hneg(a.y)};
}
inline __half2 __hfma2(__half2 a, __half2 b, __half2 c) {
  return __half2{__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)};
}

inline __half operator+(__half x, __half y) {
  return __hadd(x, y);
}
inline __half operator-(__half x, __half y) {
  return __hsub(x, y);
}
inline __half operator*(__half x, __half y) {
  return __hmul(x, y);
}
inline __half operator/(__half x, __half y) {
  return __hdiv(x, y);
}
inline __half operator-(__half x) {
  return __hneg(x);
}
inline __half& operator+=(__half& x, __half y) {
  return x = x + y;
}
inline __half& operator-=(__half& x, __half y) {
  return x = x - y;
}
inline __half& operator*=(__half& x, __half y) {
  return x = x * y;
}
inline __half& operator/=(__half& x, __half y) {
  return x = x / y;
}

// ---- Comparison: false for NaN, but for __hne ----

inline bool __heq(__half x, __half y) {
  return __half2float(x) == __half2float(y);
}
inline bool __hne(__half x, __half y) {
  return __half2float(x) != __half2float(y);
}
inline bool __hlt(__half x, __half y) {
  return __half2float(x) < __half2float(y);
}
inline bool __hle(__half x, __half y) {
  return __half2float(x) <= __half2float(y);
}
inline bool __hgt(__half x, __half y) {
  return __half2float(x) > __half2float(y);
}
inline bool __hge(__half x, __half y) {
  return __half2float(x) >= __half2float(y);
}
inline bool __hisnan(__half x) {
  return (x.bits & 0x7fffu) > 0x7c00u;
}
inline int __hisinf(__half x) {
  return (x.bits & 0x7fffu) != 0x7c00u ? 0 : (x.bits & 0x8000u) != 0 ? -1 : 1;
}
inline __half __hmax(__half x, __half y) {
  return __half(fmaxf(__half2float(x), __half2float(y)));
}
inline __half __hmin(__half x, __half y) {
  return __half(fminf(__half2float(x), __half2float(y)));
}

inline bool operator==(__half x, __half y) {
  return __heq(x, y);
}
inline bool operator!=(__half x, __half y) {
  return __hne(x, y);
}
inline bool operator<(__half x, __half y) {
  return __hlt(x, y);
}
inline bool operator<=(__half x, __half y) {
  return __hle(x, y);
}
inline bool operator>(__half x, __half y) {
  return __hgt(x, y);
}
inline bool operator>=(__half x, __half y) {
  return __hge(x, y);
}

// ---- Functions ----

#define HIPFORGE_CPU_HALF_FUNCTION(name, expression)            \
  inline __half name(__half half_x) {                           \
    const double x = static_cast<double>(__half2float(half_x)); \
    return __half(static_cast<double>(expression));             \
  }

HIPFORGE_CPU_HALF_FUNCTION(hsqrt, sqrt(x))
HIPFORGE_CPU_HALF_FUNCTION(hrsqrt, 1.0 / sqrt(x))
HIPFORGE_CPU_HALF_FUNCTION(hrcp, 1.0 / x)
HIPFORGE_CPU_HALF_FUNCTION(hexp, exp(x))
HIPFORGE_CPU_HALF_FUNCTION(hexp2, exp2(x))
HIPFORGE_CPU_HALF_FUNCTION(hexp10, pow(10.0, x))
HIPFORGE_CPU_HALF_FUNCTION(hlog, log(x))
HIPFORGE_CPU_HALF_FUNCTION(hlog2, log2(x))
HIPFORGE_CPU_HALF_FUNCTION(hlog10, log10(x))
HIPFORGE_CPU_HALF_FUNCTION(hsin, sin(x))
HIPFORGE_CPU_HALF_FUNCTION(hcos, cos(x))
HIPFORGE_CPU_HALF_FUNCTION(htrunc, trunc(x))
HIPFORGE_CPU_HALF_FUNCTION(hceil, ceil(x))
HIPFORGE_CPU_HALF_FUNCTION(hfloor, floor(x))
HIPFORGE_CPU_HALF_FUNCTION(hrint, nearbyint(x))
#undef HIPFORGE_CPU_HALF_FUNCTION
