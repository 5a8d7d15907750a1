#pragma once

#include "kernels/device/tensor_map.h"
#include "kernels/runtime/status.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace hipforge {

/// What a TensorMap says; dimensions from the innermost on, whose elements are neighbours.
struct TensorMapParams {
  const void* base = nullptr;
  std::size_t element_bytes = 2;           ///< 1, 2 or 4
  std::span<const std::uint64_t> extents;  ///< elements; 2 to 5 dimensions
  std::span<const std::uint64_t>
      strides;  ///< bytes from one element to the next, of all dimensions but the first
  std::span<const std::uint32_t> box;  ///< elements that one copy moves
  bool swizzled = false;               ///< the 128-byte swizzle: the box's rows are 128 bytes
};

/// kUnsupported where the copy engine cannot: base and strides are multiples of 16 bytes, a box has up to 256
/// elements a dimension and rows of a multiple of 16 bytes; and on AMD, which has none.
Status make_tensor_map(const TensorMapParams& params, TensorMap& map);

}  // namespace hipforge
