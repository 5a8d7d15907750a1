// Indices, barriers and wave collectives.
#pragma once

#include <bit>
#include <type_traits>

#include <stdint.h>

#include <hip/hip_vector_types.h>

#include <hipforge_cpu/qualifiers.h>

#define HIPFORGE_CPU_THREAD_LOCAL \
  extern HIPFORGE_CPU_API constinit thread_local __attribute__((tls_model("initial-exec")))

HIPFORGE_CPU_THREAD_LOCAL uint3 threadIdx;
HIPFORGE_CPU_THREAD_LOCAL uint3 blockIdx;
HIPFORGE_CPU_THREAD_LOCAL dim3 blockDim;
HIPFORGE_CPU_THREAD_LOCAL dim3 gridDim;

#define hipThreadIdx_x threadIdx.x
#define hipThreadIdx_y threadIdx.y
#define hipThreadIdx_z threadIdx.z
#define hipBlockIdx_x blockIdx.x
#define hipBlockIdx_y blockIdx.y
#define hipBlockIdx_z blockIdx.z
#define hipBlockDim_x blockDim.x
#define hipBlockDim_y blockDim.y
#define hipBlockDim_z blockDim.z
#define hipGridDim_x gridDim.x
#define hipGridDim_y gridDim.y
#define hipGridDim_z gridDim.z

/// The wave of the launch that runs, 32 or 64; on the host, of the thread's next one.
HIPFORGE_CPU_THREAD_LOCAL int warpSize;

namespace hipforge::cpu {

enum class Collective : unsigned char { kShuffle, kBallot, kWaveBarrier };
enum class BarrierVote : unsigned char { kNone, kOr, kAnd, kCount };

/// The values of one wave collective: valid until this lane enters the collective after the next.
struct Exchange {
  const uint64_t* values;  // by lane
  uint64_t lanes;          // those that took part
};

HIPFORGE_CPU_THREAD_LOCAL unsigned current_lane;

/// The source line travels along so that a fault can name both places where threads wait.
HIPFORGE_CPU_API Exchange wave_exchange(uint64_t value, const char* file, unsigned line);
HIPFORGE_CPU_API uint64_t wave_vote(Collective kind, bool predicate, const char* file, unsigned line);
HIPFORGE_CPU_API int block_barrier(BarrierVote vote, bool predicate, const char* file, unsigned line);
HIPFORGE_CPU_API uint64_t live_lanes();
/// Ends the launch with a fault of this text.
[[noreturn]] HIPFORGE_CPU_API void kernel_fault(const char* text);

template <typename T>
concept Shuffled = (sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 2) && std::is_trivially_copyable_v<T> &&
                   !std::is_pointer_v<T>;

template <Shuffled T>
inline uint64_t to_slot(T value) {
  if constexpr (sizeof(T) == 8) {
    return std::bit_cast<uint64_t>(value);
  } else if constexpr (sizeof(T) == 4) {
    return std::bit_cast<uint32_t>(value);
  } else {
    return std::bit_cast<uint16_t>(value);
  }
}

template <Shuffled T>
inline T from_slot(uint64_t slot) {
  if constexpr (sizeof(T) == 8) {
    return std::bit_cast<T>(slot);
  } else if constexpr (sizeof(T) == 4) {
    return std::bit_cast<T>(static_cast<uint32_t>(slot));
  } else {
    return std::bit_cast<T>(static_cast<uint16_t>(slot));
  }
}

/// A lane that has returned, or that a partial wave never had, reads as all bits set: NaN.
template <Shuffled T>
inline T read_lane(const Exchange& exchange, unsigned lane) {
  return from_slot<T>((exchange.lanes >> lane) & 1u ? exchange.values[lane] : ~uint64_t{0});
}

inline unsigned checked_width(int width) {
  const auto group = static_cast<unsigned>(width);
  if (width < 1 || width > warpSize || (group & (group - 1)) != 0) {
    kernel_fault("a shuffle's width must be a power of two up to the wave");
  }
  return group;
}

template <typename Mask>
inline void check_mask(Mask mask) {
  static_assert(std::is_integral_v<Mask>);
  if (((static_cast<uint64_t>(mask) >> current_lane) & 1u) == 0) {
    kernel_fault("a lane calls a collective whose mask leaves it out");
  }
}

}  // namespace hipforge::cpu

// ---- Barriers ----

/// Every thread of the block must arrive, all at the same line: a thread that returned or waits elsewhere
/// makes it a fault.
inline void __syncthreads(const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
  hipforge::cpu::block_barrier(hipforge::cpu::BarrierVote::kNone, false, file, line);
}
inline int __syncthreads_or(int predicate, const char* file = __builtin_FILE(),
                            unsigned line = __builtin_LINE()) {
  return hipforge::cpu::block_barrier(hipforge::cpu::BarrierVote::kOr, predicate != 0, file, line);
}
inline int __syncthreads_and(int predicate, const char* file = __builtin_FILE(),
                             unsigned line = __builtin_LINE()) {
  return hipforge::cpu::block_barrier(hipforge::cpu::BarrierVote::kAnd, predicate != 0, file, line);
}
inline int __syncthreads_count(int predicate, const char* file = __builtin_FILE(),
                               unsigned line = __builtin_LINE()) {
  return hipforge::cpu::block_barrier(hipforge::cpu::BarrierVote::kCount, predicate != 0, file, line);
}

// ---- Wave collectives: all lanes of the wave that have not returned must arrive, at the same line ----

