#pragma once

#include "kernels/runtime/status.h"

#include <hip/hip_runtime.h>

#include <cstddef>

namespace hipforge::harness {

/// Memory traffic that a ceiling is measured with: the Ceiling of the same place, but for kMatrix.
enum class Traffic {
  kCopy,   ///< reads `bytes` / 2, writes as many
  kRead,   ///< reads `bytes`; what it folds them into is too small to count
  kWrite,  ///< writes `bytes`, all 0x3c
};

[[nodiscard]] const char* traffic_name(Traffic traffic);

/// How many ways there are to launch the traffic: blocks a multiprocessor, accesses in flight a thread. Which
/// is fastest differs by device and byte count, so a ceiling tries all.
inline constexpr int kBandwidthVariants = 12;

/// Moves `bytes` (a multiple of 4,096) in accesses of 16 bytes, asynchronously.
///   source       what is read; unused by kWrite
///   destination  what is written; kRead: at least 16 bytes, which it leaves alone but for data that fold to
///                one value out of 2³²
Status move_bytes(Traffic traffic, int variant, const void* source, void* destination, std::size_t bytes,
                  hipStream_t stream);

}  // namespace hipforge::harness
