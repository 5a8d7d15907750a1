#include "kernels/glu.h"

#include "harness/core/rig.h"
#include "tests/refusals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace hipforge {
namespace {

using harness::Family;
using harness::Rig;

// A legal call; each test spoils one thing.
struct GluFixture {
  Rig rig{1, nullptr};
  GluParams params;

  explicit GluFixture(DType dtype = DType::kF32) {
    params.gate = rig.input("gate", dtype, {3, 40});
    params.up = rig.input("up", dtype, {3, 40});
    params.y = rig.output("y", dtype, {3, 40});
  }
};

TEST(Glu, RefusesWhatItsContractExcludes) {
  expect_refusals<GluFixture>(
      glu,
      {{kInvalid,
        [](GluFixture& f) { f.params.up.elements = 119; },
        {"up holds 119 elements, shape [3, 40] needs 120"}},
       {kInvalid,
        [](GluFixture& f) {
          f.params.up = f.rig.input("narrow", DType::kF32, {3, 39});
        },
        {"up has shape [3, 39]", "needs 40 (cols of gate)"}},
       {kInvalid,
        [](GluFixture& f) {
          f.params.up = f.rig.input("short", DType::kF32, {2, 40});
        },
        {"up has shape [2, 40]", "needs 3 (rows of gate)"}},
       {kInvalid,
        [](GluFixture& f) {
          f.params.y.shape[0] = 4;
          f.params.y.elements = 160;
        },
        {"y has shape [4, 40]", "needs 3"}},
       {kInvalid, [](GluFixture& f) { f.params.gate.rank = 1; }, {"gate has rank 1", "needs rank 2"}},
       {kUnsupported,
        [](GluFixture& f) { f.params.gate.dtype = DType::kI32; },
        {"gate has dtype i32", "f32, f16, bf16"}},
       {kUnsupported,
        [](GluFixture& f) {
          f.params.gate.dtype = f.params.y.dtype = DType::kF16;
          f.params.up.dtype = DType::kBF16;
        },
        {"up has dtype bf16", "supported: f16"}},
       {kUnsupported,
        [](GluFixture& f) {
          f.params.gate.dtype = f.params.up.dtype = DType::kF16;
          f.params.y.dtype = DType::kBF16;
        },
        {"y has dtype bf16", "supported: f16"}},
       {kInvalid,
        [](GluFixture& f) {
          f.params.gate.shape[0] = f.params.up.shape[0] = f.params.y.shape[0] = 2;
          f.params.y.data = f.params.gate.as<float>() + 1;
        },
        {"gate and y overlap"}},
       {kInvalid, [](GluFixture& f) { f.params.up = {}; }, {"up is absent, a gated activation needs it"}},
       {kInvalid, [](GluFixture& f) { f.params.activation = Activation::kRelu2; }, {"kRelu2 takes no up"}},
       {kUnsupported,
        [](GluFixture& f) { f.params.activation = static_cast<Activation>(9); },
        {"activation is 9", "kSilu (0), kGeluTanh (1), kRelu2 (2)"}},
       {kInvalid,
        [](GluFixture& f) { f.params.y.strides[0] = 0; },
        {"y of shape", "overlaps itself", "stride 0"}},
       {kInvalid,
        [](GluFixture& f) {
          f.params.up.strides[1] = 2;
          f.params.gate.shape[0] = f.params.up.shape[0] = f.params.y.shape[0] = 1;
        },
        {"up has stride 2 along its last axis"}}});
  EXPECT_EQ(expect_operands_checked<GluFixture>(glu), 2);
}

TEST(Glu, ColumnRangesOfOneMatrixMayTouchButNotOverlap) {
  Rig rig(1, nullptr);
  const TensorView wide = rig.input("wide", DType::kF16, {3, 60});
  rig.allow_writes(wide);
  GluParams params;
  params.gate = harness::slice_axis(wide, 1, 0, 20);
  params.up = harness::slice_axis(wide, 1, 20, 20);
  params.y = harness::slice_axis(wide, 1, 40, 20);
  EXPECT_TRUE(glu(params, nullptr).ok());
  params.y = harness::slice_axis(wide, 1, 39, 20);
  expect_status(glu(params, nullptr), StatusCode::kInvalidArgument, "up and y overlap");
  params.gate = harness::slice_axis(wide, 1, 40, 20);
  params.y = harness::slice_axis(wide, 1, 0, 20);
  EXPECT_TRUE(glu(params, nullptr).ok());
  params.y = harness::slice_axis(wide, 1, 1, 20);
  expect_status(glu(params, nullptr), StatusCode::kInvalidArgument, "up and y overlap");
  // One row down and 10 columns on: the range wraps into the next row's gate.
  params.gate = harness::slice_axis(wide, 1, 0, 20);
  params.up = harness::slice_axis(wide, 1, 20, 20);
  params.y = harness::slice_axis(wide, 1, 50, 20);
  params.gate.shape[0] = params.up.shape[0] = params.y.shape[0] = 2;
  expect_status(glu(params, nullptr), StatusCode::kInvalidArgument, "gate and y overlap");
}

TEST(Glu, EmptyWorkLaunchesNothing) {
  for (const std::size_t axis : {0u, 1u}) {
    GluFixture f;
    f.params.gate.shape[axis] = f.params.up.shape[axis] = f.params.y.shape[axis] = 0;
    f.params.gate.data = f.params.up.data = f.params.y.data = nullptr;
    ASSERT_OK(glu(f.params, nullptr));
    LaunchPlan plan;
    ASSERT_OK(glu_plan(f.params, Target{}, plan));
    EXPECT_EQ(plan.grid.x, 0u);
  }
}

TEST(Glu, PlanIsAPureFunctionOfParamsAndTarget) {
  GluFixture f(DType::kBF16);
  LaunchPlan first;
  LaunchPlan second;
  ASSERT_OK(glu_plan(f.params, Target{"sm_90", 32, MatrixUnit::kMma}, first));
  ASSERT_OK(glu_plan(f.params, Target{"sm_90", 32, MatrixUnit::kMma}, second));
  EXPECT_EQ(first.function, second.function);
  EXPECT_EQ(first.grid.x, second.grid.x);
  EXPECT_EQ(first.block.x, second.block.x);
  EXPECT_STREQ(first.kernel, "glu_silu_bf16_w32");
  ASSERT_OK(glu_plan(f.params, Target{"gfx942", 64, MatrixUnit::kMfma}, second));
  EXPECT_STREQ(second.kernel, "glu_silu_bf16_w64");
  EXPECT_EQ(second.block.x % 64, 0u);
}

TEST(Glu, ExtremesAreWhatTheHeaderSays) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const std::vector<double> gate{kInf, -kInf, -kInf, std::nan(""), 1e30, -1e30, -200.0, -0.0};
  const std::vector<double> up{-1.0, 2.0, kInf, 0.0, 0.5, 1e30, kInf, 4.0};
  Rig rig(1, nullptr);
  GluParams params;
  params.gate = rig.input_values("gate", DType::kF32, {2, 4}, gate);
  params.up = rig.input_values("up", DType::kF32, {2, 4}, up);
  params.y = rig.output("y", DType::kF32, {2, 4});
  ASSERT_OK(glu(params, nullptr));
  ASSERT_OK(rig.finish());
  const std::vector<double> y = rig.read("y");
  EXPECT_EQ(y[0], -kInf);
  EXPECT_EQ(y[1], 0.0);
  EXPECT_TRUE(std::signbit(y[1]));
  EXPECT_TRUE(std::isnan(y[2]));  // 0 · infinity
  EXPECT_TRUE(std::isnan(y[3]));
  EXPECT_EQ(y[4], static_cast<double>(1e30f * 0.5f));
  EXPECT_EQ(y[5], 0.0);
  EXPECT_TRUE(std::isnan(y[6]));  // silu underflowed to 0
  EXPECT_EQ(y[7], 0.0);
}

