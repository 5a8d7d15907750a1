#include "reference/argmax.h"
#include "reference/not_finite.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hipforge::reference {
namespace {

TEST(ArgmaxReference, FirstOfTheLargestInEachRow) {
  const ArgmaxResult result = argmax(std::vector{1.0, 3.0, 3.0, -5.0, -7.0, -5.0}, 2, 3);
  EXPECT_EQ(result.ids, (std::vector{1.0, 0.0}));
  EXPECT_EQ(result.values, (std::vector{3.0, -5.0}));
}

TEST(ArgmaxReference, NaNLosesAgainstEveryNumber) {
  const ArgmaxResult result = argmax(std::vector{kNaN, -kInfinity, kNaN, 2.0, kNaN, kNaN}, 3, 2);
  EXPECT_EQ(result.ids, (std::vector{1.0, 1.0, 0.0}));
  EXPECT_EQ(result.values[0], -kInfinity);
  EXPECT_EQ(result.values[1], 2.0);
  EXPECT_TRUE(std::isnan(result.values[2]));
}

TEST(ArgmaxReference, ZerosOfBothSignsTie) {
  EXPECT_EQ(argmax(std::vector{-1.0, -0.0, 0.0}, 1, 3).ids[0], 1.0);
}

}  // namespace
}  // namespace hipforge::reference
