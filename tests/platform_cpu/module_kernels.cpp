// A module: kernels that the test finds by name.
#include "module_kernels.h"

#include <hip/hip_runtime.h>

using hipforge::test::ScaleArgs;

extern "C" __global__ void module_scale(ScaleArgs args) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < args.count) args.values[i] *= args.factor;
}

extern "C" __global__ void module_scale_exported(ScaleArgs args) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < args.count) args.values[i] *= args.factor;
}
HIPFORGE_EXPORT_KERNEL(module_scale_exported);

extern "C" __global__ void module_add(float* values, float what, unsigned count) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) values[i] += what;
}
HIPFORGE_EXPORT_KERNEL(module_add);

extern "C" __global__ void module_reverse(ScaleArgs args) {
  __shared__ float values[64];
  values[threadIdx.x] = args.values[threadIdx.x];
  __syncthreads();
  args.values[threadIdx.x] = values[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void module_shared_poison(ScaleArgs args) {
  __shared__ unsigned words[32];
  args.values[threadIdx.x] = words[threadIdx.x] == 0xffffffffu ? 1.0f : 0.0f;
  __syncthreads();
  words[threadIdx.x] = 0;
}

extern "C" __global__ void module_out_of_bounds(ScaleArgs args) {
  if (threadIdx.x == 1) args.values[args.count] = 0;
}

extern "C" {
__attribute__((visibility("default"))) __device__ int module_table[3] = {10, 20, 30};
}
