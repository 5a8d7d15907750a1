#include "reference/argmax.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace hipforge::reference {
namespace {

const double kNaN = std::numeric_limits<double>::quiet_NaN();
const double kInf = std::numeric_limits<double>::infinity();

TEST(ArgmaxReference, FirstOfTheLargestInEachRow) {
  const ArgmaxResult result = argmax(std::vector{1.0, 3.0, 3.0, -5.0, -7.0, -5.0}, 2, 3);
  EXPECT_EQ(result.ids, (std::vector{1.0, 0.0}));
  EXPECT_EQ(result.values, (std::vector{3.0, -5.0}));
}

TEST(ArgmaxReference, NaNLosesAgainstEveryNumber) {
  const ArgmaxResult result = argmax(std::vector{kNaN, -kInf, kNaN, 2.0, kNaN, kNaN}, 3, 2);
  EXPECT_EQ(result.ids, (std::vector{1.0, 1.0, 0.0}));
  EXPECT_EQ(result.values[0], -kInf);
  EXPECT_EQ(result.values[1], 2.0);
  EXPECT_TRUE(std::isnan(result.values[2]));
}

TEST(ArgmaxReference, ZerosOfBothSignsTie) {
  EXPECT_EQ(argmax(std::vector{-1.0, -0.0, 0.0}, 1, 3).ids[0], 1.0);
}

}  // namespace
}  // namespace hipforge::reference
