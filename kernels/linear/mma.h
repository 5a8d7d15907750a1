#pragma once

#include "kernels/device/matrix_core.h"
#include "kernels/linear/staging.h"

#include <algorithm>
#include <cstddef>

namespace hipforge::linear_detail {

constexpr int kMmaDepth = 16;  // of in_features, in one step of a matrix unit

/// What a block of the matrix-core kernel makes of y, and how: a tile of kRows × kColumns, of which each wave
/// takes kWaveRows × kWaveColumns, in stages of kDepth in_features, of which kStages are in shared memory.
template <int kRows_, int kColumns_, int kDepth_, int kWaveRows_, int kWaveColumns_, int kStages_, int kWave_>
struct MmaTile {
  static constexpr int kRows = kRows_;
  static constexpr int kColumns = kColumns_;
  static constexpr int kDepth = kDepth_;
  static constexpr int kWaveRows = kWaveRows_;
  static constexpr int kWaveColumns = kWaveColumns_;
  static constexpr int kStages = kStages_;
  static constexpr int kWave = kWave_;
  static constexpr int kWavesPerRow = kColumns / kWaveColumns;
  static constexpr int kWaves = kRows / kWaveRows * kWavesPerRow;
  static constexpr int kThreads = kWaves * kWave;

  // Rows of shared memory are padded by a pack, so that 8 rows' packs at one depth lie in different banks.
  static constexpr int kStride = kDepth + kPack;
  static constexpr int kStageElements = (kRows + kColumns) * kStride;
  __device__ static int pack_at(int row, int pack) { return row * kStride + pack * kPack; }

  // At the end a wave's sums pass through f32 rows of its own, 16 at a time.
  static constexpr int kSumStride = kWaveColumns + 4;
  static constexpr int kSumElements = 16 * kSumStride;
  static constexpr std::size_t kSharedBytes =
      std::max(kStages * kStageElements * std::size_t{2}, kWaves* kSumElements * sizeof(float));

  static_assert(kRows % kWaveRows == 0 && kColumns % kWaveColumns == 0 && kStages >= 2);
  static_assert(kWaveRows % 16 == 0 && kWaveColumns % 16 == 0 && kDepth % kMmaDepth == 0);
};

/// A wave's part of the tile.
template <class T, class Tile>
class MmaProduct {
 public:
  /// Adds the products of one stage.
  __device__ void multiply(const T* stage) {
    const T* x = stage + wave_row() * Tile::kStride;
    const T* weight = stage + (Tile::kRows + wave_column()) * Tile::kStride;
#pragma unroll kStepsAtOnce
    for (int depth = 0; depth < Tile::kDepth; depth += kMmaDepth) {
      typename Core::A a[kRowTiles];
#pragma unroll
      for (int i = 0; i < kRowTiles; ++i) {
        a[i] = Core::load_a(x + 16 * i * Tile::kStride + depth, Tile::kStride);
      }
#pragma unroll
      for (int j = 0; j < kColumnTiles; ++j) {
        const auto b = Core::load_b(weight + 16 * j * Tile::kStride + depth, Tile::kStride);
#pragma unroll
        for (int i = 0; i < kRowTiles; ++i) Core::multiply_add(a[i], b, sums_[i][j]);
      }
    }
  }

  /// Stores the sums through `shared`, the block's, of which no stage is read any more.
  __device__ void store(const LinearArgs& args, TilePosition at, float* shared) const {
    float* sums = shared + wave_id<Tile::kWave>() * Tile::kSumElements;
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i) {
#pragma unroll
      for (int j = 0; j < kColumnTiles; ++j) {
#pragma unroll
        for (int value = 0; value < Core::kValues; ++value) {
          sums[Core::row(Core::slot(value)) * Tile::kSumStride + 16 * j + Core::column(value)] =
              sums_[i][j].values[value];
        }
      }
      wave_barrier<Tile::kWave>();
      const TilePosition part{at.first_row + wave_row() + 16 * i, at.first_column + wave_column()};
      store_rows<T, Tile::kWave, Tile::kWaveColumns, Tile::kSumStride>(args, part, sums);
      wave_barrier<Tile::kWave>();  // the next rows take the place of these
    }
  }

 private:
  using Core = MatrixCore<T, Tile::kWave>;
  static constexpr int kRowTiles = Tile::kWaveRows / 16;
  static constexpr int kColumnTiles = Tile::kWaveColumns / 16;
  static constexpr int kStepsAtOnce = Core::kIsUnit ? Tile::kDepth / kMmaDepth : 1;

  __device__ static int wave_row() {
    return wave_id<Tile::kWave>() / Tile::kWavesPerRow * Tile::kWaveRows;
  }
  __device__ static int wave_column() {
    return wave_id<Tile::kWave>() % Tile::kWavesPerRow * Tile::kWaveColumns;
  }

  typename Core::Accumulator sums_[kRowTiles][kColumnTiles];
};

template <class T, class Tile, bool kAligned>
__device__ inline void mma_tile(const LinearArgs& args, TilePosition at, SharedMemory* shared) {
  constexpr int kAhead = Tile::kStages - 1;
  T* stages = reinterpret_cast<T*>(shared);
  const std::int64_t steps = (args.in_features + Tile::kDepth - 1) / Tile::kDepth;
  Stager<T, Tile, kAligned> stager(args, at);
  MmaProduct<T, Tile> product;
#pragma unroll
  for (int step = 0; step < kAhead; ++step) {
    T* stage = stages + step * Tile::kStageElements;
    if (step < steps) {
      stager.start(stage);
      stager.finish(stage);
    }
    async_copy_commit();
  }
  int reads = 0;
  int writes = kAhead;
  for (std::int64_t step = 0; step < steps; ++step) {
    async_copy_wait<kAhead - 1>();
    __syncthreads();  // this stage has arrived, and all have read the one that is written next
    T* next = stages + writes * Tile::kStageElements;
    const bool more = step + kAhead < steps;
    if (more) stager.start(next);
    async_copy_commit();
    product.multiply(stages + reads * Tile::kStageElements);
    if (more) stager.finish(next);
    reads = reads + 1 < Tile::kStages ? reads + 1 : 0;
    writes = writes + 1 < Tile::kStages ? writes + 1 : 0;
  }
  __syncthreads();
  product.store(args, at, reinterpret_cast<float*>(shared));
}

/// Many rows, any order, one 16-bit dtype: tiles of x and weight pass through shared memory to the matrix
/// cores.
template <class T, class Tile, bool kAlignedOnly>
__device__ void linear_mma_kernel(const LinearArgs& args) {
  HIP_DYNAMIC_SHARED(SharedMemory, shared_memory)
  for (std::int64_t tile = blockIdx.x; tile < count_tiles<Tile>(args); tile += gridDim.x) {
    const TilePosition at = tile_position<Tile>(args, tile);
    if (kAlignedOnly || args.vector_io) {
      mma_tile<T, Tile, true>(args, at, shared_memory);
    } else if constexpr (!kAlignedOnly) {
      mma_tile<T, Tile, false>(args, at, shared_memory);
    }
    __syncthreads();  // the next tile's stages take the place of the sums
  }
}

}  // namespace hipforge::linear_detail
