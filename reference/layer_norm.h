#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::reference {

/// LayerNorm in double, row-major [rows, hidden].
struct LayerNormResult {
  std::vector<double> sum;       ///< residual + x, or x
  std::vector<double> y;         ///< (sum − mean) · weight / sqrt(variance + eps) + bias
  std::vector<double> mean;      ///< [rows]
  std::vector<double> variance;  ///< [rows], the mean of squared differences from the mean
};

/// residual and bias may be empty. weight, bias [hidden].
[[nodiscard]] LayerNormResult layer_norm(std::span<const double> x, std::span<const double> residual,
                                         std::span<const double> weight, std::span<const double> bias,
                                         std::int64_t rows, std::int64_t hidden, double eps);

}  // namespace hipforge::reference
