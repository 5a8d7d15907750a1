#pragma once

#include "harness/sweep/metamorphic.h"
#include "kernels/layer_norm.h"

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kLayerNormBound = R"(
With u = 2⁻²⁴, n = hidden, d = s − m, V = mean(d²), R = 1 / sqrt(V + eps), and e = u·|s| where s is a sum, else 0:
  the mean: δ = (depth + 1)·u·mean|s| + mean(e) + u·|m|;  a difference from it: r = u·(|d| + δ) + e, beside δ;
  V: D = δ² + mean(r²) + 2·mean(|d|·r) + 2·δ·mean(r), since the differences themselves sum to 0, and (depth + 3)·u of
  the sum; R lies between those of V + eps ± that, and below 1 / sqrt(eps); root and division: 2u each;
  y: |weight|·((δ + r)·R + |d|·(error of R)) + two products and bias: u each; then the store. Where a product is
  subnormal: 2⁻¹⁴⁹·(|weight| + 1).
A row whose sum of squares leaves f32 is exactly bias. Where eps is 0, hidden a power of two and each step of a row exact
in f32 (integers, a mean that is one, a variance whose root is a power of two), y is the oracle's value rounded once,
exactly.)";

/// Oracle and kLayerNormBound: y, and residual_out where there is one.
[[nodiscard]] Oracle<LayerNormParams> expect;
[[nodiscard]] Relations<LayerNormParams> layer_norm_metamorphic_cases;

}  // namespace hipforge::harness
