#pragma once

#include "kernels/runtime/launch.h"
#include "kernels/runtime/operands.h"
#include "kernels/runtime/target.h"
#include "kernels/runtime/tensor.h"

#include <cstdint>

namespace hipforge {

/// Rows of a table, looked up by token id and scaled.
///
///   y[t, i] = scale · table[ids[t], i]
///
/// Vaswani et al., "Attention Is All You Need", 2017 (arXiv:1706.03762), section 3.4, where scale is
/// sqrt(hidden).
///
/// Tensors (strides in elements):
///   table  [vocab, hidden]   f32, f16 or bf16; last axis contiguous, any row stride
///   ids    [tokens]          i32; any stride
///   y      [tokens, hidden]  f32, f16 or bf16, whatever the table is; last axis contiguous, any row stride;
///                            shares no byte with table or ids
///
/// Alignment: that of the element. Where all rows of table and y stand at multiples of 16 bytes, accesses are
/// of 16 bytes, with the same result.
///
/// scale: finite. One rounding by the product in f32, one at the store. scale = 1 into the same dtype, or
/// into f32, copies exactly, infinities and signed zeros included (a NaN stays a NaN).
///
/// error_word: optional, device memory; kDeviceErrorToken is ORed into it for an id outside [0, vocab). Such
/// an id reads nothing and makes its row of y NaN; the other rows are not affected. vocab = 0 makes every id
/// bad.
///
/// Empty: tokens = 0 or hidden = 0 launches nothing, and then no id is looked at.
///
/// Errors: kInvalidArgument for a rank, shape, stride, null or short buffer, an overlap with y, or a scale
/// that is not finite; kUnsupported for a dtype (the message names the legal ones) or a wave size; kHipError
/// from the launch.
///
/// Bound: harness/ops/embedding.cpp. Bytes: ids once, a row of the table and one of y per token.
/// FLOPs: 1 per element.
///
/// Deterministic: a row's bits depend on its id, the table's row and scale alone.
struct EmbeddingParams {
  TensorView table;
  TensorView ids;
  TensorView y;
  float scale = 1.0f;
  std::uint32_t* error_word = nullptr;
};

constexpr const char* op_name(const EmbeddingParams&) {
  return "embedding";
}
template <ParamsOf<EmbeddingParams> P, class Visit>
void for_each_operand(P& p, Visit&& visit) {
  visit(OperandRole{"table", kIn}, p.table);
  visit(OperandRole{"ids", kIn}, p.ids);
  visit(OperandRole{"y", kOut}, p.y);
}
template <ParamsOf<EmbeddingParams> P, class Visit>
void for_each_scalar(P& p, Visit&& visit) {
  visit("scale", p.scale);
  visit("error_word", p.error_word);
}

/// Launches what embedding_plan plans for `target`.
[[nodiscard]] Status embedding(const EmbeddingParams& params, hipStream_t stream,
                               const Target& target = kCurrentDevice);

/// What embedding would launch on `target`; grid 0 where it would launch nothing.
[[nodiscard]] Status embedding_plan(const EmbeddingParams& params, const Target& target, LaunchPlan& plan);

}  // namespace hipforge
