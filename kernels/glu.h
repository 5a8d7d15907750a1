#pragma once

#include "kernels/runtime/launch.h"
#include "kernels/runtime/operands.h"
#include "kernels/runtime/target.h"
#include "kernels/runtime/tensor.h"

namespace hipforge {

/// What a feed-forward block puts between its products.
enum class Activation {
  kSilu,      ///< silu(g) = g / (1 + exp(−g)), gated: SwiGLU
  kGeluTanh,  ///< gelu(g) = g / 2 · (1 + tanh(√(2/π) · (g + 0.044715 · g³))), gated: GeGLU
  kRelu2,     ///< max(g, 0)², without a gate
};

/// The activation between the products of a feed-forward block.
///
///   y[r, i] = f(gate[r, i]) · up[r, i]      f silu or gelu; both are −0 at g = −infinity
///   y[r, i] = max(gate[r, i], 0)²           kRelu2
///
/// Shazeer, "GLU Variants Improve Transformer", 2020 (arXiv:2002.05202), equation 5; So et al., "Primer", 2021
/// (arXiv:2109.08668), section 3, for the squared ReLU.
///
/// Tensors (strides in elements, last axis contiguous), all of one dtype out of f32, f16, bf16:
///   gate  [rows, cols]  any row stride
///   up    [rows, cols]  absent exactly where activation is kRelu2; any row stride; gate and up may be column
///                       ranges of one matrix, or the same view
///   y     [rows, cols]  any row stride; may be the same view as gate or as up, or a column range of their
///                       matrix beside them (equal row strides); overlaps nothing otherwise
///
/// Alignment: that of the element. Where all rows of all tensors stand at multiples of 16 bytes, accesses are
/// of 16 bytes, with the same result.
///
/// Computed in f32, one rounding at the store. The exponential is taken of −|z|, z = g for silu and 2·√(2/π) · (g +
/// 0.044715 · g³) for gelu, which is g / (1 + exp(−z)): it never overflows, and f is accurate to a few roundings (gelu:
/// and to those of z) for every g, down to where the result underflows (silu: g below about −103 gives −0; gelu: below
/// about −11).
///
/// NaN and infinity: NaN in gate or up gives NaN. gate = +infinity gives infinity · up, gate = −infinity gives −0 · up
/// (kRelu2: 0). 0 · infinity is NaN, also where f is 0 only because it underflowed. A square over the dtype's range is
/// infinity. An element depends on no other.
///
/// Empty: rows = 0 or cols = 0 launches nothing.
///
/// Errors: kInvalidArgument for a rank, shape, stride, null or short buffer, an up that is there or not against the
/// activation, or an overlap with y that is not one of the above; kUnsupported for a dtype or dtypes that differ
/// (the message names the legal ones) or a wave size; kHipError from the launch.
///
/// Bound: harness/ops/glu.cpp. Bytes: every tensor once.
/// FLOPs: 5 per element (kGeluTanh 9, kRelu2 2), the exponential counted as one.
///
/// Deterministic: an element's bits depend on its gate and up alone.
struct GluParams {
  TensorView gate;
  TensorView up;
  TensorView y;
  Activation activation = Activation::kSilu;
};

constexpr const char* op_name(const GluParams&) {
  return "glu";
}
template <ParamsOf<GluParams> P, class Visit>
void for_each_operand(P& p, Visit&& visit) {
  visit(OperandRole{"gate", kIn}, p.gate);
  visit(OperandRole{"up", kIn | kOptional}, p.up);
  visit(OperandRole{"y", kOut, {"gate", "up"}}, p.y);
}
template <ParamsOf<GluParams> P, class Visit>
void for_each_scalar(P& p, Visit&& visit) {
  visit("activation", p.activation);
}

/// Launches what glu_plan plans for `target`.
[[nodiscard]] Status glu(const GluParams& params, hipStream_t stream, const Target& target = kCurrentDevice);

/// What glu would launch on `target`; grid 0 where it would launch nothing.
[[nodiscard]] Status glu_plan(const GluParams& params, const Target& target, LaunchPlan& plan);

}  // namespace hipforge
