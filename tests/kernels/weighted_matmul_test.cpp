#include "kernels/weighted_matmul.h"

#include "harness/rig.h"
#include "reference/weighted_matmul.h"
#include "tests/status_matchers.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hipforge {
namespace {

using harness::Family;
using harness::Rig;
using harness::Shape;

const Target kNarrow{"gfx1100", 32, MatrixUnit::kWmma};
const Target kWide{"gfx942", 64, MatrixUnit::kMfma};

// A legal call; each test spoils one thing.
struct Fixture {
  Rig rig{1, nullptr};
  WeightedMatmulParams params;

  explicit Fixture(std::int64_t q_len = 3, DType dtype = DType::kF32, std::int64_t kv_len = 10) {
    params.weights = rig.input("weights", dtype, {2, 4, q_len, kv_len}, Family::kPositive);
    params.values = rig.input("values", dtype, {2, kv_len, 2, 8});
    params.out = rig.output("out", dtype, {2, q_len, 4, 8});
  }
  std::vector<double> run() {
    throw_if_error(rig.reset());
    throw_if_error(weighted_matmul(params, nullptr));
    throw_if_error(rig.finish());
    return rig.read("out");
  }
};

TEST(WeightedMatmul, RefusesABufferThatIsTooSmallWithBothNumbers) {
  Fixture f;
  f.params.values.elements = 319;
  expect_status(weighted_matmul(f.params, nullptr), StatusCode::kInvalidArgument,
                "values holds 319 elements, shape [2, 10, 2, 8] needs 320");
}

TEST(WeightedMatmul, RefusesRanksAndShapesThatDisagree) {
  Fixture f;
  f.params.weights.rank = 3;
  expect_status(weighted_matmul(f.params, nullptr), StatusCode::kInvalidArgument, "weights has rank 3",
                "needs rank 4");
  Fixture g;
  g.params.values.shape[1] = 9;
  expect_status(weighted_matmul(g.params, nullptr), StatusCode::kInvalidArgument,
                "values has shape [2, 9, 2, 8]", "needs 10", "kv_len of weights");
  Fixture h;
  h.params.values.shape[0] = 1;
  expect_status(weighted_matmul(h.params, nullptr), StatusCode::kInvalidArgument, "needs 2",
                "batch of weights");
  const char* const axes[] = {"batch of weights", "q_len of weights", "q_heads of weights",
                              "head_dim of values"};
  for (std::size_t axis = 0; axis < 4; ++axis) {
    Fixture i;
    --i.params.out.shape[axis];
    expect_status(weighted_matmul(i.params, nullptr), StatusCode::kInvalidArgument, "out has shape",
                  axes[axis]);
  }
}

TEST(WeightedMatmul, RefusesHeadsThatAreNoMultiple) {
  Fixture f;
  f.params.values = f.rig.input("three", DType::kF32, {2, 10, 3, 8});
  expect_status(weighted_matmul(f.params, nullptr), StatusCode::kInvalidArgument,
                "weights have 4 heads, values 3");
  f.params.values = f.rig.input("none", DType::kF32, {2, 10, 0, 8});
  expect_status(weighted_matmul(f.params, nullptr), StatusCode::kInvalidArgument,
                "weights have 4 heads, values 0");
}

TEST(WeightedMatmul, RefusesUnsupportedDtypesAndNamesTheLegalOnes) {
  Fixture f;
  f.params.weights.dtype = DType::kI32;
  expect_status(weighted_matmul(f.params, nullptr), StatusCode::kUnsupported, "weights has dtype i32",
                "f32, f16, bf16");
  Fixture g(3, DType::kF16);
  g.params.values.dtype = DType::kBF16;
  expect_status(weighted_matmul(g.params, nullptr), StatusCode::kUnsupported, "values has dtype bf16",
                "supported: f16");
  Fixture h(3, DType::kF16);
  h.params.out.dtype = DType::kBF16;
  expect_status(weighted_matmul(h.params, nullptr), StatusCode::kUnsupported, "out has dtype bf16",
                "supported: f16");
}

TEST(WeightedMatmul, RefusesStridesAndOverlaps) {
  Fixture f;
  f.params.weights.strides[3] = 2;
  f.params.weights.elements = 480;
  expect_status(weighted_matmul(f.params, nullptr), StatusCode::kInvalidArgument,
                "weights has stride 2 along its last axis");
  Fixture g;
  g.params.out.strides[2] = 7;
  expect_status(weighted_matmul(g.params, nullptr), StatusCode::kInvalidArgument, "out", "overlaps itself",
                "stride 7");
  Fixture h;
  h.params.out.data = h.params.values.as<float>() + 8;
  expect_status(weighted_matmul(h.params, nullptr), StatusCode::kInvalidArgument, "values and out overlap");
  Fixture i;
  i.params.out.data = i.params.weights.data;
  expect_status(weighted_matmul(i.params, nullptr), StatusCode::kInvalidArgument, "weights and out overlap");
}

TEST(WeightedMatmul, EmptyOutputsLaunchNothingAndNoKeysGiveZeros) {
  Fixture f;
  f.params.weights.shape[2] = f.params.out.shape[1] = 0;
  f.params.out.data = nullptr;
  ASSERT_OK(weighted_matmul(f.params, nullptr));
  LaunchPlan plan;
  ASSERT_OK(weighted_matmul_plan(f.params, kNarrow, plan));
  EXPECT_EQ(plan.grid.x, 0u);
  for (std::int64_t q_len : {1, 40}) {
    Fixture g(q_len);
    g.params.weights.shape[3] = g.params.values.shape[1] = 0;
    g.params.weights.data = g.params.values.data = nullptr;
    for (double value : g.run()) EXPECT_EQ(value, 0.0);
  }
}

TEST(WeightedMatmul, PlanIsAPureFunctionOfParamsAndTarget) {
  Fixture f(9);  // 18 rows for each head of values
  LaunchPlan first;
  LaunchPlan second;
  LaunchPlan wide;
  ASSERT_OK(weighted_matmul_plan(f.params, kNarrow, first));
  ASSERT_OK(weighted_matmul_plan(f.params, kNarrow, second));
  ASSERT_OK(weighted_matmul_plan(f.params, kWide, wide));
  EXPECT_EQ(first.function, second.function);
  EXPECT_STREQ(first.kernel, "weighted_matmul_f32_w32_tile_64x64x32");
  EXPECT_STREQ(wide.kernel, "weighted_matmul_f32_w64_tile_64x64x32");
  EXPECT_EQ(first.grid.x, 4u);  // 2 batches × 2 heads of values, one tile each
  Fixture decode(1, DType::kBF16);
  ASSERT_OK(weighted_matmul_plan(decode.params, kWide, wide));
  EXPECT_STREQ(wide.kernel, "weighted_matmul_bf16_w64_decode_4");
  EXPECT_LE(wide.shared_bytes, 65536u);
}

TEST(WeightedMatmul, DecodeGivesTheBitsOfPrefillsLastRow) {
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    Fixture f(30, dtype, 2100);  // 60 rows a head: tiles; more than one span of keys
    const std::vector<double> prefill = f.run();
    const auto last_row = [&](TensorView& view, std::size_t axis) {
      const std::int64_t skipped = (view.shape[axis] - 1) * view.strides[axis];
      view.data = static_cast<std::byte*>(view.data) + skipped * std::int64_t(dtype_size(dtype));
      view.elements -= skipped;
      view.shape[axis] = 1;
    };
    last_row(f.params.weights, 2);
    last_row(f.params.out, 1);
    const std::vector<double> decode = f.run();
    std::size_t compared = 0;
    for (std::size_t i = 0; i < decode.size(); ++i) {
      if (i / (4 * 8) % 30 != 29) continue;  // the other rows stay as they were poisoned
      EXPECT_EQ(decode[i], prefill[i]) << dtype_name(dtype) << " " << i;
      ++compared;
    }
    EXPECT_EQ(compared, 2u * 4u * 8u);
  }
}

