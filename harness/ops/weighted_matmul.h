#pragma once

#include "harness/sweep/metamorphic.h"
#include "kernels/weighted_matmul.h"

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kWeightedMatmulBound = R"(
Dot_bound with factor 1, the depth of the kernel's sum over keys and Σ_j |weights ·
values|, then the store. Where all inputs are integers and that magnitude stays within 2²⁴ the sum makes
no error: out is the oracle's value rounded once, exactly. On gfx90a, whose
matrix cores flush subnormal f16 and bf16 factors, the products of such count as lost.)";

/// Oracle and kWeightedMatmulBound: out.
[[nodiscard]] Oracle<WeightedMatmulParams> expect;
[[nodiscard]] Relations<WeightedMatmulParams> weighted_matmul_metamorphic_cases;

}  // namespace hipforge::harness
