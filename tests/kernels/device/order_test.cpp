#include "kernels/device/order.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace hipforge {
namespace {

TEST(OrderKey, GrowsWithTheFloat) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const float ascending[] = {-kInf,     -3e38f, -1.5f, -1.0f, -0x1p-149f, 0.0f,
                             0x1p-149f, 1.0f,   1.5f,  3e38f, kInf};
  for (std::size_t i = 1; i < std::size(ascending); ++i) {
    EXPECT_LT(order_key(ascending[i - 1]), order_key(ascending[i])) << ascending[i];
  }
  EXPECT_EQ(order_key(-kInf), kLowestOrderKey);
  for (float value : ascending) EXPECT_EQ(order_value(order_key(value)), value);
}

TEST(OrderKey, ZerosTieAndNaNIsBelowAll) {
  EXPECT_EQ(order_key(-0.0f), order_key(0.0f));
  EXPECT_EQ(order_key(std::nanf("")), 0u);
  EXPECT_EQ(order_key(-std::nanf("1")), 0u);
}

}  // namespace
}  // namespace hipforge
