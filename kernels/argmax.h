#pragma once

#include "kernels/runtime/launch.h"
#include "kernels/runtime/operands.h"
#include "kernels/runtime/target.h"
#include "kernels/runtime/tensor.h"

namespace hipforge {

/// ids[r] = the lowest index of the largest element of row r.
///
/// Tensors (strides in elements):
///   x       [rows, cols]  f32, f16, bf16; last axis contiguous, any row stride (0: one row for all);
///                         1 ≤ cols < 2³¹
///   ids     i32 [rows]
///   values  f32 [rows], optional: the element itself, widened
/// Outputs must not overlap x, each other or themselves. Alignment: that of the element; rows at multiples
/// of 16 bytes take 16-byte accesses.
///
/// Ties go to the lowest index; −0 and +0 tie. A NaN never wins against a number, −infinity included; a row
/// of NaN alone gives index 0 and value NaN. Empty (rows 0) launches nothing.
///
/// Errors: kInvalidArgument for a shape, stride or overlap, cols of 0; kUnsupported for a dtype; kHipError
/// from the launch.
/// Bound: none, index and value are exact. Bytes: x once, the outputs once. FLOPs: one comparison per
/// element.
/// Deterministic: a maximum of (value, index) pairs has one answer in any order.
struct ArgmaxParams {
  TensorView x;
  TensorView ids;
  TensorView values;
};

constexpr const char* op_name(const ArgmaxParams&) {
  return "argmax";
}
template <ParamsOf<ArgmaxParams> P, class Visit>
void for_each_operand(P& p, Visit&& visit) {
  visit(OperandRole{"x", kIn}, p.x);
  visit(OperandRole{"ids", kOut}, p.ids);
  visit(OperandRole{"values", kOut | kOptional}, p.values);
}
template <ParamsOf<ArgmaxParams> P, class Visit>
void for_each_scalar(P&, Visit&&) {}

/// Launches what argmax_plan plans for `target`.
[[nodiscard]] Status argmax(const ArgmaxParams& params, hipStream_t stream,
                            const Target& target = kCurrentDevice);

/// What argmax would launch on `target`; grid 0 where it would launch nothing.
[[nodiscard]] Status argmax_plan(const ArgmaxParams& params, const Target& target, LaunchPlan& plan);

}  // namespace hipforge
