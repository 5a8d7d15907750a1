#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>

/// What the headers of Hopper's asynchronous machinery share: mbarrier.h, tensor_map.h, bulk_copy.h,
/// named_barrier.h, register_budget.h, dependent_launch.h. Each is machine code for sm_90a and an emulation on
/// the cpu platform; elsewhere the headers compile and a call traps: launchers ask Target::matrix_unit for
/// kWgmma first.

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define HIPFORGE_DETAIL_HOPPER 1
#else
#define HIPFORGE_DETAIL_HOPPER 0
#endif

/// Last parameters of what may wait: a deadlock on the cpu platform names the caller's line.
#if defined(HIPFORGE_PLATFORM_CPU)
#define HIPFORGE_DETAIL_CALLER , const char *file = __builtin_FILE(), unsigned line = __builtin_LINE()
#else
#define HIPFORGE_DETAIL_CALLER
#endif

namespace hipforge::detail {

/// Stands where a device has no such machinery.
template <class... Ignored>
__device__ inline void no_hopper(const Ignored&...) {
#if defined(__CUDA_ARCH__)
  asm volatile("trap;\n");
#elif defined(__HIP_DEVICE_COMPILE__)
  __builtin_trap();
#endif
}

#if HIPFORGE_DETAIL_HOPPER
__device__ inline std::uint32_t shared_address(const void* shared) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
}
#endif

}  // namespace hipforge::detail
