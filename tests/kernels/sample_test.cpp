#include "kernels/sample.h"

#include "harness/core/rig.h"
#include "kernels/argmax.h"
#include "reference/sample.h"
#include "tests/refusals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

namespace hipforge {
namespace {

using harness::Family;
using harness::Rig;
using harness::Shape;

// A legal call; each test spoils one thing.
struct SampleFixture {
  Rig rig{1, nullptr};
  SampleParams params;

  explicit SampleFixture(const Shape& shape = {3, 40}, DType dtype = DType::kF32, double scale = 2.0) {
    params.logits = rig.input("logits", dtype, shape, Family::kNormal, scale);
    params.ids = rig.output("ids", DType::kI32, {shape[0]});
    params.draws = rig.output("draws", DType::kF32, {shape[0]});
    params.seed = 42;
  }
  std::vector<double> run() {
    throw_if_error(rig.reset());
    throw_if_error(sample(params, nullptr));
    throw_if_error(rig.finish());
    return rig.read("ids");
  }
};

// `rows` draws from the same logits.
std::vector<double> draw_many(const std::vector<double>& logits, std::int64_t rows, SampleParams params) {
  Rig rig(1, nullptr);
  const auto vocab = static_cast<std::int64_t>(logits.size());
  params.logits = rig.input_values("logits", DType::kF32, {1, vocab}, logits);
  params.logits.shape[0] = rows;
  params.logits.strides[0] = 0;
  params.ids = rig.output("ids", DType::kI32, {rows});
  throw_if_error(rig.reset());
  throw_if_error(sample(params, nullptr));
  throw_if_error(rig.finish());
  return rig.read("ids");
}

TEST(Sample, RefusesWhatItsContractExcludes) {
  expect_refusals<SampleFixture>(
      sample,
      {{kInvalid,
        [](SampleFixture& f) { f.params.logits.elements = 119; },
        {"logits holds 119 elements, shape [3, 40] needs 120"}},
       {kInvalid,
        [](SampleFixture& f) { f.params.ids.shape[0] = 2; },
        {"ids has shape [2]", "needs 3 (rows of logits)"}},
       {kInvalid,
        [](SampleFixture& f) { f.params.draws.shape[0] = 2; },
        {"draws has shape [2]", "needs 3 (rows of logits)"}},
       {kInvalid, [](SampleFixture& f) { f.params.logits.shape[1] = 0; }, {"vocab is 0, needs 1 to 1048576"}},
       {kInvalid,
        [](SampleFixture& f) {
          f.params.logits.shape = {0, 1048577};
          f.params.ids.shape[0] = f.params.draws.shape[0] = 0;
        },
        {"vocab is 1048577"}},
       {kInvalid, [](SampleFixture& f) { f.params.top_k = -3; }, {"top_k is -3, needs 0 (all) or more"}},
       {kInvalid,
        [](SampleFixture& f) {
          f.params.logits.strides[1] = 2;
          f.params.logits.elements = 1000;
        },
        {"logits has stride 2 along its last axis"}},
       {kUnsupported,
        [](SampleFixture& f) { f.params.logits.dtype = DType::kI32; },
        {"logits has dtype i32", "f32, f16, bf16"}},
       {kUnsupported,
        [](SampleFixture& f) { f.params.ids.dtype = DType::kF32; },
        {"ids has dtype f32", "i32"}},
       {kInvalid,
        [](SampleFixture& f) { f.params.draws.data = f.params.ids.data; },
        {"ids and draws overlap"}},
       {kInvalid,
        [](SampleFixture& f) { f.params.ids.data = f.params.logits.data; },
        {"logits and ids overlap"}},
       {kInvalid,
        [](SampleFixture& f) { f.params.draws.strides[0] = 0; },
        {"draws of shape", "overlaps itself"}}});
  const float inf = std::numeric_limits<float>::infinity();
  for (float temperature : {0.0f, -1.0f, inf, std::nanf("")}) {
    expect_refusals<SampleFixture>(
        sample,
        {{kInvalid, [=](SampleFixture& f) { f.params.temperature = temperature; }, {"temperature is "}}});
  }
  for (float top_p : {0.0f, -0.5f, 1.5f, std::nanf("")}) {
    expect_refusals<SampleFixture>(sample, {{kInvalid,
                                             [=](SampleFixture& f) { f.params.top_p = top_p; },
                                             {"top_p is ", "needs over 0, at most 1"}}});
  }
  EXPECT_EQ(expect_operands_checked<SampleFixture>(sample), 6);
}

TEST(Sample, PlanIsAPureFunctionOfParamsAndTarget) {
  SampleFixture f({3, 5000}, DType::kBF16);
  LaunchPlan first;
  LaunchPlan second;
  LaunchPlan wide;
  ASSERT_OK(sample_plan(f.params, Target{"sm_80", 32, MatrixUnit::kMma}, first));
  ASSERT_OK(sample_plan(f.params, Target{"sm_80", 32, MatrixUnit::kMma}, second));
  ASSERT_OK(sample_plan(f.params, Target{"gfx942", 64, MatrixUnit::kMfma}, wide));
  EXPECT_STREQ(first.kernel, "sample_bf16_w32");
  EXPECT_STREQ(wide.kernel, "sample_bf16_w64");
  EXPECT_EQ(first.function, second.function);
  EXPECT_EQ(first.grid.x, 3u);
  EXPECT_EQ(first.block.x, 320u);  // 5,000 / (32 lanes · 4 elements · 4 steps), rounded up, is 10 waves
  EXPECT_EQ(wide.block.x % 64, 0u);
  EXPECT_LE(first.shared_bytes, 32u * 1024u);
}

TEST(Sample, NoRowsLaunchNothing) {
  SampleFixture f({0, 40});
  LaunchPlan plan;
  ASSERT_OK(sample_plan(f.params, Target{"cpu", 32, MatrixUnit::kNone}, plan));
  EXPECT_EQ(plan.grid.x, 0u);
  ASSERT_OK(sample(f.params, nullptr));
}

TEST(Sample, ATokenDependsOnItsRowSeedAndPositionAlone) {
  SampleFixture f({6, 700});
  f.params.top_k = 50;
  f.params.top_p = 0.9f;
  f.params.position = 100;
  const std::vector<double> all = f.run();
  EXPECT_EQ(f.run(), all);
  // Row 4 alone, at its own position.
  SampleParams alone = f.params;
  alone.logits.data = f.params.logits.as<float>() + 4 * 700;
  alone.logits.shape[0] = alone.ids.shape[0] = alone.draws.shape[0] = 1;
  alone.logits.elements = 2 * 700;
  alone.position = 104;
  ASSERT_OK(f.rig.reset());
  ASSERT_OK(sample(alone, nullptr));
  ASSERT_OK(f.rig.finish());
  EXPECT_EQ(f.rig.read("ids")[0], all[4]);
  f.params.seed = 43;
  EXPECT_NE(f.run(), all);
}

TEST(Sample, DrawsAreRocRandsUniforms) {
  SampleFixture f({5, 9});
  f.params.seed = 0xfeedfacecafebeefull;
  f.params.position = 0xfffffffffffffffdull;  // wraps at row 3
  f.run();
  const std::vector<double> draws = f.rig.read("draws");
  for (std::size_t row = 0; row < 5; ++row) {
    EXPECT_EQ(draws[row], reference::philox_uniform(f.params.seed, f.params.position + row)) << row;
  }
}

TEST(Sample, AVanishingTemperatureIsArgmax) {
  for (float temperature : {1e-4f, 1e-30f, std::numeric_limits<float>::denorm_min()}) {
    SampleFixture f({20, 1000}, DType::kF32);
    f.params.temperature = temperature;
    const std::vector<double> ids = f.run();
    ArgmaxParams greedy;
    greedy.x = f.params.logits;
    greedy.ids = f.params.ids;
    ASSERT_OK(f.rig.reset());
    ASSERT_OK(argmax(greedy, nullptr));
    ASSERT_OK(f.rig.finish());
    EXPECT_EQ(f.rig.read("ids"), ids) << temperature;
  }
}

TEST(Sample, TopKOfOneAndATinyTopPAreArgmaxWithTheLowestIndexOfTies) {
  const std::vector<double> logits{1.0, 3.0, -2.0, 3.0, 3.0, 0.0};
  SampleParams params;
  params.top_k = 1;
  for (double id : draw_many(logits, 50, params)) EXPECT_EQ(id, 1.0);
  params.top_k = 0;
  params.top_p = 1e-6f;
  for (double id : draw_many(logits, 50, params)) EXPECT_EQ(id, 1.0);
}

TEST(Sample, TiesAtTheEdgeKeepTheLowerIndices) {
  // top_k 3 of one 5 and four 4s; top_p 0.5 of six equals.
  SampleParams params;
  params.top_k = 3;
  const std::vector<double> by_k = draw_many({4.0, 4.0, 5.0, 4.0, 4.0}, 200, params);
  EXPECT_EQ(std::set<double>(by_k.begin(), by_k.end()), (std::set<double>{0.0, 1.0, 2.0}));
  params.top_k = 0;
  params.top_p = 0.5f;
  const std::vector<double> by_p = draw_many(std::vector<double>(6, -1.0), 200, params);
  EXPECT_EQ(std::set<double>(by_p.begin(), by_p.end()), (std::set<double>{0.0, 1.0, 2.0}));
}

TEST(Sample, MaskedTokensAreNeverDrawnAndARowOfThemHasNone) {
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<double> some =
      draw_many({-inf, 0.0, std::nan(""), -50.0, 0.0, -inf}, 500, SampleParams{});
  EXPECT_EQ(std::set<double>(some.begin(), some.end()), (std::set<double>{1.0, 4.0}));
  for (double id : draw_many({-inf, std::nan(""), -inf}, 3, SampleParams{})) EXPECT_EQ(id, -1.0);
  const std::vector<double> certain = draw_many({1.0, inf, 2.0, inf}, 100, SampleParams{});
  EXPECT_EQ(std::set<double>(certain.begin(), certain.end()), (std::set<double>{1.0, 3.0}));
}

// Pearson's statistic of 5,000 draws against probabilities; a token of probability 0 must not occur.
void expect_distribution(const std::vector<double>& logits, const SampleParams& params) {
  constexpr std::int64_t kDraws = 5000;
  const std::vector<double> ids = draw_many(logits, kDraws, params);
  const reference::SampleDistribution distribution =
      reference::sample_distribution(logits, static_cast<double>(params.temperature), params.top_k);
  const std::int64_t kept = reference::sample_nucleus(distribution, static_cast<double>(params.top_p));
  double total = 0.0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(kept); ++i) total += distribution.weight[i];
  std::vector<double> counts(logits.size(), 0.0);
  for (double id : ids) ++counts[static_cast<std::size_t>(id)];
  double statistic = 0.0;
  double seen = 0.0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(kept); ++i) {
    const double count = counts[static_cast<std::size_t>(distribution.order[i])];
    const double wanted = kDraws * distribution.weight[i] / total;
    ASSERT_GT(wanted, 5.0);
    statistic += (count - wanted) * (count - wanted) / wanted;
    seen += count;
  }
  EXPECT_EQ(seen, static_cast<double>(kDraws)) << "a token that was cut away was drawn";
  // Wilson and Hilferty: cbrt(χ²/f) is nearly normal; beyond 4.5 deviations is one run in 150,000, on either
  // side.
  const double freedom = static_cast<double>(kept) - 1.0;
  const double deviation =
      (std::cbrt(statistic / freedom) - 1.0 + 2.0 / (9.0 * freedom)) / std::sqrt(2.0 / (9.0 * freedom));
  EXPECT_LT(std::fabs(deviation), 4.5)
      << "chi-square " << statistic << " at " << freedom << " degrees of freedom";
}

