#include "reference/weighted_matmul.h"

#include "reference/matrix.h"

namespace hipforge::reference {
namespace {

// One head of a [length, heads, head_dim] tensor, as a matrix [length, head_dim] whose rows lie heads ·
// head_dim apart.
template <class Value, class MatrixType>
Eigen::Map<MatrixType, 0, Eigen::OuterStride<>> head_matrix(Value* data, std::int64_t length,
                                                            std::int64_t heads, std::int64_t head_dim,
                                                            std::int64_t batch, std::int64_t head) {
  return {data + (batch * length * heads + head) * head_dim, length, head_dim,
          Eigen::OuterStride<>(heads * head_dim)};
}

}  // namespace

WeightedMatmulResult weighted_matmul(std::span<const double> weights, std::span<const double> values,
                                     const WeightedMatmulSizes& sizes) {
  const auto size = static_cast<std::size_t>(sizes.batch * sizes.q_len * sizes.q_heads * sizes.head_dim);
  WeightedMatmulResult result{std::vector<double>(size), std::vector<double>(size)};
  for (std::int64_t batch = 0; batch < sizes.batch; ++batch) {
    for (std::int64_t head = 0; head < sizes.q_heads; ++head) {
      const std::int64_t kv_head = head * sizes.kv_heads / sizes.q_heads;
      const Eigen::Map<const Matrix> w(
          weights.data() + (batch * sizes.q_heads + head) * sizes.q_len * sizes.kv_len, sizes.q_len,
          sizes.kv_len);
      const auto v = head_matrix<const double, const Matrix>(values.data(), sizes.kv_len, sizes.kv_heads,
                                                             sizes.head_dim, batch, kv_head);
      head_matrix<double, Matrix>(result.value.data(), sizes.q_len, sizes.q_heads, sizes.head_dim, batch,
                                  head) = w * v;
      head_matrix<double, Matrix>(result.magnitude.data(), sizes.q_len, sizes.q_heads, sizes.head_dim, batch,
                                  head) = w.cwiseAbs() * v.cwiseAbs();
    }
  }
  return result;
}

}  // namespace hipforge::reference
