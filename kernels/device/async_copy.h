#pragma once

#include "kernels/device/vector_io.h"

#include <hip/hip_runtime.h>

#include <cstdint>
#include <type_traits>

namespace hipforge {

/// Copies from global to shared memory that need not pass through registers (cp.async, PTX ISA 8.0, section
/// 9.7.8.22; sm_80 and up). Elsewhere they are ordinary copies, complete when the call returns, and the waits
/// do nothing. A copy is seen by the thread that made it after async_copy_wait, by the others after a barrier
/// that follows.

/// Whether copies are under way while the thread goes on.
#if defined(__CUDA_ARCH__) || defined(HIPFORGE_CPU_RACE)
inline constexpr bool kAsyncCopies = true;
#else
inline constexpr bool kAsyncCopies = false;
#endif

/// The race detector watches both ways of one build: asynchronous in waves of 32, as on NVIDIA, and ordinary
/// in waves of 64. Elsewhere kAsyncCopies says all.
#if defined(HIPFORGE_CPU_RACE)
inline constexpr bool kBothCopies = true;
__device__ inline bool copies_are_async() {
  return warpSize == kWave32;
}
#else
inline constexpr bool kBothCopies = false;
__device__ inline bool copies_are_async() {
  return kAsyncCopies;
}
#endif

/// 16 bytes, both addresses aligned to 16. With `inside` false, 16 zero bytes are written and `global` is not
/// read: it may be any address.
__device__ inline void async_copy_16(void* shared, const void* global, bool inside) {
#if defined(__CUDA_ARCH__)
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  const int bytes = inside ? kVectorBytes : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(address), "l"(global), "r"(bytes)
               : "memory");
#else
#if defined(HIPFORGE_CPU_RACE)
  if (copies_are_async())
    return hipforge::cpu::race_copy(shared, global, kVectorBytes, inside ? kVectorBytes : 0);
#endif
  auto* destination = static_cast<Pack<std::uint32_t, 4>*>(shared);
  if (inside) {
    *destination = *static_cast<const Pack<std::uint32_t, 4>*>(global);
  } else {
    *destination = {};
  }
#endif
}

/// The first `bytes` of 16, zeros past them: the end of a row. Both addresses aligned to 16; whole elements
/// of two bytes. With 0 bytes `global` may be any address.
__device__ inline void async_copy_head(void* shared, const void* global, int bytes) {
#if defined(__CUDA_ARCH__)
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(address), "l"(global), "r"(bytes)
               : "memory");
#else
#if defined(HIPFORGE_CPU_RACE)
  if (copies_are_async()) {
    return hipforge::cpu::race_copy(shared, global, kVectorBytes, static_cast<std::size_t>(bytes));
  }
#endif
  Pack<std::uint16_t, kVectorBytes / 2> pack{};
  if (bytes == kVectorBytes) {
    pack = *static_cast<const Pack<std::uint16_t, kVectorBytes / 2>*>(global);
  } else {
    for (int i = 0; i < bytes / 2; ++i) pack.values[i] = static_cast<const std::uint16_t*>(global)[i];
  }
  *static_cast<Pack<std::uint16_t, kVectorBytes / 2>*>(shared) = pack;
#endif
}

/// Closes the group of this thread's copies since the last commit; a group may be empty.
__device__ inline void async_copy_commit() {
#if defined(__CUDA_ARCH__)
  asm volatile("cp.async.commit_group;\n" ::: "memory");
#elif defined(HIPFORGE_CPU_RACE)
  if (copies_are_async()) hipforge::cpu::race_copy_commit();
#endif
}

/// Waits until at most kPending of this thread's latest groups are still under way.
template <int kPending>
__device__ inline void async_copy_wait() {
#if defined(__CUDA_ARCH__)
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
#elif defined(HIPFORGE_CPU_RACE)
  if (copies_are_async()) hipforge::cpu::race_copy_wait(kPending);
#endif
}

/// A pack of 8 elements of 16 bits on its way from a row to a tile in shared memory. start and finish stand
/// around work during which the load is under way; where the row is aligned and copies are asynchronous,
/// start does it all.
template <class T, bool kAsync = kAsyncCopies>
class PackCopy {
 public:
  static constexpr int kPack = kVectorBytes / 2;
  static_assert(sizeof(T) == 2);

  /// The first `elements` of a pack, 0 past them. `shared` is aligned to 16 bytes, and so is `source` where
  /// `aligned` says so, as it must where copies are asynchronous; with 0 elements it may be any address.
  __device__ void start(T* shared, const T* source, int elements, bool aligned) {
    if constexpr (kAsync) {
      if (copies_are_async()) {
        return async_copy_head(shared, source, elements * static_cast<int>(sizeof(T)));
      }
    }
    if constexpr (!kAsync || kBothCopies) held_ = load_head(source, elements, aligned);
  }
  __device__ void finish(T* shared) {
    if constexpr (kAsync) {
      if (copies_are_async()) return;
    }
    if constexpr (!kAsync || kBothCopies) *reinterpret_cast<Words*>(shared) = held_;
  }

 private:
  using Words = Pack<std::uint32_t, 4>;
  struct Nothing {};

  // Whole words: packs of elements under a condition would go through memory.
  __device__ static Words load_head(const T* source, int elements, bool aligned) {
    if (aligned && elements == kPack) return *reinterpret_cast<const Words*>(source);
    Words words{};
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      const std::uint32_t bits = i < elements ? source[i].bits : 0u;
      words.values[i / 2] |= bits << (16 * (i % 2));
    }
    return words;
  }

  std::conditional_t<kAsync && !kBothCopies, Nothing, Words> held_;
};

}  // namespace hipforge
