#pragma once

#include "kernels/device/matrix_core.h"
#include "kernels/weighted_matmul/staging.h"

#include <algorithm>
#include <cstddef>

namespace hipforge::weighted_matmul_detail {

constexpr int kMmaDepth = 16;  // keys in one step of a matrix unit

/// What a block of the matrix-core kernel makes of the output, and how: a tile of kRows × kColumns, of which
/// each wave takes kWaveRows × kWaveColumns, in stages of kDepth keys, of which kStages are in shared memory.
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

  // Rows of shared memory are padded by a pack, so that 8 neighbouring rows' packs lie in different banks.
  static constexpr int kWeightsStride = kDepth + kPack;
  static constexpr int kValuesStride = kColumns + kPack;
  static constexpr int kWeightsElements = kRows * kWeightsStride;
  static constexpr int kStageElements = kWeightsElements + kDepth * kValuesStride;
  __device__ static int weights_pack_at(int row, int pack) { return row * kWeightsStride + pack * kPack; }
  __device__ static int values_pack_at(int key, int pack) {
    return kWeightsElements + key * kValuesStride + pack * kPack;
  }

  // At the end a wave's sums pass through f32 rows of its own, 16 at a time.
  static constexpr int kSumStride = kWaveColumns + 4;
  static constexpr int kSumElements = 16 * kSumStride;
  static constexpr std::size_t kSharedBytes =
      std::max(kStages * kStageElements * std::size_t{2}, kWaves* kSumElements * sizeof(float));

  static_assert(kRows % kWaveRows == 0 && kColumns % kWaveColumns == 0 && kStages >= 2);
  static_assert(kWaveRows % 16 == 0 && kWaveColumns % 16 == 0 && kDepth % kMmaDepth == 0);
  static_assert(kSpanKeys % kDepth == 0);
};

/// A wave's part of the tile.
template <class T, class Tile>
class MmaProduct {
 public:
  __device__ MmaProduct(const WeightedMatmulArgs& args, const TilePlace& place)
      : row_tiles_(tiles_inside(args.group * args.q_len - place.row - wave_row())),
        column_tiles_(tiles_inside(args.head_dim - place.col - wave_column())) {}

  /// Adds the products of one stage.
  __device__ void multiply(const T* stage) {
    const T* weights = stage + wave_row() * Tile::kWeightsStride;
    const T* values = stage + Tile::kWeightsElements + wave_column();
#pragma unroll kStepsAtOnce
    for (int depth = 0; depth < Tile::kDepth; depth += kMmaDepth) {
      typename Core::A a[kRowTiles];
#pragma unroll
      for (int i = 0; i < kRowTiles; ++i) {
        a[i] = Core::load_a(weights + 16 * i * Tile::kWeightsStride + depth, Tile::kWeightsStride);
      }
#pragma unroll
      for (int j = 0; j < kColumnTiles; ++j) {
        if (!wanted(j, column_tiles_)) continue;
        const auto b = Core::load_b_rows(values + depth * Tile::kValuesStride + 16 * j, Tile::kValuesStride);
#pragma unroll
        for (int i = 0; i < kRowTiles; ++i) {
          if (wanted(i, row_tiles_)) Core::multiply_add(a[i], b, sums_[i][j]);
        }
        detail::one_at_a_time();
      }
    }
  }

