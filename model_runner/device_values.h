// Parts of device tensors, and their elements as doubles on the host.
#pragma once

#include "kernels/runtime/tensor.h"

#include <cstdint>
#include <vector>

namespace hipforge::runner {

/// Rows [first, first + count) of a matrix.
[[nodiscard]] TensorView row_range(const TensorView& matrix, std::int64_t first, std::int64_t count);
/// Columns [first, first + count) of a matrix.
[[nodiscard]] TensorView column_range(const TensorView& matrix, std::int64_t first, std::int64_t count);

/// The elements of a view, row-major, whatever its strides and dtype; indices come as whole numbers. Waits
/// for the device. Throws hipforge::Error where the copy fails.
[[nodiscard]] std::vector<double> download_values(const TensorView& tensor);

}  // namespace hipforge::runner
