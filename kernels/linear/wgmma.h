#pragma once

#include "kernels/device/warpgroup_core.h"
#include "kernels/linear/staging.h"

#include <algorithm>
#include <cstddef>

namespace hipforge::linear_detail {

/// The tile of a block of two warpgroups, each of which makes 64 rows of it.
template <int kColumns_, int kStages_>
struct WgmmaTile {
  static constexpr int kRows = 128;
  static constexpr int kColumns = kColumns_;
  static constexpr int kDepth = 64;
  static constexpr int kStages = kStages_;
  static constexpr int kWave = kWave32;
  static constexpr int kWaves = 8;
  static constexpr int kThreads = kWaves * kWave;

  static constexpr int kStageElements = (kRows + kColumns) * kDepth;
  __device__ static int pack_at(int row, int pack) {
    return WarpgroupCore<F16, kColumns>::pack_at(row, pack);
  }

  // At the end a wave's 16 rows of sums pass through f32 rows of its own.
  static constexpr int kSumStride = kColumns + 4;
  static constexpr int kSumElements = 16 * kSumStride;
  static constexpr std::size_t kSharedBytes =
      std::max(kStages * kStageElements * std::size_t{2}, kWaves* kSumElements * sizeof(float));

  static_assert(kStages >= 3);
};

/// linear_mma_kernel's work where a warpgroup multiplies from shared memory.
template <class T, class Tile>
__device__ void linear_wgmma_kernel(const LinearArgs& args) {
  using Core = WarpgroupCore<T, Tile::kColumns>;
  HIP_DYNAMIC_SHARED(SharedMemory, shared_memory)
  // A stage is written while the product of the one before the latest may still be running.
  constexpr int kAhead = Tile::kStages - 2;
  T* stages = reinterpret_cast<T*>(shared_memory);
  const int wave = wave_id<Tile::kWave>();
  const int warpgroup_row = wave / Core::kWaves * Core::kRows;
  const std::int64_t steps = (args.in_features + Tile::kDepth - 1) / Tile::kDepth;
  for (std::int64_t tile = blockIdx.x; tile < count_tiles<Tile>(args); tile += gridDim.x) {
    const TilePosition at = tile_position<Tile>(args, tile);
    Stager<T, Tile, true> stager(args, at);
    typename Core::Accumulator sums;
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
      Core::publish();
      // This stage has arrived, and every product but the latest has read its own.
      __syncthreads();
      const T* x = stages + reads * Tile::kStageElements;
      Core::multiply_add(x + warpgroup_row * Tile::kDepth, x + Tile::kRows * Tile::kDepth, sums);
      if (step + kAhead < steps) {
        T* next = stages + writes * Tile::kStageElements;
        stager.start(next);
        stager.finish(next);
      }
      async_copy_commit();
      Core::template wait<1>(sums);
      reads = reads + 1 < Tile::kStages ? reads + 1 : 0;
      writes = writes + 1 < Tile::kStages ? writes + 1 : 0;
    }
    Core::template wait<0>(sums);
    __syncthreads();

    float* rows = reinterpret_cast<float*>(shared_memory) + wave * Tile::kSumElements;
#pragma unroll
    for (int i = 0; i < Core::kValues; ++i) {
      rows[Core::row(i) * Tile::kSumStride + Core::column(i)] = sums.values[i];
    }
    wave_barrier<Tile::kWave>();
    const TilePosition part{at.first_row + wave * 16, at.first_column};
    store_rows<T, Tile::kWave, Tile::kColumns, Tile::kSumStride>(args, part, rows);
    __syncthreads();  // the next tile's stages take the place of the sums
  }
}

}  // namespace hipforge::linear_detail
