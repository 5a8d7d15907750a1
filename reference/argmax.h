#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::reference {

struct ArgmaxResult {
  std::vector<double> ids;     ///< [rows]
  std::vector<double> values;  ///< [rows]
};

/// The first index of the largest number of each row of x [rows, cols]; 0 and NaN where there is none.
[[nodiscard]] ArgmaxResult argmax(std::span<const double> x, std::int64_t rows, std::int64_t cols);

}  // namespace hipforge::reference
