#include "reference/softmax.h"

#include "reference/matrix.h"
#include "reference/not_finite.h"

namespace hipforge::reference {
namespace {

// Row of the mask, as a matrix [·, cols], that belongs to a row of x; axes of size 1 are broadcast.
std::int64_t mask_row(const SoftmaxOptions& options, std::int64_t batch, std::int64_t head,
                      std::int64_t row) {
  const auto [batches, heads, rows] = options.mask_shape;
  return ((batches == 1 ? 0 : batch) * heads + (heads == 1 ? 0 : head)) * rows + (rows == 1 ? 0 : row);
}

}  // namespace

SoftmaxResult softmax(std::span<const double> x, std::span<const double> mask,
                      const SoftmaxOptions& options) {
  const std::int64_t rows = options.batch * options.heads * options.rows;
  const std::int64_t mask_rows = options.mask_shape[0] * options.mask_shape[1] * options.mask_shape[2];
  const auto masks = map_matrix(mask, mask.empty() ? 0 : mask_rows, options.cols);

  const Matrix scaled = options.scale * map_matrix(x, rows, options.cols);
  Matrix score = scaled;
  Matrix value(rows, options.cols);
  Vector largest(rows);
  for (std::int64_t at = 0; at < rows; ++at) {
    const std::int64_t row = at % options.rows;
    const std::int64_t head = at / options.rows % options.heads;
    const std::int64_t batch = at / options.rows / options.heads;
    auto scores = score.row(at).array();
    if (!mask.empty()) {
      const auto added = masks.row(mask_row(options, batch, head, row)).array();
      scores = (added == -kInfinity).select(-kInfinity, scores + added);
    }
    if (options.causal) {
      for (std::int64_t col = 0; col < options.cols; ++col) {
        if (col > row + options.causal_offset) scores(col) = -kInfinity;
      }
    }
    largest(at) = options.cols == 0 ? -kInfinity : scores.maxCoeff<Eigen::PropagateNaN>();
    if (largest(at) == -kInfinity) {
      value.row(at).setConstant(options.empty_value);
      continue;
    }
    const Eigen::ArrayXd weights = (scores == -kInfinity).select(0.0, (scores - largest(at)).exp());
    const double sum = weights.sum();
    value.row(at) = (scores == -kInfinity).select(0.0, weights.transpose() / sum);
  }
  return {to_std(value), to_std(scaled), to_std(score), to_std(largest)};
}

}  // namespace hipforge::reference
