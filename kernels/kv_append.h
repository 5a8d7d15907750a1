#pragma once

#include "kernels/runtime/launch.h"
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
/// tokens after the append, exactly as flash_attention takes it. Kwon et al., "Efficient Memory Management
/// for Large Language Model Serving with PagedAttention", 2023 (arXiv:2309.06180), section 4.1.
///
/// Tensors (strides in elements):
///   k, v              [tokens, kv_heads, head_dim]  f32, f16, bf16; last axis contiguous, other strides free
///   (they may
///                     be slices of one fused projection)
///   k_cache, v_cache  [pages, page_size, kv_heads, head_dim]  dtype of k; last axis contiguous, other
///   strides free;
///                     the ranges of memory that they span must not overlap anything else
///   offsets           i32 [batch + 1], not decreasing, within [0, tokens]; rows outside belong to nobody and
///   are
///                     skipped (padding of a captured launch)
///   kv_lens           i32 [batch]
///   block_table       i32 [batch, max_pages]; only entries of pages that receive a token are read. No page
///   may stand
///                     in two places that are written at once: which token stays is then undefined
/// Alignment: that of the element. 16-byte accesses where all rows start at multiples of 16 bytes and
/// head_dim is one.
///
/// Bits are copied: NaN payloads and −0 survive. page_size ≥ 1; a page of page_size tokens holds page_size
/// tokens. Empty (tokens, kv_heads or head_dim 0, or batch 0) launches nothing. On the device, each sets its
/// bit in error_word, and nothing outside the tensors is touched:
///   offsets that decrease or leave [0, tokens]                kDeviceErrorOffsets: nothing at all is written
///   kv_lens[b] under the sequence's rows, or over max_pages · page_size (the cache is full)
///                                                             kDeviceErrorLength: nothing of the sequence is
///                                                             written
///   a page outside [0, pages)                                 kDeviceErrorPage: nothing of the token is
///   written
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

[[nodiscard]] Status kv_append(const KvAppendParams& params, hipStream_t stream);

/// What kv_append would launch on `target`; grid 0 where it would launch nothing.
[[nodiscard]] Status kv_append_plan(const KvAppendParams& params, const Target& target, LaunchPlan& plan);

}  // namespace hipforge
