#include "harness/mutants/mutants.h"

#include "harness/core/case.h"
#include "harness/mutants/mutants_command.h"
#include "harness/system/exit_code.h"
#include "harness/system/file.h"
#include "kernels/runtime/status.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>

namespace hipforge::harness {
namespace {

namespace fs = std::filesystem;

// A build whose programs are shell scripts: `hipforge` runs a body that finds the mutant in $HIPFORGE_MUTANT,
// the tests pass.
class Mutants : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) / ("mutants_" + std::to_string(::getpid()));
    fs::create_directories(folder());
    for (const char* program : {"kernels_test", "chronicle_test"}) make_program(program, "exit 0");
    options_.folder = root_.string();
  }
  void TearDown() override { fs::remove_all(root_); }

  [[nodiscard]] fs::path folder() const { return root_ / "hand"; }
  void make_program(const std::string& name, const std::string& body) const {
    const fs::path path = folder() / name;
    write_file(path.string(), "#!/bin/sh\n" + body + "\n");
    fs::permissions(path, fs::perms::owner_all);
  }
  // Mutants 1 to `count` of softmax.
  void make_manifest(int count, const std::string& reason = "", int discarded = 0,
                     bool equivalent = false) const {
    std::string text = "{\"discarded\": " + std::to_string(discarded) + ", \"mutants\": [";
    for (int i = 1; i <= count; ++i) {
      const std::string number = std::to_string(i);
      text += std::string(i > 1 ? "," : "") + "{\"number\": " + number + ", \"id\": \"softmax.m" + number +
              R"(", "op": "softmax", "kind": "index", "what": "x", "where": ["a.h:1"], "reason": ")" +
              reason + R"(", "equivalent": )" + (equivalent ? "true}" : "false}");
    }
    write_file((folder() / "mutants.json").string(), text + "]}");
  }
  [[nodiscard]] std::pair<int, std::string> run() const {
    ::testing::internal::CaptureStdout();
    const int code = run_mutants(options_);
    return {code, ::testing::internal::GetCapturedStdout()};
  }

  fs::path root_;
  MutantsOptions options_;
};

constexpr const char* kFailsWithAnyMutant =
    "[ $HIPFORGE_MUTANT = 0 ] || echo 'FAIL softmax/f32/case (wave 32): wrong'";

TEST_F(Mutants, WhatTheSuiteFindsIsCaughtAndNamed) {
  make_manifest(2);
  make_program("hipforge", kFailsWithAnyMutant);
  const auto [code, output] = run();
  EXPECT_EQ(code, kExitGood);
  EXPECT_NE(output.find("caught   softmax.m1: check: softmax/f32/case"), std::string::npos) << output;
  EXPECT_NE(output.find("2 mutants: 2 caught (100.0 %), 0 survived"), std::string::npos) << output;
}

TEST_F(Mutants, AHandMadeSurvivorFails) {
  make_manifest(2, "a reason does not help a mutant that was made by hand");
  make_program("hipforge", "[ $HIPFORGE_MUTANT != 2 ] || echo 'FAIL softmax/f32/case'");
  const auto [code, output] = run();
  EXPECT_EQ(code, kExitFailed);
  EXPECT_NE(output.find("SURVIVED softmax.m1"), std::string::npos) << output;
  EXPECT_NE(output.find("2 mutants: 1 caught (50.0 %), 1 survived"), std::string::npos) << output;
}

TEST_F(Mutants, WhatCannotShowOnAPlatformIsLeftOutWithItsReason) {
  make_program("hipforge", kFailsWithAnyMutant);
  const std::string mutant = R"("op": "softmax", "kind": "index", "what": "x", "where": ["a.h:1"])";
  write_file((folder() / "mutants.json").string(),
             R"({"platform": "nvidia", "mutants": [{"number": 1, "id": "softmax.m1", )" + mutant +
                 R"(}, {"number": 2, "id": "softmax.m2", "left_out": "no such kernel there", )" + mutant +
                 "}]}");
  const auto [code, output] = run();
  EXPECT_EQ(code, kExitGood) << output;
  EXPECT_NE(output.find("left out softmax.m2 on nvidia: no such kernel there"), std::string::npos) << output;
  EXPECT_NE(output.find("1 mutants: 1 caught (100.0 %), 0 survived"), std::string::npos) << output;
  EXPECT_NE(output.find("; 1 more cannot show on nvidia"), std::string::npos) << output;
}

