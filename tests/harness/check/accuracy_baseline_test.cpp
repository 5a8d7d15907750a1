#include "harness/check/accuracy_baseline.h"

#include "harness/check/check_command.h"
#include "harness/system/exit_code.h"
#include "harness/system/file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace hipforge::harness {
namespace {

namespace fs = std::filesystem;

class AccuracyBaselineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("hipforge_accuracy_test_{}", ::getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    options_.baseline = folder_ / "accuracy.json";
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Cases that the suites have: one that they have not is gone.
  static const Case& some_case(std::size_t index) {
    for (const OpSuite& suite : all_suites()) {
      if (suite.op == "rms_norm") return suite.cases[index];
    }
    return all_suites().front().cases[index];
  }
  static CaseRecord record(std::size_t index, double share, int wave = 32) {
    CaseRecord made;
    made.test = &some_case(index);
    made.target.architecture = "cpu";
    made.target.wave = wave;
    made.result.passed = true;
    made.result.bounded = true;
    made.result.worst_share = share;
    made.result.where = "y[0, 1]";
    return made;
  }
  std::size_t hold(const std::vector<CaseRecord>& records) {
    options_.accept.reset();
    return captured(records);
  }
  std::size_t accept(const std::vector<CaseRecord>& records, const std::string& reason) {
    options_.accept = reason;
    return captured(records);
  }
  std::size_t captured(const std::vector<CaseRecord>& records) {
    ::testing::internal::CaptureStdout();
    const std::size_t failures = hold_to_accuracy_baseline(options_, records);
    output_ = ::testing::internal::GetCapturedStdout();
    return failures;
  }
  std::string message_of_failure(const std::vector<CaseRecord>& records) {
    try {
      (void)hold(records);
    } catch (const Error& error) {
      (void)::testing::internal::GetCapturedStdout();
      return error.what();
    }
    return "no error";
  }
  [[nodiscard]] bool said(const std::string& text) const { return output_.find(text) != std::string::npos; }

  fs::path folder_;
  CheckOptions options_;
  std::string output_;
};

TEST_F(AccuracyBaselineTest, AShareThatGrewByMoreThanHalfFailsEvenBelowItsBound) {
  ASSERT_EQ(accept({record(0, 0.4), record(1, 0.2)}, "the first"), 0u);
  EXPECT_EQ(hold({record(0, 0.4), record(1, 0.2)}), 0u);
  EXPECT_EQ(hold({record(0, 0.599), record(1, 0.299)}), 0u);
  EXPECT_EQ(hold({record(0, 0.601), record(1, 0.2)}), 1u);
  EXPECT_TRUE(said("FAIL " + some_case(0).id + " (cpu wave 32): worst share 0.601 at y[0, 1], was 0.4 ("))
      << output_;
  EXPECT_TRUE(said("the first), may grow to 0.6")) << output_;
  EXPECT_TRUE(said("repeat: ")) << output_;
  EXPECT_TRUE(said("2 shares compared")) << output_;
  // A wave size has its own.
  EXPECT_EQ(hold({record(0, 0.9, 64)}), 0u);
  EXPECT_TRUE(said("1 are not in it: " + some_case(0).id)) << output_;
}

TEST_F(AccuracyBaselineTest, AcceptRewritesTheEntryAndKeepsTheReasonOfOthers) {
  ASSERT_EQ(accept({record(0, 0.4), record(1, 0.2)}, "the first"), 0u);
  ASSERT_EQ(accept({record(0, 0.7), record(1, 0.2)}, "a \"faster\" order of the sum"), 0u);
  EXPECT_TRUE(said("1 entries")) << output_;
  const AccuracyBaseline baseline = read_accuracy_baseline(*options_.baseline);
  const auto& cases = baseline.targets.at("cpu wave 32");
  EXPECT_EQ(cases.at(some_case(0).id).share, 0.7);
  EXPECT_EQ(cases.at(some_case(0).id).reason, "a \"faster\" order of the sum");
  EXPECT_EQ(cases.at(some_case(0).id).date.size(), 10u);
  EXPECT_EQ(cases.at(some_case(1).id).reason, "the first");
  EXPECT_EQ(hold({record(0, 0.75), record(1, 0.2)}), 0u);
}

TEST_F(AccuracyBaselineTest, NextToNothingIsNoGrowth) {
  ASSERT_EQ(accept({record(0, 0.0), record(1, 1e-4)}, "the first"), 0u);
  EXPECT_EQ(hold({record(0, kShareFloor * kShareGrowth), record(1, 0.01)}), 0u);
  EXPECT_EQ(hold({record(0, kShareFloor * kShareGrowth * 1.01), record(1, 0.01)}), 1u);
}

TEST_F(AccuracyBaselineTest, WhatIsComparedExactlyOrFailedHasNoEntry) {
  CaseRecord exact = record(0, 0.0);
  exact.result.bounded = false;
  CaseRecord failed = record(1, 7.0);
  failed.result.passed = false;
  ASSERT_EQ(accept({exact, failed, record(2, 0.5)}, "the first"), 0u);
  EXPECT_EQ(read_accuracy_baseline(*options_.baseline).targets.at("cpu wave 32").size(), 1u);
  // What was exact and no more is new, not grown.
  EXPECT_EQ(hold({record(0, 0.3), failed, record(2, 0.5)}), 0u);
  EXPECT_TRUE(said("1 are not in it")) << output_;
}

TEST_F(AccuracyBaselineTest, AShareThatShrankIsPointedOutAndACaseThatIsGoneIsDropped) {
  ASSERT_EQ(accept({record(0, 0.9)}, "the first"), 0u);
  EXPECT_EQ(hold({record(0, 0.5)}), 0u);
  EXPECT_TRUE(said("1 shrank by more than a third")) << output_;
  AccuracyBaseline baseline = read_accuracy_baseline(*options_.baseline);
  baseline.targets["cpu wave 32"]["rms_norm/f32/contiguous/no/such/case"] = {0.5, "2026-01-01", "old"};
  write_accuracy_baseline(*options_.baseline, baseline);
  EXPECT_EQ(hold({record(0, 0.9)}), 0u);
  EXPECT_TRUE(said("1 of it are no cases any more: rms_norm/f32/contiguous/no/such/case")) << output_;
  EXPECT_EQ(accept({record(0, 0.9)}, "it is gone"), 0u);
  EXPECT_TRUE(said("1 entries")) << output_;
  EXPECT_EQ(read_accuracy_baseline(*options_.baseline).targets.at("cpu wave 32").size(), 1u);
}

TEST_F(AccuracyBaselineTest, WhatIsMissingOrMalformedIsNamed) {
  EXPECT_NE(message_of_failure({record(0, 0.5)}).find("no baseline " + *options_.baseline),
            std::string::npos);
  ASSERT_EQ(accept({record(0, 0.5)}, "the first"), 0u);
  options_.seed = 2;
  EXPECT_NE(message_of_failure({record(0, 0.5)}).find("seed 1, this run has 2"), std::string::npos);
  options_.seed = 1;
  const auto expect = [&](const std::string& text, const std::string& part) {
    write_file(*options_.baseline, text);
    const std::string message = message_of_failure({record(0, 0.5)});
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_NE(message.find("accuracy.json"), std::string::npos) << message;
  };
  expect("no json", "no JSON object");
  expect("{}", "seed is missing");
  expect(R"({"seed": 1, "reasons": [["d"]], "targets": {}})", "no [date, text]");
  expect(R"({"seed": 1, "reasons": [["d", "r"]], "targets": {"cpu wave 32": {"a": [-1, 0]}}})",
         "a of cpu wave 32");
  expect(R"({"seed": 1, "reasons": [["d", "r"]], "targets": {"cpu wave 32": {"a": [0.5, 1]}}})",
         "a of cpu wave 32");
}

TEST_F(AccuracyBaselineTest, TheCommandFailsOnAPlantedGrowth) {
  options_.filter = "^rms_norm/f32/contiguous/5x257/";
  options_.waves = {32};
  options_.accept = "the first";
  ::testing::internal::CaptureStdout();
  ASSERT_EQ(run_check(options_), kExitGood);
  options_.accept.reset();
  EXPECT_EQ(run_check(options_), kExitGood);
  AccuracyBaseline baseline = read_accuracy_baseline(*options_.baseline);
  ASSERT_EQ(baseline.targets.size(), 1u);
  ASSERT_FALSE(baseline.targets.begin()->second.empty());
  AccuracyEntry& entry = baseline.targets.begin()->second.begin()->second;
  entry.share /= 1.6;
  write_accuracy_baseline(*options_.baseline, baseline);
  EXPECT_EQ(run_check(options_), kExitFailed);
  const std::string text = ::testing::internal::GetCapturedStdout();
  EXPECT_NE(text.find("1 grew by more than half"), std::string::npos) << text;
  options_.accept = " ";
  EXPECT_THROW((void)run_check(options_), UsageError);
}

}  // namespace
}  // namespace hipforge::harness
