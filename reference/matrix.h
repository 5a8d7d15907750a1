#pragma once

#include <Eigen/Core>

#include <cstdint>
#include <span>
#include <vector>

/// The oracle's vocabulary: row-major double matrices over spans.
namespace hipforge::reference {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

[[nodiscard]] inline Eigen::Map<const Matrix> map_matrix(std::span<const double> values, std::int64_t rows,
                                                         std::int64_t cols) {
  eigen_assert(static_cast<std::int64_t>(values.size()) == rows * cols);
  return {values.data(), rows, cols};
}

[[nodiscard]] inline Eigen::Map<const Vector> map_vector(std::span<const double> values) {
  return {values.data(), static_cast<Eigen::Index>(values.size())};
}

template <class Derived>
[[nodiscard]] std::vector<double> to_std(const Eigen::PlainObjectBase<Derived>& values) {
  return {values.data(), values.data() + values.size()};
}

}  // namespace hipforge::reference
