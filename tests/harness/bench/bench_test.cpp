#include "harness/bench/bench.h"

#include "harness/bench/bench_command.h"
#include "harness/system/exit_code.h"
#include "kernels/runtime/status.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace hipforge::harness {
namespace {

class BenchCases : public ::testing::Test {
 protected:
  void SetUp() override { second_.id += "_again"; }

  // The least case worth timing, which counts how often it is prepared.
  Case counted(int& count) {
    const std::deque<Case> cases = timed_cases({});
    Case made = *std::min_element(cases.begin(), cases.end(), [](const Case& a, const Case& b) {
      return a.shape.size() < b.shape.size();
    });
    made.prepare = [prepare = made.prepare, &count](const CaseEnvironment& environment) {
      ++count;
      return prepare(environment);
    };
    return made;
  }

  int first_prepared_ = 0;
  int second_prepared_ = 0;
  const Case first_ = counted(first_prepared_);
  Case second_ = counted(second_prepared_);
};

TEST_F(BenchCases, OperandsAreKeptBetweenTheBlocksOfACase) {
  Bench bench({.blocks = 3, .seconds = 0.001});
  for (const Case* test :
       std::initializer_list<const Case*>{&first_, &second_, &first_, &first_, &second_, &second_})
    bench.time_block(*test);
  ASSERT_EQ(bench.records().size(), 2u);
  for (const Record& record : bench.records()) {
    EXPECT_EQ(record.error, "");
    EXPECT_EQ(record.blocks_us.size(), 3u);
    EXPECT_GT(record.us.median, 0.0);
    EXPECT_GT(record.checked_elements, 0u);
    EXPECT_EQ(first_prepared_, record.copies);
    EXPECT_EQ(second_prepared_, record.copies);
  }
}

TEST_F(BenchCases, AreDroppedForACaseThatFindsNoMemory) {
  bool full = true;
  second_.prepare = [&, prepare = second_.prepare](const CaseEnvironment& environment) {
    if (std::exchange(full, false)) throw Error(failure(StatusCode::kOutOfMemory, "full"));
    return prepare(environment);
  };
  Bench bench({.blocks = 2, .seconds = 0.001});
  for (const Case* test : std::initializer_list<const Case*>{&first_, &second_, &first_, &second_})
    bench.time_block(*test);
  for (const Record& record : bench.records()) {
    EXPECT_EQ(record.error, "");
    EXPECT_EQ(record.blocks_us.size(), 2u);
    EXPECT_EQ(first_prepared_, 2 * record.copies);
    EXPECT_EQ(second_prepared_, record.copies);
  }
  // With none to drop there is no memory to be had.
  second_.prepare = [](const CaseEnvironment&) -> PreparedCase {
    throw Error(failure(StatusCode::kOutOfMemory, "full for good"));
  };
  Bench alone({.blocks = 2});
  alone.time_block(second_);
  EXPECT_EQ(alone.records().front().error, "full for good");
}

TEST_F(BenchCases, AWrongResultHasNoFigure) {
  second_.prepare = [prepare = second_.prepare](const CaseEnvironment& environment) {
    PreparedCase made = prepare(environment);
    made.launch = [](hipStream_t) { return Status{}; };  // the poison stays
    return made;
  };
  Bench bench({.blocks = 2, .seconds = 0.001});
  for (int block = 0; block < 2; ++block) bench.time_block(second_);
  const Record& record = bench.records().front();
  EXPECT_EQ(record.error.rfind("wrong before timing: ", 0), 0u) << record.error;
  EXPECT_TRUE(record.blocks_us.empty());
  EXPECT_EQ(second_prepared_, record.copies);
}

TEST(BenchCommand, ADtypeThatIsNoneIsNamed) {
  BenchOptions options;
  options.dtypes = {"f9"};
  try {
    (void)run_bench(options);
    FAIL() << "no error";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("dtype f9"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace hipforge::harness