TEST_F(Mutants, ASuiteThatFailsWithoutAMutantProvesNothing) {
  make_manifest(1);
  make_program("hipforge", "echo 'FAIL softmax/f32/case'");
  const auto [code, output] = run();
  EXPECT_EQ(code, kExitFailed);
  EXPECT_NE(output.find("FAIL without a mutant: check: softmax/f32/case"), std::string::npos) << output;
  EXPECT_EQ(output.find("caught"), std::string::npos) << output;
}

TEST_F(Mutants, AProgramThatCannotBeStartedCatchesNothing) {
  make_manifest(1);
  EXPECT_THROW((void)run_mutants(options_), Error);
  fs::remove(folder() / "mutants.json");
  EXPECT_THROW((void)run_mutants(options_), Error);
}

TEST_F(Mutants, AManifestThatIsNoneIsAnErrorThatNamesIt) {
  write_file((folder() / "mutants.json").string(), R"({"mutants": [{"id": "softmax.m1"}]})");
  try {
    (void)read_mutant_build(folder().string());
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.status().code, StatusCode::kInvalidArgument);
    EXPECT_NE(error.status().message.find("mutants.json"), std::string::npos) << error.status().message;
  }
}

TEST_F(Mutants, UsageErrors) {
  make_manifest(1);
  make_program("hipforge", "exit 0");
  options_.id = "no_such_mutant";
  EXPECT_THROW((void)run_mutants(options_), UsageError);
  options_.id = "[";
  EXPECT_THROW((void)run_mutants(options_), UsageError);
  options_.id = "";
  options_.ops = {"rope"};
  EXPECT_THROW((void)run_mutants(options_), UsageError);
  options_.ops = {};
  options_.hand_made = options_.generated = true;
  EXPECT_THROW((void)run_mutants(options_), UsageError);
}

TEST_F(Mutants, OfTheGeneratedOnesFiveInAHundredMaySurviveEachWithAReason) {
  fs::rename(folder(), root_ / "generated");
  fs::create_symlink(root_ / "generated", folder());
  options_.generated = true;
  make_program("hipforge", "[ $HIPFORGE_MUTANT -lt 2 ] || echo 'FAIL softmax/f32/case'");
  make_manifest(20, "nothing shows it", 7);
  const auto [code, output] = run();
  EXPECT_EQ(code, kExitGood) << output;
  EXPECT_NE(output.find("nothing shows it"), std::string::npos) << output;
  EXPECT_NE(output.find("7 more do not compile"), std::string::npos) << output;
  make_manifest(20);
  EXPECT_EQ(run().first, kExitFailed) << "a survivor without a reason";
  make_manifest(19, "nothing shows it");
  EXPECT_EQ(run().first, kExitFailed) << "18 of 19 are under 95 %";
  make_manifest(19, "it does what the code does", 0, true);
  EXPECT_EQ(run().first, kExitGood) << "18 of the 18 that can be caught";
}

TEST_F(Mutants, CrashesAndHangsAreCaughtAsSuch) {
  MutantBuild build;
  build.folder = folder().string();
  const SuiteStep step{"check", {"hipforge"}, {}, {}};
  make_program("hipforge", "kill -SEGV $$");
  StepOutcome outcome = run_step(build, step, 1, 20.0);
  EXPECT_TRUE(outcome.failed);
  EXPECT_EQ(outcome.by, "fault: check ended by signal 11");
  make_program("hipforge", "echo '[ RUN      ] Softmax.Hangs'; sleep 100");
  outcome = run_step(build, step, 1, 0.3);
  EXPECT_TRUE(outcome.failed);
  EXPECT_EQ(outcome.check, "timeout");
  EXPECT_NE(outcome.by.find("Softmax.Hangs"), std::string::npos) << outcome.by;
  EXPECT_LT(outcome.seconds, 10.0);
  make_program("hipforge", "exit 3");
  outcome = run_step(build, step, 1, 20.0);
  EXPECT_EQ(outcome.by, "check: exit code 3");
}

TEST_F(Mutants, EveryOpHasASuiteOfItsOwn) {
  for (const OpSuite& op : all_suites()) {
    const std::vector<SuiteStep> steps = suite_of(op.op, "cpu");
    EXPECT_EQ(steps.front().command,
              (std::vector<std::string>{"hipforge", "check", "--op", op.op, "--quick", "--shrink", "0"}));
  }
  EXPECT_EQ(suite_of("rope", "nvidia").size(), 3u) << "a GPU has one target, one wave and its own schedule";
  EXPECT_GT(suite_of("rope", "cpu").size(), 3u + 3u);
  EXPECT_EQ(suite_of("rms_norm", "cpu")[1].command[1].find("--gtest_filter=*RmsNorm*:"), 0u);
}

}  // namespace
}  // namespace hipforge::harness
