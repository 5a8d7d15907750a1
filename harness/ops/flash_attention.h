#pragma once

#include "harness/core/case.h"
#include "harness/sweep/metamorphic.h"
#include "kernels/flash_attention.h"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kFlashAttentionBound = R"(
With u = 2⁻²⁴ and x_j = largest score − score_j:
  a score errs by (head_dim + 1)·u·scale·Σ|q k| of its sum, 2u of the scale and its product; the soft cap
  carries that on and adds u inside and 5u outside (tanhf within 2 ulp); the mask's addition u. Its
  exponential errs by u of the argument and 4u (expf within 2 ulp), each rescale by as much again: u·x_j +
  8u for the arguments, and 4u·(2 + x_j / lag). The oracle turns these into the change of o and lse that
  they can cause. The sums of weighted values and of weights: their depth times u, and 1 + x_j / lag
  roundings of rescaling; the division u; what underflows in an exponential, 2⁻¹⁴⁹|v|; the store. lse: the
  sum's relative error; logf within 2 ulp; one addition.
On matrix cores (f16, bf16) an addition in a product counts twice, because it may truncate; head_dim of
them make a score, those of FlashAttentionDepth a sum. Scores are powers of two: log₂e and the mask's
product with it add u of the scale and of the mask. A weight is rounded to the dtype, u_dtype·Σp|v|, but
for f16's subnormals, 2⁻³⁴|v|; the sum of weights is that of the weights before they are rounded. The
output is multiplied by a reciprocal, 2u. Rows that belong to no sequence are expected to be as they were,
NaN. Where a query is 0, there is no mask, the visible keys are a power of two in number and the values
integers of a sum within 2²⁴, o is the mean rounded once, exactly.)";

/// Host values of one attention launch: every tensor row-major as the params have it, rounded to its dtype.
/// What is empty is absent, and tells the layouts apart as in kernels/flash_attention.h. Indices must be
/// good.
struct FlashAttentionInputs {
  std::span<const double> q;
  std::span<const double> k;
  std::span<const double> v;
  std::span<const double> mask;
  std::array<std::int64_t, 3> mask_shape{1, 1, 1};  ///< batch, heads and rows of the mask
  std::span<const double> q_offsets;
  std::span<const double> kv_offsets;
  std::span<const double> kv_lens;
  std::span<const double> block_table;
  std::int64_t batch = 0;
  std::int64_t q_len = 0;   ///< dense queries
  std::int64_t kv_len = 0;  ///< dense keys
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t page_size = 0;
  double scale = 0.0;  ///< 0: 1 / sqrt(head_dim)
  double soft_cap = 0.0;
  bool causal = false;
  std::int64_t window = 0;
  std::int64_t prefix_len = 0;
  DType dtype = DType::kF32;
};

struct FlashAttentionExpected {
  Expected o;
  Expected lse;
  std::int64_t bytes = 0;  ///< least traffic, without lse
  std::int64_t flops = 0;
};

/// Oracle and kFlashAttentionBound.
[[nodiscard]] FlashAttentionExpected flash_attention_expected(const FlashAttentionInputs& inputs);

[[nodiscard]] OpSuite flash_attention_suite();
/// Its metamorphic cases, of `launcher`.
[[nodiscard]] std::vector<Case> flash_attention_metamorphic_cases(
    const OpLauncher<FlashAttentionParams>& launcher = flash_attention);
/// Its large_cases.
[[nodiscard]] std::vector<Case> flash_attention_large_cases(std::int64_t shrink);

}  // namespace hipforge::harness
