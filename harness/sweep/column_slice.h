#pragma once

#include "harness/core/case.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

/// Operands that are a range of columns of a wider matrix: rows that lie apart and yet may stand on multiples
/// of 16 bytes, which Layout::kStrided never does.
namespace hipforge::harness {

/// The layout that the other operands do not have: whether rows are aligned is asked of each tensor apart.
[[nodiscard]] inline Layout other_layout(Layout layout) {
  return layout == Layout::kContiguous ? Layout::kStrided : Layout::kContiguous;
}

/// Columns [first, first + count) of a rank-2 view.
[[nodiscard]] inline TensorView slice_columns(TensorView wide, std::int64_t first, std::int64_t count) {
  if (wide.numel() > 0) {
    wide.data = static_cast<std::byte*>(wide.data) + static_cast<std::size_t>(first) * dtype_size(wide.dtype);
    wide.elements -= first;
  }
  wide.shape[1] = count;
  return wide;
}

/// The same columns of row-major values with `wide_cols` in a row.
[[nodiscard]] inline std::vector<double> slice_columns(std::span<const double> values, std::int64_t wide_cols,
                                                       std::int64_t first, std::int64_t count) {
  std::vector<double> slice;
  const auto rows = wide_cols == 0 ? 0 : static_cast<std::int64_t>(values.size()) / wide_cols;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t col = first; col < first + count; ++col) {
      slice.push_back(values[static_cast<std::size_t>(row * wide_cols + col)]);
    }
  }
  return slice;
}

/// What the whole wider matrix must hold where `slice` was written to columns [first, ...) of it: elsewhere
/// exactly `before`, or the poison of an output, NaN, where `before` is empty.
[[nodiscard]] inline Expected expect_columns(const Expected& slice, std::int64_t wide_cols,
                                             std::int64_t first, std::span<const double> before = {}) {
  const std::int64_t rows = slice.shape[0];
  const std::int64_t cols = slice.shape[1];
  Expected wide;
  wide.dtype = slice.dtype;
  wide.shape = {rows, wide_cols};
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t col = 0; col < wide_cols; ++col) {
      if (col >= first && col < first + cols) {
        const auto at = static_cast<std::size_t>(row * cols + col - first);
        wide.value.push_back(slice.value[at]);
        wide.bound.push_back(slice.bound[at]);
      } else {
        const auto at = static_cast<std::size_t>(row * wide_cols + col);
        wide.value.push_back(before.empty() ? std::numeric_limits<double>::quiet_NaN() : before[at]);
        wide.bound.push_back(0.0);
      }
    }
  }
  return wide;
}

}  // namespace hipforge::harness
