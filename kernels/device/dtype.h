#pragma once

#include "kernels/runtime/dtype.h"

#include <hip/hip_runtime.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__FAST_MATH__)
#error "hipforge needs IEEE semantics for NaN, infinity and division: build without -ffast-math"
#endif

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#elif defined(__F16C__) && !defined(__AMDGCN__)
#include <immintrin.h>
#endif

namespace hipforge {

/// IEEE binary16: one name and one layout on every platform.
struct F16 {
  std::uint16_t bits;
};

/// bfloat16: the upper half of an IEEE binary32.
struct BF16 {
  std::uint16_t bits;
};

namespace detail {

/// The bits of `from`. By the builtin: HIP's own memcpy goes byte by byte on AMD, and of words put together
/// from bytes clang 19 made wrong code on gfx90a and gfx942 (their low bits kept the shift of another lane).
template <class To, class From>
__host__ __device__ inline To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof(to));
  return to;
}

}  // namespace detail

/// Exact widening to f32; NaN stays NaN, infinities and subnormals are kept.
__host__ __device__ inline float to_float(float value) {
  return value;
}

__host__ __device__ inline float to_float(F16 value) {
#if defined(__CUDA_ARCH__)
  return __half2float(detail::bit_cast<__half>(value.bits));
#elif defined(__HIP_DEVICE_COMPILE__) && defined(__AMDGCN__)
  return static_cast<float>(detail::bit_cast<_Float16>(value.bits));
#else
  // Exponent and mantissa move to their f32 places; a multiply by 2^112 rebiases the exponent and, being
  // exact, normalises subnormals as well. Infinity and NaN end above 65504 and get the full f32 exponent.
  const std::uint32_t magnitude = static_cast<std::uint32_t>(value.bits & 0x7fffu) << 13;
  const std::uint32_t sign = static_cast<std::uint32_t>(value.bits & 0x8000u) << 16;
  const float scaled = detail::bit_cast<float>(magnitude) * 0x1p112f;
  std::uint32_t bits = detail::bit_cast<std::uint32_t>(scaled);
  bits |= magnitude >= 0x0f800000u ? 0x7f800000u : 0u;
  return detail::bit_cast<float>(bits | sign);
#endif
}

__host__ __device__ inline float to_float(BF16 value) {
  return detail::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

/// to_float for kCount neighbours; on a host that has the instruction, eight halves at a time.
template <int kCount, class T>
__host__ __device__ inline void widen(const T (&source)[kCount], float (&values)[kCount]) {
#if defined(__F16C__) && !defined(__CUDACC__) && !defined(__AMDGCN__)
  if constexpr (std::is_same_v<T, F16> && kCount % 8 == 0) {
    for (int i = 0; i < kCount; i += 8) {
      __m128i halves;
      memcpy(&halves, source + i, sizeof(halves));
      _mm256_storeu_ps(values + i, _mm256_cvtph_ps(halves));
    }
    return;
  }
#endif
#if defined(__CUDA_ARCH__)
  // Two at a time, from the word that they were loaded in: taken apart one by one, each would want a register
  // of its own from the load on.
  if constexpr (sizeof(T) == 2 && kCount % 2 == 0) {
    std::uint32_t words[kCount / 2];
    __builtin_memcpy(words, source, sizeof(words));
#pragma unroll
    for (int i = 0; i < kCount / 2; ++i) {
      if constexpr (std::is_same_v<T, F16>) {
        const float2 pair = __half22float2(detail::bit_cast<__half2>(words[i]));
        values[2 * i] = pair.x;
        values[2 * i + 1] = pair.y;
      } else {
        values[2 * i] = detail::bit_cast<float>(words[i] << 16);
        values[2 * i + 1] = detail::bit_cast<float>(words[i] & 0xffff0000u);
      }
    }
  } else
#endif
  {
#pragma unroll
    for (int i = 0; i < kCount; ++i) values[i] = to_float(source[i]);
  }
}

/// Rounds f32 to T, to nearest, ties to even; overflow gives infinity, NaN stays NaN, subnormals are kept.
template <class T>
__host__ __device__ inline T from_float(float value);

template <>
__host__ __device__ inline float from_float<float>(float value) {
  return value;
}

template <>
__host__ __device__ inline F16 from_float<F16>(float value) {
#if defined(__CUDA_ARCH__)
  return F16{detail::bit_cast<std::uint16_t>(__float2half_rn(value))};
#elif defined(__HIP_DEVICE_COMPILE__) && defined(__AMDGCN__)
  return F16{detail::bit_cast<std::uint16_t>(static_cast<_Float16>(value))};
#else
  const std::uint32_t bits = detail::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  std::uint32_t half = 0;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u;  // quiet NaN
  } else if (magnitude >= 0x477ff000u) {
    half = 0x7c00u;  // 65520 and above round to infinity
  } else if (magnitude >= 0x38800000u) {
    const std::uint32_t rebiased = magnitude - 0x38000000u;
    half = (rebiased + 0xfffu + ((rebiased >> 13) & 1u)) >> 13;
  } else {
    // Adding 0.5 puts the subnormal's unit, 2^-24, at the last place of the sum: the addition rounds for us.
    const float shifted = detail::bit_cast<float>(magnitude) + 0.5f;
    half = detail::bit_cast<std::uint32_t>(shifted) - 0x3f000000u;
  }
  return F16{static_cast<std::uint16_t>(half | sign)};
#endif
}

template <>
__host__ __device__ inline BF16 from_float<BF16>(float value) {
#if defined(__CUDA_ARCH__)
  return BF16{detail::bit_cast<std::uint16_t>(__float2bfloat16_rn(value))};
#else
  const std::uint32_t bits = detail::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return BF16{static_cast<std::uint16_t>((bits >> 16) | 0x40u)};
  return BF16{static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
#endif
}

/// from_float for kCount neighbours.
template <int kCount, class T>
__host__ __device__ inline void narrow(const float (&values)[kCount], T (&destination)[kCount]) {
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(T) == 2 && kCount % 2 == 0) {
    std::uint32_t words[kCount / 2];
#pragma unroll
    for (int i = 0; i < kCount / 2; ++i) {
      if constexpr (std::is_same_v<T, F16>) {
        words[i] = detail::bit_cast<std::uint32_t>(__floats2half2_rn(values[2 * i], values[2 * i + 1]));
      } else {
        words[i] = detail::bit_cast<std::uint32_t>(__floats2bfloat162_rn(values[2 * i], values[2 * i + 1]));
      }
    }
    __builtin_memcpy(destination, words, sizeof(words));
  } else
#endif
  {
#pragma unroll
    for (int i = 0; i < kCount; ++i) destination[i] = from_float<T>(values[i]);
  }
}

}  // namespace hipforge
