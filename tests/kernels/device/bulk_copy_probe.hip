#include "tests/kernels/device/bulk_copy_probe.h"

#include "kernels/device/bulk_copy.h"
#include "kernels/device/dependent_launch.h"
#include "kernels/device/kernel.h"
#include "kernels/device/named_barrier.h"
#include "kernels/device/warpgroup_core.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/device_buffer.h"
#include "kernels/runtime/target.h"
#include "kernels/runtime/tensor_map.h"

#include <algorithm>

namespace hipforge::test {
namespace bulk_copy_detail {

struct ProbeArgs {
  TensorMap in;
  TensorMap out;
  int first_row;
  int column;
  int boxes;
  int swizzled;
};

constexpr int kColumns = 64;
constexpr int kRows = 16;
constexpr int kElements = kRows * kColumns;
constexpr int kStages = 3;
constexpr int kGroup = 128;

template <int kWave>
__device__ void bulk_copy_probe_kernel(const ProbeArgs& args) {
  HIP_DYNAMIC_SHARED(std::uint16_t, stages)
  std::uint16_t* results = stages + kStages * kElements;
  __shared__ Mbarrier full[kStages];
  __shared__ Mbarrier empty[kStages];
  const int thread = static_cast<int>(threadIdx.x) % kGroup;
  if (threadIdx.x == 0) {
    prefetch(args.in);
    prefetch(args.out);
    for (int i = 0; i < kStages; ++i) {
      full[i].init(1);
      empty[i].init(kGroup);
    }
    Mbarrier::publish_init();
  }
  __syncthreads();
  wait_for_previous_kernel();
  RingPosition<kStages> at;
  if (threadIdx.x < kGroup) {
    if (thread == 0) {
      for (int box = 0; box < args.boxes; ++box) {
        empty[at.stage].wait(at.parity ^ 1u);
        full[at.stage].arrive_and_expect(kElements * sizeof(std::uint16_t));
        bulk_load(stages + at.stage * kElements, args.in, full[at.stage], args.column,
                  args.first_row + box * kRows);
        at.advance();
      }
    }
  } else {
    for (int box = 0; box < args.boxes; ++box) {
      std::uint16_t* result = results + box % 2 * kElements;
      full[at.stage].wait(at.parity);
      if (thread == 0) bulk_store_wait_read<1>();
      named_barrier_sync(1, kGroup);
      for (int i = thread; i < kElements; i += kGroup) {
        const int row = i / kColumns;
        const int pack = (i % kColumns / 8) ^ (args.swizzled != 0 ? row % 8 : 0);
        const int from = row * kColumns + pack * 8 + i % 8;
        result[from] = static_cast<std::uint16_t>(stages[at.stage * kElements + from] + 1u);
      }
      empty[at.stage].arrive();
      publish_to_bulk();
      named_barrier_sync(1, kGroup);
      if (thread == 0) {
        bulk_store(args.out, result, args.column < 0 ? 0 : args.column,
                   (args.first_row < 0 ? 0 : args.first_row) + box * kRows);
        bulk_store_commit();
      }
      at.advance();
    }
    if (thread == 0) bulk_store_wait_read<0>();
  }
  let_next_kernel_start();
}

struct ProductArgs {
  TensorMap a;
  TensorMap b;
  float* c;
  int steps;
};

using Core = WarpgroupCore<BF16, 128>;
constexpr int kProductStages = 2;
constexpr int kA = Core::kRows * Core::kDepth;
constexpr int kB = 128 * Core::kDepth;

template <int kWave>
__device__ void bulk_product_probe_kernel(const ProductArgs& args) {
  HIP_DYNAMIC_SHARED(BF16, tiles)
  __shared__ Mbarrier full[kProductStages];
  __shared__ Mbarrier empty[kProductStages];
  if (threadIdx.x == 0) {
    for (int i = 0; i < kProductStages; ++i) {
      full[i].init(1);
      empty[i].init(kGroup);
    }
    Mbarrier::publish_init();
  }
  __syncthreads();
  RingPosition<kProductStages> at;
  if (threadIdx.x >= kGroup) {
    if (threadIdx.x != kGroup) return;
    for (int step = 0; step < args.steps; ++step) {
      BF16* tile = tiles + at.stage * (kA + kB);
      empty[at.stage].wait(at.parity ^ 1u);
      full[at.stage].arrive_and_expect((kA + kB) * sizeof(BF16));
      bulk_load(tile, args.a, full[at.stage], step * Core::kDepth, 0);
      bulk_load(tile + kA, args.b, full[at.stage], step * Core::kDepth, 0);
      at.advance();
    }
    return;
  }
  Core::Accumulator c;
  for (int step = 0; step < args.steps; ++step) {
    const BF16* tile = tiles + at.stage * (kA + kB);
    full[at.stage].wait(at.parity);
    Core::multiply_add(tile, tile + kA, c);
    Core::wait<0>(c);
    empty[at.stage].arrive();
    at.advance();
  }
  const int first = wave_id<kWave32>() * 16;
  for (int i = 0; i < Core::kValues; ++i)
    args.c[(first + Core::row(i)) * 128 + Core::column(i)] = c.values[i];
}

template <int kWave>
inline constexpr KernelEntry kProductEntry{};

HIPFORGE_TENSOR_MAP_KERNEL(kProductEntry, (32), bulk_product_probe_w32, bulk_product_probe_kernel,
                           ProductArgs, 160)

template <int kWave>
inline constexpr KernelEntry kProbeEntry{};

HIPFORGE_TENSOR_MAP_KERNEL(kProbeEntry, (32), bulk_copy_probe_w32, bulk_copy_probe_kernel, ProbeArgs, 256)
HIPFORGE_WAVE_KERNEL(64, kProbeEntry, (64), bulk_copy_probe_w64, bulk_copy_probe_kernel, ProbeArgs, 256)

Status check_engine(Target& target) {
  HIPFORGE_TRY(device_target(target));
  if (target.architecture == "cpu" || target.matrix_unit == MatrixUnit::kWgmma) return {};
  return failure(StatusCode::kUnsupported, target.architecture, " has no copy engine");
}

Status map_of(const DeviceBuffer& buffer, const BulkProbe& probe, TensorMap& map) {
  const std::uint64_t extents[] = {static_cast<std::uint64_t>(probe.columns),
                                   static_cast<std::uint64_t>(probe.rows)};
  const std::uint64_t strides[] = {static_cast<std::uint64_t>(probe.row_elements) * sizeof(std::uint16_t)};
  const std::uint32_t box[] = {kColumns, kRows};
  return make_tensor_map({buffer.data(), sizeof(std::uint16_t), extents, strides, box, probe.swizzled}, map);
}

}  // namespace bulk_copy_detail

Status bulk_copy_probe(const BulkProbe& probe, std::span<const std::uint16_t> in,
                       std::vector<std::uint16_t>& out) {
  using namespace bulk_copy_detail;
  Target target;
  HIPFORGE_TRY(check_engine(target));
  DeviceBuffer source(in.size_bytes());
  DeviceBuffer result(in.size_bytes());
  source.upload(std::as_bytes(in));
  result.fill(0xff);
  ProbeArgs args{};
  HIPFORGE_TRY(map_of(source, probe, args.in));
  HIPFORGE_TRY(map_of(result, probe, args.out));
  args.first_row = probe.first_row;
  args.column = probe.column;
  args.boxes = probe.boxes;
  args.swizzled = probe.swizzled ? 1 : 0;
  LaunchPlan plan;
  plan.kernel = target.wave == 32 ? kProbeEntry<32>.name : kProbeEntry<64>.name;
  plan.function = target.wave == 32 ? kProbeEntry<32>.function : kProbeEntry<64>.function;
  plan.block = dim3(2 * kGroup, 1, 1);
  plan.shared_bytes = (kStages + 2) * kElements * sizeof(std::uint16_t);
  HIPFORGE_TRY(launch(plan, args, nullptr));
  out.resize(in.size());
  result.download(std::as_writable_bytes(std::span(out)));
  return {};
}

Status bulk_product_probe(int depth, std::span<const float> a, std::span<const float> b,
                          std::vector<float>& c) {
  using namespace bulk_copy_detail;
  Target target;
  HIPFORGE_TRY(check_engine(target));
  if (target.wave != 32) return failure(StatusCode::kUnsupported, "waves of ", target.wave);
  const auto upload = [](std::span<const float> values, DeviceBuffer& buffer) {
    std::vector<BF16> rounded(values.size());
    std::transform(values.begin(), values.end(), rounded.begin(), from_float<BF16>);
    buffer.upload(std::as_bytes(std::span(rounded)));
  };
  DeviceBuffer a_buffer(a.size() * sizeof(BF16));
  DeviceBuffer b_buffer(b.size() * sizeof(BF16));
  DeviceBuffer c_buffer(Core::kRows * 128 * sizeof(float));
  upload(a, a_buffer);
  upload(b, b_buffer);
  c_buffer.fill(0xff);
  ProductArgs args{};
  const auto map = [&](const DeviceBuffer& buffer, std::uint32_t rows, TensorMap& made) {
    const std::uint64_t extents[] = {static_cast<std::uint64_t>(depth), rows};
    const std::uint64_t strides[] = {static_cast<std::uint64_t>(depth) * sizeof(BF16)};
    const std::uint32_t box[] = {Core::kDepth, rows};
    return make_tensor_map({buffer.data(), sizeof(BF16), extents, strides, box, true}, made);
  };
  HIPFORGE_TRY(map(a_buffer, Core::kRows, args.a));
  HIPFORGE_TRY(map(b_buffer, 128, args.b));
  args.c = static_cast<float*>(c_buffer.data());
  args.steps = depth / Core::kDepth;
  LaunchPlan plan;
  plan.kernel = kProductEntry<32>.name;
  plan.function = kProductEntry<32>.function;
  plan.block = dim3(kGroup + 32, 1, 1);
  plan.shared_bytes = kProductStages * (kA + kB) * sizeof(BF16);
  plan.overlaps = true;
  HIPFORGE_TRY(launch(plan, args, nullptr));
  c.resize(Core::kRows * 128);
  c_buffer.download(std::as_writable_bytes(std::span(c)));
  return {};
}

}  // namespace hipforge::test
