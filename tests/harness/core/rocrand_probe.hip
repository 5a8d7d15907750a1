#include "tests/harness/core/rocrand_probe.h"

#include "kernels/runtime/check.h"
#include "kernels/runtime/device_buffer.h"
#include "kernels/runtime/launch.h"

#include <hip/hip_runtime.h>
#include <rocrand/rocrand_kernel.h>

namespace hipforge::harness {

struct ProbeArgs {
  float* out;
  std::int64_t count;
  std::uint64_t seed;
  std::uint64_t tensor_id;
};

extern "C" __global__ void rocrand_probe(ProbeArgs args) {
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (index >= args.count) return;
  rocrand_state_philox4x32_10 state;
  rocrand_init(args.seed, args.tensor_id, 4ull * static_cast<std::uint64_t>(index), &state);
  args.out[index] = rocrand_normal(&state);
}

std::vector<float> rocrand_normals(std::int64_t count, std::uint64_t seed, std::uint64_t tensor_id) {
  const DeviceBuffer buffer(static_cast<std::size_t>(count) * sizeof(float));
  LaunchPlan plan;
  plan.kernel = "rocrand_probe";
  plan.function = reinterpret_cast<const void*>(&rocrand_probe);
  plan.grid = dim3(static_cast<unsigned>((count + 255) / 256), 1, 1);
  plan.block = dim3(256, 1, 1);
  throw_if_error(
      launch(plan, ProbeArgs{static_cast<float*>(buffer.data()), count, seed, tensor_id}, nullptr));
  std::vector<float> values(static_cast<std::size_t>(count));
  buffer.download(std::as_writable_bytes(std::span(values)));
  return values;
}

}  // namespace hipforge::harness
