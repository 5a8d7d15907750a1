#include "reference/linear.h"

#include "reference/matrix.h"

namespace hipforge::reference {

LinearResult linear(std::span<const double> x, std::span<const double> weight, std::span<const double> bias,
                    std::int64_t rows, std::int64_t in_features, std::int64_t out_features) {
  const auto inputs = map_matrix(x, rows, in_features);
  const auto weights = map_matrix(weight, out_features, in_features);
  Matrix y = inputs * weights.transpose();
  Matrix magnitude = inputs.cwiseAbs() * weights.cwiseAbs().transpose();
  if (!bias.empty()) {
    y.rowwise() += map_vector(bias).transpose();
    magnitude.rowwise() += map_vector(bias).cwiseAbs().transpose();
  }
  return {to_std(y), to_std(magnitude)};
}

}  // namespace hipforge::reference
