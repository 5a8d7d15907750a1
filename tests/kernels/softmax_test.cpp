#include "kernels/softmax.h"

#include "harness/core/rig.h"
#include "reference/not_finite.h"
#include "tests/kernels/narrow_and_wide.h"
#include "tests/refusals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <span>

namespace hipforge {
namespace {

using harness::Layout;
using harness::Rig;
using harness::Shape;

// A legal call; each test spoils one thing.
struct SoftmaxFixture {
  Rig rig{1, nullptr};
  SoftmaxParams params;

  explicit SoftmaxFixture(Shape shape = {2, 3, 4, 5}, DType dtype = DType::kF32) {
    params.x = rig.input("x", dtype, shape);
    params.y = rig.output("y", dtype, shape);
  }
  std::vector<double> run() {
    throw_if_error(rig.reset());
    throw_if_error(softmax(params, nullptr));
    throw_if_error(rig.finish());
    return rig.read("y");
  }
};

// One row of given scores.
std::vector<double> softmax_of(std::span<const double> x, SoftmaxParams params = {},
                               DType dtype = DType::kF32, std::int64_t rows = 1) {
  Rig rig(1, nullptr);
  const Shape shape{1, 1, rows, static_cast<std::int64_t>(x.size()) / rows};
  params.x = rig.input_values("x", dtype, shape, x);
  params.y = rig.output("y", dtype, shape);
  throw_if_error(rig.reset());
  throw_if_error(softmax(params, nullptr));
  throw_if_error(rig.finish());
  return rig.read("y");
}

TEST(Softmax, RefusesWhatItsContractExcludes) {
  expect_refusals<SoftmaxFixture>(
      softmax,
      {{kInvalid,
        [](SoftmaxFixture& f) { f.params.x.elements = 119; },
        {"x holds 119 elements, shape [2, 3, 4, 5] needs 120"}},
       {kInvalid, [](SoftmaxFixture& f) { f.params.x.rank = 3; }, {"x has rank 3", "needs rank 4"}},
       {kInvalid,
        [](SoftmaxFixture& f) { f.params.y.shape[2] = 3; },
        {"y has shape [2, 3, 3, 5]", "needs 4 (rows of x)"}},
       {kInvalid, [](SoftmaxFixture& f) { f.params.x.shape[3] = -5; }, {"negative size", "[2, 3, 4, -5]"}},
       {kInvalid,
        [](SoftmaxFixture& f) {
          f.params.mask = f.rig.input("mask", DType::kF32, {2, 2, 4, 5});
        },
        {"mask has shape [2, 2, 4, 5]", "needs 3 (1, or heads of x)"}},
       // Columns are never broadcast.
       {kInvalid,
        [](SoftmaxFixture& f) {
          f.params.mask = f.rig.input("mask", DType::kF32, {2, 3, 4, 1});
        },
        {"mask has shape [2, 3, 4, 1]", "needs 5 (cols of x)"}},
       {kInvalid,
        [](SoftmaxFixture& f) {
          f.params.mask = f.rig.input("mask", DType::kF32, {4, 5});
        },
        {"mask has rank 2", "needs rank 4"}},
       {kUnsupported,
        [](SoftmaxFixture& f) { f.params.x.dtype = DType::kI32; },
        {"x has dtype i32", "f32, f16, bf16"}},
       {kUnsupported,
        [](SoftmaxFixture& f) {
          f.params.x.dtype = DType::kF16;
          f.params.y.dtype = DType::kBF16;
        },
        {"y has dtype bf16", "supported: f16"}},
       {kUnsupported,
        [](SoftmaxFixture& f) {
          f.params.x.dtype = f.params.y.dtype = DType::kF16;
          f.params.mask = f.rig.input("mask", DType::kBF16, {2, 3, 4, 5});
        },
        {"mask has dtype bf16", "f32, f16"}},
       {kInvalid,
        [](SoftmaxFixture& f) {
          f.params.x.strides[3] = 2;
          f.params.x.elements = 240;
        },
        {"x has stride 2 along its last axis"}},
       {kInvalid,
        [](SoftmaxFixture& f) { f.params.y.strides[2] = 4; },
        {"y of shape", "overlaps itself", "stride 4"}},
       {kInvalid,
        [](SoftmaxFixture& f) {
          f.params.y = f.params.x;
          f.params.y.data = f.params.x.as<float>() + 5;
          f.params.x.shape[0] = f.params.y.shape[0] = 1;
        },
        {"x and y overlap"}},
       {kInvalid, [](SoftmaxFixture& f) { f.params.mask = f.params.y; }, {"mask and y overlap"}},
       {kInvalid,
        [](SoftmaxFixture& f) { f.params.scale = std::numeric_limits<float>::infinity(); },
        {"scale is inf"}}});
  EXPECT_EQ(expect_operands_checked<SoftmaxFixture>(softmax), 2);
}

TEST(Softmax, EmptyTensorsLaunchNothing) {
  for (std::size_t axis = 0; axis < 4; ++axis) {
    SoftmaxFixture f;
    f.params.x.shape[axis] = f.params.y.shape[axis] = 0;
    f.params.x.data = f.params.y.data = nullptr;
    ASSERT_OK(softmax(f.params, nullptr));
    LaunchPlan plan;
    ASSERT_OK(softmax_plan(f.params, kNarrow, plan));
    EXPECT_EQ(plan.grid.x, 0u);
  }
}

TEST(Softmax, PlanIsAPureFunctionOfParamsAndTarget) {
  const auto plan_for = [](std::int64_t cols, const Target& target) {
    SoftmaxParams params;
    params.x = TensorView::contiguous(reinterpret_cast<void*>(0x10000), DType::kF16, {2, 3, 5, cols});
    params.y = TensorView::contiguous(reinterpret_cast<void*>(0x10000000), DType::kF16, {2, 3, 5, cols});
    LaunchPlan plan;
    throw_if_error(softmax_plan(params, target, plan));
    return plan;
  };
  const LaunchPlan first = plan_for(100, kNarrow);
  const LaunchPlan second = plan_for(100, kNarrow);
  EXPECT_EQ(first.function, second.function);
  EXPECT_EQ(first.grid.x, second.grid.x);
  EXPECT_STREQ(first.kernel, "softmax_f16_w32_wave_8");
  EXPECT_EQ(first.grid.x, 8u);  // 30 rows, four a block
  EXPECT_STREQ(plan_for(100, kWide).kernel, "softmax_f16_w64_wave_8");
  EXPECT_EQ(plan_for(100, kWide).grid.x, 15u);  // two a block

  EXPECT_STREQ(plan_for(256, kNarrow).kernel, "softmax_f16_w32_wave_8");
  EXPECT_STREQ(plan_for(257, kNarrow).kernel, "softmax_f16_w32_wave_32");
  EXPECT_STREQ(plan_for(1024, kNarrow).kernel, "softmax_f16_w32_wave_32");
  EXPECT_STREQ(plan_for(1025, kNarrow).kernel, "softmax_f16_w32_block_32");
  EXPECT_EQ(plan_for(1025, kNarrow).block.x, 64u);
  EXPECT_STREQ(plan_for(1025, kWide).kernel, "softmax_f16_w64_wave_32");
  EXPECT_STREQ(plan_for(16384, kNarrow).kernel, "softmax_f16_w32_block_32");
  EXPECT_STREQ(plan_for(16384, kWide).kernel, "softmax_f16_w64_block_32");
  EXPECT_EQ(plan_for(16384, kWide).block.x, 512u);
  EXPECT_STREQ(plan_for(16385, kNarrow).kernel, "softmax_f16_w32_online_32");
  EXPECT_STREQ(plan_for(16385, kWide).kernel, "softmax_f16_w64_online_32");
}

TEST(Softmax, RowsSumToOneAtEveryLength) {
  for (std::int64_t cols : {1, 33, 64, 256, 257, 1024, 1025, 2049, 16384, 16385}) {
    const std::vector<double> y = softmax_of(std::vector<double>(static_cast<std::size_t>(cols), 0.25));
    double sum = 0.0;
    for (double value : y) sum += value;
    EXPECT_NEAR(sum, 1.0, 1e-6) << cols;
  }
}

TEST(Softmax, VeryNegativeRowsAreFiniteAndEmptyOnesFollowThePolicy) {
  for (double value : softmax_of(std::vector<double>(8, -1e30))) EXPECT_EQ(value, 0.125);
  const std::vector<double> removed(8, -kInfinity);
  SoftmaxParams params;
  params.empty_row = EmptyRow::kZero;
  for (double value : softmax_of(removed, params)) EXPECT_EQ(value, 0.0);
  params.empty_row = EmptyRow::kUniform;
  for (double value : softmax_of(removed, params)) EXPECT_EQ(value, 0.125);
  params.empty_row = EmptyRow::kNaN;
  for (double value : softmax_of(removed, params)) EXPECT_TRUE(std::isnan(value));
}

TEST(Softmax, CausalOffsetsOfAnySizeAreLegal) {
  const std::vector<double> x(12, 1.0);
  SoftmaxParams params;
  params.causal = true;
  params.causal_offset = std::numeric_limits<std::int64_t>::max();
  for (double value : softmax_of(x, params, DType::kF32, 3)) EXPECT_EQ(value, 0.25);
  params.causal_offset = std::numeric_limits<std::int64_t>::min();
  for (double value : softmax_of(x, params, DType::kF32, 3)) EXPECT_EQ(value, 0.0);
  params.causal_offset = -2;
  EXPECT_EQ(softmax_of(x, params, DType::kF32, 3),
            (std::vector<double>{0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0}));
}

TEST(Softmax, WhatCausalHidesLeaksNowhere) {
  // Two rows that see one and two columns; NaN and infinity stand behind.
  const std::vector<double> x{3.0, kNaN, kInfinity, 3.0, 3.0, kNaN};
  SoftmaxParams params;
  params.causal = true;
  EXPECT_EQ(softmax_of(x, params, DType::kF32, 2), (std::vector<double>{1.0, 0.0, 0.0, 0.5, 0.5, 0.0}));
}

TEST(Softmax, AddingAConstantChangesNoBit) {
  // Integers below 2¹¹ are exact in every dtype here, so are their differences.
  for (std::int64_t cols : {40, 300, 1300, 17000}) {
    std::vector<double> x(static_cast<std::size_t>(cols));
    std::vector<double> shifted(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = static_cast<double>(i * 7 % 19) - 9.0;
      shifted[i] = x[i] + 512.0;
    }
    EXPECT_EQ(softmax_of(x), softmax_of(shifted)) << cols;
  }
}

TEST(Softmax, ARowsBitsDependOnNeitherAlignmentNorOtherRows) {
  for (DType dtype : {DType::kF32, DType::kF16}) {
    for (std::int64_t cols : {77, 700, 1700, 17000}) {
      SoftmaxFixture f({1, 1, 3, cols}, dtype);
      const std::vector<double> aligned = f.run();
      Rig rig(1, nullptr);
      SoftmaxParams params;
      params.x = rig.input("x", dtype, {1, 1, 3, cols}, harness::Family::kNormal, 1.0, Layout::kStrided);
      params.y = rig.output("y", dtype, {1, 1, 3, cols}, Layout::kStrided);
      params.x.shape[2] = params.y.shape[2] = 1;
      const auto move_to_row = [&](TensorView& view, std::int64_t row) {
        view.data =
            static_cast<std::byte*>(view.data) + row * view.strides[2] * std::int64_t(dtype_size(dtype));
        view.elements -= row * view.strides[2];
      };
      move_to_row(params.x, 2);
      move_to_row(params.y, 2);
      ASSERT_OK(rig.reset());
      ASSERT_OK(softmax(params, nullptr));
      ASSERT_OK(rig.finish());
      const std::vector<double> alone = rig.read("y");
      for (std::size_t i = static_cast<std::size_t>(2 * cols); i < alone.size(); ++i) {
        ASSERT_EQ(alone[i], aligned[i]) << dtype_name(dtype) << " " << cols << " " << i;
      }
    }
  }
}

TEST(Softmax, ReductionDepthGrowsByChunksAlone) {
  // The tree over a lane's 8 or 32 elements, the wave's butterfly; then the block's waves; then the online
  // chunks of 16,384.
  EXPECT_EQ(softmax_reduction_depth(100, kNarrow), 3 + 5);
  EXPECT_EQ(softmax_reduction_depth(1000, kNarrow), 5 + 5);
  EXPECT_EQ(softmax_reduction_depth(16384, kNarrow), 5 + 5 + 15);
  EXPECT_EQ(softmax_reduction_depth(16384, kWide), 5 + 6 + 7);
  EXPECT_EQ(softmax_reduction_depth(131072, kNarrow), 5 + 5 + 15 + 7 * 5 + 4);
}

}  // namespace
}  // namespace hipforge
