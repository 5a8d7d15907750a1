#pragma once

#include "kernels/device/dtype.h"

#include <cstdint>

namespace hipforge {

/// An integer that grows as the float does: NaN gives 0, below −infinity; −0 and +0 give the same.
__host__ __device__ inline std::uint32_t order_key(float value) {
  if (value != value) return 0;
  const std::uint32_t bits = detail::bit_cast<std::uint32_t>(value + 0.0f);  // −0 + 0 is +0
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

/// The float of a key that is not 0; +0 for both zeros.
__host__ __device__ inline float order_value(std::uint32_t key) {
  return detail::bit_cast<float>((key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key);
}

/// The key of −infinity, the smallest of a number.
inline constexpr std::uint32_t kLowestOrderKey = 0x007fffffu;

}  // namespace hipforge
