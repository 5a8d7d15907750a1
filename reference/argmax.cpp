#include "reference/argmax.h"

#include "reference/matrix.h"

#include <limits>

namespace hipforge::reference {

ArgmaxResult argmax(std::span<const double> x, std::int64_t rows, std::int64_t cols) {
  const auto matrix = map_matrix(x, rows, cols);
  ArgmaxResult result;
  for (std::int64_t row = 0; row < rows; ++row) {
    double largest = -std::numeric_limits<double>::infinity();
    bool any = false;
    for (double value : matrix.row(row)) {
      if (value >= largest) {
        largest = value;
        any = true;
      }
    }
    Eigen::Index id = 0;
    while (any && !(matrix(row, id) == largest)) ++id;
    result.ids.push_back(static_cast<double>(id));
    result.values.push_back(any ? largest : std::numeric_limits<double>::quiet_NaN());
  }
  return result;
}

}  // namespace hipforge::reference
