#pragma once

#include "kernels/device/dtype.h"

#include <cmath>
#include <cstdint>

namespace hipforge {

/// Angles as 64-bit fractions of a turn: 2^64 units are 2π, and wrapping around is what integers do anyway. A
/// position's angle is then one integer product, exact whatever the position: no bits are lost near 131,072
/// (or 2^31) that were there near 0.

/// |inv_freq| from which turns_per_position has no answer.
inline constexpr float kMaxInvFreq = 0x1p24f;

/// inv_freq / 2π in units of 2^-64 turn, modulo one turn, truncated towards 0: off by less than one unit.
/// `valid` becomes false where inv_freq is NaN or not below kMaxInvFreq.
__host__ __device__ inline std::uint64_t turns_per_position(float inv_freq, bool& valid) {
  // 2^128 / 2π, lowest word first.
  constexpr std::uint64_t kWord0 = 0x7d4d3770u;
  constexpr std::uint64_t kWord1 = 0x7f09d5f4u;
  constexpr std::uint64_t kWord2 = 0x9391054au;
  constexpr std::uint64_t kWord3 = 0x28be60dbu;
  const std::uint32_t bits = detail::bit_cast<std::uint32_t>(inv_freq);
  const std::uint32_t biased = (bits >> 23) & 0xffu;
  valid = fabsf(inv_freq) < kMaxInvFreq;
  if (!valid) return 0;
  // |inv_freq| = mantissa · 2^-shift: in units of 2^-64 turn, (mantissa · 2^128 / 2π) >> (64 + shift).
  const std::uint64_t mantissa = (bits & 0x7fffffu) | (biased == 0 ? 0u : 0x800000u);
  const int shift = 150 - static_cast<int>(biased == 0 ? 1u : biased);
  // Schoolbook product of 24 by 128 bits; no partial sum leaves 64.
  const std::uint64_t p0 = mantissa * kWord0;
  const std::uint64_t p1 = mantissa * kWord1 + (p0 >> 32);
  const std::uint64_t p2 = mantissa * kWord2 + (p1 >> 32);
  const std::uint64_t p3 = mantissa * kWord3 + (p2 >> 32);
  const std::uint64_t low = (p3 << 32) | (p2 & 0xffffffffu);
  const std::uint64_t high = p3 >> 32;
  std::uint64_t turns = 0;
  if (shift == 0) {
    turns = low;
  } else if (shift < 64) {
    turns = (low >> shift) | (high << (64 - shift));
  } else if (shift < 128) {
    turns = high >> (shift - 64);
  }
  return (bits >> 31) != 0 ? 0 - turns : turns;
}

/// Sine and cosine of an angle in units of 2^-64 turn: each within 1.25 · 2^-24, relative.
__host__ __device__ inline void sincos_turns(std::uint64_t angle, float& sine, float& cosine) {
  const auto quadrant = static_cast<std::uint32_t>((angle + (1ull << 61)) >> 62);
  const auto rest = static_cast<std::int64_t>(angle - (static_cast<std::uint64_t>(quadrant) << 62));
  // rest · 2π/2^64 as an unevaluated sum r + e, |r| ≤ π/4.
  const float rest_high = static_cast<float>(rest);
  const float rest_low = static_cast<float>(rest - static_cast<std::int64_t>(rest_high));
  constexpr float kUnitHigh = 0x1.921fb6p-62f;
  constexpr float kUnitLow = -0x1.777a5cp-87f;
  const float r = rest_high * kUnitHigh;
  const float e = fmaf(rest_high, kUnitHigh, -r) + fmaf(rest_high, kUnitLow, rest_low * kUnitHigh);
  // Taylor series; what they leave out is below 2^-32 at π/4.
  const float z = r * r;
  const float half_z = 0.5f * z;
  const float w = 1.0f - half_z;
  float p = -1.0f / 39916800.0f;
  p = fmaf(p, z, 1.0f / 362880.0f);
  p = fmaf(p, z, -1.0f / 5040.0f);
  p = fmaf(p, z, 1.0f / 120.0f);
  p = fmaf(p, z, -1.0f / 6.0f);
  const float s = r + fmaf(r * z, p, e * w);
  float q = 1.0f / 479001600.0f;
  q = fmaf(q, z, -1.0f / 3628800.0f);
  q = fmaf(q, z, 1.0f / 40320.0f);
  q = fmaf(q, z, -1.0f / 720.0f);
  q = fmaf(q, z, 1.0f / 24.0f);
  // 1 − z/2 rounds; what it dropped is added back with the small terms.
  const float c = w + (((1.0f - w) - half_z) + fmaf(z * z, q, -(r * e)));
  const bool swapped = (quadrant & 1u) != 0;
  const float sine_magnitude = swapped ? c : s;
  const float cosine_magnitude = swapped ? s : c;
  sine = (quadrant & 2u) != 0 ? -sine_magnitude : sine_magnitude;
  cosine = ((quadrant + 1u) & 2u) != 0 ? -cosine_magnitude : cosine_magnitude;
}

}  // namespace hipforge
