#include "reference/rms_norm.h"

#include "reference/matrix.h"

namespace hipforge::reference {

RmsNormResult rms_norm(std::span<const double> x, std::span<const double> residual,
                       std::span<const double> weight, std::int64_t rows, std::int64_t hidden, double eps) {
  Matrix sum = map_matrix(x, rows, hidden);
  if (!residual.empty()) sum += map_matrix(residual, rows, hidden);
  const Vector mean_square = sum.array().square().rowwise().mean();
  const Vector inverse = (mean_square.array() + eps).rsqrt();
  const Matrix y = (inverse.asDiagonal() * sum).array().rowwise() * map_vector(weight).transpose().array();
  return {to_std(sum), to_std(y), to_std(mean_square)};
}

}  // namespace hipforge::reference
