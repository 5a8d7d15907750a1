#pragma once

#include "kernels/runtime/launch.h"
#include "kernels/runtime/operands.h"
#include "kernels/runtime/target.h"
#include "kernels/runtime/tensor.h"

#include <cstdint>

namespace hipforge {

/// RMSNorm, optionally fused with the residual add before it.
///
///   s[r, i] = residual[r, i] + x[r, i]      (s = x where residual is absent)
///   y[r, i] = s[r, i] · weight[i] / sqrt(mean_i(s[r, i]²) + eps)
///
/// Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019 (arXiv:1910.07467), equation 4, with eps
/// inside the root as in Llama.
///
/// Tensors (strides in elements, last axis contiguous):
///   x             [rows, hidden]  f32, f16, bf16; any row stride
///   residual      [rows, hidden]  optional; the stream's dtype: f32, or that of x
///   residual_out  [rows, hidden]  present exactly where residual is; dtype of residual; receives s, rounded
///                                 to its dtype; may be the same view as residual, and must not overlap
///                                 anything else
///   weight        [hidden]        f32, f16 or bf16, whatever the others are; contiguous
///   y             [rows, hidden]  dtype of x, or without a residual any float dtype where x is f32; may be
///                                 the same view as x where the dtypes are equal
/// Alignment: that of the element; rows at multiples of 16 bytes take 16-byte accesses.
///
/// eps: finite, ≥ 0. With eps = 0 a row of zeros gives NaN (0 · inf), as the formula does.
///
/// Accumulation in f32; s enters the sum before it is rounded to residual_out. One rounding at each store.
/// Squares overflow f32 for |s| above about 1.8e19: the row then gives 0, as the formula in f32 does.
/// A NaN or infinity in a row makes that row NaN (infinity: the infinite elements NaN, the others 0) and no
/// other. Empty: rows = 0 launches nothing; hidden = 0 is refused.
///
/// Errors: kInvalidArgument for a shape, stride, overlap, eps or a missing residual_out; kUnsupported for a
/// dtype; kHipError from the launch. Bound: harness/ops/rms_norm.cpp. Bytes: every tensor once; FLOPs: 4 per
/// element. Deterministic: a row's bits depend on its own elements, its alignment class and the Target, not
/// on other rows.
struct RmsNormParams {
  TensorView x;
  TensorView residual;
  TensorView residual_out;
  TensorView weight;
  TensorView y;
  float eps = 1e-5f;
};

constexpr const char* op_name(const RmsNormParams&) {
  return "rms_norm";
}
template <ParamsOf<RmsNormParams> P, class Visit>
void for_each_operand(P& p, Visit&& visit) {
  visit(OperandRole{"x", kIn}, p.x);
  visit(OperandRole{"residual", kIn | kOptional}, p.residual);
  visit(OperandRole{"residual_out", kOut | kOptional, {"residual"}}, p.residual_out);
  visit(OperandRole{"weight", kIn}, p.weight);
  visit(OperandRole{"y", kOut, {"x"}}, p.y);
}
template <ParamsOf<RmsNormParams> P, class Visit>
void for_each_scalar(P& p, Visit&& visit) {
  visit("eps", p.eps);
}

/// Launches what rms_norm_plan plans for `target`.
[[nodiscard]] Status rms_norm(const RmsNormParams& params, hipStream_t stream,
                              const Target& target = kCurrentDevice);

/// What rms_norm would launch on `target`; grid 0 where it would launch nothing.
[[nodiscard]] Status rms_norm_plan(const RmsNormParams& params, const Target& target, LaunchPlan& plan);

/// Additions on the longest path of the kernel's sum of squares, for the error bound.
[[nodiscard]] std::int64_t rms_norm_reduction_depth(std::int64_t hidden, const Target& target);

}  // namespace hipforge
