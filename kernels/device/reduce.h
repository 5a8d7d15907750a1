#pragma once

#include "kernels/device/wave.h"

#include <cmath>

namespace hipforge {

struct SumOp {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
  __device__ static float identity() { return 0.0f; }
};

/// The larger of two; a NaN loses against a number (IEEE maximumNumber), so a NaN that must show has to be
/// carried by something else than the maximum.
struct MaxOp {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
  __device__ static float identity() { return -INFINITY; }
};

/// Butterfly over aligned groups of kWidth lanes; every lane of a group gets the same bits, because the two
/// partners of each step add the same two numbers. Depth log2(kWidth).
template <int kWave, int kWidth = kWave, class T, class Op>
__device__ inline T wave_reduce(T value, Op op) {
#pragma unroll
  for (int mask = kWidth / 2; mask > 0; mask /= 2) value = op(value, wave_shuffle_xor<kWave>(value, mask));
  return value;
}

/// Reduces kCount values per lane within aligned groups of `width` lanes, with kCount − 1 + log2(width /
/// kCount) shuffles instead of kCount·log2(width): each step hands half of the values to the partner.
/// Afterwards lane l of a group holds the total of value l / (width / kCount), with the same bits as
/// wave_reduce would give it. width need not be known when compiling. Powers of two, kCount <= width <=
/// kWave; all lanes of the wave call, with the same width.
template <int kWave, int kCount, class T, class Op>
__device__ inline T group_reduce_transposed(T (&values)[kCount], int width, Op op) {
  static_assert((kCount & (kCount - 1)) == 0 && kCount <= kWave);
  int mask = width / 2;
#pragma unroll
  for (int half = kCount / 2; half > 0; half /= 2, mask /= 2) {
    const bool upper = (lane_id<kWave>() & mask) != 0;
#pragma unroll
    for (int i = 0; i < half; ++i) {
      const T keep = upper ? values[i + half] : values[i];
      const T give = upper ? values[i] : values[i + half];
      values[i] = op(keep, wave_shuffle_xor<kWave>(give, mask));
    }
  }
  T value = values[0];
  for (; mask > 0; mask /= 2) value = op(value, wave_shuffle_xor<kWave>(value, mask));
  return value;
}

/// Reduces one value per thread over a one-dimensional block whose size is a multiple of kWave; every thread
/// gets the total. `scratch` is shared memory for blockDim.x / kWave values, free for reuse on return. All
/// threads call.
template <int kWave, class T, class Op>
__device__ inline T block_reduce(T value, T* scratch, Op op) {
  value = wave_reduce<kWave>(value, op);
  const int waves = static_cast<int>(blockDim.x) / kWave;
  if (waves == 1) return value;
  if (lane_id<kWave>() == 0) scratch[wave_id<kWave>()] = value;
  __syncthreads();
  T total = scratch[0];
  for (int wave = 1; wave < waves; ++wave) total = op(total, scratch[wave]);
  __syncthreads();
  return total;
}

}  // namespace hipforge
