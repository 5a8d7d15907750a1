#pragma once

#include "kernels/runtime/launch.h"
#include "kernels/runtime/operands.h"
#include "kernels/runtime/target.h"
#include "kernels/runtime/tensor.h"

namespace hipforge {

/// The gated activation between the two products of a feed-forward block.
///
///   y[r, i] = silu(gate[r, i]) · up[r, i]      silu(g) = g / (1 + exp(−g)), and −0 at g = −infinity
///
/// Shazeer, "GLU Variants Improve Transformer", 2020 (arXiv:2002.05202), equation 5.
///
/// Tensors (strides in elements, last axis contiguous), all of one dtype out of f32, f16, bf16:
///   gate  [rows, cols]  any row stride
///   up    [rows, cols]  any row stride; gate and up may be column ranges of one matrix, or the same view
///   y     [rows, cols]  any row stride; may be the same view as gate or as up, or a column range of their
///                       matrix beside them (equal row strides); overlaps nothing otherwise
///
/// Alignment: that of the element. Where all rows of all tensors stand at multiples of 16 bytes, accesses are
/// of 16 bytes, with the same result.
///
/// Computed in f32, one rounding at the store. The exponential is taken of −|g|: it never overflows, and silu
/// is accurate to a few roundings for every g, down to where the result underflows (g below about −103 gives
/// −0).
///
/// NaN and infinity: NaN in gate or up gives NaN. gate = +infinity gives infinity · up, gate = −infinity
/// gives −0 · up. 0 · infinity is NaN, also where silu is 0 only because it underflowed. An element depends
/// on no other.
///
/// Empty: rows = 0 or cols = 0 launches nothing.
///
/// Errors: kInvalidArgument for a rank, shape, stride, null or short buffer, or an overlap with y that is not
/// one of the above; kUnsupported for a dtype or dtypes that differ (the message names the legal ones) or a
/// wave size; kHipError from the launch.
///
/// Bound: harness/ops/swiglu.h. Bytes: every tensor once.
/// FLOPs: 5 per element, the exponential counted as one.
///
/// Deterministic: an element's bits depend on its gate and up alone.
struct SwigluParams {
  TensorView gate;
  TensorView up;
  TensorView y;
};

constexpr const char* op_name(const SwigluParams&) {
  return "swiglu";
}
template <ParamsOf<SwigluParams> P, class Visit>
void for_each_operand(P& p, Visit&& visit) {
  visit(OperandRole{"gate", kIn}, p.gate);
  visit(OperandRole{"up", kIn}, p.up);
  visit(OperandRole{"y", kOut, {"gate", "up"}}, p.y);
}
template <ParamsOf<SwigluParams> P, class Visit>
void for_each_scalar(P&, Visit&&) {}

/// Launches what swiglu_plan plans for `target`.
[[nodiscard]] Status swiglu(const SwigluParams& params, hipStream_t stream,
                            const Target& target = kCurrentDevice);

/// What swiglu would launch on `target`; grid 0 where it would launch nothing.
[[nodiscard]] Status swiglu_plan(const SwigluParams& params, const Target& target, LaunchPlan& plan);

}  // namespace hipforge
