#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::reference {

/// RMSNorm in double, row-major [rows, hidden].
struct RmsNormResult {
  std::vector<double> sum;          ///< residual + x, or x
  std::vector<double> y;            ///< sum · weight / sqrt(mean(sum²) + eps)
  std::vector<double> mean_square;  ///< [rows]
};

/// residual may be empty. weight [hidden].
[[nodiscard]] RmsNormResult rms_norm(std::span<const double> x, std::span<const double> residual,
                                     std::span<const double> weight, std::int64_t rows, std::int64_t hidden,
                                     double eps);

}  // namespace hipforge::reference
