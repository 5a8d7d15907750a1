// Does this installation's HIP work over this CUDA? What hipforge uses of it, once; compiled by CMake, never run.
#include <hip/hip_runtime.h>

extern "C" __global__ void probe_kernel(float* out) {
  HIP_DYNAMIC_SHARED(float, shared)
  shared[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
  __syncthreads();
  out[threadIdx.x] = shared[0];
}

int main() {
  hipDeviceProp_t properties{};
  int count = 0;
  int value = 0;
  hipModule_t module{};
  hipFunction_t function{};
  hipStream_t stream{};
  hipEvent_t event{};
  void* memory = nullptr;
  const hipError_t errors[] = {
      hipGetDeviceCount(&count),
      hipGetDeviceProperties(&properties, 0),
      hipDeviceGetAttribute(&value, hipDeviceAttributeMultiprocessorCount, 0),
      hipMalloc(&memory, 16),
      hipMemsetAsync(memory, 0, 16, stream),
      hipMemcpy(&value, memory, sizeof(value), hipMemcpyDeviceToHost),
      hipStreamCreate(&stream),
      hipEventCreate(&event),
      hipModuleLoad(&module, "module"),
      hipModuleGetFunction(&function, module, "kernel"),
      hipFuncSetAttribute(reinterpret_cast<const void*>(probe_kernel),
                          hipFuncAttributeMaxDynamicSharedMemorySize, 1024),
  };
  hipLaunchKernelGGL(probe_kernel, dim3(1), dim3(32), 128, stream, static_cast<float*>(memory));
  return errors[0] == hipSuccess && hipGetLastError() == hipSuccess && properties.l2CacheSize > 0 ? 0 : 1;
}
