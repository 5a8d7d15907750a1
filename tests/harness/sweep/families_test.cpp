#include "harness/sweep/families.h"

#include "harness/check/coverage.h"
#include "harness/core/device_info.h"
#include "kernels/runtime/target.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

namespace hipforge::harness {
namespace {

const OpSuite& suite_of(const std::string& op) {
  for (const OpSuite& suite : all_suites()) {
    if (suite.op == op) return suite;
  }
  throw Error(invalid_argument("no op ", op));
}

bool any_contains(const std::vector<std::string>& texts, const std::string& part) {
  return std::any_of(texts.begin(), texts.end(),
                     [&](const std::string& text) { return text.find(part) != std::string::npos; });
}

TEST(Families, ASuiteWithoutAFamilyHasAHole) {
  for (const char* family : kInputFamilies) {
    OpSuite suite = suite_of("softmax");
    for (Case& test : suite.cases) {
      std::erase(test.families, std::string(family));
      std::erase(test.features, std::string(family));
    }
    EXPECT_TRUE(any_contains(coverage_holes(suite), std::string("softmax ") + family + " f16")) << family;
    exclude_families(suite, {family}, "for this test");
    EXPECT_FALSE(any_contains(coverage_holes(suite), std::string("softmax ") + family + " ")) << family;
  }
}

TEST(Families, AnExclusionWantsAReason) {
  OpSuite suite = suite_of("softmax");
  exclude_families(suite, {"cancel"}, "");
  EXPECT_TRUE(any_contains(coverage_holes(suite), "without a reason"));
}

TEST(Families, ASizeBesideAnEdgeThatNoCaseHasIsAHole) {
  OpSuite suite = suite_of("rms_norm");
  ASSERT_TRUE(coverage_holes(suite).empty());
  std::erase_if(suite.cases, [](const Case& test) {
    const auto hidden = test.sizes.find("hidden");
    return test.dtype == DType::kBF16 && test.layout == "strided" && hidden != test.sizes.end() &&
           hidden->second == 257;
  });
  EXPECT_TRUE(any_contains(coverage_holes(suite), "rms_norm bf16 strided: no case has a hidden of 257"));
  suite.edges.clear();
  EXPECT_TRUE(any_contains(coverage_holes(suite), "no edge"));
}

TEST(Families, EdgesAreFilledOnceAndUpToTheirLimit) {
  OpSuite suite;
  suite.op = "fake";
  suite.edges = {{"cols", 8}, {"cols", 9}, {"dim", 16, 16}};
  std::vector<std::pair<std::string, std::int64_t>> made;
  fill_edges(suite, DType::kF32, "contiguous", [&](const std::string& dimension, std::int64_t size) {
    made.emplace_back(dimension, size);
    Case test;
    test.layout = "contiguous";
    set_sizes(test, {{dimension, size}});
    return test;
  });
  const std::vector<std::pair<std::string, std::int64_t>> wanted = {{"cols", 7},  {"cols", 8}, {"cols", 9},
                                                                    {"cols", 10}, {"dim", 15}, {"dim", 16}};
  EXPECT_EQ(made, wanted);
}

TEST(Families, SizesOfZeroAndOneAreFamilies) {
  Case test;
  set_sizes(test, {{"rows", 0}, {"cols", 1}});
  EXPECT_EQ(test.families, (std::vector<std::string>{"empty", "size_1"}));
  EXPECT_EQ(test.sizes.at("cols"), 1);
}

// An exact answer is compared exactly: not one element of these cases has a bound over 0.
TEST(Families, IntegersAreComparedExactly) {
  Target target;
  ASSERT_TRUE(device_target(target).ok());
  for (const OpSuite& suite : all_suites()) {
    if (suite.op == "causal_mask") continue;  // reads nothing
    if (suite.op == "sample") continue;       // draws: an interval, not a value
    for (DType dtype : suite.dtypes) {
      for (const std::string& layout : suite.layouts) {
        std::size_t exact = 0;
        for (const Case& test : suite.cases) {
          if (exact > 0 || test.dtype != dtype || test.layout != layout) continue;
          const bool integers =
              std::find(test.families.begin(), test.families.end(), "integers") != test.families.end();
          if (!integers) continue;
          const CaseResult result = run_case(test, {target});
          EXPECT_TRUE(result.passed) << test.id << ": " << result.message;
          exact += result.bounded ? 0 : 1;
        }
        EXPECT_GT(exact, 0u) << suite.op << " " << dtype_name(dtype) << " " << layout;
      }
    }
  }
}

}  // namespace
}  // namespace hipforge::harness
