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

template <int kWave, class T>
__device__ inline T wave_shuffle(T value, int source_lane) {
#if defined(__CUDACC__)
  return __shfl_sync(0xffffffffu, value, source_lane, kWave);
#else
  return __shfl(value, source_lane, kWave);
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

/// One bit a lane, lane 0 lowest; always 64 bits wide.
template <int kWave>
__device__ inline std::uint64_t wave_ballot(bool predicate) {
#if defined(__CUDACC__)
  return __ballot_sync(0xffffffffu, predicate);
#else
  return __ballot(predicate);
#endif
}

template <int kWave>
__device__ inline bool wave_any(bool predicate) {
  return wave_ballot<kWave>(predicate) != 0;
}

}  // namespace hipforge
