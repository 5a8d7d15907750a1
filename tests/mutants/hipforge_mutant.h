#pragma once

/// The number that the environment's HIPFORGE_MUTANT holds, 0 without one; read when the library is loaded.
extern "C" __attribute__((visibility("hidden"))) const int hipforge_active_mutant;

#if defined(__CUDACC__)
#include <hip/hip_runtime.h>

/// Has `write` called before the first launch. True, to initialise a variable with.
extern "C" __attribute__((visibility("hidden"))) bool hipforge_before_first_launch(void (*write)());

// Device code of each translation unit has a number of its own.
static __constant__ int hipforge_device_mutant;
[[maybe_unused]] static const bool hipforge_device_mutant_registered = hipforge_before_first_launch(
    [] { (void)cudaMemcpyToSymbol(hipforge_device_mutant, &hipforge_active_mutant, sizeof(int)); });

/// Whether a mutant is the one to be.
__host__ __device__ inline bool hipforge_mutant(int number) {
#if defined(__CUDA_ARCH__)
  return hipforge_device_mutant == number;
#else
  return hipforge_active_mutant == number;
#endif
}
#else
/// Whether a mutant is the one to be. On the cpu platform device code asks as host code does.
inline bool hipforge_mutant(int number) {
  return hipforge_active_mutant == number;
}
#endif
