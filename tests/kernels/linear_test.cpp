#include "kernels/linear.h"

#include "harness/rig.h"
#include "tests/status_matchers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace hipforge {
namespace {

using harness::Family;
using harness::Layout;
using harness::Rig;

// A legal call; each test spoils one thing.
struct Fixture {
  Rig rig{1, nullptr};
  LinearParams params;

  explicit Fixture(DType x = DType::kF32, DType weight = DType::kF32) {
    params.x = rig.input("x", x, {3, 40});
    params.weight = rig.input("weight", weight, {5, 40});
    params.bias = rig.input("bias", weight, {5});
    params.y = rig.output("y", x, {3, 5});
  }
};

// y of some rows of a matrix of x, row-major.
std::vector<double> run(const LinearParams& all, std::int64_t first_row, std::int64_t rows) {
  Rig rig(1, nullptr);
  LinearParams params = all;
  const auto skip = static_cast<std::size_t>(first_row * all.x.strides[0]) * dtype_size(all.x.dtype);
  params.x.data = static_cast<std::byte*>(all.x.data) + skip;
  params.x.elements -= first_row * all.x.strides[0];
  params.x.shape[0] = rows;
  params.y = rig.output("y", all.y.dtype, {rows, all.weight.shape[0]});
  throw_if_error(linear(params, nullptr));
  throw_if_error(rig.finish());
  return rig.read("y");
}

TEST(Linear, RefusesABufferThatIsTooSmallWithBothNumbers) {
  Fixture f;
  f.params.weight.elements = 199;
  expect_status(linear(f.params, nullptr), StatusCode::kInvalidArgument,
                "weight holds 199 elements, shape [5, 40] needs 200");
  Fixture g;
  g.params.x.data = nullptr;
  expect_status(linear(g.params, nullptr), StatusCode::kInvalidArgument, "x is null", "120");
}

TEST(Linear, RefusesShapesThatDisagree) {
  Fixture f;
  f.params.weight = f.rig.input("short", DType::kF32, {5, 39});
  expect_status(linear(f.params, nullptr), StatusCode::kInvalidArgument, "weight has shape [5, 39]",
                "needs 40", "in_features of x");
  Fixture g;
  g.params.y.shape[1] = 4;
  expect_status(linear(g.params, nullptr), StatusCode::kInvalidArgument, "y has shape [3, 4]", "needs 5",
                "out_features of weight");
  Fixture h;
  h.params.y.shape[0] = 2;
  expect_status(linear(h.params, nullptr), StatusCode::kInvalidArgument, "y has shape [2, 5]", "needs 3",
                "rows of x");
  Fixture i;
  i.params.bias = i.rig.input("long", DType::kF32, {6});
  expect_status(linear(i.params, nullptr), StatusCode::kInvalidArgument, "bias has shape [6]", "needs 5");
  Fixture j;
  j.params.x.rank = 3;
  j.params.x.shape[2] = 1;
  expect_status(linear(j.params, nullptr), StatusCode::kInvalidArgument, "x has rank 3", "needs rank 2");
}

TEST(Linear, RefusesAnUnsupportedDtypeAndNamesTheLegalOnes) {
  Fixture f;
  f.params.weight.dtype = DType::kU8;
  expect_status(linear(f.params, nullptr), StatusCode::kUnsupported, "weight has dtype u8", "f32, f16, bf16");
  Fixture g(DType::kF16, DType::kF16);
  g.params.y.dtype = DType::kBF16;
  expect_status(linear(g.params, nullptr), StatusCode::kUnsupported, "y has dtype bf16",
                "supported: f16, f32");
  Fixture h(DType::kF32, DType::kF16);
  h.params.bias.dtype = DType::kBF16;
  expect_status(linear(h.params, nullptr), StatusCode::kUnsupported, "bias has dtype bf16",
                "supported: f16, f32");
}

TEST(Linear, RefusesStridesAndOverlaps) {
  Fixture f;
  f.params.x.strides[1] = 2;
  f.params.x.shape[0] = f.params.y.shape[0] = 1;
  expect_status(linear(f.params, nullptr), StatusCode::kInvalidArgument,
                "x has stride 2 along its last axis");
  Fixture g;
  g.params.y.strides[0] = 4;
  expect_status(linear(g.params, nullptr), StatusCode::kInvalidArgument, "y", "overlaps itself", "stride 4");
  Fixture h;
  h.params.y.data = h.params.x.data;
  expect_status(linear(h.params, nullptr), StatusCode::kInvalidArgument, "x and y overlap");
  Fixture i;
  i.params.y.data = i.params.bias.data;
  i.params.y.shape[0] = i.params.x.shape[0] = 1;
  expect_status(linear(i.params, nullptr), StatusCode::kInvalidArgument, "bias and y overlap");
}

TEST(Linear, RefusesAWaveThatHasNoKernel) {
  Fixture f;
  LaunchPlan plan;
  expect_status(linear_plan(f.params, Target{"cpu", 16, MatrixUnit::kNone}, plan), StatusCode::kUnsupported,
                "waves of 16", "32, 64");
}

TEST(Linear, EmptyWorkLaunchesNothing) {
  for (int axis : {0, 1}) {
    Fixture f;
    f.params.y.shape[static_cast<std::size_t>(axis)] = 0;
    if (axis == 0) f.params.x.shape[0] = 0;
    if (axis == 1) f.params.weight.shape[0] = f.params.bias.shape[0] = 0;
    ASSERT_OK(linear(f.params, nullptr));
    LaunchPlan plan;
    ASSERT_OK(linear_plan(f.params, Target{}, plan));
    EXPECT_EQ(plan.grid.x, 0u);
  }
}

TEST(Linear, PlanIsAPureFunctionOfParamsAndTarget) {
  Fixture f(DType::kBF16, DType::kF16);
  const Target narrow{"gfx1100", 32, MatrixUnit::kWmma};
  const Target wide{"gfx942", 64, MatrixUnit::kMfma};
  LaunchPlan first;
  LaunchPlan second;
  ASSERT_OK(linear_plan(f.params, narrow, first));
  ASSERT_OK(linear_plan(f.params, narrow, second));
  EXPECT_EQ(first.function, second.function);
  EXPECT_STREQ(first.kernel, "linear_bf16_f16_w32_rows4");
  EXPECT_EQ(first.grid.x, second.grid.x);
  ASSERT_OK(linear_plan(f.params, wide, second));
  EXPECT_STREQ(second.kernel, "linear_bf16_f16_w64_rows4");
  f.params.x.shape[0] = f.params.y.shape[0] = 1;
  ASSERT_OK(linear_plan(f.params, narrow, first));
  EXPECT_STREQ(first.kernel, "linear_bf16_f16_w32_rows1");
}

TEST(Linear, ManyRowsAreTiledOnlyWhereTheOrderIsFree) {
  Rig rig(1, nullptr);
  LinearParams params;
  params.weight = rig.input("weight", DType::kF32, {70, 8});
  for (const std::int64_t rows : {31, 32}) {
    for (const bool batch_invariant : {true, false}) {
      params.x = TensorView::contiguous(params.weight.data, DType::kF32, {rows, 8});
      params.y = TensorView::contiguous(params.weight.as<float>() + 70 * 8, DType::kF32, {rows, 70});
      params.batch_invariant = batch_invariant;
      LaunchPlan plan;
      ASSERT_OK(linear_plan(params, Target{}, plan));
      const bool tiled = rows == 32 && !batch_invariant;
      EXPECT_STREQ(plan.kernel, tiled ? "linear_f32_f32_fma64x64x32" : "linear_f32_f32_w32_rows4");
      EXPECT_EQ(plan.shared_bytes > 0, tiled);
      EXPECT_LE(plan.shared_bytes, 64u * 1024u);
    }
  }
}

TEST(Linear, ReductionDepthFollowsTheKernel) {
  LinearParams params;
  params.x.shape = {1, 256};
  params.weight.shape = {1, 256};
  // 32 packs over 4 lanes: 8 a lane, 2 additions a pack and chain; then 2 levels over 4 chains, 2 over 4
  // lanes.
  EXPECT_EQ(linear_reduction_depth(params, Target{"cpu", 32, MatrixUnit::kNone}), 8 * 2 + 2 + 2);
  params.bias.rank = 1;
  EXPECT_EQ(linear_reduction_depth(params, Target{"cpu", 64, MatrixUnit::kNone}), 8 * 2 + 2 + 2 + 1);
  params.x.shape = {1, 8192};  // 1,024 packs: a whole wave
  EXPECT_EQ(linear_reduction_depth(params, Target{"cpu", 32, MatrixUnit::kNone}), 32 * 2 + 2 + 5 + 1);
  EXPECT_EQ(linear_reduction_depth(params, Target{"cpu", 64, MatrixUnit::kNone}), 16 * 2 + 2 + 6 + 1);
  params.batch_invariant = false;
  params.x.shape = {100, 8192};
  EXPECT_EQ(linear_reduction_depth(params, Target{}), 8192 + 1);
}

TEST(Linear, ARowsBitsDoNotDependOnTheNumberOfRows) {
  for (const std::int64_t in_features : {45, 256, 1100}) {
    Rig rig(7, nullptr);
    LinearParams params;
    params.x = rig.input("x", DType::kF32, {37, in_features});
    params.weight = rig.input("weight", DType::kF16, {19, in_features});
    params.bias = rig.input("bias", DType::kF32, {19});
    params.y.dtype = DType::kF32;
    const std::vector<double> all = run(params, 0, 37);
    for (const std::int64_t rows : {1, 2, 3, 4, 5, 16, 33}) {
      const std::int64_t first = 37 - rows;
      const std::vector<double> some = run(params, first, rows);
      for (std::size_t i = 0; i < some.size(); ++i) {
        ASSERT_EQ(some[i], all[static_cast<std::size_t>(first) * 19 + i]) << rows << " rows, element " << i;
      }
    }
  }
}

TEST(Linear, BitsDependOnNeitherStridesNorAlignmentNorOtherColumns) {
  Rig rig(7, nullptr);
  LinearParams params;
  params.x = rig.input("x", DType::kF16, {5, 333});
  params.weight = rig.input("weight", DType::kF16, {9, 333});
  params.y.dtype = DType::kF32;
  const std::vector<double> dense = run(params, 0, 5);
  LinearParams strided = params;
  strided.x = rig.input_values("strided_x", DType::kF16, {5, 333}, rig.values("x"), Layout::kStrided);
  strided.weight =
      rig.input_values("strided_w", DType::kF16, {9, 333}, rig.values("weight"), Layout::kStrided);
  EXPECT_EQ(run(strided, 0, 5), dense);
  LinearParams aligned = params;  // rows padded to whole packs: 16-byte accesses
  std::vector<double> padded(9 * 336, 1e4);
  for (std::size_t i = 0; i < 9 * 333; ++i) padded[i / 333 * 336 + i % 333] = rig.values("weight")[i];
  aligned.weight = rig.input_values("aligned_w", DType::kF16, {9, 336}, padded);
  padded.resize(5 * 336);
  for (std::size_t i = 0; i < 5 * 333; ++i) padded[i / 333 * 336 + i % 333] = rig.values("x")[i];
  aligned.x = rig.input_values("aligned_x", DType::kF16, {5, 336}, padded);
  aligned.weight.shape[1] = aligned.x.shape[1] = 333;
  EXPECT_EQ(run(aligned, 0, 5), dense);

  params.weight.shape[0] = 2;
  const std::vector<double> fewer = run(params, 0, 5);
  for (std::size_t row = 0; row < 5; ++row) {
    EXPECT_EQ(fewer[row * 2 + 1], dense[row * 9 + 1]);
  }
}

TEST(Linear, ZeroStrideRepeatsARow) {
  Rig rig(1, nullptr);
  LinearParams params;
  params.x = rig.input("x", DType::kBF16, {1, 24});
  params.weight = rig.input("weight", DType::kBF16, {3, 24});
  params.y.dtype = DType::kF32;
  const std::vector<double> one = run(params, 0, 1);
  params.x.strides[0] = 0;
  const std::vector<double> four = run(params, 0, 4);
  for (std::size_t i = 0; i < four.size(); ++i) EXPECT_EQ(four[i], one[i % 3]);
}

TEST(Linear, ATransposedOneHotReturnsTheWeightsExactly) {
  // x = identity: y[r, n] is weight[n, r], with nothing to round.
  std::vector<double> identity(33 * 33, 0.0);
  for (std::size_t i = 0; i < 33; ++i) identity[i * 34] = 1.0;
  for (const bool batch_invariant : {true, false}) {
    Rig rig(3, nullptr);
    LinearParams params;
    params.x = rig.input_values("x", DType::kF32, {33, 33}, identity);
    params.weight = rig.input("weight", DType::kF16, {11, 33});
    params.y.dtype = DType::kF32;
    params.batch_invariant = batch_invariant;
    const std::vector<double> y = run(params, 0, 33);
    for (std::size_t row = 0; row < 33; ++row) {
      for (std::size_t n = 0; n < 11; ++n) {
        ASSERT_EQ(y[row * 11 + n], rig.values("weight")[n * 33 + row]) << row << ", " << n;
      }
    }
  }
}

TEST(Linear, ManyRowsOfManyBlocksReachEveryElement) {
  // Thousands of rows, one feature: y[r, n] = r · n exactly.
  Rig rig(3, nullptr);
  std::vector<double> x(2050);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i);
  const std::vector<double> weight{0, 1, 2};
  LinearParams params;
  params.x = rig.input_values("x", DType::kF32, {2050, 1}, x);
  params.weight = rig.input_values("weight", DType::kBF16, {3, 1}, weight);
  params.y.dtype = DType::kF32;
  const std::vector<double> y = run(params, 0, 2050);
  for (std::size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], static_cast<double>(i / 3 * (i % 3)));
}

}  // namespace
}  // namespace hipforge
