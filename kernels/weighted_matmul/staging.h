#pragma once

#include "kernels/device/async_copy.h"
#include "kernels/device/vector_io.h"
#include "kernels/device/wave.h"
#include "kernels/weighted_matmul/args.h"

#include <hip/hip_runtime.h>

#include <cstdint>

namespace hipforge::weighted_matmul_detail {

/// What the matrix-core kernels have in common. A Tile type gives kRows × kColumns of the output, kDepth keys
/// in a stage, kThreads, and weights_pack_at(row, pack) and values_pack_at(key, pack): where a stage holds a
/// pack of a row of weights and of a key's values.

/// As aligned as shared memory comes.
using SharedMemory = Pack<std::uint32_t, 4>;

/// Brings weights and values to shared memory stage by stage, 0 past the last key and the last column, so
/// that nothing there, NaN included, counts. Rows past the last one stay as clear_missing_rows left them:
/// nobody stores their sums. start and finish stand around work during which loads are under way; where
/// copies are asynchronous, start does it all. With kAligned every row takes 16-byte accesses.
template <class T, class Tile, bool kAligned>
class Stager {
 public:
  __device__ Stager(const WeightedMatmulArgs& args, const TilePlace& place)
      : aligned_weights_(kAligned || args.vector_weights != 0),
        aligned_values_(kAligned || args.vector_values != 0),
        keys_left_(args.kv_len),
        columns_(inside(args.head_dim - place.col - column_pack() * kPack)),
        values_stride_(args.values_strides[1]) {
    const std::int64_t rows = args.group * args.q_len;
    // Without keys there may be no memory to point into.
#pragma unroll
    for (int pass = 0; pass < kWeightsPasses; ++pass) {
      const std::int64_t at = place.row + row() + pass * kRowsPerPass;
      weights_[pass] =
          args.kv_len > 0 && at < rows ? weights_row<T>(args, place, at) + key_pack() * kPack : nullptr;
    }
    values_ = args.kv_len > 0
                  ? values_head<T>(args, place) + place.col + column_pack() * kPack + key() * values_stride_
                  : nullptr;
  }

  /// Once for each stage, before its first start.
  __device__ void clear_missing_rows(T* stage) const {
#pragma unroll
    for (int pass = 0; pass < kWeightsPasses; ++pass) {
      if (weights_[pass] == nullptr) *reinterpret_cast<SharedMemory*>(shared_weights(stage, pass)) = {};
    }
  }

  /// The next stage, to `stage`.
  __device__ void start(T* stage) {
    const int keys = inside(keys_left_ - key_pack() * kPack);
#pragma unroll
    for (int pass = 0; pass < kWeightsPasses; ++pass) {
      if (weights_[pass] == nullptr) continue;
      weights_copies_[pass].start(shared_weights(stage, pass), weights_[pass], keys, aligned_weights_);
      weights_[pass] += Tile::kDepth;
    }
#pragma unroll
    for (int pass = 0; pass < kValuesPasses; ++pass) {
      const int columns = key() + pass * kKeysPerPass < keys_left_ ? columns_ : 0;
      values_copies_[pass].start(shared_values(stage, pass), values_ + pass * kKeysPerPass * values_stride_,
                                 columns, aligned_values_);
    }
    values_ += Tile::kDepth * values_stride_;
    keys_left_ -= Tile::kDepth;
  }

  __device__ void finish(T* stage) {
#pragma unroll
    for (int pass = 0; pass < kWeightsPasses; ++pass) {
      if (weights_[pass] != nullptr) weights_copies_[pass].finish(shared_weights(stage, pass));
    }
#pragma unroll
    for (int pass = 0; pass < kValuesPasses; ++pass) values_copies_[pass].finish(shared_values(stage, pass));
  }

 private:
  using Copy = PackCopy<T, kAligned && kAsyncCopies>;
  static_assert(kPack == Copy::kPack);

  // A thread takes the same pack of every kRowsPerPass-th row, and of every kKeysPerPass-th key.
  static constexpr int kPacksPerRow = Tile::kDepth / kPack;
  static constexpr int kRowsPerPass = Tile::kThreads / kPacksPerRow;
  static constexpr int kWeightsPasses = Tile::kRows / kRowsPerPass;
  static constexpr int kPacksPerKey = Tile::kColumns / kPack;
  static constexpr int kKeysPerPass = Tile::kThreads / kPacksPerKey;
  static constexpr int kValuesPasses = Tile::kDepth / kKeysPerPass;
  static_assert(Tile::kThreads % kPacksPerRow == 0 && Tile::kRows % kRowsPerPass == 0);
  static_assert(Tile::kThreads % kPacksPerKey == 0 && Tile::kDepth % kKeysPerPass == 0);

  __device__ static int row() {
    return static_cast<int>(threadIdx.x) / kPacksPerRow;
  }
  __device__ static int key_pack() {
    return static_cast<int>(threadIdx.x) % kPacksPerRow;
  }
  __device__ static int key() {
    return static_cast<int>(threadIdx.x) / kPacksPerKey;
  }
  __device__ static int column_pack() {
    return static_cast<int>(threadIdx.x) % kPacksPerKey;
  }
  __device__ static int inside(std::int64_t left) {
    return left <= 0 ? 0 : left < kPack ? static_cast<int>(left) : kPack;
  }
  __device__ static T* shared_weights(T* stage, int pass) {
    return stage + Tile::weights_pack_at(row() + pass * kRowsPerPass, key_pack());
  }
  __device__ static T* shared_values(T* stage, int pass) {
    return stage + Tile::values_pack_at(key() + pass * kKeysPerPass, column_pack());
  }

  const T* weights_[kWeightsPasses];  // null for a row past the last
  const T* values_;
  bool aligned_weights_;
  bool aligned_values_;
  std::int64_t keys_left_;
  int columns_;
  std::int64_t values_stride_;
  Copy weights_copies_[kWeightsPasses];
  Copy values_copies_[kValuesPasses];
};

/// Stores 16 rows × kColumns of sums that lie in shared memory, kStride apart, from `place` on; the whole
/// wave calls.
template <class T, int kWave, int kColumns, int kStride>
__device__ inline void store_rows(const WeightedMatmulArgs& args, const TilePlace& place, const float* sums) {
  constexpr int kPacksPerRow = kColumns / kPack;
  const std::int64_t rows = args.group * args.q_len;
#pragma unroll 1
  for (int index = lane_id<kWave>(); index < 16 * kPacksPerRow; index += kWave) {
    const std::int64_t row = place.row + index / kPacksPerRow;
    const std::int64_t column = place.col + index % kPacksPerRow * kPack;
    const std::int64_t left = args.head_dim - column;
    if (row >= rows || left <= 0) continue;
    float values[kPack];
    load_pack(sums + index / kPacksPerRow * kStride + index % kPacksPerRow * kPack, values);
    store_row(out_row<T>(args, place, row) + column, left, args.vector_out != 0, values);
  }
}

}  // namespace hipforge::weighted_matmul_detail
