#pragma once

#include "harness/core/case.h"
#include "harness/sweep/metamorphic.h"
#include "kernels/weighted_matmul.h"

#include <vector>

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kWeightedMatmulBound = R"(
Dot_bound with factor 1, the depth of the kernel's sum over keys and Σ_j |weights ·
values|, then the store. Where all inputs are integers and that magnitude stays within 2²⁴ the sum makes
no error: out is the oracle's value rounded once, exactly. On gfx90a, whose
matrix cores flush subnormal f16 and bf16 factors, the products of such count as lost.)";

/// Oracle and kWeightedMatmulBound: out.
[[nodiscard]] std::vector<OutputExpectation> expect(const WeightedMatmulParams& part, const HostTensors& host,
                                                    const Target& target, const WeightedMatmulParams& whole);

[[nodiscard]] OpSuite weighted_matmul_suite();
/// Its metamorphic cases, of `launcher`.
[[nodiscard]] std::vector<Case> weighted_matmul_metamorphic_cases(
    const OpLauncher<WeightedMatmulParams>& launcher = weighted_matmul);

}  // namespace hipforge::harness
