#include "harness/system/number.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace hipforge::harness {
namespace {

TEST(Number, WholeNumbersAreDecimalAndWhole) {
  EXPECT_EQ(parse_number<std::uint64_t>("18446744073709551615"), 18446744073709551615u);
  EXPECT_EQ(parse_number<std::uint64_t>("010"), 10u);
  EXPECT_EQ(parse_number<int>("-2147483648"), -2147483647 - 1);
  for (const char* bad : {"", "-1", "+1", " 1", "1 ", "0x10", "1.0", "1e3", "18446744073709551616", "one"}) {
    EXPECT_FALSE(parse_number<std::uint64_t>(bad)) << bad;
  }
  EXPECT_TRUE(parse_number<int>("64", {1, 64}));
  EXPECT_FALSE(parse_number<int>("65", {1, 64}));
  EXPECT_FALSE(parse_number<int>("0", kAboveZero<int>));
}

TEST(Number, FractionsAreFiniteAndDecimal) {
  EXPECT_EQ(parse_number<double>("0.1"), 0.1);
  EXPECT_EQ(parse_number<double>("-2.5e-3"), -2.5e-3);
  for (const char* bad :
       {"", "nan", "-nan", "inf", "infinity", "0x1p3", "1,5", "+1", " 1", "1e400", "1f", "."}) {
    EXPECT_FALSE(parse_number<double>(bad)) << bad;
  }
  EXPECT_FALSE(parse_number<double>("0", kAboveZero<double>));
  EXPECT_TRUE(parse_number<double>("0", kFromZero<double>));
}

TEST(Number, AFaultNamesTheRangeAndNothingThatIsEndless) {
  EXPECT_EQ(number_fault<std::uint64_t>("-1"), "'-1' is not a whole number from 0 to 18446744073709551615");
  EXPECT_EQ(number_fault<int>("x\n\xff", {1, 64}), "'x\\x0a\\xff' is not a whole number from 1 to 64");
  EXPECT_EQ(number_fault("0", kAboveZero<double>), "'0' is not a number above 0");
  EXPECT_EQ(number_fault("-1", kFromZero<float>), "'-1' is not a number from 0 up");
  EXPECT_EQ(number_fault<double>("2", {0.0, 1.5}), "'2' is not a number from 0 to 1.5");
  EXPECT_EQ(number_fault<float>("2", {kAboveZero<float>.least, 1.0f}),
            "'2' is not a number above 0, up to 1");
  EXPECT_EQ(number_fault<double>("x"), "'x' is not a number");
  EXPECT_EQ(number_fault<double>(std::string(400, '9')), "'" + std::string(40, '9') + "...' is not a number");
}

}  // namespace
}  // namespace hipforge::harness
