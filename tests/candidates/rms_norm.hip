// A candidate without shared memory: one thread a row. HIPFORGE_TEST_MISBEHAVE makes its host code crash,
// hang or eat memory at rows of 257, for the tests of --isolate.

#include <hip/hip_runtime.h>

#include <hipforge_candidate.h>

#include <cstdlib>
#include <cstring>

namespace {

__global__ void rms_norm_rows(const float* x, int64_t x_stride, const float* weight, float* y,
                              int64_t y_stride, int64_t rows, int64_t hidden, float eps) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  // In double: one sum in order is as good as a tree.
  double sum = 0.0;
  for (int64_t i = 0; i < hidden; ++i) {
    const double value = x[row * x_stride + i];
    sum += value * value;
  }
  const float scale = static_cast<float>(1.0 / sqrt(sum / static_cast<double>(hidden) + eps));
  for (int64_t i = 0; i < hidden; ++i) y[row * y_stride + i] = x[row * x_stride + i] * scale * weight[i];
}

void misbehave() {
  const char* how = std::getenv("HIPFORGE_TEST_MISBEHAVE");
  if (how == nullptr) return;
  if (std::strcmp(how, "crash") == 0) *static_cast<volatile int*>(nullptr) = 1;
  while (std::strcmp(how, "hang") == 0) {
    static volatile int forever = 0;
    forever = forever + 1;
  }
  while (std::strcmp(how, "eat") == 0) {
    constexpr std::size_t kBytes = std::size_t{16} << 20;
    void* const eaten = std::malloc(kBytes);
    if (eaten != nullptr) std::memset(eaten, 1, kBytes);
  }
}

}  // namespace

int hipforge_candidate_rms_norm(const hipforge_rms_norm_params* params, hipforge_stream stream) {
  const bool floats = params->x.dtype == HIPFORGE_F32 && params->weight.dtype == HIPFORGE_F32 &&
                      params->y.dtype == HIPFORGE_F32;
  if (!floats || params->residual.rank != 0) return HIPFORGE_CANDIDATE_UNSUPPORTED;
  const int64_t rows = params->x.shape[0];
  const int64_t hidden = params->x.shape[1];
  if (hidden == 257) misbehave();
  if (rows == 0) return hipSuccess;
  rms_norm_rows<<<static_cast<unsigned>((rows + 63) / 64), 64, 0, (hipStream_t)stream>>>(
      static_cast<const float*>(params->x.data), params->x.strides[0],
      static_cast<const float*>(params->weight.data), static_cast<float*>(params->y.data),
      params->y.strides[0], rows, hidden, params->eps);
  return hipGetLastError();
}
