#include "harness/bench/bandwidth.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"

#include <algorithm>
#include <type_traits>

namespace hipforge::harness {
namespace bandwidth_detail {

constexpr int kBlock = 512;

struct alignas(16) Quad {
  std::uint32_t words[4];
};

struct MoveArgs {
  const void* source;
  void* destination;
  std::int64_t quads;
};

// Each block takes runs of kDepth · kBlock neighbouring quads: a warp's accesses are contiguous and a thread
// has kDepth of them in flight.
template <int kDepth, class Visit>
__device__ inline void for_each_run(std::int64_t quads, Visit visit) {
  constexpr std::int64_t kRun = static_cast<std::int64_t>(kDepth) * kBlock;
  for (std::int64_t run = static_cast<std::int64_t>(blockIdx.x) * kRun; run < quads;
       run += static_cast<std::int64_t>(gridDim.x) * kRun) {
    visit(run + threadIdx.x);
  }
}

template <int kDepth>
__device__ inline void load_run(const MoveArgs& args, std::int64_t first, Quad (&quads)[kDepth]) {
#pragma unroll
  for (int i = 0; i < kDepth; ++i) {
    const std::int64_t at = first + static_cast<std::int64_t>(i) * kBlock;
    quads[i] = at < args.quads ? static_cast<const Quad*>(args.source)[at] : Quad{};
  }
}

template <int kDepth>
__device__ inline void store_run(const MoveArgs& args, std::int64_t first, const Quad (&quads)[kDepth]) {
#pragma unroll
  for (int i = 0; i < kDepth; ++i) {
    const std::int64_t at = first + static_cast<std::int64_t>(i) * kBlock;
    if (at < args.quads) static_cast<Quad*>(args.destination)[at] = quads[i];
  }
}

template <int kTraffic, int kDepth>
__device__ void move_kernel(const MoveArgs& args) {
  if constexpr (static_cast<Traffic>(kTraffic) == Traffic::kCopy) {
    for_each_run<kDepth>(args.quads, [&](std::int64_t first) {
      Quad quads[kDepth];
      load_run<kDepth>(args, first, quads);
      store_run<kDepth>(args, first, quads);
    });
  } else if constexpr (static_cast<Traffic>(kTraffic) == Traffic::kRead) {
    std::uint32_t folded = 0;
    for_each_run<kDepth>(args.quads, [&](std::int64_t first) {
      Quad quads[kDepth];
      load_run<kDepth>(args, first, quads);
#pragma unroll
      for (int i = 0; i < kDepth; ++i) {
        for (std::uint32_t word : quads[i].words) folded ^= word;
      }
    });
    // Never true but by accident, and unknown to the compiler: the loads must happen.
    if (folded == 0x9e3779b9u) *static_cast<std::uint32_t*>(args.destination) = folded;
  } else {
    Quad quads[kDepth];
#pragma unroll
    for (int i = 0; i < kDepth; ++i) {
      for (std::uint32_t& word : quads[i].words) word = 0x3c3c3c3cu;
    }
    for_each_run<kDepth>(args.quads, [&](std::int64_t first) { store_run<kDepth>(args, first, quads); });
  }
}

template <int kTraffic, int kDepth>
inline constexpr KernelEntry kMoveEntry{};
HIPFORGE_KERNEL(kMoveEntry, (0, 2), bandwidth_copy_2, move_kernel, MoveArgs, kBlock)
HIPFORGE_KERNEL(kMoveEntry, (0, 4), bandwidth_copy_4, move_kernel, MoveArgs, kBlock)
HIPFORGE_KERNEL(kMoveEntry, (0, 8), bandwidth_copy_8, move_kernel, MoveArgs, kBlock)
HIPFORGE_KERNEL(kMoveEntry, (1, 2), bandwidth_read_2, move_kernel, MoveArgs, kBlock)
HIPFORGE_KERNEL(kMoveEntry, (1, 4), bandwidth_read_4, move_kernel, MoveArgs, kBlock)
HIPFORGE_KERNEL(kMoveEntry, (1, 8), bandwidth_read_8, move_kernel, MoveArgs, kBlock)
HIPFORGE_KERNEL(kMoveEntry, (2, 2), bandwidth_write_2, move_kernel, MoveArgs, kBlock)
HIPFORGE_KERNEL(kMoveEntry, (2, 4), bandwidth_write_4, move_kernel, MoveArgs, kBlock)
HIPFORGE_KERNEL(kMoveEntry, (2, 8), bandwidth_write_8, move_kernel, MoveArgs, kBlock)

struct Variant {
  int depth;
  std::int64_t blocks_per_multiprocessor;  // 0: as many as there are runs
};
constexpr Variant kVariants[] = {{2, 2}, {4, 2}, {8, 2}, {2, 4}, {4, 4}, {8, 4},
                                 {2, 8}, {4, 8}, {8, 8}, {2, 0}, {4, 0}, {8, 0}};
static_assert(std::extent_v<decltype(kVariants)> == kBandwidthVariants);

template <int kTraffic>
KernelEntry entry_of(int depth) {
  switch (depth) {
    case 2:
      return kMoveEntry<kTraffic, 2>;
    case 4:
      return kMoveEntry<kTraffic, 4>;
    default:
      return kMoveEntry<kTraffic, 8>;
  }
}

}  // namespace bandwidth_detail

using namespace bandwidth_detail;

const char* traffic_name(Traffic traffic) {
  constexpr const char* kNames[] = {"copy", "read", "write"};
  return kNames[static_cast<int>(traffic)];
}

Status move_bytes(Traffic traffic, int variant, const void* source, void* destination, std::size_t bytes,
                  hipStream_t stream) {
  if (variant < 0 || variant >= kBandwidthVariants) {
    return invalid_argument("move_bytes: variant is ", variant, ", needs 0 to ", kBandwidthVariants - 1);
  }
  if (bytes == 0 || bytes % 4096 != 0) {
    return invalid_argument("move_bytes: ", bytes, " bytes, needs a multiple of 4096");
  }
  const Variant& how = kVariants[variant];
  const KernelEntry entry = traffic == Traffic::kCopy   ? entry_of<0>(how.depth)
                            : traffic == Traffic::kRead ? entry_of<1>(how.depth)
                                                        : entry_of<2>(how.depth);
  MoveArgs args{};
  args.source = source;
  args.destination = destination;
  args.quads = static_cast<std::int64_t>((traffic == Traffic::kCopy ? bytes / 2 : bytes) / sizeof(Quad));
  const std::int64_t run = static_cast<std::int64_t>(how.depth) * kBlock;
  std::int64_t blocks = (args.quads + run - 1) / run;
  if (how.blocks_per_multiprocessor > 0) {
    int device = 0;
    HIPFORGE_HIP_TRY(hipGetDevice(&device));
    int multiprocessors = 0;
    HIPFORGE_HIP_TRY(hipDeviceGetAttribute(&multiprocessors, hipDeviceAttributeMultiprocessorCount, device));
    blocks = std::min(blocks, how.blocks_per_multiprocessor * multiprocessors);
  }
  LaunchPlan plan;
  plan.kernel = entry.name;
  plan.function = entry.function;
  plan.grid = dim3(static_cast<unsigned>(std::min(blocks, kMaxGrid)), 1, 1);
  plan.block = dim3(kBlock, 1, 1);
  return launch(plan, args, stream);
}

}  // namespace hipforge::harness