TEST(Sample, FollowsTheDistributionOverManyPositions) {
  std::vector<double> logits;
  for (int i = 0; i < 40; ++i) logits.push_back(1.5 * std::sin(1.7 * i));
  SampleParams params;
  params.seed = 2024;
  expect_distribution(logits, params);
  params.temperature = 1.7f;
  params.position = 1u << 20;
  expect_distribution(logits, params);
  params.temperature = 0.8f;
  params.top_k = 17;
  expect_distribution(logits, params);
  params.top_p = 0.7f;
  expect_distribution(logits, params);
  params.top_k = 0;
  params.top_p = 0.5f;
  params.seed = 7;
  expect_distribution(logits, params);
}

TEST(Sample, OutputsMayHaveAnyStride) {
  SampleFixture f;
  const std::vector<double> ids = f.run();
  const std::vector<double> draws = f.rig.read("draws");
  f.params.ids = f.rig.output("wide_ids", DType::kI32, {3, 2});
  f.params.draws = f.rig.output("wide_draws", DType::kF32, {3, 4});
  f.params.ids.rank = f.params.draws.rank = 1;
  (void)f.run();
  const std::vector<double> wide_ids = f.rig.read("wide_ids");
  const std::vector<double> wide_draws = f.rig.read("wide_draws");
  for (std::size_t row = 0; row < 3; ++row) {
    EXPECT_EQ(wide_ids[2 * row], ids[row]);
    EXPECT_EQ(wide_draws[4 * row], draws[row]);
  }
}

}  // namespace
}  // namespace hipforge
