// What __global__, __shared__ and their like mean on the cpu platform.
#pragma once

#include <hip/hip_runtime_api.h>

#define __host__
#define __device__
#define __constant__
#define __managed__
// A module hands its kernels out by name, whatever visibility it is compiled with.
#define __global__ __attribute__((visibility("default")))
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

namespace hipforge::cpu {

/// Stands between shared arrays. The pads are checked when a block ends (poisoned under AddressSanitizer);
/// `block` says for which block the arrays of the function that holds this zone were last filled.
struct alignas(64) RedZone {
  unsigned char before[64];
  unsigned long long block;
  unsigned char after[56];
};

extern HIPFORGE_CPU_API constinit thread_local unsigned long long current_block
    __attribute__((tls_model("initial-exec")));

/// Fills the function's shared arrays with NaN and starts to watch their red zones.
HIPFORGE_CPU_API void enter_shared_scope(RedZone* zone);

inline void shared_scope(RedZone* zone) {
  if (zone->block != current_block) enter_shared_scope(zone);
}

/// The block's dynamic shared memory.
HIPFORGE_CPU_API void* dynamic_shared();

/// The same as an object that can stand outside of functions, as `extern __shared__ T name[]` may.
template <typename T>
struct DynamicShared {
  operator T*() const { return static_cast<T*>(dynamic_shared()); }
};

}  // namespace hipforge::cpu

#define HIPFORGE_CPU_JOIN_(a, b) a##b
#define HIPFORGE_CPU_JOIN(a, b) HIPFORGE_CPU_JOIN_(a, b)
#define HIPFORGE_CPU_SHARED(zone)                    \
  static thread_local ::hipforge::cpu::RedZone zone; \
  ::hipforge::cpu::shared_scope(&zone);              \
  static thread_local __attribute__((used))

// Blocks never share an OS thread at a time, so a thread_local array is one block's own. Only inside
// functions; `extern __shared__` does not compile here: HIP_DYNAMIC_SHARED is the portable spelling.
// "used" keeps optimisers from reasoning that nobody else writes to the array: its first contents do come
// from elsewhere.
#define __shared__ HIPFORGE_CPU_SHARED(HIPFORGE_CPU_JOIN(hipforge_red_zone_, __COUNTER__))

#define HIP_DYNAMIC_SHARED(type, variable) \
  type* const variable = static_cast<type*>(::hipforge::cpu::dynamic_shared());
