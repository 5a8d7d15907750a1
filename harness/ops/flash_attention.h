#pragma once

#include "harness/sweep/metamorphic.h"
#include "kernels/flash_attention.h"

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

/// Oracle and kFlashAttentionBound: o, and lse where there is one.
[[nodiscard]] Oracle<FlashAttentionParams> expect;

/// The values of sequences in a cache's pages: the i-th page of all of them at order[i], NaN where nothing lies.
[[nodiscard]] std::vector<double> in_pages(const std::vector<std::span<const double>>& sequences,
                                           std::int64_t page_elements,
                                           const std::vector<std::int64_t>& order);

[[nodiscard]] Relations<FlashAttentionParams> flash_attention_metamorphic_cases;

}  // namespace hipforge::harness
