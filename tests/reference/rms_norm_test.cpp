#include "reference/rms_norm.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hipforge::reference {
namespace {

TEST(RmsNormReference, HandComputedRow) {
  // mean square of (3, 4) is 12.5; y = x·w / sqrt(12.5).
  const std::vector<double> x{3.0, 4.0};
  const std::vector<double> weight{2.0, -1.0};
  const RmsNormResult result = rms_norm(x, {}, weight, 1, 2, 0.0);
  EXPECT_DOUBLE_EQ(result.mean_square[0], 12.5);
  EXPECT_NEAR(result.y[0], 6.0 / std::sqrt(12.5), 1e-15);
  EXPECT_NEAR(result.y[1], -4.0 / std::sqrt(12.5), 1e-15);
}

TEST(RmsNormReference, ResidualIsAddedBeforeTheNormAndRowsAreIndependent) {
  const std::vector<double> x{1.0, 1.0, 5.0, 5.0};
  const std::vector<double> residual{2.0, 3.0, -5.0, 5.0};
  const std::vector<double> weight{1.0, 1.0};
  const RmsNormResult result = rms_norm(x, residual, weight, 2, 2, 0.0);
  EXPECT_EQ(result.sum, (std::vector<double>{3.0, 4.0, 0.0, 10.0}));
  EXPECT_NEAR(result.y[0], 3.0 / std::sqrt(12.5), 1e-15);
  EXPECT_NEAR(result.y[3], 10.0 / std::sqrt(50.0), 1e-15);
}

TEST(RmsNormReference, EpsIsInsideTheRoot) {
  const std::vector<double> x{0.0, 0.0};
  const std::vector<double> one{1.0, 1.0};
  EXPECT_EQ(rms_norm(x, {}, one, 1, 2, 1e-5).y[0], 0.0);
  EXPECT_TRUE(std::isnan(rms_norm(x, {}, one, 1, 2, 0.0).y[0]));
  EXPECT_NEAR(rms_norm(one, {}, one, 1, 2, 3.0).y[0], 0.5, 1e-15);
}

}  // namespace
}  // namespace hipforge::reference
