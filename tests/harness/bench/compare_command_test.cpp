#include "harness/bench/compare_command.h"

#include "harness/system/exit_code.h"
#include "harness/system/file.h"
#include "kernels/runtime/status.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <random>

namespace hipforge::harness {
namespace {

using Json = nlohmann::json;

constexpr int kBlocks = 10;
constexpr int kSamples = 9;

class CompareCommand : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // A run of two cases whose samples lie within 1 % of 100 us times `slower`.
  Json run(double slower, int blocks = kBlocks) {
    std::uniform_real_distribution<double> draw(99.5, 100.5);
    Json root{{"platform", "nvidia"}, {"device", "GPU 1"}, {"compiler", "nvcc 1"}, {"driver", "1.2"}};
    for (const auto& [id, factor] :
         {std::pair{"softmax/f32/large/1x2/plain", 1.0}, {"rope/f32/large/1/plain", slower}}) {
      Json row{{"id", id}, {"op", "softmax"}, {"dtype", "f32"}, {"median_us", 100.0 * factor}};
      for (int block = 0; block < blocks; ++block) {
        Json samples;
        for (int i = 0; i < kSamples; ++i) samples.push_back(draw(random_) * factor);
        row["blocks_us"].push_back(samples);
      }
      root["cases"].push_back(row);
    }
    return root;
  }

  std::string write(const std::string& name, const Json& root) const {
    write_file(path(name), root.dump());
    return path(name);
  }

  // The exit code; what is printed goes to printed_.
  int compare(const Json& before, const Json& after, double max_regression = -1.0) {
    CompareOptions options;
    options.before_path = write("before.json", before);
    options.after_path = write("after.json", after);
    options.max_regression = max_regression;
    options.json_path = path("verdicts.json");
    options.csv_path = path("verdicts.csv");
    options.markdown_path = path("verdicts.md");
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int code = run_compare(options);
    printed_ = ::testing::internal::GetCapturedStdout() + ::testing::internal::GetCapturedStderr();
    return code;
  }

  // What run_compare throws.
  std::string refusal(const Json& before, const Json& after) {
    try {
      (void)compare(before, after);
    } catch (const std::runtime_error& error) {
      (void)::testing::internal::GetCapturedStdout();
      (void)::testing::internal::GetCapturedStderr();
      return error.what();
    }
    return "nothing";
  }

  std::mt19937_64 random_{1};
  std::string printed_;

