#pragma once

#include "kernels/runtime/dtype.h"

#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::harness {

/// Error bounds are per element and derived: an op's bound adds the terms below, and nothing else.

/// Unit roundoff of f32 arithmetic: half the distance from 1 to the next number.
inline constexpr double kF32Roundoff = 0x1p-24;

/// Unit roundoff of storing a value as `dtype`.
[[nodiscard]] double unit_roundoff(DType dtype);

/// The smallest normal number of `dtype`.
[[nodiscard]] double smallest_normal(DType dtype);

/// Largest error of rounding `value` to `dtype` once: relative where normal, absolute where subnormal.
[[nodiscard]] double store_rounding(DType dtype, double value);

/// Magnitude from which a value rounds to infinity in `dtype`.
[[nodiscard]] double overflow_threshold(DType dtype);

/// Σ over a computed sum of products in f32: `factor`·u·(depth + 1)·Σ|aᵢbᵢ|, plus what underflow may lose per
/// term. depth is the number of additions on the kernel's longest path, factor at most 4.
[[nodiscard]] double dot_bound(double factor, std::int64_t depth, double magnitude, std::int64_t terms);

/// `value` rounded to `dtype` as the kernels store it: to nearest, ties to even. f32, f16 and bf16.
[[nodiscard]] double round_to_dtype(DType dtype, double value);

/// What divides without rounding.
[[nodiscard]] bool is_power_of_two(double value);

/// Of numbers without fractions: their sums within 2²⁴ are exact in f32.
[[nodiscard]] bool are_integers(std::span<const double> values);

/// What a matrix unit reads that takes subnormal numbers of `dtype` for 0.
[[nodiscard]] std::vector<double> without_subnormals(std::span<const double> values, DType dtype);

}  // namespace hipforge::harness
