#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::reference {

/// A linear layer in double, row-major [rows, out_features].
struct LinearResult {
  std::vector<double> y;          ///< x · weightᵀ + bias
  std::vector<double> magnitude;  ///< |x| · |weight|ᵀ + |bias|
};

/// x [rows, in_features], weight [out_features, in_features], bias [out_features] or empty.
[[nodiscard]] LinearResult linear(std::span<const double> x, std::span<const double> weight,
                                  std::span<const double> bias, std::int64_t rows, std::int64_t in_features,
                                  std::int64_t out_features);

}  // namespace hipforge::reference
