#pragma once

#include "kernels/runtime/launch.h"
#include "kernels/runtime/operands.h"
#include "kernels/runtime/target.h"
#include "kernels/runtime/tensor.h"

#include <cstdint>

namespace hipforge {

/// Attention weights × values, over batch and heads, with the GQA mapping of heads.
///
///   out[b, i, h, d] = Σ_j weights[b, h, i, j] · values[b, j, h / (q_heads / kv_heads), d]
///
/// The second product of Vaswani et al., "Attention Is All You Need", 2017 (arXiv:1706.03762), equation 1;
/// heads grouped as in Ainslie et al., "GQA", 2023 (arXiv:2305.13245), section 2.2.
///
/// Tensors (strides in elements, last axis contiguous, the others free):
///   weights  [batch, q_heads, q_len, kv_len]      f32, f16, bf16
///   values   [batch, kv_len, kv_heads, head_dim]  dtype of weights; q_heads is a multiple of kv_heads
///   out      [batch, q_len, q_heads, head_dim]    dtype of weights; overlaps nothing
/// Alignment: that of the element; rows at multiples of 16 bytes take 16-byte accesses.
///
/// Accumulation in f32, in levels, so that the error does not grow with kv_len as a plain sum's does. f32:
/// chunks of 32 keys are added in order, 64 chunk sums in order make a span of 2,048 keys, the spans are
/// added in order. f16 and bf16, on matrix cores (kernels/device/matrix_core.h, warpgroup_core.h): 16 keys
/// at a time, in order, are added to the sum of a span as the matrix unit adds, then the spans in order.
/// Products are exact, one rounding at the store. On gfx90a matrix cores take subnormal f16 and bf16 numbers
/// for 0.
///
/// Edge cases. It does not mask: a NaN or infinity in values, in that key's column d, makes the outputs of
/// every row NaN or infinite, whatever the weight (0 · NaN and 0 · inf are NaN). kv_len = 0 gives zeros. A
/// partial sum beyond f32 is infinite, as the formula in f32 is. Empty: batch, q_heads, q_len or head_dim = 0
/// launches nothing; q_heads > 0 needs kv_heads > 0.
///
/// Errors: kInvalidArgument for a rank, shape, stride, size, overlap or q_heads that is no multiple of
/// kv_heads; kUnsupported for a dtype; kHipError from the launch.
///
/// Bound: harness/ops/weighted_matmul.cpp. Bytes: every tensor once.
/// FLOPs: 2 · batch · q_heads · q_len · kv_len · head_dim.
///
/// Deterministic: on one target an element's bits depend on its own weights and values and on kv_len alone:
/// one row (decode) gives the bits that it has as the last row of many (prefill).
struct WeightedMatmulParams {
  TensorView weights;
  TensorView values;
  TensorView out;
};

constexpr const char* op_name(const WeightedMatmulParams&) {
  return "weighted_matmul";
}
template <ParamsOf<WeightedMatmulParams> P, class Visit>
void for_each_operand(P& p, Visit&& visit) {
  visit(OperandRole{"weights", kIn}, p.weights);
  visit(OperandRole{"values", kIn}, p.values);
  visit(OperandRole{"out", kOut}, p.out);
}
template <ParamsOf<WeightedMatmulParams> P, class Visit>
void for_each_scalar(P&, Visit&&) {}

/// Launches what weighted_matmul_plan plans for `target`.
[[nodiscard]] Status weighted_matmul(const WeightedMatmulParams& params, hipStream_t stream,
                                     const Target& target = kCurrentDevice);

/// What weighted_matmul would launch on `target`; grid 0 where it would launch nothing.
[[nodiscard]] Status weighted_matmul_plan(const WeightedMatmulParams& params, const Target& target,
                                          LaunchPlan& plan);

/// Additions on the longest path of the kernel's sum over keys, for the error bound: f32 at most 31 + 63 +
/// kv_len / 2,048; f16 and bf16 at most 2,047 + kv_len / 2,048, where those of a matrix unit, which may
/// truncate, count twice.
[[nodiscard]] std::int64_t weighted_matmul_reduction_depth(DType dtype, std::int64_t kv_len,
                                                           const Target& target);

}  // namespace hipforge
