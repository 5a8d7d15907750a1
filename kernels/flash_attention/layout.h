#pragma once

#include "kernels/runtime/device_error.h"

#include <hip/hip_runtime.h>

#include <cstdint>

namespace hipforge::flash_attention_detail {

/// Elements between neighbours; `outer` is the batch of a dense tensor, the page of a paged one, 0 for
/// packed.
struct Strides {
  std::int64_t outer;
  std::int64_t row;
  std::int64_t head;
};

struct FlashAttentionArgs {
  const void* q;
  const void* k;
  const void* v;
  void* o;
  float* lse;                       // null where not wanted
  const void* mask;                 // null without one
  const std::int32_t* q_offsets;    // null for dense queries
  const std::int32_t* kv_offsets;   // null but for packed keys
  const std::int32_t* kv_lens;      // null but for paged keys
  const std::int32_t* block_table;  // null but for paged keys
  std::uint32_t* error_word;        // null where not wanted
  Strides q_strides;
  Strides k_strides;
  Strides v_strides;
  Strides o_strides;
  Strides lse_strides;
  std::int64_t mask_strides[4];
  std::int64_t block_table_stride;
  std::int64_t batch;
  std::int64_t q_len;    // dense: of every sequence; packed: the most that a sequence may have
  std::int64_t kv_len;   // dense: of every sequence; packed and paged: the most that a sequence may have
  std::int64_t q_rows;   // packed: rows of q
  std::int64_t kv_rows;  // packed: rows of k and v
  std::int64_t pages;
  std::int64_t page_size;
  std::int64_t q_tiles;     // tiles of a sequence and kv head
  std::int64_t window;      // 0: none
  std::int64_t prefix_len;  // 0 where not causal
  int q_heads;
  int kv_heads;
  int group;  // q heads of a kv head
  int head_dim;
  float scale;     // matrix kernel: scale · log2 e, or scale / cap
  float soft_cap;  // 0: none; matrix kernel: cap · log2 e
  int causal;
  int mask_is_f32;
  int tile_rows;  // rows of a block
  int stages;     // key and value tiles in shared memory
  int vector_q;   // every row takes full-width accesses
  int vector_k;
  int vector_v;
  int vector_o;
};

/// One sequence of the batch: rows [q_begin, q_begin + q_len) of the queries, keys likewise.
struct Sequence {
  std::int64_t q_begin;
  std::int64_t q_len;
  std::int64_t kv_begin;
  std::int64_t kv_len;
  bool valid;
};

/// Keys [first, end): what a row sees beside the prefix.
struct Visible {
  std::int64_t first;
  std::int64_t end;
};

__device__ inline void report(const FlashAttentionArgs& args, std::uint32_t error) {
  if (args.error_word != nullptr) atomicOr(args.error_word, error);
}

/// Checks all offsets of packed queries, because a bad one lets sequences overlap that look good one by one.
/// The whole block calls.
__device__ inline bool query_offsets_are_valid(const FlashAttentionArgs& args) {
  bool bad = false;
  for (std::int64_t b = threadIdx.x; b < args.batch; b += blockDim.x) {
    const std::int64_t begin = args.q_offsets[b];
    const std::int64_t end = args.q_offsets[b + 1];
    std::uint32_t error = 0;
    if (begin < 0 || end < begin || end > args.q_rows) {
      error = kDeviceErrorOffsets;
    } else if (end - begin > args.q_len) {
      error = kDeviceErrorLength;
    }
    if (error == 0) continue;
    report(args, error);
    bad = true;
  }
  return __syncthreads_or(bad ? 1 : 0) == 0;
}

/// Sequence b, whose query offsets are good. One thread of the block reports what is wrong with its keys.
__device__ inline Sequence find_sequence(const FlashAttentionArgs& args, std::int64_t b) {
  Sequence found{0, args.q_len, 0, args.kv_len, true};
  if (args.q_offsets != nullptr) {
    found.q_begin = args.q_offsets[b];
    found.q_len = args.q_offsets[b + 1] - found.q_begin;
  }
  std::uint32_t error = 0;
  if (args.kv_offsets != nullptr) {
    const std::int64_t begin = args.kv_offsets[b];
    const std::int64_t end = args.kv_offsets[b + 1];
    found.kv_begin = begin;
    found.kv_len = end - begin;
    if (begin < 0 || end < begin || end > args.kv_rows) {
      error = kDeviceErrorOffsets;
    } else if (end - begin > args.kv_len) {
      error = kDeviceErrorLength;
    }
  } else if (args.kv_lens != nullptr) {
    found.kv_len = args.kv_lens[b];
    if (found.kv_len < 0 || found.kv_len > args.kv_len) error = kDeviceErrorLength;
  }
  found.valid = error == 0;
  if (!found.valid && threadIdx.x == 0) report(args, error);
  return found;
}

__device__ inline Visible visible_keys(const FlashAttentionArgs& args, const Sequence& sequence,
                                       std::int64_t row) {
  if (args.causal == 0) return {0, sequence.kv_len};
  // Counted from the bottom right: the last query sees the last key.
  const std::int64_t position = row + sequence.kv_len - sequence.q_len;
  const std::int64_t first = args.window > 0 ? position - args.window + 1 : 0;
  return {first > 0 ? first : 0, position >= 0 ? position + 1 : 0};
}

/// Where a key's row lies, as an element offset; or one of these.
inline constexpr std::int64_t kAbsentKey = -1;   // nobody in the block sees it: not read, 0
inline constexpr std::int64_t kBadPageKey = -2;  // in a page outside the cache: not read, NaN

struct KeyPlace {
  std::int64_t k;
  std::int64_t v;
};

__device__ inline KeyPlace place_key(const FlashAttentionArgs& args, const Sequence& sequence, std::int64_t b,
                                     std::int64_t kv_head, std::int64_t key) {
  std::int64_t outer = b;
  std::int64_t row = sequence.kv_begin + key;
  if (args.block_table != nullptr) {
    const std::int64_t index = key / args.page_size;
    outer = args.block_table[b * args.block_table_stride + index];
    row = key - index * args.page_size;
    if (outer < 0 || outer >= args.pages) {
      report(args, kDeviceErrorPage);
      return {kBadPageKey, kBadPageKey};
    }
  }
  return {outer * args.k_strides.outer + row * args.k_strides.row + kv_head * args.k_strides.head,
          outer * args.v_strides.outer + row * args.v_strides.row + kv_head * args.v_strides.head};
}

}  // namespace hipforge::flash_attention_detail
