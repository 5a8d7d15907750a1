#include "reference/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace hipforge::reference {
namespace {

TEST(LinearReference, HandComputedProduct) {
  // x has 2 rows of 3; weight has 2 rows of 3, so y[r, n] = x[r]·weight[n].
  //   [1 2 3]·[1 0 −1] = −2, [1 2 3]·[2 1 0.5] = 5.5, [−4 5 6]·[1 0 −1] = −10, [−4 5 6]·[2 1 0.5] = 0
  const std::vector<double> x{1, 2, 3, -4, 5, 6};
  const std::vector<double> weight{1, 0, -1, 2, 1, 0.5};
  const LinearResult result = linear(x, weight, {}, 2, 3, 2);
  EXPECT_EQ(result.y, (std::vector<double>{-2, 5.5, -10, 0}));
  // 1+3, 2+2+1.5, 4+6, 8+5+3
  EXPECT_EQ(result.magnitude, (std::vector<double>{4, 5.5, 10, 16}));
}

TEST(LinearReference, BiasIsPerColumnAndItsSizeEntersTheMagnitude) {
  const std::vector<double> x{1, 2};
  const std::vector<double> weight{1, 1, 1};
  const std::vector<double> bias{-10, 0, 10};
  const LinearResult result = linear(x, weight, bias, 2, 1, 3);
  EXPECT_EQ(result.y, (std::vector<double>{-9, 1, 11, -8, 2, 12}));
  EXPECT_EQ(result.magnitude, (std::vector<double>{11, 1, 11, 12, 2, 12}));
}

TEST(LinearReference, EmptySizes) {
  const std::vector<double> bias{3, 4};
  EXPECT_EQ(linear({}, {}, bias, 2, 0, 2).y, (std::vector<double>{3, 4, 3, 4}));
  EXPECT_EQ(linear({}, {}, {}, 1, 0, 2).y, (std::vector<double>{0, 0}));
  EXPECT_TRUE(linear({}, bias, {}, 0, 1, 2).y.empty());
  EXPECT_TRUE(linear(bias, {}, {}, 2, 1, 0).y.empty());
}

TEST(LinearReference, NonFiniteReachesItsRowOrColumnAlone) {
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<double> x{1, 0, inf, 1};                // row 1 holds an infinity
  const std::vector<double> weight{1, 1, 0, std::nan("")};  // row 1 holds a NaN
  const LinearResult result = linear(x, weight, {}, 2, 2, 2);
  EXPECT_EQ(result.y[0], 1);
  EXPECT_TRUE(std::isnan(result.y[1]));  // 0 · NaN
  EXPECT_EQ(result.y[2], inf);
  EXPECT_TRUE(std::isnan(result.y[3]));
}

}  // namespace
}  // namespace hipforge::reference
