#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::reference {

struct SoftmaxOptions {
  std::int64_t batch = 0;
  std::int64_t heads = 0;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  double scale = 1.0;
  bool causal = false;
  std::int64_t causal_offset = 0;            ///< column j of row i is visible where j <= i + causal_offset
  std::array<std::int64_t, 3> mask_shape{};  ///< batch, heads, rows of the mask, each 1 or that of x
  double empty_value = 0.0;                  ///< of every element of a row where nothing remains
};

/// Softmax in double, row-major [batch, heads, rows, cols].
struct SoftmaxResult {
  std::vector<double> value;
  std::vector<double> scaled;   ///< scale · x
  std::vector<double> score;    ///< scaled + mask, −inf where removed
  std::vector<double> largest;  ///< [batch, heads, rows] the row's largest score; −inf where nothing remains
};

/// mask [mask_shape, cols] may be empty. A mask of −inf removes the element whatever its score.
[[nodiscard]] SoftmaxResult softmax(std::span<const double> x, std::span<const double> mask,
                                    const SoftmaxOptions& options);

}  // namespace hipforge::reference
