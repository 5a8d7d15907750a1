#pragma once

#include "harness/core/case.h"
#include "harness/sweep/metamorphic.h"
#include "kernels/rope.h"

#include <vector>

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kRopeBound = R"(
With u = 2⁻²⁴ and m = magnitude · (|a cos φ| + |b sin φ|):
  sine and cosine 1.25u, their product with a magnitude that is not 1 another u, one product u: relative
  to m; the fused multiply-add u·|y|, then the store (in f32 it is the same rounding); the angle is off by
  less than 2π·position·2⁻⁶⁴, which moves y by that times magnitude · (|a| + |b|).
Elements that are copied must be exactly equal.)";

/// Oracle and kRopeBound: y.
[[nodiscard]] std::vector<OutputExpectation> expect(const RopeParams& part, const HostTensors& host,
                                                    const Target& target, const RopeParams& whole);

[[nodiscard]] OpSuite rope_suite();
/// Its metamorphic cases, of `launcher`.
[[nodiscard]] std::vector<Case> rope_metamorphic_cases(const OpLauncher<RopeParams>& launcher = rope);

}  // namespace hipforge::harness
