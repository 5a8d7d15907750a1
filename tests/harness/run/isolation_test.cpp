#include "harness/run/case_runner.h"

#include "kernels/runtime/check.h"

#include <gtest/gtest.h>

#include <unistd.h>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <thread>

namespace hipforge::harness {
namespace {

// Real cases by name alone: what happens in the process is up to Server.
const Case& case_of(std::size_t index) {
  return all_suites().front().cases.at(index);
}
enum Deed : std::size_t {
  kPass,
  kFail,
  kCrash,
  kExit,
  kHang,
  kGrow,
  kHarm,
  kDieIfHarmed,
  kUnsupported,
  kCount
};

class Server final : public CaseRunner {
 public:
  CaseResult run(const Case& test, const Target& target) override {
    std::size_t deed = 0;
    while (case_of(deed).id != test.id) ++deed;
    CaseResult result;
    result.passed = true;
    result.bounded = true;
    result.elements = static_cast<std::size_t>(getpid());
    result.worst_share = 0.25;
    result.where = std::to_string(target.wave);
    result.outputs = {{"y", true, 0.25}};
    if (deed == kFail) {
      result.passed = false;
      result.failure = Failure::kWrong;
      result.worst_share = std::numeric_limits<double>::infinity();
      result.message = "two\nlines and a byte \xff";
    }
    if (deed == kCrash) std::abort();
    if (deed == kExit) std::_Exit(7);
    if (deed == kHang) std::this_thread::sleep_for(std::chrono::seconds(60));
    if (deed == kGrow) {
      for (;;) {
        grown_.emplace_back(std::size_t{64} << 20, 'x');
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    }
    if (deed == kHarm) harmed_ = true;
    if (deed == kDieIfHarmed && harmed_) std::raise(SIGKILL);
    result.unsupported = deed == kUnsupported;
    return result;
  }

 private:
  bool harmed_ = false;
  std::vector<std::string> grown_;
};

std::vector<Target> targets() {
  Target narrow;
  narrow.wave = 32;
  Target wide = narrow;
  wide.wave = 64;
  return {narrow, wide};
}

// The process that the others run cases in.
TEST(IsolationServer, DISABLED_Serve) {
  Server server;
  serve_cases(server, targets());
}

class Isolation : public ::testing::Test {
 protected:
  CaseResult run(Deed deed, std::size_t target = 0) {
    return runner_->run(case_of(deed), targets().at(target));
  }

  IsolationOptions options_{.arguments = {"--gtest_also_run_disabled_tests",
                                          "--gtest_filter=IsolationServer.DISABLED_Serve", "--gtest_brief=1"},
                            .timeout_s = 5.0,
                            .memory_limit_mib = 1024};
  std::unique_ptr<CaseRunner> runner_ = make_isolated_runner(options_, targets());
};

TEST_F(Isolation, AResultComesBackAsItWas) {
  ASSERT_GE(all_suites().front().cases.size(), std::size_t{kCount});
  const CaseResult passed = run(kPass, 1);
  EXPECT_TRUE(passed.passed && passed.bounded);
  EXPECT_EQ(passed.worst_share, 0.25);
  EXPECT_EQ(passed.where, "64");
  ASSERT_EQ(passed.outputs.size(), 1u);
  EXPECT_EQ(passed.outputs[0].output, "y");
  EXPECT_EQ(passed.outputs[0].worst_share, 0.25);
  EXPECT_NE(passed.elements, static_cast<std::size_t>(getpid()));  // of another process
  const CaseResult failed = run(kFail);
  EXPECT_FALSE(failed.passed);
  EXPECT_EQ(failed.failure, Failure::kWrong);
  EXPECT_EQ(failed.worst_share, std::numeric_limits<double>::infinity());
  EXPECT_EQ(failed.message, "two\nlines and a byte \uFFFD");
  EXPECT_EQ(failed.where, "32");
  EXPECT_EQ(failed.elements, passed.elements);  // one process takes many cases
  EXPECT_TRUE(run(kUnsupported).unsupported);
}

TEST_F(Isolation, ACrashIsTheCasesAndTheNextGoesOn) {
  const CaseResult crashed = run(kCrash);
  EXPECT_EQ(crashed.failure, Failure::kCrash);
  EXPECT_EQ(crashed.message, "its process died: Aborted (signal 6)");
  const CaseResult ended = run(kExit);
  EXPECT_EQ(ended.failure, Failure::kCrash);
  EXPECT_EQ(ended.message, "its process ended with exit code 7");
  EXPECT_TRUE(run(kPass).passed);
}

TEST_F(Isolation, NoAnswerInTimeIsAHang) {
  runner_->limit(0.5);
  const CaseResult hung = run(kHang);
  EXPECT_EQ(hung.failure, Failure::kHang);
  EXPECT_EQ(hung.message, "no result within 0.5 s");
  runner_->limit(100.0);  // no more than the options allow
  EXPECT_TRUE(run(kPass).passed);
}

TEST_F(Isolation, GrowthOverTheLimitIsNamedInMiB) {
  options_.timeout_s = 60.0;  // memory is slow to come where others want it too
  runner_ = make_isolated_runner(options_, targets());
  const CaseResult grown = run(kGrow);
  EXPECT_EQ(grown.failure, Failure::kMemory);
  EXPECT_NE(grown.message.find(" MiB, the limit is 1024 MiB"), std::string::npos) << grown.message;
}

TEST_F(Isolation, WhoHarmedALaterCaseIsFound) {
  EXPECT_TRUE(run(kPass).passed);
  EXPECT_TRUE(run(kHarm).passed);
  EXPECT_TRUE(run(kUnsupported).passed);
  const CaseResult died = run(kDieIfHarmed);
  EXPECT_EQ(died.failure, Failure::kCrash);
  EXPECT_EQ(died.message, "its process died: Killed (signal 9); alone it passes, not in one process after " +
                              case_of(kHarm).id);
}

TEST_F(Isolation, AProcessThatDoesNotServeIsAnError) {
  options_.arguments = {"--gtest_filter=None.Such"};
  runner_ = make_isolated_runner(options_, targets());
  EXPECT_THROW((void)run(kPass), Error);
}

}  // namespace
}  // namespace hipforge::harness
