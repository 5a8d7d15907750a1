#include "kernels/embedding.h"

#include "harness/core/rig.h"
#include "kernels/runtime/device_error.h"
#include "tests/refusals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace hipforge {
namespace {

using harness::Rig;

// A legal call; each test spoils one thing.
struct EmbeddingFixture {
  Rig rig{1, nullptr};
  EmbeddingParams params;

  explicit EmbeddingFixture(std::vector<double> ids = {2, 0, 6}, DType table = DType::kF32,
                            DType y = DType::kF32) {
    const auto tokens = static_cast<std::int64_t>(ids.size());
    params.table = rig.input("table", table, {7, 20});
    params.ids = rig.input_values("ids", DType::kI32, {tokens}, ids);
    params.y = rig.output("y", y, {tokens, 20});
  }
};

TEST(Embedding, RefusesWhatItsContractExcludes) {
  expect_refusals<EmbeddingFixture>(
      embedding, {{kInvalid,
                   [](EmbeddingFixture& f) { f.params.table.elements = 139; },
                   {"table holds 139 elements, shape [7, 20] needs 140"}},
                  {kInvalid,
                   [](EmbeddingFixture& f) { f.params.ids.elements = 2; },
                   {"ids holds 2 elements, shape [3] needs 3"}},
                  {kInvalid,
                   [](EmbeddingFixture& f) { f.params.y.shape[0] = 2; },
                   {"y has shape [2, 20]", "needs 3 (tokens of ids)"}},
                  {kInvalid,
                   [](EmbeddingFixture& f) { f.params.y.shape[1] = 19; },
                   {"y has shape [3, 19]", "needs 20 (hidden of table)"}},
                  {kInvalid,
                   [](EmbeddingFixture& f) {
                     f.params.ids.rank = 2;
                     f.params.ids.shape[1] = 1;
                   },
                   {"ids has rank 2", "needs rank 1"}},
                  {kUnsupported,
                   [](EmbeddingFixture& f) { f.params.ids.dtype = DType::kU32; },
                   {"ids has dtype u32", "supported: i32"}},
                  {kUnsupported,
                   [](EmbeddingFixture& f) { f.params.table.dtype = DType::kI32; },
                   {"table has dtype i32", "f32, f16, bf16"}},
                  {kUnsupported,
                   [](EmbeddingFixture& f) { f.params.y.dtype = DType::kU32; },
                   {"y has dtype u32", "f32, f16, bf16"}},
                  {kInvalid,
                   [](EmbeddingFixture& f) { f.params.y.strides[0] = 19; },
                   {"y of shape", "overlaps itself", "stride 19"}},
                  {kInvalid,
                   [](EmbeddingFixture& f) { f.params.y.data = f.params.table.data; },
                   {"table and y overlap"}},
                  {kInvalid,
                   [](EmbeddingFixture& f) {
                     f.params.table.strides[1] = 2;
                     f.params.table.shape[0] = 3;
                   },
                   {"table has stride 2 along its last axis"}},
                  {kInvalid,
                   [](EmbeddingFixture& f) { f.params.scale = std::numeric_limits<float>::infinity(); },
                   {"scale is inf", "finite"}}});
  EXPECT_EQ(expect_operands_checked<EmbeddingFixture>(embedding), 5);
}

TEST(Embedding, EmptyWorkLaunchesNothing) {
  EmbeddingFixture f;
  f.params.ids.shape[0] = f.params.y.shape[0] = 0;
  f.params.ids.data = f.params.y.data = nullptr;
  ASSERT_OK(embedding(f.params, nullptr));
  LaunchPlan plan;
  ASSERT_OK(embedding_plan(f.params, Target{}, plan));
  EXPECT_EQ(plan.grid.x, 0u);
  EmbeddingFixture g({9, 9, 9});
  g.params.table.shape[1] = g.params.y.shape[1] = 0;
  g.params.error_word = g.rig.error_word();
  ASSERT_OK(embedding(g.params, nullptr));
  ASSERT_OK(g.rig.finish());
  EXPECT_EQ(g.rig.read_error_word(), 0u);
}

TEST(Embedding, PlanIsAPureFunctionOfParamsAndTarget) {
  EmbeddingFixture f({1, 2, 3}, DType::kBF16, DType::kF16);
  LaunchPlan first;
  LaunchPlan second;
  ASSERT_OK(embedding_plan(f.params, Target{"gfx1030", 32, MatrixUnit::kNone}, first));
  ASSERT_OK(embedding_plan(f.params, Target{"gfx1030", 32, MatrixUnit::kNone}, second));
  EXPECT_EQ(first.function, second.function);
  EXPECT_STREQ(first.kernel, "embedding_bf16_f16_w32");
  EXPECT_EQ(first.grid.x, 3u);
  EXPECT_EQ(first.block.x, 32u);
  ASSERT_OK(embedding_plan(f.params, Target{"gfx90a", 64, MatrixUnit::kMfma}, second));
  EXPECT_STREQ(second.kernel, "embedding_bf16_f16_w64");
  EXPECT_EQ(second.block.x, 64u);
}

TEST(Embedding, ABadIdMarksItsRowAndTheErrorWordAndNothingElse) {
  EmbeddingFixture f({6, 7, 0, -1, 3});
  f.params.error_word = f.rig.error_word();
  ASSERT_OK(embedding(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  EXPECT_EQ(f.rig.read_error_word(), kDeviceErrorToken);
  const std::vector<double> y = f.rig.read("y");
  const std::vector<double>& table = f.rig.values("table");
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(y[i], table[6 * 20 + i]);
    EXPECT_TRUE(std::isnan(y[20 + i]));
    EXPECT_EQ(y[40 + i], table[i]);
    EXPECT_TRUE(std::isnan(y[60 + i]));
    EXPECT_EQ(y[80 + i], table[3 * 20 + i]);
  }
}

TEST(Embedding, TheErrorWordIsOptionalAndOnlyGainsBits) {
  EmbeddingFixture f({7, 0, 0});
  ASSERT_OK(embedding(f.params, nullptr));  // no error word
  ASSERT_OK(f.rig.finish());
  EXPECT_TRUE(std::isnan(f.rig.read("y")[0]));
  const double other = kDeviceErrorPage;
  const TensorView word = f.rig.input_values("word", DType::kU32, {1}, {&other, 1});
  f.rig.allow_writes(f.rig.view("word"));
  f.params.error_word = word.as<std::uint32_t>();
  ASSERT_OK(embedding(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  EXPECT_EQ(f.rig.read("word")[0], static_cast<double>(kDeviceErrorPage | kDeviceErrorToken));
}

TEST(Embedding, AnEmptyTableMakesEveryIdBad) {
  EmbeddingFixture f;
  f.params.table.shape[0] = 0;
  f.params.table.data = nullptr;
  f.params.table.elements = 0;
  f.params.error_word = f.rig.error_word();
  ASSERT_OK(embedding(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  EXPECT_EQ(f.rig.read_error_word(), kDeviceErrorToken);
  for (double y : f.rig.read("y")) EXPECT_TRUE(std::isnan(y));
}

}  // namespace
}  // namespace hipforge
