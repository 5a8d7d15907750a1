#pragma once

#include "kernels/device/dtype.h"
#include "kernels/flash_attention/layout.h"

namespace hipforge::flash_attention_detail {

/// What a block works on: a tile of rows of one kv head, row r being query r / group of q head
/// kv_head · group + r % group. The q heads of a kv head lie side by side, so that decoding reads each key
/// once.
struct Block {
  std::int64_t batch;
  std::int64_t kv_head;
  std::int64_t first_row;  // of the sequence's q_len · group
  int rows;                // that exist
};

struct Place {
  std::int64_t query;
  std::int64_t head;
};

__device__ inline Place place_row(const FlashAttentionArgs& args, const Block& block, int row) {
  const std::int64_t flat = block.first_row + row;
  const std::int64_t query = flat / args.group;
  return {query, block.kv_head * args.group + (flat - query * args.group)};
}

__device__ inline std::int64_t row_offset(const Strides& strides, const Block& block,
                                          const Sequence& sequence, const Place& place) {
  return block.batch * strides.outer + (sequence.q_begin + place.query) * strides.row +
         place.head * strides.head;
}

template <class T>
__device__ inline void store_nan_row(const FlashAttentionArgs& args, std::int64_t o_at, std::int64_t lse_at) {
  T* o = static_cast<T*>(args.o) + o_at;
  for (int dim = 0; dim < args.head_dim; ++dim) o[dim] = from_float<T>(NAN);
  if (args.lse != nullptr) args.lse[lse_at] = NAN;
}

// The block's share of all packed rows becomes NaN: bad offsets do not say whose rows are whose.
template <class T>
__device__ void store_nan_everywhere(const FlashAttentionArgs& args) {
  const std::int64_t count = args.q_rows * args.q_heads;
  for (std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; at < count;
       at += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    const std::int64_t row = at / args.q_heads;
    const std::int64_t head = at - row * args.q_heads;
    store_nan_row<T>(args, row * args.o_strides.row + head * args.o_strides.head,
                     row * args.lse_strides.row + head * args.lse_strides.head);
  }
}

// A row's keys, relative to a tile's first one.
struct TileView {
  int first;
  int end;
  int prefix_end;

  [[nodiscard]] __device__ bool sees(int key) const {
    return (key >= first && key < end) || key < prefix_end;
  }
};

__device__ inline int clamp_to_tile(std::int64_t key, int keys) {
  return key < 0 ? 0 : (key < keys ? static_cast<int>(key) : keys);
}

__device__ inline TileView view_tile(const Visible& visible, std::int64_t prefix_end, std::int64_t base,
                                     int keys) {
  return {clamp_to_tile(visible.first - base, keys), clamp_to_tile(visible.end - base, keys),
          clamp_to_tile(prefix_end - base, keys)};
}

/// What the rows of a block see together: keys [seen.first, seen.end) and the prefix. Nothing else is
/// read.
struct BlockView {
  Visible earliest;  // of the first row
  Visible latest;    // of the last row
  std::int64_t prefix_end;
  std::int64_t keys_end;

  __device__ BlockView(const FlashAttentionArgs& args, const Block& block, const Sequence& sequence)
      : earliest(visible_keys(args, sequence, place_row(args, block, 0).query)),
        latest(visible_keys(args, sequence, place_row(args, block, block.rows - 1).query)),
        prefix_end(args.prefix_len < sequence.kv_len ? args.prefix_len : sequence.kv_len),
        keys_end(latest.end > prefix_end ? latest.end : prefix_end) {}

  [[nodiscard]] __device__ bool needs(std::int64_t key) const {
    return (key >= earliest.first && key < latest.end) || key < prefix_end;
  }
  /// The first tile from `base` on that holds a key which a row sees; keys_end or more where there is
  /// none.
  [[nodiscard]] __device__ std::int64_t next_tile(std::int64_t base, int keys) const {
    const bool between = base >= prefix_end && base + keys <= earliest.first;
    return between ? earliest.first / keys * keys : base;
  }
};

/// Finds what this block works on. False where nothing is left to do: it has no rows, or bad indices made
/// them NaN. The whole block calls.
template <class T>
__device__ bool start_block(const FlashAttentionArgs& args, Block& block, Sequence& sequence) {
  if (args.q_offsets != nullptr && !query_offsets_are_valid(args)) {
    store_nan_everywhere<T>(args);
    return false;
  }
  // The last tile of a causal sequence has the most keys: it starts first.
  const std::int64_t plane = blockIdx.x / args.q_tiles;
  const std::int64_t tile = args.q_tiles - 1 - (blockIdx.x - plane * args.q_tiles);
  block = {plane / args.kv_heads, plane % args.kv_heads, tile * args.tile_rows, 0};
  sequence = find_sequence(args, block.batch);
  const std::int64_t rows_left = sequence.q_len * args.group - block.first_row;
  if (rows_left <= 0) return false;
  block.rows = rows_left < args.tile_rows ? static_cast<int>(rows_left) : args.tile_rows;
  if (sequence.valid) return true;
  for (int row = static_cast<int>(threadIdx.x); row < block.rows; row += static_cast<int>(blockDim.x)) {
    const Place place = place_row(args, block, row);
    store_nan_row<T>(args, row_offset(args.o_strides, block, sequence, place),
                     row_offset(args.lse_strides, block, sequence, place));
  }
  return false;
}

}  // namespace hipforge::flash_attention_detail