TEST(WeightedMatmul, ARowsBitsDoNotDependOnBatchMates) {
  Fixture f(20);
  const std::vector<double> both = f.run();
  const std::size_t half = both.size() / 2;
  for (TensorView* view : {&f.params.weights, &f.params.values, &f.params.out}) {
    view->data = view->as<float>() + view->strides[0];
    view->elements -= view->strides[0];
    view->shape[0] = 1;
  }
  const std::vector<double> second = f.run();
  for (std::size_t i = half; i < both.size(); ++i) EXPECT_EQ(second[i], both[i]) << i;
}

TEST(WeightedMatmul, SmallProductIsWithinOneInAHundredThousand) {
  // The row of chronicle 008: 3.6 came out as 0.0029.
  Rig rig(1, nullptr);
  const std::vector<double> weights{0.1, 0.2, 0.7, 0.3, 0.3, 0.4};
  const std::vector<double> values{1.0, 2.0, 3.0, 4.0, 4.0, 5.0};
  WeightedMatmulParams params;
  params.weights = rig.input_values("weights", DType::kF32, {1, 1, 2, 3}, weights);
  params.values = rig.input_values("values", DType::kF32, {1, 3, 1, 2}, values);
  params.out = rig.output("out", DType::kF32, {1, 2, 1, 2});
  ASSERT_OK(rig.reset());
  ASSERT_OK(weighted_matmul(params, nullptr));
  ASSERT_OK(rig.finish());
  const std::vector<double> out = rig.read("out");
  // 0.1 + 0.6 + 2.8, 0.2 + 0.8 + 3.5; 0.3 + 0.9 + 1.6, 0.6 + 1.2 + 2.0.
  const double expected[] = {3.5, 4.5, 2.8, 3.8};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(out[i], expected[i], 1e-6);
}

