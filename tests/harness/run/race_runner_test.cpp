#include "harness/run/race_runner.h"

#include "kernels/runtime/check.h"

#include <gtest/gtest.h>

#include <string>

namespace hipforge::harness {
namespace {

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
