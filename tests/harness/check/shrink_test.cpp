#include "harness/check/shrink.h"

#include <gtest/gtest.h>

namespace hipforge::harness {
namespace {

// A variant's value of a setting.
std::string setting(const Case& test, const std::string& name) {
  for (const Knob& knob : test.variants().knobs) {
    if (knob.name == name) return knob.value;
  }
  return {};
}

std::int64_t size(const Case& test, const std::string& name) {
  return std::stoll(setting(test, name));
}

CaseResult result_of(bool fails, Failure failure = Failure::kWrong) {
  CaseResult result;
  result.passed = !fails;
  if (fails) result.failure = failure;
  return result;
}

TEST(Shrink, FindsTheSmallestShapeAndTheSimplestData) {
  const Case test = find_case("rms_norm/f16/strided/7x2050/plain.weight_bf16.outliers");
  const auto run = [](const Case& one) {
    return result_of(size(one, "rows") >= 2 && size(one, "hidden") > 256);
  };
  const std::optional<Shrunk> smaller = shrink(test, result_of(true), run, 10.0);
  ASSERT_TRUE(smaller);
  EXPECT_EQ(smaller->test.shape, "2x257");
  EXPECT_EQ(setting(smaller->test, "family"), "equal");
  EXPECT_EQ(setting(smaller->test, "layout"), "contiguous");
  EXPECT_TRUE(smaller->finished);
  EXPECT_LT(smaller->tries, 60u);
  EXPECT_NE(smaller->changes.find("rows 7 -> 2"), std::string::npos) << smaller->changes;
  EXPECT_NE(smaller->changes.find("family outliers -> equal"), std::string::npos) << smaller->changes;
  EXPECT_FALSE(run(find_case(smaller->test.id)).passed);
}

TEST(Shrink, SettingsThatGoTogetherAreChangedInTurn) {
  // One kv head must divide the q heads: neither can be 1 before the other allows it.
  const Case test = find_case("weighted_matmul/f32/contiguous/b2_h9x3_q25_kv37_d72/batch.gqa");
  const std::optional<Shrunk> smaller = shrink(
      test, result_of(true), [](const Case&) { return result_of(true); }, 10.0);
  ASSERT_TRUE(smaller);
  EXPECT_EQ(smaller->test.shape, "b1_h1x1_q1_kv1_d1");
}

TEST(Shrink, AnotherWayToFailIsNotTheSame) {
  const Case test = find_case("rms_norm/f32/contiguous/5x257/plain.weight_f32");
  const auto run = [](const Case& one) {
    return result_of(true, size(one, "hidden") >= 40 ? Failure::kFault : Failure::kWrong);
  };
  const std::optional<Shrunk> smaller = shrink(test, result_of(true, Failure::kFault), run, 10.0);
  ASSERT_TRUE(smaller);
  EXPECT_EQ(smaller->test.shape, "1x40");
}

TEST(Shrink, WhatFailsAloneOrHasNoTimeStaysAsItIs) {
  const Case test = find_case("rms_norm/f32/contiguous/5x257/plain.weight_f32");
  EXPECT_FALSE(shrink(
      test, result_of(true), [](const Case&) { return result_of(false); }, 10.0));
  EXPECT_FALSE(shrink(
      test, result_of(true), [](const Case&) { return result_of(true); }, 0.0));
}

}  // namespace
}  // namespace hipforge::harness
