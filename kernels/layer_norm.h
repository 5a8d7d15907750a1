#pragma once

#include "kernels/runtime/launch.h"
#include "kernels/runtime/operands.h"
#include "kernels/runtime/target.h"
#include "kernels/runtime/tensor.h"

#include <cstdint>

namespace hipforge {

/// LayerNorm, optionally fused with the residual add before it.
///
///   s[r, i] = residual[r, i] + x[r, i]      (s = x where residual is absent)
///   y[r, i] = (s[r, i] − m[r]) / sqrt(mean_i((s[r, i] − m[r])²) + eps) · weight[i] + bias[i],  m[r] = mean_i(s[r, i])
///
/// Ba, Kiros and Hinton, "Layer Normalization", 2016 (arXiv:1607.06450), equations 3 and 4, with eps inside the root.
///
/// Tensors (strides in elements, last axis contiguous):
///   x             [rows, hidden]  f32, f16, bf16; any row stride
///   residual      [rows, hidden]  optional; the stream's dtype: f32, or that of x
///   residual_out  [rows, hidden]  present exactly where residual is; dtype of residual; receives s, rounded to its
///                                 dtype; may be the same view as residual, and must not overlap anything else
///   weight        [hidden]        f32, f16 or bf16, whatever the others are; contiguous
///   bias          [hidden]        optional (0); dtype of weight; contiguous
///   y             [rows, hidden]  dtype of x, or without a residual any float dtype where x is f32; may be the same
///                                 view as x where the dtypes are equal
/// Alignment: that of the element; rows at multiples of 16 bytes take 16-byte accesses.
///
/// eps: finite, ≥ 0. With eps = 0 a row of equal elements gives NaN (0 · inf), as the formula does.
///
/// Accumulation in f32, in two passes: the mean first, then the squares of the differences from it; s enters both
/// before it is rounded to residual_out. One rounding at each store. Squares overflow f32 for |s − m| above about
/// 1.8e19: the row then gives bias, as the formula in f32 does. A NaN or infinity in a row makes that row NaN and no
/// other. Empty: rows = 0 launches nothing; hidden = 0 is refused.
///
/// Errors: kInvalidArgument for a shape, stride, overlap, eps or a missing residual_out; kUnsupported for a dtype;
/// kHipError from the launch. Bound: harness/ops/layer_norm.cpp. Bytes: every tensor once; FLOPs: 8 per element.
/// Deterministic: a row's bits depend on its own elements, its alignment class and the Target, not on other rows.
struct LayerNormParams {
  TensorView x;
  TensorView residual;
  TensorView residual_out;
  TensorView weight;
  TensorView bias;
  TensorView y;
  float eps = 1e-5f;
};

constexpr const char* op_name(const LayerNormParams&) {
  return "layer_norm";
}
template <ParamsOf<LayerNormParams> P, class Visit>
void for_each_operand(P& p, Visit&& visit) {
  visit(OperandRole{"x", kIn}, p.x);
  visit(OperandRole{"residual", kIn | kOptional}, p.residual);
  visit(OperandRole{"residual_out", kOut | kOptional, {"residual"}}, p.residual_out);
  visit(OperandRole{"weight", kIn}, p.weight);
  visit(OperandRole{"bias", kIn | kOptional}, p.bias);
  visit(OperandRole{"y", kOut, {"x"}}, p.y);
}
template <ParamsOf<LayerNormParams> P, class Visit>
void for_each_scalar(P& p, Visit&& visit) {
  visit("eps", p.eps);
}

/// Launches what layer_norm_plan plans for `target`.
[[nodiscard]] Status layer_norm(const LayerNormParams& params, hipStream_t stream,
                                const Target& target = kCurrentDevice);

/// What layer_norm would launch on `target`; grid 0 where it would launch nothing.
[[nodiscard]] Status layer_norm_plan(const LayerNormParams& params, const Target& target, LaunchPlan& plan);

/// Additions on the longest path of each of the kernel's two sums over a row, for the error bound.
[[nodiscard]] std::int64_t layer_norm_reduction_depth(std::int64_t hidden, const Target& target);

}  // namespace hipforge
