#pragma once

#include "harness/core/case.h"
#include "harness/sweep/metamorphic.h"
#include "kernels/weighted_matmul.h"

#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kWeightedMatmulBound = R"(
Dot_bound with factor 1, the depth of the kernel's sum over keys and Σ_j |weights ·
values|, then the store. Where all inputs are integers and that magnitude stays within 2²⁴ the sum makes
no error: out is the oracle's value rounded once, exactly. On gfx90a, whose
matrix cores flush subnormal f16 and bf16 factors, the products of such count as lost.)";

/// Host values of one product, row-major and already rounded to their dtype.
struct WeightedMatmulInputs {
  std::span<const double> weights;  ///< [batch, q_heads, q_len, kv_len]
  std::span<const double> values;   ///< [batch, kv_len, kv_heads, head_dim]
  std::int64_t batch = 0;
  std::int64_t q_len = 0;
  std::int64_t kv_len = 0;
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  DType dtype = DType::kF32;
};

/// Oracle and kWeightedMatmulBound.
[[nodiscard]] Expected weighted_matmul_expected(const WeightedMatmulInputs& inputs, const Target& target);

[[nodiscard]] OpSuite weighted_matmul_suite();
/// Its metamorphic cases, of `launcher`.
[[nodiscard]] std::vector<Case> weighted_matmul_metamorphic_cases(
    const OpLauncher<WeightedMatmulParams>& launcher = weighted_matmul);
/// Its large_cases.
[[nodiscard]] std::vector<Case> weighted_matmul_large_cases(std::int64_t shrink);

}  // namespace hipforge::harness