 private:
  const std::filesystem::path folder_ =
      std::filesystem::path(::testing::TempDir()) /
      ("compare." + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
};

TEST_F(CompareCommand, TheSameBuildIsTheSame) {
  EXPECT_EQ(compare(run(1.0), run(1.0)), kExitGood);
  EXPECT_NE(printed_.find("2 cases: 2 same, 0 faster, 0 slower"), std::string::npos) << printed_;
  EXPECT_NE(printed_.find("0 regressions beyond 3 %"), std::string::npos) << printed_;
}

TEST_F(CompareCommand, FivePercentSlowerFailsAndEveryFormSaysSo) {
  EXPECT_EQ(compare(run(1.0), run(1.05)), kExitFailed);
  EXPECT_NE(printed_.find("slower, REGRESSION"), std::string::npos) << printed_;
  const Json verdicts = Json::parse(read_file(path("verdicts.json")));
  ASSERT_EQ(verdicts["cases"].size(), 2u);
  EXPECT_FALSE(verdicts["cases"][0]["regression"].get<bool>());
  EXPECT_TRUE(verdicts["cases"][1]["regression"].get<bool>());
  EXPECT_EQ(verdicts["cases"][1]["verdict"], "slower");
  EXPECT_GT(verdicts["cases"][1]["low"].get<double>(), 1.03);
  EXPECT_NEAR(verdicts["cases"][1]["ratio"].get<double>(), 1.05, 0.005);
  EXPECT_NE(read_file(path("verdicts.csv")).find("rope/f32/large/1/plain,"), std::string::npos);
  EXPECT_NE(read_file(path("verdicts.md")).find("slower, REGRESSION |"), std::string::npos);
}

TEST_F(CompareCommand, OfACaseThatIsThereTwiceTheLastCounts) {
  Json after = run(1.0);
  after["cases"].push_back(run(2.0)["cases"][1]);
  EXPECT_EQ(compare(run(1.0), after), kExitFailed);
  EXPECT_NE(printed_.find("1 regressions"), std::string::npos) << printed_;
}

TEST_F(CompareCommand, WhatIsAllowedIsAllowed) {
  EXPECT_EQ(compare(run(1.0), run(1.02)), kExitGood);
  EXPECT_NE(printed_.find("1 slower"), std::string::npos) << printed_;
  EXPECT_EQ(compare(run(1.0), run(1.05), 0.10), kExitGood);
  EXPECT_EQ(compare(run(1.0), run(1.02), 0.01), kExitFailed);
  EXPECT_EQ(compare(run(1.05), run(1.0)), kExitGood);
  EXPECT_NE(printed_.find("1 faster"), std::string::npos) << printed_;
}

TEST_F(CompareCommand, TheCpuPlatformTakesTheLeastOfABlock) {
  Json before = run(1.0);
  before["platform"] = "cpu";
  Json after = before;
  // The neighbours take most of the machine in most samples of every block.
  for (Json& row : after["cases"]) {
    for (Json& block : row["blocks_us"]) {
      for (std::size_t i = 0; i + 2 < block.size(); ++i) block[i] = 3.0 * block[i].get<double>();
    }
  }
  EXPECT_EQ(compare(before, after), kExitGood);
  EXPECT_NE(printed_.find("beyond 10 %"), std::string::npos) << printed_;
  before["platform"] = after["platform"] = "nvidia";
  EXPECT_EQ(compare(before, after), kExitFailed);
}

TEST_F(CompareCommand, ACaseThatLostItsFigureFails) {
  Json after = run(1.0);
  after["cases"][1] = {{"id", "rope/f32/large/1/plain"}, {"error", "wrong after timing"}};
  EXPECT_EQ(compare(run(1.0), after), kExitFailed);
  EXPECT_NE(printed_.find("NO FIGURE: wrong after timing"), std::string::npos) << printed_;
}

TEST_F(CompareCommand, AWrappedFileIsReadAndCasesOfOneFileAreCounted) {
  Json after = run(1.0);
  after["cases"].erase(1);
  EXPECT_EQ(compare(Json{{"commit", "abc"}, {"result", run(1.0)}}, after), kExitGood);
  EXPECT_NE(printed_.find("1 cases are in one file alone"), std::string::npos) << printed_;
  after["cases"][0]["id"] = "other";
  EXPECT_NE(refusal(run(1.0), after).find("no case of"), std::string::npos);
}

TEST_F(CompareCommand, FilesThatShowNothingAreRefused) {
  EXPECT_NE(refusal(run(1.0), run(1.0, 4))
                .find("4 blocks of softmax/f32/large/1x2/plain show nothing among 2 cases, needs 5"),
            std::string::npos);
  Json other = run(1.0);
  other["device"] = "GPU 2";
  EXPECT_NE(refusal(run(1.0), other).find("no two devices are compared"), std::string::npos);
  Json bad = run(1.0);
  bad["cases"][0]["blocks_us"][0][0] = 0.0;
  EXPECT_NE(refusal(run(1.0), bad).find("softmax/f32/large/1x2/plain has a block"), std::string::npos);
  EXPECT_NE(refusal(run(1.0), Json{{"result", 3}}).find("after.json is no result of hipforge_bench"),
            std::string::npos);
  EXPECT_NE(refusal(run(1.0), Json::array()).find("after.json is no result of hipforge_bench"),
            std::string::npos);
}

TEST(ParsePercent, TakesAPercentageAndNothingElse) {
  double fraction = 0.0;
  EXPECT_TRUE(parse_percent("3%", fraction));
  EXPECT_DOUBLE_EQ(fraction, 0.03);
  EXPECT_TRUE(parse_percent("2.5", fraction));
  EXPECT_DOUBLE_EQ(fraction, 0.025);
  for (const char* bad : {"", "%", "x", "3%%", "-1%", "nan", "inf", "3 x", "1e9"}) {
    EXPECT_FALSE(parse_percent(bad, fraction)) << bad;
  }
}

}  // namespace
}  // namespace hipforge::harness
