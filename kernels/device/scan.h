#pragma once

#include "kernels/device/wave.h"

namespace hipforge {

/// The sum of the values of the threads before this one, in a one-dimensional block whose size is a multiple
/// of kWave; `total` becomes the sum of all. Exact types only (integers): the order of the additions is not
/// the threads' own. `scratch` is shared memory for blockDim.x / kWave values, free for reuse on return. All
/// threads call.
template <int kWave, class T>
__device__ inline T block_exclusive_scan(T value, T* scratch, T& total) {
  const int lane = lane_id<kWave>();
  T inclusive = value;
#pragma unroll
  for (int delta = 1; delta < kWave; delta *= 2) {
    const T lower = wave_shuffle_up<kWave>(inclusive, static_cast<unsigned>(delta));
    if (lane >= delta) inclusive += lower;
  }
  if (lane == kWave - 1) scratch[wave_id<kWave>()] = inclusive;
  __syncthreads();
  const int waves = static_cast<int>(blockDim.x) / kWave;
  T before = inclusive - value;
  total = 0;
  for (int wave = 0; wave < waves; ++wave) {
    const T sum = scratch[wave];
    if (wave < wave_id<kWave>()) before += sum;
    total += sum;
  }
  __syncthreads();
  return before;
}

}  // namespace hipforge
