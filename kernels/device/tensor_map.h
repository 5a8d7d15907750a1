#pragma once

#include "kernels/device/hopper.h"

namespace hipforge {

/// A tensor in device memory and the box of it that one bulk copy moves (kernels/runtime/tensor_map.h makes
/// it). It travels within a kernel's arguments, and a kernel uses it there, not a copy: the copy engine reads
/// it from constant memory.
#if defined(HIPFORGE_PLATFORM_CPU)
struct TensorMap {
  cpu::TensorShape shape;
};
#else
struct alignas(64) TensorMap {
  unsigned char words[128];
};
#endif

/// Fetches the map itself, so that the first copy need not wait for it.
__device__ inline void prefetch(const TensorMap& map) {
#if HIPFORGE_DETAIL_HOPPER
  asm volatile("prefetch.tensormap [%0];\n" ::"l"(&map) : "memory");
#else
  static_cast<void>(map);
#endif
}

}  // namespace hipforge
