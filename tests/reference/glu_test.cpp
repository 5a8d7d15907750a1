#include "reference/glu.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace hipforge::reference {
namespace {

TEST(GluReference, ClosedForms) {
  // exp(−ln 3) = 1/3, so silu(ln 3) = ln 3 · 3/4 and silu(−ln 3) = −ln 3 / 4.
  const double ln3 = std::log(3.0);
  const GluResult result = glu(std::vector<double>{ln3, -ln3, 0.0}, std::vector<double>{2.0, 2.0, 5.0});
  EXPECT_NEAR(result.y[0], 1.5 * ln3, 1e-15);
  EXPECT_NEAR(result.y[1], -0.5 * ln3, 1e-15);
  EXPECT_EQ(result.y[2], 0.0);
  EXPECT_NEAR(result.activated[0], 0.75 * ln3, 1e-15);
}

TEST(GluReference, SiluOfGMinusSiluOfMinusGIsG) {
  for (double g : {1e-3, 0.5, 1.0, 7.0, 30.0}) {
    const GluResult result = glu(std::vector<double>{g, -g}, std::vector<double>{1.0, 1.0});
    EXPECT_NEAR(result.y[0] + result.y[1], g * std::tanh(g / 2.0), 1e-14 * g) << g;
    EXPECT_NEAR(result.y[0] - result.y[1], g, 1e-14 * g) << g;
  }
}

TEST(GluReference, Limits) {
  const double inf = std::numeric_limits<double>::infinity();
  const GluResult result = glu(std::vector<double>{inf, -inf, 1e4, -1e4, std::nan("")},
                               std::vector<double>{-2.0, 3.0, 1.0, 1.0, 0.0});
  EXPECT_EQ(result.y[0], -inf);
  EXPECT_EQ(result.y[1], 0.0);
  EXPECT_EQ(result.y[2], 1e4);
  EXPECT_EQ(result.y[3], 0.0);
  EXPECT_TRUE(std::isnan(result.y[4]));
  EXPECT_TRUE(std::isnan(glu(std::vector<double>{-inf}, std::vector<double>{inf}).y[0]));
}

TEST(GluReference, GeluIsTheTanhForm) {
  const std::vector<double> gate{1.0, -2.0, 0.0};
  for (std::size_t i = 0; i < gate.size(); ++i) {
    const double g = gate[i];
    const double z = std::sqrt(2.0 / 3.14159265358979323846) * (g + 0.044715 * g * g * g);
    EXPECT_NEAR(glu(gate, {}, GluActivation::kGeluTanh).y[i], 0.5 * g * (1.0 + std::tanh(z)), 1e-15);
  }
}

TEST(GluReference, ReluSquaredHasNoGate) {
  EXPECT_EQ(glu(std::vector<double>{3.0, -4.0, 0.5}, {}, GluActivation::kRelu2).y,
            (std::vector<double>{9.0, 0.0, 0.25}));
}

}  // namespace
}  // namespace hipforge::reference
