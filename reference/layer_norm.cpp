#include "reference/layer_norm.h"

#include "reference/matrix.h"

namespace hipforge::reference {

LayerNormResult layer_norm(std::span<const double> x, std::span<const double> residual,
                           std::span<const double> weight, std::span<const double> bias, std::int64_t rows,
                           std::int64_t hidden, double eps) {
  Matrix sum = map_matrix(x, rows, hidden);
  if (!residual.empty()) sum += map_matrix(residual, rows, hidden);
  const Vector mean = sum.rowwise().mean();
  const Matrix apart = sum.colwise() - mean;
  const Vector variance = apart.array().square().rowwise().mean();
  const Vector inverse = (variance.array() + eps).rsqrt();
  Matrix y = (inverse.asDiagonal() * apart).array().rowwise() * map_vector(weight).transpose().array();
  if (!bias.empty()) y.rowwise() += map_vector(bias).transpose();
  return {to_std(sum), to_std(y), to_std(mean), to_std(variance)};
}

}  // namespace hipforge::reference
