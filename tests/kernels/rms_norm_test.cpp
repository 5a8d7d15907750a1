#include "kernels/rms_norm.h"

#include "harness/core/rig.h"
#include "tests/refusals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace hipforge {
namespace {

using harness::Layout;
using harness::Rig;
using harness::Shape;

// A legal call; each test spoils one thing.
struct RmsNormFixture {
  Rig rig{1, nullptr};
  RmsNormParams params;

  explicit RmsNormFixture(Shape shape = {3, 40}, DType dtype = DType::kF32) {
    params.x = rig.input("x", dtype, shape);
    params.weight = rig.input("weight", DType::kF32, {shape[1]});
    params.y = rig.output("y", dtype, shape);
  }
  void add_residual(DType dtype) {
    const Shape shape{params.x.shape[0], params.x.shape[1]};
    params.residual = rig.input("residual", dtype, shape);
    params.residual_out = rig.output("residual_out", dtype, shape);
  }
};
struct FusedFixture : RmsNormFixture {
  FusedFixture() { add_residual(DType::kF32); }
};

TEST(RmsNorm, RefusesWhatItsContractExcludes) {
  expect_refusals<RmsNormFixture>(
      rms_norm,
      {{kInvalid,
        [](RmsNormFixture& f) { f.params.x.elements = 119; },
        {"x holds 119 elements, shape [3, 40] needs 120"}},
       {kInvalid,
        [](RmsNormFixture& f) { f.params.weight = f.rig.input("narrow", DType::kF32, {39}); },
        {"weight has shape [39]", "needs 40 (hidden of x)"}},
       {kInvalid,
        [](RmsNormFixture& f) { f.params.y.shape[0] = 2; },
        {"y has shape [2, 40]", "needs 3 (rows of x)"}},
       {kInvalid, [](RmsNormFixture& f) { f.params.x.rank = 1; }, {"x has rank 1", "needs rank 2"}},
       {kInvalid,
        [](RmsNormFixture& f) { f.params.x.shape[1] = f.params.y.shape[1] = f.params.weight.shape[0] = 0; },
        {"hidden is 0"}},
       {kInvalid, [](RmsNormFixture& f) { f.params.eps = -1.0f; }, {"eps is -1"}},
       {kInvalid,
        [](RmsNormFixture& f) { f.params.eps = std::numeric_limits<float>::quiet_NaN(); },
        {"eps is nan"}},
       {kUnsupported,
        [](RmsNormFixture& f) { f.params.x.dtype = DType::kI32; },
        {"x has dtype i32", "f32, f16, bf16"}},
       {kUnsupported,
        [](RmsNormFixture& f) {
          f.params.x.dtype = DType::kF16;
          f.params.y.dtype = DType::kBF16;
        },
        {"y has dtype bf16", "supported: f16"}},
       {kUnsupported,
        [](RmsNormFixture& f) {
          f.params.x.dtype = f.params.y.dtype = DType::kF16;
          f.add_residual(DType::kBF16);
        },
        {"residual has dtype bf16", "f32, f16"}},
       {kUnsupported,
        [](RmsNormFixture& f) {
          f.add_residual(DType::kF32);
          f.params.y.dtype = DType::kF16;
        },
        {"y has dtype f16", "supported: f32"}},
       {kInvalid,
        [](RmsNormFixture& f) {
          f.add_residual(DType::kF32);
          f.params.residual_out = {};
        },
        {"residual alone"}},
       {kInvalid,
        [](RmsNormFixture& f) {
          f.params.y.data = f.params.x.as<float>() + 1;
          f.params.y.shape[0] = f.params.x.shape[0] = 2;
        },
        {"x and y overlap in memory without being the same view"}},
       {kInvalid,
        [](RmsNormFixture& f) { f.params.y.strides[0] = 39; },
        {"y of shape", "overlaps itself", "stride 39"}}});
  EXPECT_EQ(expect_operands_checked<RmsNormFixture>(rms_norm), 4);
  EXPECT_EQ(expect_operands_checked<FusedFixture>(rms_norm), 9);
}

TEST(RmsNorm, NoRowsLaunchNothing) {
  RmsNormFixture f;
  f.params.x.shape[0] = f.params.y.shape[0] = 0;
  f.params.x.data = f.params.y.data = nullptr;
  ASSERT_OK(rms_norm(f.params, nullptr));
  LaunchPlan plan;
  ASSERT_OK(rms_norm_plan(f.params, Target{"cpu", 32, MatrixUnit::kNone}, plan));
  EXPECT_EQ(plan.grid.x, 0u);
}

TEST(RmsNorm, PlanIsAPureFunctionOfParamsAndTarget) {
  RmsNormFixture f;
  LaunchPlan first;
  LaunchPlan second;
  LaunchPlan wide;
  ASSERT_OK(rms_norm_plan(f.params, Target{"gfx1100", 32, MatrixUnit::kWmma}, first));
  ASSERT_OK(rms_norm_plan(f.params, Target{"gfx1100", 32, MatrixUnit::kWmma}, second));
  ASSERT_OK(rms_norm_plan(f.params, Target{"gfx942", 64, MatrixUnit::kMfma}, wide));
  EXPECT_EQ(first.function, second.function);
  EXPECT_STREQ(first.kernel, "rms_norm_f32_f32_f32_w32");
  EXPECT_STREQ(wide.kernel, "rms_norm_f32_f32_f32_w64");
  EXPECT_EQ(wide.block.x % 64, 0u);
  EXPECT_EQ(first.grid.x, 3u);
}

TEST(RmsNorm, NaNAndInfinityStayInTheirRow) {
  Rig rig(1, nullptr);
  std::vector<double> x(3 * 40, 1.0);
  x[5] = std::nan("");
  x[40 + 7] = std::numeric_limits<double>::infinity();
  RmsNormParams params;
  params.x = rig.input_values("x", DType::kF32, {3, 40}, x);
  params.weight = rig.input("weight", DType::kF32, {40}, harness::Family::kEqual);
  params.y = rig.output("y", DType::kF32, {3, 40});
  ASSERT_OK(rms_norm(params, nullptr));
  ASSERT_OK(rig.finish());
  const std::vector<double> y = rig.read("y");
  for (std::size_t i = 0; i < 40; ++i) {
    EXPECT_TRUE(std::isnan(y[i]));
    EXPECT_TRUE(i == 7 ? std::isnan(y[40 + i]) : y[40 + i] == 0.0);
    EXPECT_NEAR(y[80 + i], 1.0, 1e-5);
  }
}

TEST(RmsNorm, ARowsBitsDoNotDependOnOtherRows) {
  Rig rig(7, nullptr);
  RmsNormParams params;
  params.x = rig.input("x", DType::kF16, {9, 333});
  params.weight = rig.input("weight", DType::kF16, {333});
  params.y = rig.output("y", DType::kF16, {9, 333});
  ASSERT_OK(rms_norm(params, nullptr));
  ASSERT_OK(rig.finish());
  const std::vector<double> all = rig.read("y");
  params.x.data = static_cast<std::uint16_t*>(params.x.data) + 4 * 333;
  params.y.data = static_cast<std::uint16_t*>(params.y.data) + 4 * 333;
  params.x.shape[0] = params.y.shape[0] = 1;
  params.x.elements = params.y.elements = 333;
  ASSERT_OK(rig.reset());
  ASSERT_OK(rms_norm(params, nullptr));
  ASSERT_OK(rig.finish());
  const std::vector<double> alone = rig.read("y");
  for (std::size_t i = 4 * 333; i < 5 * 333; ++i) EXPECT_EQ(all[i], alone[i]) << i;
}

TEST(RmsNorm, ARowThatRegistersDoNotHoldIsReadTwice) {
  constexpr std::size_t kHidden = 20011;
  RmsNormFixture f({2, kHidden});
  ASSERT_OK(rms_norm(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  const std::vector<double>& x = f.rig.values("x");
  const std::vector<double>& weight = f.rig.values("weight");
  const std::vector<double> y = f.rig.read("y");
  for (std::size_t row = 0; row < 2; ++row) {
    double squares = 0.0;
    for (std::size_t i = 0; i < kHidden; ++i) squares += x[row * kHidden + i] * x[row * kHidden + i];
    const double root = std::sqrt(squares / kHidden + static_cast<double>(f.params.eps));
    for (std::size_t i = 0; i < kHidden; ++i) {
      ASSERT_NEAR(y[row * kHidden + i], x[row * kHidden + i] / root * weight[i], 1e-5) << i;
    }
  }
}

TEST(RmsNorm, EveryTensorHasAStrideOfItsOwn) {
  RmsNormFixture f;
  f.add_residual(DType::kF32);
  ASSERT_OK(rms_norm(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  const std::vector<double> y = f.rig.read("y");
  const std::vector<double> sum = f.rig.read("residual_out");
  f.params.residual =
      f.rig.input_values("padded", DType::kF32, {3, 40}, f.rig.values("residual"), Layout::kStrided);
  f.params.residual_out = f.rig.output("packed_sum", DType::kF32, {3, 40});
  ASSERT_OK(f.rig.reset());
  ASSERT_OK(rms_norm(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  EXPECT_EQ(f.rig.read("y"), y);
  EXPECT_EQ(f.rig.read("packed_sum"), sum);
}

TEST(RmsNorm, AnAlignedRowThatEndsWithinAPackIsReadAndWrittenToItsEnd) {
  // One row is aligned whatever its length; some lane's last pack begins just before the end.
  for (const std::int64_t hidden : {773, 1001, 2001, 3003}) {
    Rig rig(3, nullptr);
    RmsNormParams params;
    params.x = rig.input("x", DType::kF16, {1, hidden});
    params.weight = rig.input("weight", DType::kF16, {hidden}, harness::Family::kEqual);
    params.y = rig.output("y", DType::kF16, {1, hidden});
    ASSERT_OK(rms_norm(params, nullptr));
    ASSERT_OK(rig.finish());
    const std::vector<double>& x = rig.values("x");
    const std::vector<double> y = rig.read("y");
    double squares = 0.0;
    for (const double value : x) squares += value * value;
    const double root = std::sqrt(squares / static_cast<double>(hidden));
    const double weight = rig.values("weight")[0];
    for (std::size_t i = 0; i < x.size(); ++i) {
      ASSERT_NEAR(y[i], x[i] / root * weight, 2e-3 * std::max(1.0, std::abs(y[i]))) << hidden << ", " << i;
    }
  }
}

}  // namespace
}  // namespace hipforge
