#pragma once

#include "harness/sweep/metamorphic.h"
#include "kernels/rope.h"

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kRopeBound = R"(
With u = 2⁻²⁴ and m = magnitude · (|a cos φ| + |b sin φ|):
  sine and cosine 1.25u, their product with a magnitude that is not 1 another u, one product u: relative
  to m; the fused multiply-add u·|y|, then the store (in f32 it is the same rounding); the angle is off by
  less than 2π·position·2⁻⁶⁴, which moves y by that times magnitude · (|a| + |b|).
Elements that are copied must be exactly equal.)";

/// Oracle and kRopeBound: y.
[[nodiscard]] Oracle<RopeParams> expect;
[[nodiscard]] Relations<RopeParams> rope_metamorphic_cases;

}  // namespace hipforge::harness
