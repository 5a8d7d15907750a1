#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::reference {

struct WeightedMatmulSizes {
  std::int64_t batch = 0;
  std::int64_t q_len = 0;
  std::int64_t kv_len = 0;
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
};

/// Attention weights × values in double, row-major [batch, q_len, q_heads, head_dim].
struct WeightedMatmulResult {
  std::vector<double> value;
  std::vector<double> magnitude;  ///< Σ_j |weights · values|
};

/// weights [batch, q_heads, q_len, kv_len], values [batch, kv_len, kv_heads, head_dim]; q_heads is a multiple
/// of kv_heads, and each run of q_heads / kv_heads query heads reads one head of values.
[[nodiscard]] WeightedMatmulResult weighted_matmul(std::span<const double> weights,
                                                   std::span<const double> values,
                                                   const WeightedMatmulSizes& sizes);

}  // namespace hipforge::reference
