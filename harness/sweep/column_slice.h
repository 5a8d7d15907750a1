#pragma once

#include "harness/core/case.h"

#include <cstdint>

namespace hipforge::harness {

/// Columns [first, first + count) of a rank-2 view.
[[nodiscard]] inline TensorView slice_columns(const TensorView& wide, std::int64_t first,
                                              std::int64_t count) {
  return slice_axis(wide, 1, first, count);
}

}  // namespace hipforge::harness
