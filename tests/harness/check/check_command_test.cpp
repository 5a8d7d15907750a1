#include "harness/check/check_command.h"

#include "harness/check/check_summary.h"
#include "harness/check/coverage.h"
#include "harness/system/child_process.h"
#include "harness/system/exit_code.h"
#include "harness/system/file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

namespace hipforge::harness {
namespace {

TEST(Coverage, EveryCellOfEverySuiteIsCovered) {
  for (const OpSuite& suite : all_suites()) {
    for (const std::string& hole : coverage_holes(suite)) ADD_FAILURE() << hole;
  }
}

TEST(Coverage, AnEmptyCellAndAMissingShapeAreHoles) {
  OpSuite suite = all_suites().front();
  suite.features.emplace_back("no_such_feature");
  EXPECT_GE(coverage_holes(suite).size(), suite.dtypes.size() * suite.layouts.size());
  suite = all_suites().front();
  std::erase_if(suite.cases, [](const Case& test) { return test.odd; });
  const std::vector<std::string> holes = coverage_holes(suite);
  EXPECT_TRUE(std::any_of(holes.begin(), holes.end(), [](const std::string& hole) {
    return hole.find("no odd shape") != std::string::npos;
  }));
  suite = all_suites().front();
  suite.cases.front().features.emplace_back("undeclared");
  EXPECT_FALSE(coverage_holes(suite).empty());
}

TEST(Suites, IdsAreUniqueAndPlain) {
  std::set<std::string> ids;
  for (const OpSuite& suite : all_suites()) {
    for (const std::vector<Case>* cases : {&suite.cases, &suite.bench_cases}) {
      std::set<std::string> within;
      for (const Case& test : *cases) {
        EXPECT_TRUE(within.insert(test.id).second) << test.id << " stands twice";
        EXPECT_EQ(test.id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_./-"), std::string::npos)
            << test.id;
        EXPECT_EQ(test.id.rfind(suite.op + "/" + dtype_name(test.dtype) + "/", 0), 0u) << test.id;
      }
    }
    EXPECT_TRUE(
        std::any_of(suite.cases.begin(), suite.cases.end(), [](const Case& test) { return test.quick; }))
        << suite.op << " has no quick case";
  }
}

TEST(CheckCommand, UsageErrors) {
  CheckOptions options;
  options.ops = {"no_such_op"};
  EXPECT_THROW((void)run_check(options), UsageError);
  options = {};
  options.dtypes = {"f8"};
  EXPECT_THROW((void)run_check(options), UsageError);
  options = {};
  options.waves = {48};
  EXPECT_THROW((void)run_check(options), UsageError);
  options = {};
  options.target = "gfx000";
  EXPECT_THROW((void)run_check(options), UsageError);
  options = {};
  options.filter = "(";
  EXPECT_THROW((void)run_check(options), UsageError);
  options.filter = "matches nothing at all";
  EXPECT_THROW((void)run_check(options), UsageError);
}

TEST(CheckCommand, WritesFormsThatAgree) {
  const auto folder = std::filesystem::temp_directory_path() / "hipforge_check_command_test";
  std::filesystem::create_directories(folder);
  CheckOptions options;
  options.filter = "rms_norm/f16/strided/5x257/";
  options.files.json = folder / "out.json";
  options.files.junit = folder / "out.xml";
  options.files.csv = folder / "out.csv";
  options.files.markdown = folder / "out.md";
  ASSERT_EQ(run_check(options), kExitGood);
  std::ifstream file(options.files.json);
  const nlohmann::json root = nlohmann::json::parse(file);
  EXPECT_EQ(root["failed"], 0);
  EXPECT_EQ(root["passed"], root["results"].size());
  EXPECT_GT(root["results"].size(), 0u);
  for (const auto& row : root["results"]) {
    EXPECT_GT(row["worst_share"].get<double>(), 0.0);
    EXPECT_LE(row["worst_share"].get<double>(), 1.0);
  }
  std::ifstream xml_file(options.files.junit);
  const std::string xml((std::istreambuf_iterator<char>(xml_file)), {});
  std::size_t cases = 0;
  for (std::size_t at = xml.find("<testcase"); at != std::string::npos; at = xml.find("<testcase", at + 1))
    ++cases;
  EXPECT_EQ(cases, root["results"].size());
  const std::string csv = read_file(options.files.csv);
  EXPECT_EQ(static_cast<std::size_t>(std::count(csv.begin(), csv.end(), '\n')), root["results"].size() + 1);
  EXPECT_NE(csv.find("\n" + root["results"][0]["id"].get<std::string>() + ",rms_norm,f16,strided,"),
            std::string::npos);
  const std::string markdown = read_file(options.files.markdown);
  EXPECT_NE(markdown.find(fmt::format("\n{} passed, 0 failed\n", root["results"].size())), std::string::npos)
      << markdown;
  EXPECT_NE(markdown.find("| rms\\_norm | f16 | "), std::string::npos) << markdown;
  std::filesystem::remove_all(folder);
}

TEST(CheckSummary, AFailureHasItsMessageAndItsCommandInEveryForm) {
  Case test;
  test.id = "softmax/f32/contiguous/1x2/plain";
  test.op = "softmax";
  CaseRecord failed;
  failed.test = &test;
  failed.seconds = 0.5;
  failed.target.wave = 64;
  failed.result.worst_share = std::numeric_limits<double>::quiet_NaN();
  failed.result.message = "y[0]: 1 | 2, \"off\"";
  CaseRecord passed = failed;
  passed.result = {};
  passed.result.passed = true;
  const std::vector<CaseRecord> records{passed, failed};
  const CheckOptions options;
  const Summary summary = check_summary(options, records, 1.0);
  const std::string table = csv(summary.details);
  EXPECT_NE(table.find(",no,wrong,,0.5000,\"y[0]: 1 | 2, \"\"off\"\"\","), std::string::npos) << table;
  EXPECT_NE(table.find(case_command(failed.test->id, failed.target, options)), std::string::npos) << table;
  EXPECT_EQ(
      summary.groups.rows,
      (std::vector<std::vector<std::string>>{{"softmax", "f32", "64", "2", "1", "wrong", "1.0", test.id}}));
  const std::string text = summary_markdown(summary);
  EXPECT_NE(text.find("y\\[0\\]: 1 \\| 2"), std::string::npos) << text;
  EXPECT_NE(text.find("\n1 passed, 1 failed\n"), std::string::npos) << text;
  const nlohmann::json row = nlohmann::json::parse(summary_json(summary))["results"][1];
  EXPECT_TRUE(row["worst_share"].is_null());
  EXPECT_EQ(row["repeat"], case_command(failed.test->id, failed.target, options));
}

TEST(CheckCommand, AnUnwritableReportIsAnErrorThatNamesIt) {
  CheckOptions options;
  options.filter = "rms_norm/f16/strided/5x257/";
  options.files.json = "/no/such/folder/out.json";
  try {
    (void)run_check(options);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("/no/such/folder/out.json"), std::string::npos);
  }
}

TEST(CheckCommand, RacesNeedABuildThatTellsThem) {
  CheckOptions options;
  options.filter = "rms_norm/f16/strided/5x257/";
  options.race = true;
#if defined(HIPFORGE_CPU_RACE)
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(run_check(options), kExitGood);
  const std::string text = ::testing::internal::GetCapturedStdout();
  EXPECT_NE(text.find("races: "), std::string::npos) << text;
  EXPECT_EQ(text.find("races: 0 accesses"), std::string::npos) << text;
#else
  try {
    (void)run_check(options);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("cpu-race"), std::string::npos);
  }
#endif
  CaseRecord record;
  record.test = &all_suites().front().cases.front();
  EXPECT_NE(case_command(record.test->id, record.target, options).find(" check --race --schedules 1 --case "),
            std::string::npos);
}

TEST(CheckCommand, ReproLinesNameTheCaseTheSeedAndTheWave) {
  const Case& test = all_suites().front().cases.front();
  CaseRecord record;
  record.test = &test;
  record.target.wave = 64;
  CheckOptions options;
  options.seed = 9;
  const std::string line = case_command(record.test->id, record.target, options);
  EXPECT_NE(line.find("--seed 9"), std::string::npos);
  EXPECT_NE(line.find("--wave 64"), std::string::npos);
#if defined(HIPFORGE_PLATFORM_CPU)
  for (const char* name : {"HIPFORGE_CPU_WAVE=64", "HIPFORGE_CPU_SCHEDULE=", "HIPFORGE_CPU_WORKERS="}) {
    EXPECT_NE(line.find(name), std::string::npos) << line;
  }
#endif
}

TEST(CheckCommand, AnInterruptedRecordLeavesNothingBehind) {
  namespace fs = std::filesystem;
  const fs::path folder =
      fs::path(::testing::TempDir()) / fmt::format("hipforge_interrupted_record_{}", ::getpid());
  fs::create_directories(folder);
  ChildProcess check({{HIPFORGE_EXECUTABLE, "check", "--op", "rms_norm", "--record", folder / "record"}});
  for (int i = 0; i < 2000 && fs::is_empty(folder); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_FALSE(fs::is_empty(folder));
  ASSERT_EQ(::kill(check.id(), SIGINT), 0);
  EXPECT_EQ(check.wait().number, SIGINT);
  EXPECT_TRUE(fs::is_empty(folder));
  fs::remove_all(folder);
}

TEST(CheckCommand, WhatDoesNotGoTogetherIsRefusedBeforeAnythingRuns) {
  CheckOptions coverage;
  coverage.coverage = true;
  coverage.candidate_path = "x.co";
  coverage.emulate = "gfx942";
  EXPECT_THROW((void)run_check(coverage), UsageError);
  coverage.ops = {"rope"};
  EXPECT_THROW((void)run_check(coverage), UsageError);
  CheckOptions emulate;
  emulate.candidate_path = "x.co";
  emulate.ops = {"rope"};
  emulate.emulate = "../gfx942";
  EXPECT_THROW((void)run_check(emulate), UsageError);
}

TEST(CheckCommand, ShardsPartTheCases) {
  CheckOptions options;
  for (const char* bad : {"", "1", "2/2", "0/0", "1/2x", "-1/2", "a/b", "1/"}) {
    EXPECT_FALSE(parse_shard(bad, options)) << bad;
    EXPECT_EQ(options.shards, 1u);
  }
  ASSERT_TRUE(parse_shard("1/3", options));
  EXPECT_EQ(options.shard, 1u);
  EXPECT_EQ(options.shards, 3u);
  options.list = true;
  options.ops = {"argmax"};
  std::vector<std::string> together;
  for (options.shard = 0; options.shard < options.shards; ++options.shard) {
    ::testing::internal::CaptureStdout();
    EXPECT_EQ(run_check(options), kExitGood);
    std::istringstream lines(::testing::internal::GetCapturedStdout());
    for (std::string line; std::getline(lines, line);) together.push_back(line);
  }
  std::vector<std::string> all;
  for (const OpSuite& suite : all_suites()) {
    if (suite.op != "argmax") continue;
    for (const Case& test : suite.cases) all.push_back(test.id);
  }
  EXPECT_FALSE(all.empty());
  std::sort(together.begin(), together.end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(together, all);
}

}  // namespace
}  // namespace hipforge::harness
