#include "reference/embedding.h"

#include "reference/matrix.h"

#include <limits>

namespace hipforge::reference {

std::vector<double> embedding(std::span<const double> table, std::span<const std::int32_t> ids,
                              std::int64_t vocab, std::int64_t hidden, double scale) {
  const auto rows = map_matrix(table, vocab, hidden);
  Matrix y(static_cast<Eigen::Index>(ids.size()), hidden);
  for (Eigen::Index token = 0; token < y.rows(); ++token) {
    const std::int32_t id = ids[static_cast<std::size_t>(token)];
    if (id < 0 || id >= vocab) {
      y.row(token).setConstant(std::numeric_limits<double>::quiet_NaN());
    } else {
      y.row(token) = scale * rows.row(id);
    }
  }
  return to_std(y);
}

}  // namespace hipforge::reference
