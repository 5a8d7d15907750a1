#pragma once

#include "harness/core/case.h"
#include "harness/sweep/metamorphic.h"
#include "kernels/rms_norm.h"

#include <vector>

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
[[nodiscard]] std::vector<OutputExpectation> expect(const RmsNormParams& params, const HostTensors& host,
                                                    const Target& target, const RmsNormParams& whole);

[[nodiscard]] OpSuite rms_norm_suite();
/// Its metamorphic cases, of `launcher`.
[[nodiscard]] std::vector<Case> rms_norm_metamorphic_cases(
    const OpLauncher<RmsNormParams>& launcher = rms_norm);

}  // namespace hipforge::harness
