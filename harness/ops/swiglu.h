#pragma once

#include "harness/core/case.h"
#include "kernels/swiglu.h"

#include <vector>

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kSwigluBound = R"(
With u = 2⁻²⁴ and e = exp(−|g|):
  e is within 2 ulp (4u), and enters y with a weight of at most 1; the sum 1 + e, the product with g, the
  division and the product with up are one rounding each: 8u·|y|. Where the exponential or a product is
  subnormal, each of these errs by an absolute amount instead: 2·2⁻¹⁴⁹ in e, times |g| ≤ 128; 2⁻¹⁵⁰ in
  g·e, the quotient and y. Then the store.
Where silu is 0 in f32, infinity · silu is NaN. A gate of 0 or of at most −129 gives exactly 0; one of at
least 104 gate · up rounded once, exactly, where f32 holds the product.)";

/// Oracle and kSwigluBound: y.
[[nodiscard]] std::vector<OutputExpectation> expect(const SwigluParams& part, const HostTensors& host,
                                                    const Target& target, const SwigluParams& whole);

[[nodiscard]] OpSuite swiglu_suite();

}  // namespace hipforge::harness
