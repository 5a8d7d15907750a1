#pragma once

#include "kernels/device/online_softmax.h"
#include "kernels/device/vector_io.h"

namespace hipforge::flash_attention_detail {

/// The geometry of a tile and its two products in f32 on ordinary arithmetic. Eight threads share a pair of
/// query rows: in the score product each takes every eighth run of four keys, in the value product of four
/// dimensions, so that neighbouring lanes read neighbouring 16 bytes of shared memory. What a score, a weight
/// sum or an output element adds up, and in which order, depends on kHeadDim alone: not on how many rows a
/// block has.
template <int kHeadDim>
struct TileProducts {
  static constexpr int kRun = 4;
  static constexpr int kThreadsPerPair = 8;
  static constexpr int kRunStep = kThreadsPerPair * kRun;  // elements between a thread's runs
  static constexpr int kPairRows = 2;
  static constexpr int kKeys = kHeadDim <= 128 ? 64 : 32;  // keys of a tile
  static constexpr int kKeyRuns = kKeys / kRunStep;
  static constexpr int kDimRuns = kHeadDim / kRunStep;
  // Runs of dimensions at once. Of 256 dimensions the outputs take most of the registers that a wave can
  // have.
  static constexpr int kRunsAtOnce = kHeadDim > 128 ? 2 : kDimRuns < 4 ? kDimRuns : 4;
  static constexpr int kMaxThreads = kHeadDim <= 128 ? 128 : 64;  // of a block, bounded by shared memory
  // Rows of the shared query and weight tiles are apart by an odd number of runs, against bank conflicts.
  static constexpr int kQueryStride = kHeadDim + kRun;
  static constexpr int kWeightStride = kKeys + kRun;
  static_assert(kHeadDim % kRunStep == 0 && kKeys % kRunStep == 0 && kDimRuns % kRunsAtOnce == 0);

  [[nodiscard]] __host__ __device__ static constexpr int rows(int threads) {
    return threads / kThreadsPerPair * kPairRows;
  }

  using Scores = float[kPairRows][kKeyRuns][kRun];
  using Outputs = float[kPairRows][kDimRuns][kRun];

  __device__ static Pack<float, kRun> load_run(const float* source) {
    return *reinterpret_cast<const Pack<float, kRun>*>(source);
  }

  __device__ static void add_product(float factor, const Pack<float, kRun>& run, float (&sums)[kRun]) {
#pragma unroll
    for (int i = 0; i < kRun; ++i) sums[i] = fmaf(factor, run.values[i], sums[i]);
  }

  /// scores = Q·Kᵀ of the pair's rows. `query` points at the first of them; `keys` holds a tile [dimension,
  /// key]; dimensions from head_dim to the next multiple of kRun are 0 in both.
  __device__ static void multiply_scores(const float* query, const float* keys, int head_dim, int lane,
                                         Scores& scores) {
    // Sums of their own: through a reference the compiler would write each to memory as it grows.
    float sums[kPairRows][kKeyRuns][kRun] = {};
    const float* column = keys + lane * kRun;
    for (int dim = 0; dim < head_dim; dim += kRun) {
      const auto first = load_run(query + dim);
      const auto second = load_run(query + kQueryStride + dim);
      // Written out, because a loop here keeps g++ from using vector registers.
      const auto add_dimension = [&](int step) {
#pragma unroll
        for (int run = 0; run < kKeyRuns; ++run) {
          const auto key = load_run(column + (dim + step) * kKeys + run * kRunStep);
          add_product(first.values[step], key, sums[0][run]);
          add_product(second.values[step], key, sums[1][run]);
        }
      };
      static_assert(kRun == 4);
      add_dimension(0);
      add_dimension(1);
      add_dimension(2);
      add_dimension(3);
    }
#pragma unroll
    for (int row = 0; row < kPairRows; ++row) {
#pragma unroll
      for (int run = 0; run < kKeyRuns; ++run) {
#pragma unroll
        for (int i = 0; i < kRun; ++i) scores[row][run][i] = sums[row][run][i];
      }
    }
  }

  /// Adds weights·V of the tile's first `keys` keys to the outputs: summed over the tile from 0, then added
  /// with a compensation, in the rows that `adds` names. `weights` points at the pair's first row; `values`
  /// holds a tile [key, dimension]. With kSelect the removed elements are left out one by one, for a tile in
  /// which one row may see a NaN that another must not.
  template <bool kSelect>
  __device__ static void multiply_values(const float* weights, const float* values, int keys, int head_dim,
                                         int lane, const bool (&adds)[kPairRows], Outputs& sums,
                                         Outputs& excess) {
    if (!adds[0] && !adds[1]) return;
#pragma unroll
    for (int part = 0; part < kDimRuns; part += kRunsAtOnce) {
      if (part * kRunStep >= head_dim) continue;
      float partial[kPairRows][kRunsAtOnce][kRun] = {};
      const float* column = values + part * kRunStep + lane * kRun;
      for (int key = 0; key < keys; ++key) {
        const float first = weights[key];
        const float second = weights[kWeightStride + key];
        const bool use_first = !kSelect || !weight_is_removed(first);
        const bool use_second = !kSelect || !weight_is_removed(second);
#pragma unroll
        for (int run = 0; run < kRunsAtOnce; ++run) {
          const auto value = load_run(column + key * kHeadDim + run * kRunStep);
          if (use_first) add_product(first, value, partial[0][run]);
          if (use_second) add_product(second, value, partial[1][run]);
        }
      }
#pragma unroll
      for (int row = 0; row < kPairRows; ++row) {
        if (!adds[row]) continue;
#pragma unroll
        for (int run = 0; run < kRunsAtOnce; ++run) {
#pragma unroll
          for (int i = 0; i < kRun; ++i) {
            compensated_add(sums[row][part + run][i], excess[row][part + run][i], partial[row][run][i]);
          }
        }
      }
    }
  }
};

}  // namespace hipforge::flash_attention_detail
