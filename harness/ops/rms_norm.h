#pragma once

#include "harness/sweep/metamorphic.h"
#include "kernels/rms_norm.h"

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kRmsNormBound = R"(
With u = 2⁻²⁴ and r = 1 / sqrt(mean(s²) + eps):
  s: one addition, u·|s|;  the sum of squares: relative (depth + 2)·u, and 2u from s, halved by the root;
  root, division, mean and two products: 5u;  then the store. All relative to |y|, but for what s·r may
  lose where it is subnormal: 2⁻¹⁵⁰·|weight|.
A row whose sum of squares leaves f32 is exactly 0. Where eps is 0, hidden a power of two and each step of a
row exact in f32 (squares of few bits, a mean whose root is a power of two, a product with the weight that
f32 holds), y is the oracle's value rounded once, exactly.)";

/// Oracle and kRmsNormBound: y, and residual_out where there is one.
[[nodiscard]] Oracle<RmsNormParams> expect;
[[nodiscard]] Relations<RmsNormParams> rms_norm_metamorphic_cases;

}  // namespace hipforge::harness
