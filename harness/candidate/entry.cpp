#include "harness/candidate/entry.h"

#include "harness/candidate/hipforge_candidate.h"
#include "kernels/argmax.h"
#include "kernels/causal_mask.h"
#include "kernels/embedding.h"
#include "kernels/flash_attention.h"
#include "kernels/kv_append.h"
#include "kernels/linear.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/sample.h"
#include "kernels/softmax.h"
#include "kernels/swiglu.h"
#include "kernels/weighted_matmul.h"

#include <algorithm>

namespace hipforge::harness {
namespace {

// The numbers of the header are promised, those of our enums are not.
static_assert(static_cast<int>(DType::kF32) == HIPFORGE_F32 &&
              static_cast<int>(DType::kF16) == HIPFORGE_F16 &&
              static_cast<int>(DType::kBF16) == HIPFORGE_BF16 &&
              static_cast<int>(DType::kI32) == HIPFORGE_I32 &&
              static_cast<int>(DType::kU32) == HIPFORGE_U32 && static_cast<int>(DType::kU8) == HIPFORGE_U8);
static_assert(static_cast<int>(EmptyRow::kZero) == HIPFORGE_EMPTY_ROW_ZERO &&
              static_cast<int>(EmptyRow::kUniform) == HIPFORGE_EMPTY_ROW_UNIFORM &&
              static_cast<int>(EmptyRow::kNaN) == HIPFORGE_EMPTY_ROW_NAN);
static_assert(static_cast<int>(RopeStyle::kInterleaved) == HIPFORGE_ROPE_INTERLEAVED &&
              static_cast<int>(RopeStyle::kHalfSplit) == HIPFORGE_ROPE_HALF_SPLIT);

hipforge_tensor tensor(const TensorView& view) {
  hipforge_tensor made{};
  made.data = view.data;
  made.dtype = static_cast<std::int32_t>(view.dtype);
  made.rank = view.rank;
  std::copy(view.shape.begin(), view.shape.end(), made.shape);
  std::copy(view.strides.begin(), view.strides.end(), made.strides);
  return made;
}

hipforge_rms_norm_params convert(const RmsNormParams& p) {
  return {tensor(p.x), tensor(p.residual), tensor(p.residual_out), tensor(p.weight), tensor(p.y), p.eps};
}

hipforge_softmax_params convert(const SoftmaxParams& p) {
  return {tensor(p.x),
          tensor(p.y),
          tensor(p.mask),
          p.scale,
          p.causal ? 1 : 0,
          p.causal_offset,
          static_cast<std::int32_t>(p.empty_row)};
}

hipforge_weighted_matmul_params convert(const WeightedMatmulParams& p) {
  return {tensor(p.weights), tensor(p.values), tensor(p.out)};
}

hipforge_causal_mask_params convert(const CausalMaskParams& p) {
  return {tensor(p.mask), p.window, p.prefix_len};
}

hipforge_rope_params convert(const RopeParams& p) {
  return {tensor(p.x),        tensor(p.y),  tensor(p.positions),
          tensor(p.inv_freq), p.rotary_dim, static_cast<std::int32_t>(p.style),
          p.magnitude,        p.error_word};
}

hipforge_kv_append_params convert(const KvAppendParams& p) {
  return {tensor(p.k),       tensor(p.v),       tensor(p.k_cache),     tensor(p.v_cache),
          tensor(p.offsets), tensor(p.kv_lens), tensor(p.block_table), p.error_word};
}

hipforge_argmax_params convert(const ArgmaxParams& p) {
  return {tensor(p.x), tensor(p.ids), tensor(p.values)};
}

hipforge_sample_params convert(const SampleParams& p) {
  return {tensor(p.logits), tensor(p.ids), tensor(p.draws), p.temperature,
          p.top_k,          p.top_p,       p.seed,          p.position};
}

hipforge_flash_attention_params convert(const FlashAttentionParams& p) {
  hipforge_flash_attention_params made{};
  made.q = tensor(p.q);
  made.k = tensor(p.k);
  made.v = tensor(p.v);
  made.o = tensor(p.o);
  made.lse = tensor(p.lse);
  made.mask = tensor(p.mask);
  made.q_offsets = tensor(p.q_offsets);
  made.kv_offsets = tensor(p.kv_offsets);
  made.kv_lens = tensor(p.kv_lens);
  made.block_table = tensor(p.block_table);
  made.max_q_len = p.max_q_len;
  made.max_kv_len = p.max_kv_len;
  made.scale = p.scale;
  made.soft_cap = p.soft_cap;
  made.causal = p.causal ? 1 : 0;
  made.window = p.window;
  made.prefix_len = p.prefix_len;
  made.batch_invariant = p.batch_invariant ? 1 : 0;
  made.error_word = p.error_word;
  return made;
}

hipforge_linear_params convert(const LinearParams& p) {
  return {tensor(p.x), tensor(p.weight), tensor(p.bias), tensor(p.y), p.batch_invariant ? 1 : 0};
}

hipforge_embedding_params convert(const EmbeddingParams& p) {
  return {tensor(p.table), tensor(p.ids), tensor(p.y), p.scale, p.error_word};
}

hipforge_swiglu_params convert(const SwigluParams& p) {
  return {tensor(p.gate), tensor(p.up), tensor(p.y)};
}

Status status_of(int code, const std::string& name) {
  if (code == 0) return {};
  if (code == HIPFORGE_CANDIDATE_UNSUPPORTED) return unsupported(name, " does not support this case");
  Status status = hip_status(static_cast<hipError_t>(code), name);
  // A value that is no error of HIP's is one all the same.
  if (status.ok()) status = failure(StatusCode::kHipError, name, " returned ", code);
  return status;
}

using Bound = std::function<Status(const std::any&, hipStream_t)>;

// The header's own declaration says which struct the entry takes.
template <class Params, class Struct>
Bound bind(int (*)(const Struct*, hipforge_stream), void* entry, const std::string& name) {
  const auto function = reinterpret_cast<int (*)(const Struct*, hipforge_stream)>(entry);
  return [function, name](const std::any& params, hipStream_t stream) {
    const Struct converted = convert(std::any_cast<const Params&>(params));
    return status_of(function(&converted, stream), name);
  };
}

}  // namespace

std::string candidate_entry_name(const std::string& op) {
  return "hipforge_candidate_" + op;
}

Bound bind_candidate_entry(const std::string& op, void* entry) {
  const std::string name = candidate_entry_name(op);
#define HIPFORGE_BIND(OP, PARAMS)                                                               \
  if (op == #OP) {                                                                              \
    return bind<PARAMS>(static_cast<decltype(&hipforge_candidate_##OP)>(nullptr), entry, name); \
  }
  HIPFORGE_BIND(rms_norm, RmsNormParams)
  HIPFORGE_BIND(softmax, SoftmaxParams)
  HIPFORGE_BIND(weighted_matmul, WeightedMatmulParams)
  HIPFORGE_BIND(causal_mask, CausalMaskParams)
  HIPFORGE_BIND(rope, RopeParams)
  HIPFORGE_BIND(kv_append, KvAppendParams)
  HIPFORGE_BIND(argmax, ArgmaxParams)
  HIPFORGE_BIND(sample, SampleParams)
  HIPFORGE_BIND(flash_attention, FlashAttentionParams)
  HIPFORGE_BIND(linear, LinearParams)
  HIPFORGE_BIND(embedding, EmbeddingParams)
  HIPFORGE_BIND(swiglu, SwigluParams)
#undef HIPFORGE_BIND
  throw Error(invalid_argument("op ", op, " takes no candidate"));
}

}  // namespace hipforge::harness
