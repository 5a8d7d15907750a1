#pragma once

#include "kernels/runtime/launch.h"
#include "kernels/runtime/operands.h"
#include "kernels/runtime/target.h"
#include "kernels/runtime/tensor.h"

#include <cstdint>

namespace hipforge {

/// What a row without a single remaining element becomes, over all of its columns.
enum class EmptyRow {
  kZero,     ///< 0
  kUniform,  ///< 1 / cols
  kNaN,      ///< NaN
};

/// Softmax along the last axis, with scale, causal limit and additive mask.
///
///   t[b, h, i, j] = scale · x[b, h, i, j] + mask[b, h, i, j]
///   y[b, h, i, j] = exp(t_ij − max_j t_ij) / Σ_j exp(t_ij − max_j t_ij)     over the remaining j
///   y[b, h, i, j] = 0                                                       where j was removed
///
/// Removed: j > i + causal_offset where causal is set; mask = −inf, whatever the score beside it (NaN and
/// +inf included); t = −inf. Rows too long for a block's registers take the online recurrence of Milakov and
/// Gimelshein, "Online normalizer calculation for softmax", 2018 (arXiv:1805.02867), algorithm 3.
///
/// Tensors (strides in elements, last axis contiguous, the others free):
///   x     [batch, heads, rows, cols]   f32, f16, bf16
///   y     [batch, heads, rows, cols]   dtype of x; may be the same view as x, else overlaps nothing
///   mask  [batch|1, heads|1, rows|1, cols]   optional; f32 or the dtype of x; a size of 1 is broadcast
/// Alignment: that of the element; rows at multiples of 16 bytes take 16-byte accesses.
///
/// scale: finite, of any sign. causal_offset: any integer; cols − rows counts from the bottom right, a
/// negative one leaves the leading rows empty. causal and mask may both be given.
///
/// Accumulation in f32: one rounding for scale · x, one for the mask's addition, one for t − max; expf; the
/// sum; its reciprocal; one product; one rounding at the store.
///
/// Edge cases. A row with no remaining element becomes what empty_row says. Any finite t is handled, ±1e30 as
/// well: the maximum is subtracted first. A NaN or +inf among the remaining elements of a row (a finite x
/// whose t overflows f32 counts as infinite) makes all of its remaining elements NaN, and no other row's;
/// removed ones stay 0. What causal hides is not read. Empty: batch, heads, rows or cols = 0 launches
/// nothing.
///
/// Errors: kInvalidArgument for a rank, shape, stride, size, overlap or a scale that is not finite;
/// kUnsupported for a dtype; kHipError from the launch.
///
/// Bound: harness/ops/softmax.cpp. Bytes: every tensor once. FLOPs: 5 per element.
///
/// Deterministic: a row's bits depend on its own elements, its mask, cols and the Target, not on its
/// alignment, on other rows or on how many there are.
struct SoftmaxParams {
  TensorView x;
  TensorView y;
  TensorView mask;
  float scale = 1.0f;
  bool causal = false;
  std::int64_t causal_offset = 0;
  EmptyRow empty_row = EmptyRow::kZero;
};

constexpr const char* op_name(const SoftmaxParams&) {
  return "softmax";
}
template <ParamsOf<SoftmaxParams> P, class Visit>
void for_each_operand(P& p, Visit&& visit) {
  visit(OperandRole{"x", kIn}, p.x);
  visit(OperandRole{"y", kOut, {"x"}}, p.y);
  visit(OperandRole{"mask", kIn | kOptional}, p.mask);
}
template <ParamsOf<SoftmaxParams> P, class Visit>
void for_each_scalar(P& p, Visit&& visit) {
  visit("scale", p.scale);
  visit("causal", p.causal);
  visit("causal_offset", p.causal_offset);
  visit("empty_row", p.empty_row);
}

/// Launches what softmax_plan plans for `target`.
[[nodiscard]] Status softmax(const SoftmaxParams& params, hipStream_t stream,
                             const Target& target = kCurrentDevice);

/// What softmax would launch on `target`; grid 0 where it would launch nothing.
[[nodiscard]] Status softmax_plan(const SoftmaxParams& params, const Target& target, LaunchPlan& plan);

/// Roundings on the longest path through the kernel's sum of exponentials, for the error bound: its
/// additions, and four (exponential, difference, product) for each time that the online recurrence rescales a
/// partial sum.
[[nodiscard]] std::int64_t softmax_reduction_depth(std::int64_t cols, const Target& target);

}  // namespace hipforge