TEST(Glu, BitsDependOnNeitherPlaceNorStridesNorInPlaceWork) {
  Rig rig(5, nullptr);
  GluParams params;
  params.gate = rig.input("gate", DType::kF16, {7, 301}, Family::kNormal, 4.0);
  params.up = rig.input("up", DType::kF16, {7, 301});
  params.y = rig.output("y", DType::kF16, {7, 301});
  ASSERT_OK(glu(params, nullptr));
  ASSERT_OK(rig.finish());
  const std::vector<double> apart = rig.read("y");

  Rig fused(5, nullptr);
  std::vector<double> values;
  for (std::size_t row = 0; row < 7; ++row) {
    for (const char* name : {"gate", "up"}) {
      const std::vector<double>& half = rig.values(name);
      values.insert(values.end(), half.begin() + static_cast<std::ptrdiff_t>(row * 301),
                    half.begin() + static_cast<std::ptrdiff_t>((row + 1) * 301));
    }
  }
  const TensorView wide =
      fused.input_values("wide", DType::kF16, {7, 602}, values, harness::Layout::kStrided);
  fused.allow_writes(harness::slice_axis(wide, 1, 0, 301));
  params.gate = params.y = harness::slice_axis(wide, 1, 0, 301);
  params.up = harness::slice_axis(wide, 1, 301, 301);
  ASSERT_OK(glu(params, nullptr));
  ASSERT_OK(fused.finish());
  EXPECT_EQ(fused.now(params.y), apart);
}

}  // namespace
}  // namespace hipforge
