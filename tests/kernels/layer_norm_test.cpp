#include "kernels/layer_norm.h"

#include "harness/core/rig.h"
#include "tests/kernels/narrow_and_wide.h"
#include "tests/refusals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace hipforge {
namespace {

using harness::Layout;
using harness::Rig;
using harness::Shape;

// A legal call; each test spoils one thing.
struct LayerNormFixture {
  Rig rig{1, nullptr};
  LayerNormParams params;

  explicit LayerNormFixture(Shape shape = {3, 40}, DType dtype = DType::kF32) {
    params.x = rig.input("x", dtype, shape);
    params.weight = rig.input("weight", DType::kF32, {shape[1]});
    params.bias = rig.input("bias", DType::kF32, {shape[1]});
    params.y = rig.output("y", dtype, shape);
  }
  void add_residual(DType dtype) {
    const Shape shape{params.x.shape[0], params.x.shape[1]};
    params.residual = rig.input("residual", dtype, shape);
    params.residual_out = rig.output("residual_out", dtype, shape);
  }
};
struct FusedFixture : LayerNormFixture {
  FusedFixture() { add_residual(DType::kF32); }
};

TEST(LayerNorm, RefusesWhatItsContractExcludes) {
  expect_refusals<LayerNormFixture>(
      layer_norm, {{kInvalid,
                    [](LayerNormFixture& f) { f.params.x.elements = 119; },
                    {"x holds 119 elements", "needs 120"}},
                   {kInvalid,
                    [](LayerNormFixture& f) { f.params.weight.shape[0] = 39; },
                    {"weight has shape [39]", "needs 40"}},
                   {kInvalid,
                    [](LayerNormFixture& f) { f.params.bias.shape[0] = 39; },
                    {"bias has shape [39]", "needs 40"}},
                   {kInvalid,
                    [](LayerNormFixture& f) { f.params.y.shape[0] = 2; },
                    {"y has shape [2, 40]", "needs 3 (rows of x)"}},
                   {kInvalid,
                    [](LayerNormFixture& f) {
                      f.params.x.shape[1] = f.params.y.shape[1] = f.params.weight.shape[0] =
                          f.params.bias.shape[0] = 0;
                    },
                    {"hidden is 0"}},
                   {kInvalid, [](LayerNormFixture& f) { f.params.eps = -1.0f; }, {"eps is -1"}},
                   {kInvalid,
                    [](LayerNormFixture& f) { f.params.eps = std::numeric_limits<float>::infinity(); },
                    {"eps is inf"}},
                   {kUnsupported,
                    [](LayerNormFixture& f) { f.params.x.dtype = DType::kI32; },
                    {"x has dtype i32", "f32, f16, bf16"}},
                   {kUnsupported,
                    [](LayerNormFixture& f) { f.params.bias.dtype = DType::kF16; },
                    {"bias has dtype f16", "supported: f32"}},
                   {kUnsupported,
                    [](LayerNormFixture& f) {
                      f.params.x.dtype = DType::kF16;
                      f.params.y.dtype = DType::kBF16;
                    },
                    {"y has dtype bf16", "supported: f16"}},
                   {kInvalid,
                    [](LayerNormFixture& f) {
                      f.add_residual(DType::kF32);
                      f.params.residual = {};
                    },
                    {"residual_out alone"}},
                   {kInvalid,
                    [](LayerNormFixture& f) { f.params.y.strides[0] = 39; },
                    {"overlaps itself", "stride 39"}}});
  EXPECT_EQ(expect_operands_checked<LayerNormFixture>(layer_norm), 5);
  EXPECT_EQ(expect_operands_checked<FusedFixture>(layer_norm), 11);
}

TEST(LayerNorm, NoRowsLaunchNothing) {
  LayerNormFixture f;
  f.params.x.shape[0] = f.params.y.shape[0] = 0;
  f.params.x.data = f.params.y.data = nullptr;
  ASSERT_OK(layer_norm(f.params, nullptr));
  LaunchPlan plan;
  ASSERT_OK(layer_norm_plan(f.params, Target{"cpu", 32, MatrixUnit::kNone}, plan));
  EXPECT_EQ(plan.grid.x, 0u);
}

TEST(LayerNorm, PlanIsAPureFunctionOfParamsAndTarget) {
  LayerNormFixture f;
  LaunchPlan narrow;
  LaunchPlan wide;
  ASSERT_OK(layer_norm_plan(f.params, kNarrow, narrow));
  ASSERT_OK(layer_norm_plan(f.params, kWide, wide));
  EXPECT_STREQ(narrow.kernel, "layer_norm_f32_f32_w32");
  EXPECT_STREQ(wide.kernel, "layer_norm_f32_f32_w64");
  EXPECT_EQ(wide.block.x % 64, 0u);
  EXPECT_EQ(narrow.grid.x, 3u);
}

// What a thread adds, then its wave, then the waves of its block.
TEST(LayerNorm, ReductionDepthIsThatOfTheLevels) {
  EXPECT_EQ(layer_norm_reduction_depth(40, kNarrow), 8 + 5 + 1);
  EXPECT_EQ(layer_norm_reduction_depth(16384, kNarrow), 32 + 5 + 16);
  EXPECT_EQ(layer_norm_reduction_depth(16384, kWide), 32 + 6 + 8);
  EXPECT_EQ(layer_norm_reduction_depth(65536, kWide), 128 + 6 + 8);
}

TEST(LayerNorm, ARowsBitsDoNotDependOnOtherRows) {
  LayerNormFixture f({9, 333}, DType::kF16);
  ASSERT_OK(layer_norm(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  const std::vector<double> all = f.rig.read("y");
  LayerNormParams one = f.params;
  one.x = harness::slice_axis(one.x, 0, 4, 1);
  one.y = harness::slice_axis(one.y, 0, 4, 1);
  ASSERT_OK(f.rig.reset());
  ASSERT_OK(layer_norm(one, nullptr));
  ASSERT_OK(f.rig.finish());
  const std::vector<double> alone = f.rig.read("y");
  for (std::size_t i = 4 * 333; i < 5 * 333; ++i) EXPECT_EQ(all[i], alone[i]) << i;
}

TEST(LayerNorm, ARowThatRegistersDoNotHoldIsReadAgain) {
  constexpr std::size_t kHidden = 20011;
  LayerNormFixture f({2, kHidden});
  ASSERT_OK(layer_norm(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  const std::vector<double>& x = f.rig.values("x");
  const std::vector<double> y = f.rig.read("y");
  for (std::size_t row = 0; row < 2; ++row) {
    const double* const s = x.data() + row * kHidden;
    double mean = 0.0;
    double variance = 0.0;
    for (std::size_t i = 0; i < kHidden; ++i) mean += s[i] / kHidden;
    for (std::size_t i = 0; i < kHidden; ++i) variance += (s[i] - mean) * (s[i] - mean) / kHidden;
    const double root = std::sqrt(variance + static_cast<double>(f.params.eps));
    for (std::size_t i = 0; i < kHidden; ++i) {
      const double wanted = (s[i] - mean) / root * f.rig.values("weight")[i] + f.rig.values("bias")[i];
      ASSERT_NEAR(y[row * kHidden + i], wanted, 2e-5) << i;
    }
  }
}

TEST(LayerNorm, EveryTensorHasAStrideOfItsOwn) {
  FusedFixture f;
  ASSERT_OK(layer_norm(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  const std::vector<double> y = f.rig.read("y");
  const std::vector<double> sum = f.rig.read("residual_out");
  f.params.residual =
      f.rig.input_values("padded", DType::kF32, {3, 40}, f.rig.values("residual"), Layout::kStrided);
  f.params.residual_out = f.rig.output("packed_sum", DType::kF32, {3, 40});
  ASSERT_OK(f.rig.reset());
  ASSERT_OK(layer_norm(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  EXPECT_EQ(f.rig.read("y"), y);
  EXPECT_EQ(f.rig.read("packed_sum"), sum);
}

}  // namespace
}  // namespace hipforge
