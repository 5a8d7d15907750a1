#include "harness/core/compare.h"
#include "reference/not_finite.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hipforge::harness {
namespace {

Expected expect_values(std::vector<double> values, double bound, DType dtype = DType::kF32) {
  Expected expected;
  expected.dtype = dtype;
  expected.shape = {static_cast<std::int64_t>(values.size())};
  expected.bound.assign(values.size(), bound);
  expected.value = std::move(values);
  return expected;
}

TEST(Compare, PassesWithinTheBoundAndReportsTheShareUsed) {
  const Comparison result = compare(std::vector<double>{1.0, 2.05, 3.0}, expect_values({1.0, 2.0, 3.0}, 0.1));
  EXPECT_TRUE(result.passed);
  EXPECT_NEAR(result.worst_share, 0.5, 1e-9);
  EXPECT_EQ(result.where, "[1]");
  EXPECT_TRUE(result.message.empty());
}

TEST(Compare, OneBadElementAmongManyFails) {
  std::vector<double> actual(10000, 1.0);
  const Expected expected = expect_values(std::vector<double>(10000, 1.0), 1e-6);
  EXPECT_TRUE(compare(actual, expected).passed);
  actual[7777] = 1.0 + 2e-6;
  const Comparison result = compare(actual, expected);
  EXPECT_FALSE(result.passed);
  EXPECT_EQ(result.failures, 1u);
  EXPECT_EQ(result.worst_index, 7777u);
  EXPECT_NE(result.message.find("[7777]"), std::string::npos);
}

TEST(Compare, NaNFailsEvenUnderAnInfiniteBound) {
  EXPECT_FALSE(compare(std::vector<double>{kNaN}, expect_values({1.0}, 1.0)).passed);
  EXPECT_FALSE(compare(std::vector<double>{kNaN}, expect_values({1.0}, kInfinity)).passed);
  EXPECT_FALSE(compare(std::vector<double>{1.0}, expect_values({1.0}, kNaN)).passed == false)
      << "an exact match needs no bound";
  EXPECT_FALSE(compare(std::vector<double>{1.5}, expect_values({1.0}, kNaN)).passed);
}

TEST(Compare, NonFiniteOraclesWantTheSameClassAndSign) {
  EXPECT_TRUE(compare(std::vector<double>{kNaN, kInfinity, -kInfinity},
                      expect_values({kNaN, kInfinity, -kInfinity}, 0.0))
                  .passed);
  EXPECT_FALSE(compare(std::vector<double>{0.0}, expect_values({kNaN}, 0.0)).passed);
  EXPECT_FALSE(compare(std::vector<double>{kInfinity}, expect_values({kNaN}, 0.0)).passed);
  EXPECT_FALSE(compare(std::vector<double>{-kInfinity}, expect_values({kInfinity}, 0.0)).passed);
  EXPECT_FALSE(compare(std::vector<double>{1e30}, expect_values({kInfinity}, 1.0)).passed);
}

TEST(Compare, InfinityPassesOnlyWhereTheOutputDtypeOverflows) {
  EXPECT_FALSE(compare(std::vector<double>{kInfinity}, expect_values({60000.0}, 30.0, DType::kF16)).passed);
  EXPECT_TRUE(compare(std::vector<double>{kInfinity}, expect_values({65519.0}, 30.0, DType::kF16)).passed);
  EXPECT_TRUE(compare(std::vector<double>{kInfinity}, expect_values({70000.0}, 30.0, DType::kF16)).passed);
  EXPECT_FALSE(compare(std::vector<double>{-kInfinity}, expect_values({70000.0}, 30.0, DType::kF16)).passed);
  EXPECT_FALSE(compare(std::vector<double>{65504.0}, expect_values({70000.0}, 30.0, DType::kF16)).passed);
}

TEST(Compare, SwappedDimensionsFail) {
  // A transposed 2 × 3 result holds the right numbers in the wrong places.
  Expected expected = expect_values({1, 2, 3, 4, 5, 6}, 1e-6);
  expected.shape = {2, 3};
  const Comparison result = compare(std::vector<double>{1, 4, 2, 5, 3, 6}, expected);
  EXPECT_FALSE(result.passed);
  EXPECT_EQ(result.failures, 4u);
}

TEST(Compare, SizesThatDifferFail) {
  EXPECT_FALSE(compare(std::vector<double>{1.0}, expect_values({1.0, 1.0}, 1.0)).passed);
  Expected expected = expect_values({1.0, 1.0}, 1.0);
  expected.bound.pop_back();
  EXPECT_FALSE(compare(std::vector<double>{1.0, 1.0}, expected).passed);
}

TEST(Compare, AnExactBoundAllowsNothing) {
  EXPECT_TRUE(compare(std::vector<double>{3.0}, expect_values({3.0}, 0.0, DType::kI32)).passed);
  EXPECT_FALSE(compare(std::vector<double>{4.0}, expect_values({3.0}, 0.0, DType::kI32)).passed);
}

}  // namespace
}  // namespace hipforge::harness
