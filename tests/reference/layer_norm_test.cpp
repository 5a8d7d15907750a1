#include "reference/layer_norm.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hipforge::reference {
namespace {

TEST(LayerNormReference, HandComputedRow) {
  // (1, 5): mean 3, variance 4.
  const std::vector<double> x{1.0, 5.0};
  const std::vector<double> weight{2.0, -1.0};
  const std::vector<double> bias{10.0, 20.0};
  const LayerNormResult result = layer_norm(x, {}, weight, bias, 1, 2, 0.0);
  EXPECT_EQ(result.mean, (std::vector<double>{3.0}));
  EXPECT_EQ(result.variance, (std::vector<double>{4.0}));
  EXPECT_EQ(result.y, (std::vector<double>{8.0, 19.0}));
  EXPECT_EQ(layer_norm(x, {}, weight, {}, 1, 2, 0.0).y, (std::vector<double>{-2.0, -1.0}));
}

TEST(LayerNormReference, ResidualIsAddedBeforeTheNormAndRowsAreIndependent) {
  const std::vector<double> x{1.0, 1.0, 5.0, 5.0};
  const std::vector<double> residual{2.0, 4.0, -5.0, 5.0};
  const std::vector<double> weight{1.0, 1.0};
  const LayerNormResult result = layer_norm(x, residual, weight, {}, 2, 2, 0.0);
  EXPECT_EQ(result.sum, (std::vector<double>{3.0, 5.0, 0.0, 10.0}));
  EXPECT_EQ(result.y, (std::vector<double>{-1.0, 1.0, -1.0, 1.0}));
}

TEST(LayerNormReference, EpsIsInsideTheRoot) {
  const std::vector<double> equal{7.0, 7.0};
  const std::vector<double> one{1.0, 1.0};
  EXPECT_EQ(layer_norm(equal, {}, one, {}, 1, 2, 1e-5).y[0], 0.0);
  EXPECT_TRUE(std::isnan(layer_norm(equal, {}, one, {}, 1, 2, 0.0).y[0]));
  EXPECT_NEAR(layer_norm(std::vector<double>{1.0, 3.0}, {}, one, {}, 1, 2, 3.0).y[1], 0.5, 1e-15);
}

}  // namespace
}  // namespace hipforge::reference
