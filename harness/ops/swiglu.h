#pragma once

#include "harness/core/case.h"

#include <cstdint>
#include <span>
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

/// Host values of one SwiGLU, row-major and already rounded to their dtype.
struct SwigluInputs {
  std::span<const double> gate;
  std::span<const double> up;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  DType dtype = DType::kF32;
};

/// Oracle and kSwigluBound.
[[nodiscard]] Expected swiglu_expected(const SwigluInputs& inputs, const Target& target);

[[nodiscard]] OpSuite swiglu_suite();
/// Its large_cases.
[[nodiscard]] std::vector<Case> swiglu_large_cases(std::int64_t shrink);

}  // namespace hipforge::harness