// Root mean square over the columns of error / (u · Σ|ab|), for the kernel and for a plain f32 sum beside it.
struct ErrorStudy {
  double kernel = 0.0;
  double naive = 0.0;
};

ErrorStudy study(std::int64_t kv_len) {
  constexpr std::int64_t kCols = 16;
  Rig rig(5, nullptr);
  WeightedMatmulParams params;
  params.weights = rig.input("weights", DType::kF32, {1, 1, 1, kv_len}, Family::kPositive);
  params.values = rig.input("values", DType::kF32, {1, kv_len, 1, kCols}, Family::kPositive);
  params.out = rig.output("out", DType::kF32, {1, 1, 1, kCols});
  throw_if_error(rig.reset());
  throw_if_error(weighted_matmul(params, nullptr));
  throw_if_error(rig.finish());
  const std::vector<double>& weights = rig.values("weights");
  const std::vector<double>& values = rig.values("values");
  const auto oracle = reference::weighted_matmul(weights, values, {1, 1, kv_len, 1, 1, kCols});
  const std::vector<double> out = rig.read("out");
  ErrorStudy result;
  for (std::size_t col = 0; col < kCols; ++col) {
    float sum = 0.0f;
    for (std::size_t key = 0; key < static_cast<std::size_t>(kv_len); ++key) {
      sum += static_cast<float>(weights[key]) * static_cast<float>(values[key * kCols + col]);
    }
    const double unit = 0x1p-24 * oracle.magnitude[col];
    result.kernel += std::pow((out[col] - oracle.value[col]) / unit, 2);
    result.naive += std::pow((static_cast<double>(sum) - oracle.value[col]) / unit, 2);
  }
  return {std::sqrt(result.kernel / kCols), std::sqrt(result.naive / kCols)};
}

TEST(WeightedMatmul, ErrorDoesNotGrowWithTheNumberOfKeys) {
  const ErrorStudy few = study(128);
  const ErrorStudy many = study(131072);
  // Slope of log error over log kv_len: under 0.1 for the kernel, far above it for the plain sum.
  const double span = std::log(131072.0 / 128.0);
  EXPECT_LE(std::log(many.kernel / few.kernel) / span, 0.1) << few.kernel << " to " << many.kernel;
  EXPECT_GE(std::log(many.naive / few.naive) / span, 0.25) << few.naive << " to " << many.naive;
}

TEST(WeightedMatmul, ReductionDepthIsThatOfThreeLevels) {
  EXPECT_EQ(weighted_matmul_reduction_depth(0, kNarrow), 0);
  EXPECT_EQ(weighted_matmul_reduction_depth(1, kNarrow), 0);
  EXPECT_EQ(weighted_matmul_reduction_depth(32, kNarrow), 31);
  EXPECT_EQ(weighted_matmul_reduction_depth(33, kNarrow), 31 + 1);
  EXPECT_EQ(weighted_matmul_reduction_depth(2048, kNarrow), 31 + 63);
  EXPECT_EQ(weighted_matmul_reduction_depth(131072, kWide), 31 + 63 + 63);
}

}  // namespace
}  // namespace hipforge
