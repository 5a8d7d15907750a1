#pragma once

#include "kernels/runtime/launch.h"
#include "kernels/runtime/operands.h"
#include "kernels/runtime/target.h"
#include "kernels/runtime/tensor.h"

#include <cstdint>

namespace hipforge {

/// Draws a token from each row of logits. In this order:
///   1. top_k keeps the top_k largest logits of the row (ties at the edge: lower indices); 0 keeps all;
///   2. wᵢ = exp((logitᵢ − max) / temperature), the probabilities times a constant;
///   3. top_p keeps the shortest run of tokens, by falling logit (ties: rising index), whose weight reaches
///      top_p of the weight that is left; 1 keeps all (Holtzman et al., "The Curious Case of Neural Text
///      Degeneration", 2019, arXiv:1904.09751, section 3.1);
///   4. ids[r] is the first index at which the sum of the kept weights, in index order, reaches u times
///      their total.
/// u is uniform in (0, 1]: bits b of the first output of Philox4x32-10 (Salmon et al., "Parallel Random
/// Numbers: As Easy as 1, 2, 3", 2011) with key `seed`, subsequence `position + r` and offset 0 in rocRAND's
/// numbering, made a float as rocrand_uniform does, fl(fl(b) · 2⁻³² + 2⁻³²). A token depends on its row, seed
/// and position alone.
///
/// Tensors (strides in elements):
///   logits  [rows, vocab]  f32, f16, bf16; last axis contiguous, any row stride (0: one row for all);
///                          1 ≤ vocab ≤ 1,048,576
///   ids     i32 [rows]
///   draws   f32 [rows], optional: the u that was used
/// Outputs must not overlap logits, each other or themselves. Alignment: that of the element; rows at
/// multiples of four elements take accesses of four.
///
/// temperature: finite, > 0; as it falls to 0 the result becomes argmax (among equal maxima still a draw).
/// top_k ≥ 0; from vocab on it keeps all. top_p in (0, 1].
///
/// NaN is no candidate. −infinity has weight 0 and is never drawn. Where logits are +infinity, they alone
/// share the weight. A row with nothing above −infinity has no distribution: its id is −1. Empty (rows 0)
/// launches nothing.
///
/// Weights are computed in f32 and kept as integers in units of 2⁻⁴³ (below that they are 0); all sums are
/// exact. So the order of summation does not exist, and wave size and block size never change a token.
///
/// Errors: kInvalidArgument for a shape, stride, overlap or scalar; kUnsupported for a dtype; kHipError from
/// the launch. No workspace.
/// Bound: harness/ops/sample.cpp. Bytes: logits once (they are read up to eleven times, from cache), the
/// outputs once. FLOPs: 4 per logit.
/// Deterministic.
struct SampleParams {
  TensorView logits;
  TensorView ids;
  TensorView draws;
  float temperature = 1.0f;
  std::int64_t top_k = 0;
  float top_p = 1.0f;
  std::uint64_t seed = 0;
  std::uint64_t position = 0;
};

constexpr const char* op_name(const SampleParams&) {
  return "sample";
}
template <ParamsOf<SampleParams> P, class Visit>
void for_each_operand(P& p, Visit&& visit) {
  visit(OperandRole{"logits", kIn}, p.logits);
  visit(OperandRole{"ids", kOut}, p.ids);
  visit(OperandRole{"draws", kOut | kOptional}, p.draws);
}
template <ParamsOf<SampleParams> P, class Visit>
void for_each_scalar(P& p, Visit&& visit) {
  visit("temperature", p.temperature);
  visit("top_k", p.top_k);
  visit("top_p", p.top_p);
  visit("seed", p.seed);
  visit("position", p.position);
}

/// Launches what sample_plan plans for `target`.
[[nodiscard]] Status sample(const SampleParams& params, hipStream_t stream,
                            const Target& target = kCurrentDevice);

/// What sample would launch on `target`; grid 0 where it would launch nothing.
[[nodiscard]] Status sample_plan(const SampleParams& params, const Target& target, LaunchPlan& plan);

}  // namespace hipforge
