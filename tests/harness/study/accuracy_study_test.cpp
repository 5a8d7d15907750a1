#include "harness/study/accuracy_study.h"

#include "harness/core/device_info.h"
#include "harness/system/exit_code.h"
#include "harness/system/file.h"
#include "kernels/runtime/check.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>

namespace hipforge::harness {
namespace {

std::vector<StudyPoint> line(double slope) {
  std::vector<StudyPoint> points;
  for (std::int64_t kv_len = 32; kv_len <= 4096; kv_len *= 2) {
    points.push_back({kv_len, 0.3 * std::pow(static_cast<double>(kv_len), slope), 1.0});
  }
  return points;
}

TEST(AccuracyStudy, TheSlopeIsThatOfTheLine) {
  EXPECT_NEAR(log_log_slope(line(0.0)), 0.0, 1e-12);
  EXPECT_NEAR(log_log_slope(line(0.5)), 0.5, 1e-12);
  std::vector<StudyPoint> bent = line(0.5);
  bent.back().error *= 2.0;
  EXPECT_GT(log_log_slope(bent), 0.5);
}

TEST(AccuracyStudy, AGrowingErrorAndAFlatControlAreProblems) {
  const auto series = [](bool naive, double slope) {
    return StudySeries{"softmax", naive, line(slope), slope};
  };
  EXPECT_TRUE(study_problems({series(false, 0.05), series(true, 0.4)}).empty());
  EXPECT_EQ(study_problems({series(false, 0.11), series(true, 0.4)}).size(), 1u);
  EXPECT_EQ(study_problems({series(false, 0.05), series(true, 0.2)}).size(), 1u);
  EXPECT_EQ(study_problems({series(false, NAN), series(true, NAN)}).size(), 2u);
}

// A short one: the errors of our kernels stay flat, those of the plain sum grow.
TEST(AccuracyStudy, OurErrorStaysFlatAndThatOfAPlainSumGrows) {
  const auto folder = std::filesystem::temp_directory_path() / "hipforge_accuracy_study_test";
  std::filesystem::create_directories(folder);
  StudyOptions options;
  options.max_kv_len = 8192;
  options.json_path = folder / "study.json";
  options.svg_path = folder / "study.svg";
  options.sources = "abc";
  ::testing::internal::CaptureStdout();
  const int code = run_accuracy_study(options);
  const std::string text = ::testing::internal::GetCapturedStdout();
  EXPECT_EQ(code, kExitGood) << text;
  const nlohmann::json root = nlohmann::json::parse(read_file(options.json_path));
  EXPECT_EQ(root["sources"], "abc");
  ASSERT_EQ(root["series"].size(), 6u);
  for (const auto& series : root["series"]) {
    EXPECT_EQ(series["points"].size(), 9u);
    EXPECT_EQ(series["points"][8]["kv_len"], 8192);
  }
  const std::string svg = read_file(options.svg_path);
  EXPECT_EQ(svg.find("<svg"), 0u);
  EXPECT_NE(svg.find("weighted_matmul, plain f32 sum"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace hipforge::harness
