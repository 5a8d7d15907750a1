#include "harness/check/explain.h"

#include "harness/check/check_command.h"
#include "harness/system/exit_code.h"
#include "kernels/runtime/check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace hipforge::harness {
namespace {

constexpr std::int64_t kRows = 3;
constexpr std::int64_t kCols = 5;

// A case whose "kernel" writes these values; the oracle is 0, 1, 2, ... with a bound of 0.5, the last exact.
Case fake_case(std::vector<float> written) {
  Case test;
  test.id = "fake/f32/contiguous/3x5";
  test.prepare = [written](const CaseEnvironment& environment) {
    PreparedCase prepared;
    prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
    const TensorView y = prepared.rig->output("y", DType::kF32, {kRows, kCols});
    prepared.launch = [y, written](hipStream_t) {
      HIPFORGE_HIP_CHECK(
          hipMemcpy(y.data, written.data(), written.size() * sizeof(float), hipMemcpyHostToDevice));
      return Status{};
    };
    prepared.expect = [] {
      Expected expected;
      expected.shape = {kRows, kCols};
      for (std::int64_t i = 0; i < kRows * kCols; ++i) expected.value.push_back(static_cast<double>(i));
      expected.bound.assign(kRows * kCols, 0.5);
      expected.bound.back() = 0.0;
      return std::vector<OutputExpectation>{{"y", expected}};
    };
    return prepared;
  };
  return test;
}

std::vector<float> right_answer() {
  std::vector<float> values;
  for (std::int64_t i = 0; i < kRows * kCols; ++i) values.push_back(static_cast<float>(i));
  return values;
}

OpSuite fake_suite() {
  OpSuite suite;
  suite.op = "fake";
  suite.bound = "\nHalf a unit, by decree.";
  return suite;
}

TEST(Explain, TheWorstElementsComeFirstWithIndexErrorBoundAndShare) {
  std::vector<float> written = right_answer();
  written[7] += 0.25f;
  written[3] -= 0.125f;
  written[12] += 0.375f;
  const Explanation explanation = explain_case(fake_case(written), {}, 3);
  EXPECT_TRUE(explanation.result.passed) << explanation.result.message;
  ASSERT_EQ(explanation.outputs.size(), 1u);
  const ExplainedOutput& output = explanation.outputs[0];
  EXPECT_EQ(output.output, "y");
  EXPECT_EQ(output.elements, 15u);
  EXPECT_EQ(output.exact, 1u);
  ASSERT_EQ(output.worst.size(), 3u);
  EXPECT_EQ(output.worst[0].where, "[2, 2]");
  EXPECT_EQ(output.worst[0].value, 12.375);
  EXPECT_EQ(output.worst[0].oracle, 12.0);
  EXPECT_EQ(output.worst[0].error, 0.375);
  EXPECT_EQ(output.worst[0].bound, 0.5);
  EXPECT_EQ(output.worst[0].share, 0.75);
  EXPECT_EQ(output.worst[1].where, "[1, 2]");
  EXPECT_EQ(output.worst[2].where, "[0, 3]");
  const std::string text = explanation_text(explanation, fake_suite());
  for (const char* part : {"y: 15 elements, 1 of them compared exactly; the worst 3", "[2, 2]", "0.7500",
                           "bound of fake:\n    Half a unit, by decree."}) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
}

TEST(Explain, WhatIsWrongLeadsAndFails) {
  std::vector<float> written = right_answer();
  written[2] = 4.0f;
  written[14] += 1e-6f;  // must be exact
  written[5] = NAN;
  const Explanation explanation = explain_case(fake_case(written), {});
  EXPECT_FALSE(explanation.result.passed);
  ASSERT_EQ(explanation.outputs.size(), 1u);
  const std::vector<ExplainedElement>& worst = explanation.outputs[0].worst;
  ASSERT_EQ(worst.size(), kExplainedElements);
  EXPECT_EQ(worst[0].where, "[1, 0]");
  EXPECT_EQ(worst[1].where, "[2, 4]");
  EXPECT_EQ(worst[2].where, "[0, 2]");
  EXPECT_EQ(worst[2].share, 4.0);
  const std::string text = explanation_text(explanation, fake_suite());
  EXPECT_NE(text.find("3 of 15 elements over the bound"), std::string::npos) << text;
  EXPECT_NE(text.find("wrong"), std::string::npos) << text;
}

TEST(Explain, ACaseThatDoesNotGetAsFarAsAComparisonSaysWhy) {
  Case test = fake_case(right_answer());
  const auto prepare = test.prepare;
  test.prepare = [prepare](const CaseEnvironment& environment) {
    PreparedCase prepared = prepare(environment);
    prepared.launch = [](hipStream_t) { return invalid_argument("3 rows, needs 4"); };
    return prepared;
  };
  const Explanation explanation = explain_case(test, {});
  EXPECT_FALSE(explanation.result.passed);
  EXPECT_TRUE(explanation.outputs.empty());
  EXPECT_NE(explanation_text(explanation, fake_suite()).find("3 rows, needs 4"), std::string::npos);
}

TEST(Explain, ADrawnTokenIsExplainedByItsShareAlone) {
  for (const OpSuite& suite : all_suites()) {
    if (suite.op != "sample") continue;
    const Explanation explanation = explain_case(suite.cases.front(), {});
    EXPECT_TRUE(explanation.result.passed) << explanation.result.message;
    ASSERT_EQ(explanation.outputs.size(), 1u);
    ASSERT_FALSE(explanation.outputs[0].worst.empty());
    EXPECT_TRUE(std::isnan(explanation.outputs[0].worst[0].bound));
    EXPECT_EQ(explanation.outputs[0].worst[0].share, explanation.result.worst_share);
  }
}

TEST(Explain, TheCommandWantsOneCase) {
  CheckOptions options;
  options.waves = {32};
  options.explain = "no such case";
  EXPECT_THROW((void)run_check(options), UsageError);
  options.explain = "^rms_norm/f16/strided/5x257/";
  try {
    (void)run_check(options);
    ADD_FAILURE() << "no error";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("needs one: rms_norm/f16/strided/5x257/"), std::string::npos)
        << error.what();
  }
  ::testing::internal::CaptureStdout();
  options.explain = "^argmax/f16/strided/5x257/";
  EXPECT_EQ(run_check(options), kExitGood);
  const std::string text = ::testing::internal::GetCapturedStdout();
  EXPECT_NE(text.find("argmax/f16/strided/5x257/normal"), std::string::npos) << text;
  EXPECT_NE(text.find("all compared exactly"), std::string::npos) << text;
}

TEST(Explain, EverySuiteHasItsBoundInWords) {
  for (const OpSuite& suite : all_suites()) EXPECT_GT(suite.bound.size(), 20u) << suite.op;
}

}  // namespace
}  // namespace hipforge::harness
