#pragma once

#include "kernels/runtime/launch.h"
#include "kernels/runtime/operands.h"
#include "kernels/runtime/target.h"
#include "kernels/runtime/tensor.h"

#include <cstdint>

namespace hipforge {

/// A linear layer: the product with a transposed weight matrix, and an optional bias.
///
///   y[r, n] = Σ_k x[r, k] · weight[n, k] + bias[n]      (the bias is 0 where absent)
///
/// The layer of Vaswani et al., "Attention Is All You Need", 2017 (arXiv:1706.03762), equation 2, with the
/// weights as model files keep them: one row of in_features numbers for each output.
///
/// Tensors (strides in elements, last axis contiguous):
///   x       [rows, in_features]          f32, f16 or bf16; any row stride
///   weight  [out_features, in_features]  f32, f16 or bf16, whatever x is; any row stride
///   bias    [out_features]               optional; dtype of weight, or f32
///   y       [rows, out_features]         dtype of x, or f32; any row stride; shares no byte with the others
///
/// Alignment: that of the element. Where all rows of x and of weight stand at multiples of 16 bytes, they are
/// read by 16-byte accesses; with batch_invariant the result is the same either way.
///
/// batch_invariant: true sums every element of y in one order, whatever the number of rows. false lets the
/// launcher take a faster order from 32 rows on: f16 and bf16, where x and weight have the same, by matrix
/// cores (kernels/device/matrix_core.h, warpgroup_core.h), f32 and mixed pairs by tiles of fused
/// multiply-adds. The largest tiles want the 16-byte accesses.
///
/// Accumulation in f32, products exact, weights and activations widened exactly: by fused multiply-adds, or
/// as the matrix unit adds. The bias is added in f32 last, then one rounding at the store. Intermediate sums
/// overflow as f32 does. On gfx90a matrix cores take subnormal f16 and bf16 numbers for 0.
///
/// NaN and infinity: one in a row of x reaches that row of y, one in a row of weight that column, as the
/// formula has it (0 · infinity is NaN); no other element changes.
///
/// Empty: rows = 0 or out_features = 0 launches nothing; in_features = 0 gives the bias, or 0.
///
/// Errors: kInvalidArgument for a rank, shape, stride, null or short buffer, or an overlap with y;
/// kUnsupported for a dtype (the message names the legal ones) or a wave size; kHipError from the launch.
///
/// Bound: harness/ops/linear.cpp. Bytes: x, weight, bias and y once.
/// FLOPs: 2 · rows · in_features · out_features.
///
/// Deterministic: with batch_invariant the bits of y[r, n] are a function of row r of x, row n of weight,
/// bias[n], the dtypes and the Target's wave. Neither other rows, nor their number, nor out_features, strides
/// or alignment count. Without it the bits are a function of the params' values, shapes and alignment and of
/// the Target.
struct LinearParams {
  TensorView x;
  TensorView weight;
  TensorView bias;
  TensorView y;
  bool batch_invariant = true;
};

constexpr const char* op_name(const LinearParams&) {
  return "linear";
}
template <ParamsOf<LinearParams> P, class Visit>
void for_each_operand(P& p, Visit&& visit) {
  visit(OperandRole{"x", kIn}, p.x);
  visit(OperandRole{"weight", kIn}, p.weight);
  visit(OperandRole{"bias", kIn | kOptional}, p.bias);
  visit(OperandRole{"y", kOut}, p.y);
}
template <ParamsOf<LinearParams> P, class Visit>
void for_each_scalar(P& p, Visit&& visit) {
  visit("batch_invariant", p.batch_invariant);
}

/// Launches what linear_plan plans for `target`.
[[nodiscard]] Status linear(const LinearParams& params, hipStream_t stream,
                            const Target& target = kCurrentDevice);

/// What linear would launch on `target`; grid 0 where it would launch nothing.
[[nodiscard]] Status linear_plan(const LinearParams& params, const Target& target, LaunchPlan& plan);

/// Additions on the longest path of one element of y, that of the bias included, for the error bound. Those
/// of a matrix unit, which may truncate, count twice.
[[nodiscard]] std::int64_t linear_reduction_depth(const LinearParams& params, const Target& target);

}  // namespace hipforge
