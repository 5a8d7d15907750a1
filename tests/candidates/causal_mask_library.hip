// A candidate that its author compiles: a shared library, launched in the portable spelling.

#include <hip/hip_runtime.h>

#include <hipforge_candidate.h>

namespace {

__global__ void candidate_causal_mask_rows(hipforge_causal_mask_params params) {
  const int64_t row = blockIdx.x;
  const int64_t kv_len = params.mask.shape[1];
  // The key that stands where the query does.
  const int64_t own = row + kv_len - params.mask.shape[0];
  float* mask = static_cast<float*>(params.mask.data) + row * params.mask.strides[0];
  for (int64_t key = threadIdx.x; key < kv_len; key += blockDim.x) {
    const bool seen = key <= own && (params.window == 0 || key > own - params.window);
    mask[key] = seen || key < params.prefix_len ? 0.0f : -INFINITY;
  }
}

}  // namespace

int hipforge_candidate_causal_mask(const hipforge_causal_mask_params* params, hipforge_stream stream) {
  if (params->mask.dtype != HIPFORGE_F32) return HIPFORGE_CANDIDATE_UNSUPPORTED;
  if (params->mask.shape[0] == 0 || params->mask.shape[1] == 0) return hipSuccess;
  hipLaunchKernelGGL(candidate_causal_mask_rows, dim3(static_cast<unsigned>(params->mask.shape[0])),
                     dim3(128), 0, static_cast<hipStream_t>(stream), *params);
  return hipGetLastError();
}
