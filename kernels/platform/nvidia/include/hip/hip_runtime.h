#pragma once

#include <cuda_runtime.h>
#include <hip/hip_runtime_api.h>

#if defined(__CUDACC__) && __cplusplus < 202002L
#error "hipforge needs C++20: pass -std=c++20 to nvcc"
#endif

// Dynamic shared memory as a pointer: arrays of one name and several types would clash within a translation
// unit. wgmma's swizzled tiles want 1,024 bytes of alignment.
#define HIP_DYNAMIC_SHARED(type, var)                                        \
  extern __shared__ __align__(1024) unsigned char hipforge_dynamic_shared[]; \
  type* var = reinterpret_cast<type*>(hipforge_dynamic_shared);

namespace hipforge::nvidia {

// A launch that any host compiler can parse. What goes wrong is left to hipGetLastError, as with <<<>>>.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
            hipStream_t stream, Arguments... arguments) {
  void* pointers[] = {&arguments..., nullptr};
  (void)cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block, pointers, shared_bytes, stream);
}

}  // namespace hipforge::nvidia

#define hipLaunchKernelGGL(kernel, grid, block, shared_bytes, stream, ...)      \
  ::hipforge::nvidia::launch((kernel), dim3(grid), dim3(block), (shared_bytes), \
                             (stream)__VA_OPT__(, ) __VA_ARGS__)
