#pragma once

#include "kernels/runtime/launch.h"
#include "kernels/runtime/operands.h"
#include "kernels/runtime/target.h"
#include "kernels/runtime/tensor.h"

#include <cstdint>

namespace hipforge {

/// Writes new keys and values into a paged cache. Sequence b owns rows [offsets[b], offsets[b + 1]) of k and
/// v. Row t of it is token
///
///   n = kv_lens[b] − (offsets[b + 1] − t)
///
/// of the sequence and goes to page block_table[b, n / page_size], slot n % page_size. kv_lens counts the
/// tokens after the append, exactly as flash_attention takes it.
/// Kwon et al., "Efficient Memory Management for Large Language Model Serving with PagedAttention", 2023
/// (arXiv:2309.06180), section 4.1.
///
/// Tensors (strides in elements):
///   k, v              [tokens, kv_heads, head_dim]  f32, f16, bf16; last axis contiguous, other strides
///                     free (they may be slices of one fused projection)
///   k_cache, v_cache  [pages, page_size, kv_heads, head_dim]  dtype of k; last axis contiguous, other
///                     strides free; the memory that each spans must not overlap anything else
///   offsets           i32 [batch + 1], not decreasing, within [0, tokens]; rows outside belong to nobody
///                     and are skipped (padding of a captured launch)
///   kv_lens           i32 [batch]
///   block_table       i32 [batch, max_pages]; only entries of pages that receive a token are read. Where
///                     two tokens of a launch meet in one slot, which of them stays is undefined
/// Alignment: that of the element. 16-byte accesses where all rows start at multiples of 16 bytes and
/// head_dim is a multiple of 16 bytes.
///
/// Bits are copied: NaN payloads and −0 survive. page_size ≥ 1; a page of page_size tokens holds page_size
/// tokens. Empty (tokens, kv_heads or head_dim 0, or batch 0) launches nothing.
/// What is bad on the device sets a bit in error_word, and nothing outside the tensors is touched:
///   kDeviceErrorOffsets  offsets decrease or leave [0, tokens]: nothing at all is written
///   kDeviceErrorLength   kv_lens[b] is under the sequence's rows, or over max_pages · page_size (the cache
///                        is full): nothing of the sequence is written
///   kDeviceErrorPage     a page is outside [0, pages): nothing of the token is written
///
/// Errors: kInvalidArgument for a shape, stride or overlap; kUnsupported for a dtype; kHipError from the
/// launch. Bound: none, the copy is exact. Bytes: k and v once, their rows of the caches once. FLOPs: 0.
/// Deterministic; no element depends on another.
struct KvAppendParams {
  TensorView k;
  TensorView v;
  TensorView k_cache;
  TensorView v_cache;
  TensorView offsets;
  TensorView kv_lens;
  TensorView block_table;
  std::uint32_t* error_word = nullptr;  ///< optional, device; DeviceError bits are ORed in
};

constexpr const char* op_name(const KvAppendParams&) {
  return "kv_append";
}
template <ParamsOf<KvAppendParams> P, class Visit>
void for_each_operand(P& p, Visit&& visit) {
  visit(OperandRole{"k", kIn}, p.k);
  visit(OperandRole{"v", kIn}, p.v);
  visit(OperandRole{"k_cache", kInOut}, p.k_cache);
  visit(OperandRole{"v_cache", kInOut}, p.v_cache);
  visit(OperandRole{"offsets", kIn}, p.offsets);
  visit(OperandRole{"kv_lens", kIn}, p.kv_lens);
  visit(OperandRole{"block_table", kIn}, p.block_table);
}
template <ParamsOf<KvAppendParams> P, class Visit>
void for_each_scalar(P& p, Visit&& visit) {
  visit("error_word", p.error_word);
}

/// Launches what kv_append_plan plans for `target`.
[[nodiscard]] Status kv_append(const KvAppendParams& params, hipStream_t stream,
                               const Target& target = kCurrentDevice);

/// What kv_append would launch on `target`; grid 0 where it would launch nothing.
[[nodiscard]] Status kv_append_plan(const KvAppendParams& params, const Target& target, LaunchPlan& plan);

}  // namespace hipforge
