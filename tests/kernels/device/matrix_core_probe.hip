#include "tests/kernels/device/matrix_core_probe.h"

#include "kernels/device/async_copy.h"
#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"
#include "kernels/device/matrix_core.h"
#include "kernels/device/reduce.h"
#include "kernels/runtime/device_buffer.h"

#include <algorithm>

namespace hipforge::test {
namespace matrix_core_detail {

struct ProbeArgs {
  const void* a;
  const void* b;
  float* c;
  float* row_sums;
  float start;
  int product;
};

constexpr int kTile = 16;
constexpr int kStride = kTile + 8;

template <class T, int kWave>
__device__ void matrix_core_probe_kernel(const ProbeArgs& args) {
  using Core = MatrixCore<T, kWave>;
  alignas(16) __shared__ T a_tile[kTile * kStride];
  alignas(16) __shared__ T b_tile[kTile * kStride];
  alignas(16) __shared__ T b_transposed[kTile * kStride];
  alignas(16) __shared__ T scratch[kTile * kTile];
  const int lane = lane_id<kWave>();
  const T* a_source = static_cast<const T*>(args.a);
  const T* b_source = static_cast<const T*>(args.b);
  // Rows of A as 16-byte copies, of which the last is asked for outside: zeros.
  if (lane < 2 * kTile) {
    async_copy_16(a_tile + lane / 2 * kStride + lane % 2 * 8, a_source + lane * 8, true);
  }
  async_copy_commit();
  for (int index = lane; index < kTile * kTile; index += kWave) {
    const int k = index / kTile;
    const int n = index % kTile;
    b_tile[k * kStride + n] = b_source[index];
    b_transposed[n * kStride + k] = b_source[index];
  }
  async_copy_wait<0>();
  __syncthreads();
  typename Core::Accumulator c;
  for (float& value : c.values) value = args.start;
  const auto a = Core::load_a(a_tile, kStride);
  if (args.product == static_cast<int>(ProbeProduct::kRows)) {
    Core::multiply_add(a, Core::load_b_rows(b_tile, kStride), c);
  } else {
    Core::multiply_add(a, Core::load_b(b_transposed, kStride), c);
  }
  if (args.product == static_cast<int>(ProbeProduct::kAccumulator)) {
    typename Core::Accumulator next;
    Core::multiply_add(Core::to_a(c, scratch), Core::load_b_rows(b_tile, kStride), next);
    c = next;
  }
  float sums[Core::kRows] = {};
  for (int i = 0; i < Core::kValues; ++i) {
    args.c[Core::row(Core::slot(i)) * kTile + Core::column(i)] = c.values[i];
    sums[Core::slot(i)] += c.values[i];
  }
  for (int slot = 0; slot < Core::kRows; ++slot) {
    const float sum = wave_reduce<kWave, Core::kRowLanes>(sums[slot], SumOp{});
    if (lane % Core::kRowLanes == 0) args.row_sums[Core::row(slot)] = sum;
  }
}

template <class T, int kWave>
inline constexpr KernelEntry kProbeEntry{};

#define MATRIX_CORE_PROBE(T, WAVE)                                                    \
  HIPFORGE_WAVE_KERNEL(WAVE, kProbeEntry, (T, WAVE), matrix_core_probe_##T##_w##WAVE, \
                       matrix_core_probe_kernel, ProbeArgs, WAVE)

MATRIX_CORE_PROBE(f16, 32)
MATRIX_CORE_PROBE(f16, 64)
MATRIX_CORE_PROBE(bf16, 32)
MATRIX_CORE_PROBE(bf16, 64)

template <class T>
DeviceBuffer upload(std::span<const float> values) {
  std::vector<T> rounded(values.size());
  std::transform(values.begin(), values.end(), rounded.begin(),
                 [](float value) { return from_float<T>(value); });
  DeviceBuffer buffer(rounded.size() * sizeof(T));
  buffer.upload(std::as_bytes(std::span(rounded)));
  return buffer;
}

struct ProbeResult {
  std::vector<float> c;
  std::vector<float> row_sums;
};

template <class T>
ProbeResult run(ProbeProduct product, std::span<const float> a, std::span<const float> b, float start) {
  const DeviceBuffer a_buffer = upload<T>(a);
  const DeviceBuffer b_buffer = upload<T>(b);
  DeviceBuffer c_buffer(kTile * kTile * sizeof(float));
  DeviceBuffer sums_buffer(kTile * sizeof(float));
  c_buffer.fill(0xff);
  sums_buffer.fill(0xff);
  Target target;
  throw_if_error(device_target(target));
  KernelEntry entry;
  throw_if_error(dispatch_wave("matrix_core_probe", target, [&]<int kWave>() -> Status {
    entry = kProbeEntry<T, kWave>;
    return {};
  }));
  LaunchPlan plan = make_plan(entry, 1, target.wave);
  plan.target = target;
  const ProbeArgs args{a_buffer.data(),
                       b_buffer.data(),
                       static_cast<float*>(c_buffer.data()),
                       static_cast<float*>(sums_buffer.data()),
                       start,
                       static_cast<int>(product)};
  throw_if_error(launch(plan, args, nullptr));
  ProbeResult result{std::vector<float>(kTile * kTile), std::vector<float>(kTile)};
  c_buffer.download(std::as_writable_bytes(std::span(result.c)));
  sums_buffer.download(std::as_writable_bytes(std::span(result.row_sums)));
  return result;
}

ProbeResult run(DType dtype, ProbeProduct product, std::span<const float> a, std::span<const float> b,
                float start) {
  return dtype == DType::kF16 ? run<F16>(product, a, b, start) : run<BF16>(product, a, b, start);
}

}  // namespace matrix_core_detail

std::vector<float> matrix_core_product(DType dtype, ProbeProduct product, std::span<const float> a,
                                       std::span<const float> b, float start) {
  return matrix_core_detail::run(dtype, product, a, b, start).c;
}

std::vector<float> matrix_core_row_sums(DType dtype, std::span<const float> a, std::span<const float> b) {
  return matrix_core_detail::run(dtype, ProbeProduct::kColumns, a, b, 0.0f).row_sums;
}

}  // namespace hipforge::test
