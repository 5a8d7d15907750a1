#include "harness/run/case_runner.h"

#include "kernels/runtime/check.h"
#include "tests/status_matchers.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace hipforge::harness {
namespace {

TEST(LocalRunner, EachCaseIsPreparedForTheTargetThatItIsRunOn) {
  std::vector<Target> seen;
  Case test;
  test.id = "none/f32/contiguous/1";
  test.prepare = [&](const CaseEnvironment& environment) -> PreparedCase {
    EXPECT_EQ(environment.seed, 5u);
    seen.push_back(environment.target);
    throw Error(invalid_argument("not today"));
  };
  Target own;
  ASSERT_OK(device_target(own));
  Target other = own;
  other.shared_bytes -= 1024;
  CaseEnvironment environment;
  environment.seed = 5;
  const std::unique_ptr<CaseRunner> runner = make_local_runner(environment);
  for (const Target& target : {own, other}) {
    const CaseResult result = runner->run(test, target);
    EXPECT_FALSE(result.passed);
    EXPECT_EQ(result.failure, Failure::kException);
    EXPECT_NE(result.message.find("not today"), std::string::npos) << result.message;
  }
  EXPECT_EQ(seen, (std::vector<Target>{own, other}));
  EXPECT_EQ(runner->summary(), "");
}

// What it finds is told by tests/platform_cpu_race, in a build that can watch.
TEST(RaceRunner, ABuildThatCannotWatchSaysWhichCan) {
  const Status support = race_support();
  if (support.ok()) GTEST_SKIP() << "this build can watch";
  EXPECT_EQ(support.code, StatusCode::kUnsupported);
  EXPECT_NE(support.message.find("preset cpu-race"), std::string::npos) << support.message;
  try {
    (void)make_race_runner(make_local_runner({}), 8);
    FAIL() << "a runner was made";
  } catch (const Error& error) {
    EXPECT_EQ(error.status().message, support.message);
  }
}

}  // namespace
}  // namespace hipforge::harness
