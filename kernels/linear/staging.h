#pragma once

#include "kernels/device/async_copy.h"
#include "kernels/device/vector_io.h"
#include "kernels/device/wave.h"
#include "kernels/linear/args.h"

#include <hip/hip_runtime.h>

#include <cstdint>

namespace hipforge::linear_detail {

/// What the kernels that stage tiles in shared memory have in common. A Tile type gives kRows × kColumns of
/// y, kDepth of in_features in a stage, kThreads, and pack_at(row, pack): where a stage holds a pack of a
/// row, the rows of weight after those of x.

/// As aligned as shared memory comes.
using SharedMemory = Pack<std::uint32_t, 4>;

/// Tiles that run at one time cover about this many rows and as many columns, so that what they share is read
/// from memory once and from cache by the others.
constexpr int kRasterRows = 2048;

struct TilePosition {
  std::int64_t first_row;
  std::int64_t first_column;
};

template <class Tile>
__device__ inline std::int64_t count_tiles(const LinearArgs& args) {
  return (args.rows + Tile::kRows - 1) / Tile::kRows *
         ((args.out_features + Tile::kColumns - 1) / Tile::kColumns);
}

template <class Tile>
__device__ inline TilePosition tile_position(const LinearArgs& args, std::int64_t tile) {
  constexpr std::int64_t kGroup = kRasterRows / Tile::kRows;
  const std::int64_t row_tiles = (args.rows + Tile::kRows - 1) / Tile::kRows;
  const std::int64_t column_tiles = (args.out_features + Tile::kColumns - 1) / Tile::kColumns;
  const std::int64_t first = tile / (kGroup * column_tiles) * kGroup;
  const std::int64_t rows = row_tiles - first < kGroup ? row_tiles - first : kGroup;
  const std::int64_t in_group = tile - first * column_tiles;
  return {(first + in_group % rows) * Tile::kRows, in_group / rows * Tile::kColumns};
}

/// Brings x and weight to shared memory stage by stage, 0 outside them: both are 0 past in_features, so that
/// nothing there, NaN included, counts. start and finish stand around work during which loads are in flight;
/// where copies are asynchronous, start does it all.
template <class T, class Tile, bool kAligned>
class Stager {
 public:
  __device__ Stager(const LinearArgs& args, TilePosition at)
      : x_(static_cast<const T*>(args.x) + (at.first_row + row()) * args.x_stride + pack() * kPack),
        weight_(static_cast<const T*>(args.weight) + (at.first_column + row()) * args.weight_stride +
                pack() * kPack),
        x_step_(args.x_stride * kRowsPerPass),
        weight_step_(args.weight_stride * kRowsPerPass),
        rows_left_(inside<Tile::kRows>(args.rows - at.first_row)),
        columns_left_(inside<Tile::kColumns>(args.out_features - at.first_column)),
        depth_left_(args.in_features - pack() * kPack) {}

  /// The next stage, to `stage`.
  __device__ void start(T* stage) {
    const int count = inside<kPack>(depth_left_);
#pragma unroll
    for (int pass = 0; pass < kPasses; ++pass) {
      const bool is_x = pass < kXPasses;
      const int at = is_x ? pass : pass - kXPasses;
      const T* source = is_x ? x_ + at * x_step_ : weight_ + at * weight_step_;
      const bool exists = row() + at * kRowsPerPass < (is_x ? rows_left_ : columns_left_);
      const int elements = exists ? count : 0;
      copies_[pass].start(shared_pack(stage, pass), source, elements, kAligned);
    }
    x_ += Tile::kDepth;
    weight_ += Tile::kDepth;
    depth_left_ -= Tile::kDepth;
  }

  __device__ void finish(T* stage) {
#pragma unroll
    for (int pass = 0; pass < kPasses; ++pass) copies_[pass].finish(shared_pack(stage, pass));
  }

 private:
  static_assert(kPack == PackCopy<T>::kPack);

  // A thread takes the same pack of every kRowsPerPass-th row.
  static constexpr int kPacksPerRow = Tile::kDepth / kPack;
  static constexpr int kRowsPerPass = Tile::kThreads / kPacksPerRow;
  static constexpr int kXPasses = Tile::kRows / kRowsPerPass;
  static constexpr int kPasses = (Tile::kRows + Tile::kColumns) / kRowsPerPass;
  static_assert(Tile::kThreads % kPacksPerRow == 0 && Tile::kRows % kRowsPerPass == 0 &&
                Tile::kColumns % kRowsPerPass == 0);

  __device__ static int row() {
    return static_cast<int>(threadIdx.x) / kPacksPerRow;
  }
  __device__ static int pack() {
    return static_cast<int>(threadIdx.x) % kPacksPerRow;
  }
  template <int kMost>
  __device__ static int inside(std::int64_t left) {
    return left <= 0 ? 0 : left < kMost ? static_cast<int>(left) : kMost;
  }
  __device__ static T* shared_pack(T* stage, int pass) {
    return stage + Tile::pack_at(row() + pass * kRowsPerPass, pack());
  }

  const T* x_;
  const T* weight_;
  std::int64_t x_step_;
  std::int64_t weight_step_;
  int rows_left_;
  int columns_left_;
  std::int64_t depth_left_;
  PackCopy<T, kAligned && kAsyncCopies> copies_[kPasses];
};

/// Stores 16 rows × kColumns of sums that lie in shared memory, kStride apart, from `at` on; the whole wave
/// calls.
template <class T, int kWave, int kColumns, int kStride>
__device__ inline void store_rows(const LinearArgs& args, TilePosition at, const float* sums) {
  constexpr int kPacksPerRow = kColumns / kPack;
#pragma unroll 1
  for (int index = lane_id<kWave>(); index < 16 * kPacksPerRow; index += kWave) {
    const std::int64_t row = at.first_row + index / kPacksPerRow;
    const std::int64_t column = at.first_column + index % kPacksPerRow * kPack;
    const std::int64_t left = args.out_features - column;
    if (row >= args.rows || left <= 0) continue;
    float values[kPack];
    load_pack(sums + index / kPacksPerRow * kStride + index % kPacksPerRow * kPack, values);
    if (args.bias != nullptr) {
#pragma unroll
      for (int i = 0; i < kPack; ++i) {
        if (i < left) values[i] += load_bias<T>(args, column + i);
      }
    }
    const std::int64_t offset = row * args.y_stride + column;
    const bool aligned = args.vector_store != 0;
    if (args.y_is_f32) {
      store_row(static_cast<float*>(args.y) + offset, left, aligned, values);
    } else {
      store_row(static_cast<T*>(args.y) + offset, left, aligned, values);
    }
  }
}

}  // namespace hipforge::linear_detail
