#pragma once

#include "harness/sweep/metamorphic.h"
#include "kernels/glu.h"

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kGluBound = R"(
With u = 2⁻²⁴ and e = exp(−|z|), z = g (silu) or 2·√(2/π)·(g + 0.044715·g³) (gelu):
  e is within 2 ulp (4u), and enters y with a weight of at most 1; the sum 1 + e, the product with g, the
  division and the product with up are one rounding each: 8u·|y|. Of gelu z is off by 7u·|z|, and so is the logarithm
  of e, whose weight in y is 1 for a negative g, else e / (1 + e). Where the exponential or a product is
  subnormal, each of these errs by an absolute amount instead: 2·2⁻¹⁴⁹ in e, times |g| ≤ 128; 2⁻¹⁵⁰ in
  g·e, the quotient and y. Then the store.
kRelu2: the product rounds once, u·|y| + 2⁻¹⁵⁰, and not at all where f32 holds it.
Where f is 0 in f32, infinity · f is NaN. A gate of 0 or of at most −129 gives exactly 0; one of at
least 104 gate · up rounded once, exactly, where f32 holds the product.)";

/// Oracle and kGluBound: y.
[[nodiscard]] Oracle<GluParams> expect;

}  // namespace hipforge::harness
