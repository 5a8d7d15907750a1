#include "harness/check/check_summary.h"

#include <gtest/gtest.h>

namespace hipforge::harness {
namespace {

class LooseBounds : public ::testing::Test {
 protected:
  void SetUp() override {
    test_.op = "fake";
    test_.dtype = DType::kF16;
  }
  void add(int wave, const std::vector<OutputShare>& outputs) {
    CaseRecord record;
    record.test = &test_;
    record.target.wave = wave;
    record.result.passed = true;
    record.result.outputs = outputs;
    records_.push_back(record);
  }

  Case test_;
  std::vector<CaseRecord> records_;
};

TEST_F(LooseBounds, OneNearCaseOfManyIsEnough) {
  add(32, {{"o", true, 0.001}, {"lse", true, 0.0}});
  add(32, {{"o", true, 0.5}, {"lse", true, kLooseShare}});
  EXPECT_TRUE(loose_bounds(records_).empty());
}

TEST_F(LooseBounds, AnOutputHidesBehindNoOther) {
  add(32, {{"o", true, 0.9}, {"lse", true, 0.019}});
  add(64, {{"o", true, 0.9}, {"lse", true, 0.9}});
  const std::vector<std::string> messages = loose_bounds(records_);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_NE(messages[0].find("fake f16 wave 32, output lse"), std::string::npos) << messages[0];
  EXPECT_NE(messages[0].find("0.0190"), std::string::npos) << messages[0];
}

TEST_F(LooseBounds, WhatIsComparedExactlyHasNoBoundToBeLoose) {
  add(32, {{"ids", false, 0.0}});
  EXPECT_TRUE(loose_bounds(records_).empty());
  // Bounded in one case is enough to have one.
  add(32, {{"ids", true, 0.0}});
  EXPECT_EQ(loose_bounds(records_).size(), 1u);
}

}  // namespace
}  // namespace hipforge::harness
