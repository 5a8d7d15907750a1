#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>

namespace hipforge {

inline constexpr int kWave32 = 32;
inline constexpr int kWave64 = 64;

/// Lane index in a wave of kWave lanes. Blocks are one-dimensional wherever waves matter.
template <int kWave>
__device__ inline int lane_id() {
  return static_cast<int>(threadIdx.x) & (kWave - 1);
}

/// Wave index in the block.
template <int kWave>
__device__ inline int wave_id() {
  return static_cast<int>(threadIdx.x) / kWave;
}

/// Shuffles of a whole wave. Every lane of the wave must call.
template <int kWave, class T>
__device__ inline T wave_shuffle_xor(T value, int mask) {
#if defined(__CUDACC__)
  return __shfl_xor_sync(0xffffffffu, value, mask, kWave);
#else
  return __shfl_xor(value, mask, kWave);
#endif
}

/// Orders the shared memory accesses of a wave's lanes before it with those after it. Every lane of the wave
/// must call.
template <int kWave>
__device__ inline void wave_barrier() {
#if defined(__AMDGCN__)
  __builtin_amdgcn_fence(__ATOMIC_ACQ_REL, "wavefront");
  __builtin_amdgcn_wave_barrier();
#elif !defined(__HIP__)  // clang's host pass has no such function, nor any use for one
  __syncwarp();
#endif
}

template <int kWave, class T>
__device__ inline T wave_shuffle_up(T value, unsigned delta) {
#if defined(__CUDACC__)
  return __shfl_up_sync(0xffffffffu, value, delta, kWave);
#else
  return __shfl_up(value, delta, kWave);
#endif
}

}  // namespace hipforge