  /// Adds the sums of a span to those of the spans before.
  __device__ void close_span() {
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i) {
#pragma unroll
      for (int j = 0; j < kColumnTiles; ++j) {
#pragma unroll
        for (int value = 0; value < Core::kValues; ++value) {
          totals_[i][j].values[value] += sums_[i][j].values[value];
          sums_[i][j].values[value] = 0.0f;
        }
      }
    }
  }

  /// Stores the sums of all spans through `shared`, the block's, of which no stage is read any more.
  __device__ void store(const WeightedMatmulArgs& args, const TilePlace& place, float* shared) const {
    float* sums = shared + wave_id<Tile::kWave>() * Tile::kSumElements;
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i) {
#pragma unroll
      for (int j = 0; j < kColumnTiles; ++j) {
#pragma unroll
        for (int value = 0; value < Core::kValues; ++value) {
          sums[Core::row(Core::slot(value)) * Tile::kSumStride + 16 * j + Core::column(value)] =
              totals_[i][j].values[value];
        }
      }
      wave_barrier<Tile::kWave>();
      TilePlace part = place;
      part.row += wave_row() + 16 * i;
      part.col += wave_column();
      store_rows<T, Tile::kWave, Tile::kWaveColumns, Tile::kSumStride>(args, part, sums);
      wave_barrier<Tile::kWave>();  // the next rows take the place of these
    }
  }

 private:
  using Core = MatrixCore<T, Tile::kWave>;
  static constexpr int kRowTiles = Tile::kWaveRows / 16;
  static constexpr int kColumnTiles = Tile::kWaveColumns / 16;
  // A wave of 32 has no registers for the operands of two steps beside its sums in a wide tile.
  static constexpr bool kManySums = kRowTiles * kColumnTiles * Core::kValues > 32;
  static constexpr int kStepsAtOnce = Core::kIsUnit && !kManySums ? Tile::kDepth / kMmaDepth : 1;

  __device__ static int wave_row() {
    return wave_id<Tile::kWave>() / Tile::kWavesPerRow * Tile::kWaveRows;
  }
  __device__ static int wave_column() {
    return wave_id<Tile::kWave>() % Tile::kWavesPerRow * Tile::kWaveColumns;
  }
  __device__ static int tiles_inside(std::int64_t left) {
    constexpr int kMost = Tile::kRows + Tile::kColumns;
    return left <= 0 ? 0 : (left < kMost ? static_cast<int>(left) + 15 : kMost) / 16;
  }
  // A matrix unit multiplies a tile that nobody wants in less time than it takes to ask.
  __device__ static bool wanted(int tile, int count) {
    return Core::kIsUnit || tile < count;
  }

  typename Core::Accumulator sums_[kRowTiles][kColumnTiles];
  typename Core::Accumulator totals_[kRowTiles][kColumnTiles];
  int row_tiles_;  // of 16, that hold rows and columns of the output
  int column_tiles_;
};

template <class T, class Tile, bool kAligned>
__device__ inline void mma_tile(const WeightedMatmulArgs& args, const TilePlace& place,
                                SharedMemory* shared) {
  constexpr int kAhead = Tile::kStages - 1;
  T* stages = reinterpret_cast<T*>(shared);
  const std::int64_t steps = (args.kv_len + Tile::kDepth - 1) / Tile::kDepth;
  Stager<T, Tile, kAligned> stager(args, place);
  MmaProduct<T, Tile> product(args, place);
#pragma unroll
  for (int stage = 0; stage < Tile::kStages; ++stage) {
    stager.clear_missing_rows(stages + stage * Tile::kStageElements);
  }
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
  std::int64_t step = 0;
  while (step < steps) {
    const std::int64_t span_end =
        step + kSpanKeys / Tile::kDepth < steps ? step + kSpanKeys / Tile::kDepth : steps;
    for (; step < span_end; ++step) {
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
    product.close_span();
  }
  __syncthreads();
  product.store(args, place, reinterpret_cast<float*>(shared));
}

/// f16 and bf16: tiles of weights and values pass through shared memory to the matrix cores.
template <class T, class Tile, bool kAlignedOnly>
__device__ void weighted_matmul_mma_kernel(const WeightedMatmulArgs& args) {
  HIP_DYNAMIC_SHARED(SharedMemory, shared_memory)
  for (std::int64_t tile = blockIdx.x; tile < args.tiles; tile += gridDim.x) {
    const TilePlace place = find_tile(args, tile, Tile::kRows, Tile::kColumns);
    if (kAlignedOnly || (args.vector_weights && args.vector_values)) {
      mma_tile<T, Tile, true>(args, place, shared_memory);
    } else if constexpr (!kAlignedOnly) {
      mma_tile<T, Tile, false>(args, place, shared_memory);
    }
    __syncthreads();  // the next tile's stages take the place of the sums
  }
}

}  // namespace hipforge::weighted_matmul_detail
