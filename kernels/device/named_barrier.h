#pragma once

#include "kernels/device/hopper.h"

namespace hipforge {

/// Barriers for some waves of a block (bar.sync and bar.arrive with a number, PTX ISA 8.0, section 9.7.12.1):
/// `id` from 1 to 15, 0 being __syncthreads; `threads` of them come in all, a multiple of 32, whole warps.

/// Comes and waits for the others.
__device__ inline void named_barrier_sync(unsigned id, unsigned threads HIPFORGE_DETAIL_CALLER) {
#if HIPFORGE_DETAIL_HOPPER
  asm volatile("bar.sync %0, %1;\n" ::"r"(id), "r"(threads) : "memory");
#elif defined(HIPFORGE_PLATFORM_CPU)
  cpu::named_barrier(id, threads, true, file, line);
#else
  detail::no_hopper(id, threads);
#endif
}

/// Comes and goes on.
__device__ inline void named_barrier_arrive(unsigned id, unsigned threads HIPFORGE_DETAIL_CALLER) {
#if HIPFORGE_DETAIL_HOPPER
  asm volatile("bar.arrive %0, %1;\n" ::"r"(id), "r"(threads) : "memory");
#elif defined(HIPFORGE_PLATFORM_CPU)
  cpu::named_barrier(id, threads, false, file, line);
#else
  detail::no_hopper(id, threads);
#endif
}

}  // namespace hipforge