inline void __syncwarp(const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
  hipforge::cpu::wave_vote(hipforge::cpu::Collective::kWaveBarrier, false, file, line);
}
template <typename Mask>
requires std::is_integral_v<Mask>
inline void __syncwarp(Mask mask, const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
  hipforge::cpu::check_mask(mask);
  hipforge::cpu::wave_vote(hipforge::cpu::Collective::kWaveBarrier, false, file, line);
}

template <hipforge::cpu::Shuffled T>
inline T __shfl(T value, int source, int width = warpSize, const char* file = __builtin_FILE(),
                unsigned line = __builtin_LINE()) {
  const unsigned group = hipforge::cpu::checked_width(width);
  const unsigned lane = hipforge::cpu::current_lane;
  const auto exchange = hipforge::cpu::wave_exchange(hipforge::cpu::to_slot(value), file, line);
  const unsigned from = (lane & ~(group - 1)) + (static_cast<unsigned>(source) & (group - 1));
  return hipforge::cpu::read_lane<T>(exchange, from);
}

template <hipforge::cpu::Shuffled T>
inline T __shfl_xor(T value, int lane_mask, int width = warpSize, const char* file = __builtin_FILE(),
                    unsigned line = __builtin_LINE()) {
  const unsigned group = hipforge::cpu::checked_width(width);
  const unsigned lane = hipforge::cpu::current_lane;
  const auto exchange = hipforge::cpu::wave_exchange(hipforge::cpu::to_slot(value), file, line);
  const unsigned from = lane ^ static_cast<unsigned>(lane_mask);
  return from >= ((lane + group) & ~(group - 1)) ? value : hipforge::cpu::read_lane<T>(exchange, from);
}

template <hipforge::cpu::Shuffled T>
inline T __shfl_up(T value, unsigned int delta, int width = warpSize, const char* file = __builtin_FILE(),
                   unsigned line = __builtin_LINE()) {
  const unsigned group = hipforge::cpu::checked_width(width);
  const unsigned lane = hipforge::cpu::current_lane;
  const auto exchange = hipforge::cpu::wave_exchange(hipforge::cpu::to_slot(value), file, line);
  return (lane & (group - 1)) < delta ? value : hipforge::cpu::read_lane<T>(exchange, lane - delta);
}

template <hipforge::cpu::Shuffled T>
inline T __shfl_down(T value, unsigned int delta, int width = warpSize, const char* file = __builtin_FILE(),
                     unsigned line = __builtin_LINE()) {
  const unsigned group = hipforge::cpu::checked_width(width);
  const unsigned lane = hipforge::cpu::current_lane;
  const auto exchange = hipforge::cpu::wave_exchange(hipforge::cpu::to_slot(value), file, line);
  return (lane & (group - 1)) + delta >= group || delta >= group
             ? value
             : hipforge::cpu::read_lane<T>(exchange, lane + delta);
}

template <typename Mask, hipforge::cpu::Shuffled T>
inline T __shfl_sync(Mask mask, T value, int source, int width = warpSize,
                     const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
  hipforge::cpu::check_mask(mask);
  return __shfl(value, source, width, file, line);
}
template <typename Mask, hipforge::cpu::Shuffled T>
inline T __shfl_xor_sync(Mask mask, T value, int lane_mask, int width = warpSize,
                         const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
  hipforge::cpu::check_mask(mask);
  return __shfl_xor(value, lane_mask, width, file, line);
}
template <typename Mask, hipforge::cpu::Shuffled T>
inline T __shfl_up_sync(Mask mask, T value, unsigned int delta, int width = warpSize,
                        const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
  hipforge::cpu::check_mask(mask);
  return __shfl_up(value, delta, width, file, line);
}
template <typename Mask, hipforge::cpu::Shuffled T>
inline T __shfl_down_sync(Mask mask, T value, unsigned int delta, int width = warpSize,
                          const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
  hipforge::cpu::check_mask(mask);
  return __shfl_down(value, delta, width, file, line);
}

inline unsigned long long __ballot(int predicate, const char* file = __builtin_FILE(),
                                   unsigned line = __builtin_LINE()) {
  return hipforge::cpu::wave_vote(hipforge::cpu::Collective::kBallot, predicate != 0, file, line);
}
inline int __any(int predicate, const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
  return __ballot(predicate, file, line) != 0;
}
inline int __all(int predicate, const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
  return __ballot(predicate == 0, file, line) == 0;
}
template <typename Mask>
inline unsigned long long __ballot_sync(Mask mask, int predicate, const char* file = __builtin_FILE(),
                                        unsigned line = __builtin_LINE()) {
  hipforge::cpu::check_mask(mask);
  return __ballot(predicate, file, line);
}
template <typename Mask>
inline int __any_sync(Mask mask, int predicate, const char* file = __builtin_FILE(),
                      unsigned line = __builtin_LINE()) {
  hipforge::cpu::check_mask(mask);
  return __any(predicate, file, line);
}
template <typename Mask>
inline int __all_sync(Mask mask, int predicate, const char* file = __builtin_FILE(),
                      unsigned line = __builtin_LINE()) {
  hipforge::cpu::check_mask(mask);
  return __all(predicate, file, line);
}

/// The lanes of this wave that have not returned.
inline unsigned long long __activemask() {
  return hipforge::cpu::live_lanes();
}
inline unsigned int __lane_id() {
  return hipforge::cpu::current_lane;
}
