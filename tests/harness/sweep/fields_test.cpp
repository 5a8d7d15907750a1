#include "harness/sweep/fields.h"

#include "harness/core/device_info.h"
#include "harness/run/case_runner.h"

#include <gtest/gtest.h>

#include <random>

namespace hipforge::harness {
namespace {

Target some_target(int wave) {
  Target target;
#if defined(HIPFORGE_PLATFORM_CPU)
  throw_if_error(target_from_name("cpu", wave, target));
#else
  (void)wave;
  throw_if_error(device_target(target));
#endif
  return target;
}

// A value for the knob that its case can be asked for.
std::string some_value(const Knob& knob, std::mt19937_64& engine) {
  if (!knob.is_size) return knob.simpler.empty() ? knob.value : knob.simpler[engine() % knob.simpler.size()];
  const std::int64_t most = (std::stoll(knob.value) - knob.least) / knob.step;
  if (most <= 0) return knob.value;
  const auto steps = static_cast<std::int64_t>(engine() % (static_cast<std::uint64_t>(most) + 1));
  return std::to_string(knob.least + steps * knob.step);
}

// Whatever is set, the case is one that a right kernel passes: else a shrunk case would prove nothing.
TEST(Variants, OfAnyCasePass) {
  std::mt19937_64 engine(5);
  const std::unique_ptr<CaseRunner> runner = make_local_runner({});
  for (const OpSuite& suite : all_suites()) {
    int made = 0;
    for (int turn = 0; turn < 60; ++turn) {
      const Case& base = suite.cases[engine() % suite.cases.size()];
      if (base.metamorphic) continue;  // a relation stands at its own shape alone
      ASSERT_TRUE(base.variants) << base.id;
      Settings settings;
      for (const Knob& knob : base.variants().knobs) {
        if (engine() % 3 == 0 || turn % 4 == 0) settings.emplace_back(knob.name, some_value(knob, engine));
      }
      std::erase_if(settings, [&](const auto& setting) { return setting.second == "own"; });
      Case test;
      try {
        test = base.variants().make(settings);
      } catch (const Error&) {
        continue;  // settings that do not go
                   // together
      }
      ++made;
      EXPECT_EQ(find_case(test.id).id, test.id);
      const CaseResult result = runner->run(test, some_target(turn % 2 == 0 ? 32 : 64));
      EXPECT_TRUE(result.passed) << test.id << ": " << failure_name(result.failure) << ": " << result.message;
    }
    EXPECT_GT(made, 20) << suite.op;
  }
}

TEST(Variants, TheIdNamesTheCaseAndAllThatDiffers) {
  const std::string base = "rms_norm/f32/contiguous/5x257/plain.weight_f32";
  const Case test = find_case(base);
  const Case smaller = test.variants().make({{"hidden", "3"}, {"family", "equal"}});
  EXPECT_EQ(smaller.id, base + "@hidden=3,family=equal");
  EXPECT_EQ(smaller.shape, "5x3");
  // A setting of a variant, and one that takes another back.
  EXPECT_EQ(smaller.variants().make({{"rows", "1"}}).id, base + "@rows=1,hidden=3,family=equal");
  EXPECT_EQ(smaller.variants().make({{"hidden", "257"}}).id, base + "@family=equal");
}

TEST(Variants, BadNamesAndValuesAreNamed) {
  const std::string base = "rms_norm/f32/contiguous/5x257/plain.weight_f32";
  const auto message = [](const std::string& id) -> std::string {
    try {
      (void)find_case(id);
    } catch (const Error& error) {
      return error.what();
    }
    return "found";
  };
  EXPECT_NE(message("rms_norm/f32/none").find("no case rms_norm/f32/none"), std::string::npos);
  EXPECT_NE(message(base + "@depth=1").find("no setting depth: choose from rows hidden"), std::string::npos);
  EXPECT_NE(message(base + "@rows=0").find("rows cannot be 0"), std::string::npos);
  EXPECT_NE(message(base + "@rows=2x").find("rows cannot be 2x"), std::string::npos);
  EXPECT_NE(message(base + "@family=odd").find("family cannot be odd"), std::string::npos);
  EXPECT_NE(message(base + "@rows").find("'rows' is not NAME=VALUE"), std::string::npos);
}

}  // namespace
}  // namespace hipforge::harness
