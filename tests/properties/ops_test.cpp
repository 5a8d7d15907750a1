#include "harness/core/case.h"
#include "harness/core/device_info.h"
#include "kernels/runtime/check.h"
#include "tests/properties/properties.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>

namespace hipforge::harness {
namespace {

// What a kernel may do in one try: of the product of all sizes that the op can be given.
constexpr std::int64_t kMostWork = 1 << 17;
constexpr std::int64_t kLargestSize = 2100;

// A case of the suite with sizes, layout, flags and data drawn anew, as far as they go together: its shape is
// one that nobody wrote down.
std::optional<Case> any_case(const OpSuite& suite) {
  const Case& base = suite.cases[*rc::gen::inRange<std::size_t>(0, suite.cases.size())];
  if (!base.variants) return base;
  const Variants variants = base.variants();
  Settings settings;
  std::int64_t work = kMostWork;  // that is left
  for (const Knob& knob : variants.knobs) {
    if (knob.is_size) {
      // One in four keeps what the case has, if that is not too much.
      std::int64_t value = std::stoll(knob.value);
      if (value > work || *rc::gen::inRange(0, 4) != 0) {
        const std::int64_t most = std::clamp<std::int64_t>(work - knob.least + 1, 1, kLargestSize);
        value = knob.least + (*size_up_to(most) - 1) / knob.step * knob.step;
        settings.emplace_back(knob.name, std::to_string(value));
      }
      work /= std::max<std::int64_t>(value, 1);
    } else if (!knob.simpler.empty() && *rc::gen::inRange(0, 3) == 0) {
      settings.emplace_back(knob.name, *rc::gen::elementOf(knob.simpler));
    }
  }
  try {
    return variants.make(settings);
  } catch (const Error&) {
    return std::nullopt;  // these do not go together
  }
}

class OpProperties : public ::testing::TestWithParam<std::string> {};

TEST_P(OpProperties, AnyShapeAndStridesAreRight) {
  const OpSuite* suite = nullptr;
  for (const OpSuite& one : all_suites()) {
    if (one.op == GetParam()) suite = &one;
  }
  ASSERT_NE(suite, nullptr);
  EXPECT_TRUE(rc::check(GetParam(), [suite] {
    const std::optional<Case> test = any_case(*suite);
    RC_PRE(test.has_value());
    CaseEnvironment environment;
    throw_if_error(device_target(environment.target));
    environment.seed = *rc::gen::inRange<std::uint64_t>(1, 1000);
    const CaseResult result = run_case(*test, environment);
    // Sizes that no kernel takes are refused by name.
    if (result.failure == Failure::kRefused && result.message.find(", supported: ") != std::string::npos) {
      RC_DISCARD("unsupported");
    }
    if (!result.passed) {
      (void)recover_device();
      RC_FAIL("hipforge check --case '" + test->id + "' --seed " + std::to_string(environment.seed) + ": " +
              result.message);
    }
  }));
}

std::vector<std::string> op_names() {
  std::vector<std::string> names;
  for (const OpSuite& suite : all_suites()) names.push_back(suite.op);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Every, OpProperties, ::testing::ValuesIn(op_names()),
                         [](const auto& parameter) { return parameter.param; });

}  // namespace
}  // namespace hipforge::harness
