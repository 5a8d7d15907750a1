#include "harness/bench/bandwidth.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"

#include <algorithm>
#include <iterator>

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
template <Traffic kTraffic, int kDepth>
__device__ void move_kernel(const MoveArgs& args) {
  constexpr std::int64_t kRun = static_cast<std::int64_t>(kDepth) * kBlock;
  [[maybe_unused]] std::uint32_t folded = 0;
  for (std::int64_t run = blockIdx.x * kRun; run < args.quads; run += gridDim.x * kRun) {
    const std::int64_t first = run + threadIdx.x;
    Quad quads[kDepth];
#pragma unroll
    for (int i = 0; i < kDepth; ++i) {
      const std::int64_t at = first + static_cast<std::int64_t>(i) * kBlock;
      if constexpr (kTraffic == Traffic::kWrite) {
        quads[i] = {{0x3c3c3c3cu, 0x3c3c3c3cu, 0x3c3c3c3cu, 0x3c3c3c3cu}};
      } else {
        quads[i] = at < args.quads ? static_cast<const Quad*>(args.source)[at] : Quad{};
      }
    }
#pragma unroll
    for (int i = 0; i < kDepth; ++i) {
      const std::int64_t at = first + static_cast<std::int64_t>(i) * kBlock;
      if constexpr (kTraffic == Traffic::kRead) {
        for (std::uint32_t word : quads[i].words) folded ^= word;
      } else if (at < args.quads) {
        static_cast<Quad*>(args.destination)[at] = quads[i];
      }
    }
  }
  if constexpr (kTraffic == Traffic::kRead) {
    // Never true but by accident, and unknown to the compiler: the loads must happen.
    if (folded == 0x9e3779b9u) *static_cast<std::uint32_t*>(args.destination) = folded;
  }
}

template <Traffic kTraffic, int kDepth>
inline constexpr KernelEntry kMoveEntry{};
HIPFORGE_KERNEL(kMoveEntry, (Traffic::kCopy, 2), bandwidth_copy_2, move_kernel, MoveArgs, kBlock)
HIPFORGE_KERNEL(kMoveEntry, (Traffic::kCopy, 4), bandwidth_copy_4, move_kernel, MoveArgs, kBlock)
HIPFORGE_KERNEL(kMoveEntry, (Traffic::kCopy, 8), bandwidth_copy_8, move_kernel, MoveArgs, kBlock)
HIPFORGE_KERNEL(kMoveEntry, (Traffic::kRead, 2), bandwidth_read_2, move_kernel, MoveArgs, kBlock)
HIPFORGE_KERNEL(kMoveEntry, (Traffic::kRead, 4), bandwidth_read_4, move_kernel, MoveArgs, kBlock)
HIPFORGE_KERNEL(kMoveEntry, (Traffic::kRead, 8), bandwidth_read_8, move_kernel, MoveArgs, kBlock)
HIPFORGE_KERNEL(kMoveEntry, (Traffic::kWrite, 2), bandwidth_write_2, move_kernel, MoveArgs, kBlock)
HIPFORGE_KERNEL(kMoveEntry, (Traffic::kWrite, 4), bandwidth_write_4, move_kernel, MoveArgs, kBlock)
HIPFORGE_KERNEL(kMoveEntry, (Traffic::kWrite, 8), bandwidth_write_8, move_kernel, MoveArgs, kBlock)

// A variant is one of these depths under one of these numbers of blocks; 0: as many as there are runs.
constexpr int kDepths[] = {2, 4, 8};
constexpr std::int64_t kBlocksPerMultiprocessor[] = {2, 4, 8, 0};
static_assert(std::size(kDepths) * std::size(kBlocksPerMultiprocessor) == kBandwidthVariants);

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
  const KernelEntry entries[][3] = {
      {kMoveEntry<Traffic::kCopy, 2>, kMoveEntry<Traffic::kCopy, 4>, kMoveEntry<Traffic::kCopy, 8>},
      {kMoveEntry<Traffic::kRead, 2>, kMoveEntry<Traffic::kRead, 4>, kMoveEntry<Traffic::kRead, 8>},
      {kMoveEntry<Traffic::kWrite, 2>, kMoveEntry<Traffic::kWrite, 4>, kMoveEntry<Traffic::kWrite, 8>}};
  const KernelEntry& entry = entries[static_cast<int>(traffic)][variant % 3];
  const int depth = kDepths[variant % 3];
  const std::int64_t blocks_per_multiprocessor = kBlocksPerMultiprocessor[variant / 3];
  const std::size_t moved = traffic == Traffic::kCopy ? bytes / 2 : bytes;
  const MoveArgs args{source, destination, static_cast<std::int64_t>(moved / sizeof(Quad))};
  std::int64_t blocks = ceil_div(args.quads, static_cast<std::int64_t>(depth) * kBlock);
  if (blocks_per_multiprocessor > 0) {
    int device = 0;
    HIPFORGE_HIP_TRY(hipGetDevice(&device));
    int multiprocessors = 0;
    HIPFORGE_HIP_TRY(hipDeviceGetAttribute(&multiprocessors, hipDeviceAttributeMultiprocessorCount, device));
    blocks = std::min(blocks, blocks_per_multiprocessor * multiprocessors);
  }
  return launch(make_plan(entry, blocks, kBlock), args, stream);
}

}  // namespace hipforge::harness
