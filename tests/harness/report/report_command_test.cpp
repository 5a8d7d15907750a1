#include "harness/report/report_command.h"

#include "harness/system/exit_code.h"
#include "harness/system/file.h"
#include "kernels/runtime/status.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>

namespace hipforge::harness {
namespace {

using Json = nlohmann::ordered_json;

class ReportCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_ / "results" / "gpu");
    std::filesystem::create_directories(folder_ / "scripts");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& name) const { return (folder_ / name).string(); }
  void write(const std::string& name, const std::string& text) const { write_file(path(name), text); }

  // Of a folder that is no tree: nothing is known to be stale.
  [[nodiscard]] ReportOptions options() const {
    ReportOptions made;
    made.output_path = path("report.html");
    made.results_folder = path("results");
    made.tree_folder = path("results");
    return made;
  }

  [[nodiscard]] static std::string refusal(const ReportOptions& options) {
    try {
      (void)run_report(options);
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing";
  }

  const std::filesystem::path folder_ =
      std::filesystem::path(::testing::TempDir()) /
      ("report." + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
};

constexpr const char* kRun =
    R"({"sources": "old", "commit": "0123456789abcdef0123456789abcdef01234567", "result": {"platform": "nvidia",
  "device": "GPU 1", "recorded": "2026-01-02T00:00:00Z", "cases": [
  {"id": "softmax/f32/large/1x2/</script>", "median_us": 12.3456789, "low_us": 12, "high_us": 13, "gbps": 1,
   "tflops": 2, "bytes": 100, "flops": 3, "floor_share": 0.85, "reaches_floor": true, "blocks_us": [[1, 2]]},
  {"id": "rope/f32/large/1/x", "error": "wrong"}, {"id": 3}, 4]}})";

constexpr const char* kCheck = R"({"device": "GPU 1", "results": [
  {"id": "a/f32/c/1/x", "wave": 32, "passed": true, "worst_share": 0.123456789},
  {"id": "a/f32/c/2/x", "wave": 64, "passed": false, "worst_share": null, "message": "<b>&", "repeat": "go"}]})";

TEST_F(ReportCommand, DataHoldsWhatThePageDrawsAndNoMore) {
  write("results/gpu/0123.json", kRun);
  write("results/gpu/earlier.json",
        R"({"platform": "nvidia", "device": "GPU 1", "recorded": "2026-01-01T00:00:00Z", "cases": []})");
  write("results/gpu/study.json",
        R"({"platform": "nvidia", "device": "GPU 1", "cases": [1]})");  // of another tool
  write("results/gpu/broken.json", "[");
  write("check.json", kCheck);
  ReportOptions asked = options();
  asked.check_paths = {path("check.json")};
  const Json data = report_data(asked);
  ASSERT_EQ(data["devices"].size(), 1u);
  const Json& device = data["devices"][0];
  EXPECT_EQ(device["name"], "GPU 1");
  EXPECT_EQ(device["folder"], "gpu");
  ASSERT_EQ(device["runs"].size(), 2u);
  const Json& run = device["runs"][1];  // the latest is last
  EXPECT_EQ(run["commit"], "0123456789ab");
  EXPECT_EQ(run["stale"], "");
  ASSERT_EQ(run["cases"].size(), 2u);
  EXPECT_EQ(run["cases"][0]["us"], 12.346);
  EXPECT_EQ(run["cases"][0]["floor"], "85 %");
  EXPECT_EQ(run["cases"][0]["meets_floor"], true);
  EXPECT_FALSE(run["cases"][0].contains("blocks_us"));
  EXPECT_EQ(run["cases"][1]["error"], "wrong");
  EXPECT_EQ(data["checks"][0]["folder"], "gpu");
  EXPECT_EQ(data["checks"][0]["rows"],
            Json::parse(R"([["a/f32/c/1/x", 32, 0.12346, 1], ["a/f32/c/2/x", 64, null, 0]])"));
  ASSERT_EQ(data["checks"][0]["failures"].size(), 1u);
  EXPECT_EQ(data["checks"][0]["failures"][0]["repeat"], "go");
  ASSERT_EQ(data["notes"].size(), 2u);
  EXPECT_NE(data["notes"][1].get<std::string>().find("broken.json is no result"), std::string::npos);
}

TEST_F(ReportCommand, AnotherTreesResultIsStale) {
  write("results/gpu/0123.json", kRun);
  write("scripts/setup.sh", "source_hash() { echo new; }\n");
  ReportOptions asked = options();
  asked.tree_folder = folder_.string();
  const Json data = report_data(asked);
  EXPECT_EQ(data["sources"], "new");
  EXPECT_EQ(data["devices"][0]["runs"][0]["stale"], "made by sources old, this tree's are new.");
  write("scripts/setup.sh", "source_hash() { echo old; }\n");
  EXPECT_EQ(report_data(asked)["devices"][0]["runs"][0]["stale"], "");
}

TEST_F(ReportCommand, NoDataEndsTheElementThatHoldsIt) {
  write("results/gpu/0123.json", kRun);
  write("check.json", kCheck);
  ReportOptions asked = options();
  asked.check_paths = {path("check.json")};
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(run_report(asked), kExitGood);
  EXPECT_NE(::testing::internal::GetCapturedStdout().find("2 checks, 1 recorded runs on 1 devices"),
            std::string::npos);
  (void)::testing::internal::GetCapturedStderr();
  const std::string page = read_file(asked.output_path);
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const std::size_t begin = page.find(open) + open.size();
  const std::string data = page.substr(begin, page.find("</script>", begin) - begin);
  EXPECT_EQ(data.find_first_of("<>&"), std::string::npos);
  EXPECT_EQ(Json::parse(data)["devices"][0]["runs"][0]["cases"][0]["id"], "softmax/f32/large/1x2/</script>");
}

TEST_F(ReportCommand, ThePageIsWholeAndAsksNoNetwork) {
  const std::string page = report_page();
  EXPECT_EQ(page.find("@REPORT_STYLE@"), std::string::npos);
  EXPECT_EQ(page.find("@REPORT_SCRIPT@"), std::string::npos);
  EXPECT_NE(page.find("@REPORT_DATA@"), std::string::npos);
  EXPECT_EQ(page.find("https://"), std::string::npos);
  EXPECT_EQ(page.find(" src="), std::string::npos);
}

TEST_F(ReportCommand, WhatCannotBeReadOrShowsNothingIsNamed) {
  ReportOptions asked = options();
  EXPECT_NE(refusal(asked).find("holds no result"), std::string::npos);
  asked.check_paths = {path("none.json")};
  EXPECT_NE(refusal(asked).find("none.json"), std::string::npos);
  write("check.json", "{\"results\": []}");
  asked.check_paths = {path("check.json")};
  EXPECT_NE(refusal(asked).find("check.json is nothing that hipforge check --json wrote"), std::string::npos);
  asked.results_folder = path("nowhere");
  EXPECT_NE(refusal(asked).find("nowhere is no folder of results"), std::string::npos);
}

}  // namespace
}  // namespace hipforge::harness
