#include "reference/softmax.h"
#include "reference/not_finite.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace hipforge::reference {
namespace {

SoftmaxOptions sized(std::int64_t batch, std::int64_t heads, std::int64_t rows, std::int64_t cols) {
  SoftmaxOptions options;
  options.batch = batch;
  options.heads = heads;
  options.rows = rows;
  options.cols = cols;
  return options;
}

TEST(SoftmaxReference, LogarithmsGiveTheirNumbersShares) {
  // exp(ln 1, ln 2, ln 5) = 1, 2, 5, of 8 together.
  const std::vector<double> x{std::log(1.0), std::log(2.0), std::log(5.0)};
  const SoftmaxResult result = softmax(x, {}, sized(1, 1, 1, 3));
  EXPECT_NEAR(result.value[0], 0.125, 1e-15);
  EXPECT_NEAR(result.value[1], 0.25, 1e-15);
  EXPECT_NEAR(result.value[2], 0.625, 1e-15);
  EXPECT_DOUBLE_EQ(result.largest[0], std::log(5.0));
}

TEST(SoftmaxReference, ScaleMultipliesBeforeTheMaskIsAdded) {
  // 2 · (1, 2) + (1, 0) = (3, 4): shares 1 / (1 + e) and e / (1 + e).
  const std::vector<double> x{1.0, 2.0};
  const std::vector<double> mask{1.0, 0.0};
  SoftmaxOptions options = sized(1, 1, 1, 2);
  options.scale = 2.0;
  options.mask_shape = {1, 1, 1};
  const SoftmaxResult result = softmax(x, mask, options);
  EXPECT_NEAR(result.value[0], 1.0 / (1.0 + std::exp(1.0)), 1e-15);
  EXPECT_NEAR(result.value[1], std::exp(1.0) / (1.0 + std::exp(1.0)), 1e-15);
  EXPECT_EQ(result.scaled, (std::vector<double>{2.0, 4.0}));
  EXPECT_EQ(result.score, (std::vector<double>{3.0, 4.0}));
}

TEST(SoftmaxReference, CausalSeesUpToItsOffset) {
  // Equal scores: row i shares 1 among min(i + 1 − 1, 3) columns; row 0 sees none.
  const std::vector<double> x(9, 4.0);
  SoftmaxOptions options = sized(1, 1, 3, 3);
  options.causal = true;
  options.causal_offset = -1;
  options.empty_value = 7.0;
  const SoftmaxResult result = softmax(x, {}, options);
  EXPECT_EQ(result.value, (std::vector<double>{7.0, 7.0, 7.0, 1.0, 0.0, 0.0, 0.5, 0.5, 0.0}));
  EXPECT_EQ(result.largest[0], -kInfinity);
}

TEST(SoftmaxReference, AMaskOfMinusInfinityRemovesWhateverTheScore) {
  const std::vector<double> x{kNaN, 1.0, kInfinity, 1.0};
  const std::vector<double> mask{-kInfinity, 0.0, -kInfinity, 0.0};
  SoftmaxOptions options = sized(1, 1, 1, 4);
  options.mask_shape = {1, 1, 1};
  EXPECT_EQ(softmax(x, mask, options).value, (std::vector<double>{0.0, 0.5, 0.0, 0.5}));
}

TEST(SoftmaxReference, NaNAndInfinityTakeTheirRowAndRemovedElementsStayZero) {
  const std::vector<double> x{kNaN, 1.0, -kInfinity, kInfinity, 1.0, -kInfinity, 1.0, 1.0, -kInfinity};
  const std::vector<double> value = softmax(x, {}, sized(1, 1, 3, 3)).value;
  for (std::size_t row = 0; row < 2; ++row) {
    EXPECT_TRUE(std::isnan(value[row * 3]));
    EXPECT_TRUE(std::isnan(value[row * 3 + 1]));
    EXPECT_EQ(value[row * 3 + 2], 0.0);
  }
  EXPECT_EQ((std::vector<double>(value.begin() + 6, value.end())), (std::vector<double>{0.5, 0.5, 0.0}));
}

TEST(SoftmaxReference, MaskAxesOfSizeOneAreBroadcast) {
  // [2, 2, 2, 2] of zeros; the mask, [2, 1, 2, 2], removes column (batch + row) % 2.
  const std::vector<double> x(16, 0.0);
  std::vector<double> mask(8, 0.0);
  for (std::size_t batch = 0; batch < 2; ++batch) {
    for (std::size_t row = 0; row < 2; ++row) mask[batch * 4 + row * 2 + (batch + row) % 2] = -kInfinity;
  }
  SoftmaxOptions options = sized(2, 2, 2, 2);
  options.mask_shape = {2, 1, 2};
  const std::vector<double> value = softmax(x, mask, options).value;
  for (std::size_t i = 0; i < 16; ++i) {
    const std::size_t batch = i / 8;
    const std::size_t row = i / 2 % 2;
    EXPECT_EQ(value[i], i % 2 == (batch + row) % 2 ? 0.0 : 1.0) << i;
  }
}

TEST(SoftmaxReference, HugeScoresAreFinite) {
  const std::vector<double> x{1e30, 1e30, -1e30, 0.0};
  EXPECT_EQ(softmax(x, {}, sized(1, 1, 1, 4)).value, (std::vector<double>{0.5, 0.5, 0.0, 0.0}));
}

}  // namespace
}  // namespace hipforge::reference
