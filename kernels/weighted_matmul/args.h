#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>

namespace hipforge::weighted_matmul_detail {

constexpr int kPack = 8;            // elements of a row that a thread takes at a time
constexpr int kSpanKeys = 64 * 32;  // keys whose sum is added to those of other spans

struct WeightedMatmulArgs {
  const void* weights;
  const void* values;
  void* out;
  std::int64_t weights_strides[3];  // batch, heads, rows
  std::int64_t values_strides[3];   // batch, keys, heads
  std::int64_t out_strides[3];      // batch, rows, heads
  std::int64_t batch;
  std::int64_t q_len;
  std::int64_t kv_len;
  std::int64_t kv_heads;
  std::int64_t group;  // query heads of a kv head
  std::int64_t head_dim;
  std::int64_t row_tiles;
  std::int64_t col_tiles;
  std::int64_t tiles;  // batch · kv_heads · row_tiles · col_tiles
  int column_threads;  // decode
  int vector_weights;  // every row takes whole-pack accesses
  int vector_values;
  int vector_out;
};

/// Which tile a block makes. The rows of a kv head are those of all its query heads, one head after another,
/// so that the heads of a group share the values that a block reads.
struct TilePlace {
  std::int64_t batch;
  std::int64_t kv_head;
  std::int64_t row;  // first row in [0, group · q_len)
  std::int64_t col;  // first column in [0, head_dim)
};

__device__ inline TilePlace find_tile(const WeightedMatmulArgs& args, std::int64_t tile, int rows, int cols) {
  const std::int64_t above = tile / args.col_tiles;
  const std::int64_t head = above / args.row_tiles;
  TilePlace place;
  place.col = (tile - above * args.col_tiles) * cols;
  place.row = (above - head * args.row_tiles) * rows;
  place.batch = head / args.kv_heads;
  place.kv_head = head - place.batch * args.kv_heads;
  return place;
}

template <class T>
__device__ inline const T* weights_row(const WeightedMatmulArgs& args, const TilePlace& place,
                                       std::int64_t row) {
  const std::int64_t member = row / args.q_len;
  const std::int64_t head = place.kv_head * args.group + member;
  return static_cast<const T*>(args.weights) + place.batch * args.weights_strides[0] +
         head * args.weights_strides[1] + (row - member * args.q_len) * args.weights_strides[2];
}

template <class T>
__device__ inline T* out_row(const WeightedMatmulArgs& args, const TilePlace& place, std::int64_t row) {
  const std::int64_t member = row / args.q_len;
  const std::int64_t head = place.kv_head * args.group + member;
  return static_cast<T*>(args.out) + place.batch * args.out_strides[0] +
         (row - member * args.q_len) * args.out_strides[1] + head * args.out_strides[2];
}

template <class T>
__device__ inline const T* values_head(const WeightedMatmulArgs& args, const TilePlace& place) {
  return static_cast<const T*>(args.values) + place.batch * args.values_strides[0] +
         place.kv_head * args.values_strides[2];
}

}  // namespace hipforge::weighted_matmul_detail
