#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>

namespace hipforge {

/// value / divisor of numbers that are not negative. In 32 bits where both fit, as they nearly always do:
/// GPUs have no 64-bit division, and what stands for it costs more than the rest of a row's addresses.
__device__ inline std::int64_t divide_index(std::int64_t value, std::int64_t divisor) {
  if (((value | divisor) >> 32) == 0) {
    return static_cast<std::int64_t>(static_cast<std::uint32_t>(value) / static_cast<std::uint32_t>(divisor));
  }
  return value / divisor;
}

}  // namespace hipforge
