#pragma once

#include "kernels/device/warpgroup_core.h"
#include "kernels/weighted_matmul/staging.h"

#include <algorithm>
#include <cstddef>

namespace hipforge::weighted_matmul_detail {

/// The tile of a block of two warpgroups, each of which makes 64 rows of it.
template <int kStages_>
struct WgmmaTile {
  static constexpr int kRows = 128;
  static constexpr int kColumns = 128;
  static constexpr int kDepth = 64;
  static constexpr int kStages = kStages_;
  static constexpr int kWave = kWave32;
  static constexpr int kWaves = 8;
  static constexpr int kThreads = kWaves * kWave;

  static constexpr int kWeightsElements = kRows * kDepth;
  static constexpr int kStageElements = kWeightsElements + kDepth * kColumns;
  __device__ static int weights_pack_at(int row, int pack) {
    return WarpgroupCore<F16, kColumns>::pack_at(row, pack);
  }
  __device__ static int values_pack_at(int key, int pack) {
    return kWeightsElements + WarpgroupCore<F16, kColumns>::rows_pack_at(key, pack);
  }

  // At the end a wave's 16 rows of sums pass through f32 rows of its own.
  static constexpr int kSumStride = kColumns + 4;
  static constexpr int kSumElements = 16 * kSumStride;
  static constexpr std::size_t kSharedBytes =
      std::max(kStages * kStageElements * std::size_t{2}, kWaves* kSumElements * sizeof(float));

  static_assert(kStages >= 3 && kSpanKeys % kDepth == 0);
};

template <class T, class Tile, bool kAligned>
__device__ inline void wgmma_tile(const WeightedMatmulArgs& args, const TilePlace& place,
                                  SharedMemory* shared) {
  using Core = WarpgroupCore<T, Tile::kColumns>;
  // A stage is written while the product of the one before the latest may still be running.
  constexpr int kAhead = Tile::kStages - 2;
  constexpr int kSpanSteps = kSpanKeys / Tile::kDepth;
  T* stages = reinterpret_cast<T*>(shared);
  const int wave = wave_id<Tile::kWave>();
  const int warpgroup_row = wave / Core::kWaves * Core::kRows;
  const std::int64_t steps = (args.kv_len + Tile::kDepth - 1) / Tile::kDepth;
  Stager<T, Tile, kAligned> stager(args, place);
  float totals[Core::kValues] = {};
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
    const std::int64_t span_end = step + kSpanSteps < steps ? step + kSpanSteps : steps;
    typename Core::Accumulator sums;
    for (; step < span_end; ++step) {
      async_copy_wait<kAhead - 1>();
      Core::publish();
      // This stage has arrived, and every product but the latest has read its own.
      __syncthreads();
      const T* weights = stages + reads * Tile::kStageElements;
      Core::multiply_add_rows(weights + warpgroup_row * Tile::kDepth, weights + Tile::kWeightsElements, sums);
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
#pragma unroll
    for (int i = 0; i < Core::kValues; ++i) totals[i] += sums.values[i];
  }
  __syncthreads();

  float* rows = reinterpret_cast<float*>(shared) + wave * Tile::kSumElements;
#pragma unroll
  for (int i = 0; i < Core::kValues; ++i) {
    rows[Core::row(i) * Tile::kSumStride + Core::column(i)] = totals[i];
  }
  wave_barrier<Tile::kWave>();
  TilePlace part = place;
  part.row += wave * 16;
  store_rows<T, Tile::kWave, Tile::kColumns, Tile::kSumStride>(args, part, rows);
}

/// weighted_matmul_mma_kernel's work where a warpgroup multiplies from shared memory.
template <class T, class Tile>
__device__ void weighted_matmul_wgmma_kernel(const WeightedMatmulArgs& args) {
  HIP_DYNAMIC_SHARED(SharedMemory, shared_memory)
  for (std::int64_t tile = blockIdx.x; tile < args.tiles; tile += gridDim.x) {
    const TilePlace place = find_tile(args, tile, Tile::kRows, Tile::kColumns);
    if (args.vector_weights && args.vector_values) {
      wgmma_tile<T, Tile, true>(args, place, shared_memory);
    } else {
      wgmma_tile<T, Tile, false>(args, place, shared_memory);
    }
    __syncthreads();  // the next tile's stages take the place of the sums
  }
}

}  // namespace hipforge::weighted_matmul_detail
