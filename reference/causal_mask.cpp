#include "reference/causal_mask.h"

#include "reference/matrix.h"

#include <limits>

namespace hipforge::reference {

std::vector<double> causal_mask(std::int64_t q_len, std::int64_t kv_len, std::int64_t window,
                                std::int64_t prefix_len) {
  // The distance from a query back to a key, both counted from the end: 0 for its own, negative for later
  // ones.
  const auto visible = [&](Eigen::Index query, Eigen::Index key) {
    const std::int64_t distance = (kv_len - 1 - key) - (q_len - 1 - query);
    const bool in_window = distance >= 0 && (window == 0 || distance < window);
    return in_window || key < prefix_len ? 0.0 : -std::numeric_limits<double>::infinity();
  };
  return to_std(Matrix(Matrix::NullaryExpr(q_len, kv_len, visible)));
}

}  // namespace hipforge::reference
