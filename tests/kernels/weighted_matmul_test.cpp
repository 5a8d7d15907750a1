#include "kernels/weighted_matmul.h"

#include "harness/core/rig.h"
#include "reference/weighted_matmul.h"
#include "tests/kernels/narrow_and_wide.h"
#include "tests/refusals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hipforge {
namespace {

using harness::Family;
using harness::Rig;
using harness::Shape;

// A legal call; each test spoils one thing.
struct WeightedMatmulFixture {
  Rig rig{1, nullptr};
  WeightedMatmulParams params;

  explicit WeightedMatmulFixture(std::int64_t q_len = 3, DType dtype = DType::kF32, std::int64_t kv_len = 10,
                                 std::int64_t head_dim = 8) {
    params.weights = rig.input("weights", dtype, {2, 4, q_len, kv_len}, Family::kPositive);
    params.values = rig.input("values", dtype, {2, kv_len, 2, head_dim});
    params.out = rig.output("out", dtype, {2, q_len, 4, head_dim});
  }
  std::vector<double> run(const Target& target = kCurrentDevice) {
    throw_if_error(rig.reset());
    throw_if_error(weighted_matmul(params, nullptr, target));
    throw_if_error(rig.finish());
    return rig.read("out");
  }
};

TEST(WeightedMatmul, RefusesWhatItsContractExcludes) {
  expect_refusals<WeightedMatmulFixture>(
      weighted_matmul,
      {{kInvalid,
        [](WeightedMatmulFixture& f) { f.params.values.elements = 319; },
        {"values holds 319 elements, shape [2, 10, 2, 8] needs 320"}},
       {kInvalid,
        [](WeightedMatmulFixture& f) { f.params.weights.rank = 3; },
        {"weights has rank 3", "needs rank 4"}},
       {kInvalid,
        [](WeightedMatmulFixture& f) { f.params.values.shape[1] = 9; },
        {"values has shape [2, 9, 2, 8]", "needs 10 (kv_len of weights)"}},
       {kInvalid,
        [](WeightedMatmulFixture& f) { f.params.values.shape[0] = 1; },
        {"needs 2 (batch of weights)"}},
       {kInvalid,
        [](WeightedMatmulFixture& f) { --f.params.out.shape[0]; },
        {"out has shape", "(batch of weights)"}},
       {kInvalid,
        [](WeightedMatmulFixture& f) { --f.params.out.shape[1]; },
        {"out has shape", "(q_len of weights)"}},
       {kInvalid,
        [](WeightedMatmulFixture& f) { --f.params.out.shape[2]; },
        {"out has shape", "(q_heads of weights)"}},
       {kInvalid,
        [](WeightedMatmulFixture& f) { --f.params.out.shape[3]; },
        {"out has shape", "(head_dim of values)"}},
       {kInvalid,
        [](WeightedMatmulFixture& f) {
          f.params.values = f.rig.input("three", DType::kF32, {2, 10, 3, 8});
        },
        {"weights have 4 heads, values 3"}},
       {kInvalid,
        [](WeightedMatmulFixture& f) {
          f.params.values = f.rig.input("none", DType::kF32, {2, 10, 0, 8});
        },
        {"weights have 4 heads, values 0"}},
       {kUnsupported,
        [](WeightedMatmulFixture& f) { f.params.weights.dtype = DType::kI32; },
        {"weights has dtype i32", "f32, f16, bf16"}},
       {kUnsupported,
        [](WeightedMatmulFixture& f) {
          f.params.weights.dtype = f.params.out.dtype = DType::kF16;
          f.params.values.dtype = DType::kBF16;
        },
        {"values has dtype bf16", "supported: f16"}},
       {kUnsupported,
        [](WeightedMatmulFixture& f) {
          f.params.weights.dtype = f.params.values.dtype = DType::kF16;
          f.params.out.dtype = DType::kBF16;
        },
        {"out has dtype bf16", "supported: f16"}},
       {kInvalid,
        [](WeightedMatmulFixture& f) {
          f.params.weights.strides[3] = 2;
          f.params.weights.elements = 480;
        },
        {"weights has stride 2 along its last axis"}},
       {kInvalid,
        [](WeightedMatmulFixture& f) { f.params.out.strides[2] = 7; },
        {"out of shape", "overlaps itself", "stride 7"}},
       {kInvalid,
        [](WeightedMatmulFixture& f) { f.params.out.data = f.params.values.as<float>() + 8; },
        {"values and out overlap"}},
       {kInvalid,
        [](WeightedMatmulFixture& f) { f.params.out.data = f.params.weights.data; },
        {"weights and out overlap"}}});
  EXPECT_EQ(expect_operands_checked<WeightedMatmulFixture>(weighted_matmul), 5);
}

TEST(WeightedMatmul, EmptyOutputsLaunchNothingAndNoKeysGiveZeros) {
  WeightedMatmulFixture f;
  f.params.weights.shape[2] = f.params.out.shape[1] = 0;
  f.params.out.data = nullptr;
  ASSERT_OK(weighted_matmul(f.params, nullptr));
  LaunchPlan plan;
  ASSERT_OK(weighted_matmul_plan(f.params, kNarrow, plan));
  EXPECT_EQ(plan.grid.x, 0u);
  for (std::int64_t q_len : {1, 40}) {
    WeightedMatmulFixture g(q_len);
    g.params.weights.shape[3] = g.params.values.shape[1] = 0;
    g.params.weights.data = g.params.values.data = nullptr;
    for (double value : g.run()) EXPECT_EQ(value, 0.0);
  }
}

TEST(WeightedMatmul, PlanIsAPureFunctionOfParamsAndTarget) {
  WeightedMatmulFixture f(9);  // 18 rows for each head of values
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
  WeightedMatmulFixture decode(1);
  ASSERT_OK(weighted_matmul_plan(decode.params, kWide, wide));
  EXPECT_STREQ(wide.kernel, "weighted_matmul_f32_w64_decode_4");
  EXPECT_LE(wide.shared_bytes, 65536u);
}

// Rows of 16-bit numbers at multiples of 16 bytes, which no test reads.
WeightedMatmulParams aligned_params(DType dtype, std::int64_t q_len, std::int64_t kv_len,
                                    std::int64_t head_dim) {
  static constexpr std::uintptr_t kApart = std::uintptr_t{1} << 40;
  const auto at = [](std::uintptr_t place) { return reinterpret_cast<void*>(place * kApart); };
  WeightedMatmulParams params;
  params.weights = TensorView::contiguous(at(1), dtype, {2, 4, q_len, kv_len});
  params.values = TensorView::contiguous(at(2), dtype, {2, kv_len, 2, head_dim});
  params.out = TensorView::contiguous(at(3), dtype, {2, q_len, 4, head_dim});
  return params;
}

Target known_target(const std::string& name) {
  Target target;
  throw_if_error(target_from_name(name, 32, target));
  return target;
}

TEST(WeightedMatmul, EachTargetGetsTheTileThatSuitsIt) {
  struct Expected {
    const char* target;
    const char* decode;
    const char* prefill;
    const char* unaligned;
  };
  const Expected expectations[] = {
      {"cpu", "w32_mma64x64x32_s2", "w32_mma64x64x32_s2", "w32_mma64x64x32_s2"},
      {"gfx1030", "w32_mma64x64x32_s2", "w32_mma64x64x32_s2", "w32_mma64x64x32_s2"},
      {"gfx1100", "w32_mma64x64x32_s2", "w32_mma128x128x32_s2", "w32_mma64x64x32_s2"},
      {"gfx90a", "w64_mma64x64x32_s2", "w64_mma128x128x32_s2", "w64_mma64x64x32_s2"},
      {"gfx942", "w64_mma64x64x32_s2", "w64_mma128x128x32_s2", "w64_mma64x64x32_s2"},
      {"sm_80", "w32_mma64x64x32_s2", "w32_mma128x128x32_s2", "w32_mma64x64x32_s2"},
      {"sm_90", "w32_wgmma128x128x64_s6", "w32_wgmma128x128x64_s6", "w32_wgmma128x128x64_s6"},
  };
  for (const Expected& expected : expectations) {
    const Target target = known_target(expected.target);
    for (const DType dtype : {DType::kF16, DType::kBF16}) {
      const std::string prefix = std::string("weighted_matmul_") + dtype_name(dtype) + "_";
      const auto plan_of = [&](const WeightedMatmulParams& params) {
        LaunchPlan plan;
        throw_if_error(weighted_matmul_plan(params, target, plan));
        EXPECT_NE(plan.function, nullptr) << plan.kernel;
        EXPECT_LE(plan.shared_bytes, target.shared_bytes) << plan.kernel;
        return plan;
      };
      EXPECT_EQ(plan_of(aligned_params(dtype, 1, 1024, 128)).kernel, prefix + expected.decode);
      const LaunchPlan prefill = plan_of(aligned_params(dtype, 128, 1024, 128));
      EXPECT_EQ(prefill.kernel, prefix + expected.prefill);
      const bool wide = std::string(expected.prefill).find("128x128") != std::string::npos;
      // 2 batches × 2 heads of values × 256 rows and 128 columns.
      EXPECT_EQ(prefill.grid.x, wide ? 8u : 32u);
      EXPECT_EQ(plan_of(aligned_params(dtype, 128, 1023, 128)).kernel, prefix + expected.unaligned);
      EXPECT_EQ(plan_of(aligned_params(dtype, 128, 1024, 64)).kernel, prefix + expected.unaligned);
    }
  }
}

// Products of unequal small integers, whose sums f32 holds: any order gives the same.
TEST(WeightedMatmul, EveryTargetsTilesGiveTheExactProduct) {
  // q_len, kv_len, head_dim; the last row of weights and the last column of values weigh in.
  const std::int64_t sizes[][3] = {{70, 136, 136}, {131, 37, 67}, {1, 200, 128}};
  for (const auto& [q_len, kv_len, head_dim] : sizes) {
    Rig rig(11, nullptr);
    const auto small_integers = [](std::int64_t count, std::int64_t columns, std::int64_t step) {
      std::vector<double> numbers;
      for (std::int64_t i = 0; i < count; ++i) {
        numbers.push_back(static_cast<double>((i / columns * step + i % columns * 7) % 5 - 2));
      }
      return numbers;
    };
    const std::vector<double> weights = small_integers(2 * 4 * q_len * kv_len, kv_len, 3);
    const std::vector<double> values = small_integers(2 * kv_len * 2 * head_dim, head_dim, 11);
    WeightedMatmulParams params;
    params.weights = rig.input_values("weights", DType::kF16, {2, 4, q_len, kv_len}, weights);
    params.values = rig.input_values("values", DType::kF16, {2, kv_len, 2, head_dim}, values);
    params.out = rig.output("out", DType::kF16, {2, q_len, 4, head_dim});
    const std::vector<double> expected =
        reference::weighted_matmul(weights, values, {2, q_len, kv_len, 4, 2, head_dim}).value;
    for (const std::string& name : known_targets()) {
      // Those of the device's wave alone.
      const Target target = known_target(name);
      if (!TargetScope(target).status().ok()) continue;
      throw_if_error(rig.reset());
      throw_if_error(weighted_matmul(params, nullptr, target));
      throw_if_error(rig.finish());
      const std::vector<double> out = rig.read("out");
      std::size_t wrong = 0;
      while (wrong < out.size() && out[wrong] == expected[wrong]) ++wrong;
      EXPECT_EQ(wrong, out.size()) << name << ", q_len " << q_len << ", element " << wrong;
    }
  }
}

TEST(WeightedMatmul, WhatStandsBehindARowNeverCounts) {
  // Rows of 37 keys in memory for 40, at multiples of 16 bytes, with NaN in the last 3; so the columns.
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    Rig rig(5, nullptr);
    WeightedMatmulParams params;
    std::vector<double> weights(70 * 40, std::nan(""));
    std::vector<double> values(40 * 72, std::nan(""));
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (i % 40 < 37) weights[i] = 1.0;
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i / 72 < 37 && i % 72 < 69) values[i] = static_cast<double>(i % 7);
    }
    params.weights = rig.input_values("weights", dtype, {1, 1, 70, 40}, weights);
    params.values = rig.input_values("values", dtype, {1, 40, 1, 72}, values);
    params.out = rig.output("out", dtype, {1, 70, 1, 69});
    params.weights.shape[3] = params.values.shape[1] = 37;
    params.values.shape[3] = 69;
    throw_if_error(rig.reset());
    throw_if_error(weighted_matmul(params, nullptr));
    throw_if_error(rig.finish());
    const std::vector<double> out = rig.read("out");
    ASSERT_EQ(out.size(), 70u * 69u);
    for (std::size_t i = 0; i < out.size(); ++i) {
      double sum = 0.0;
      for (std::size_t key = 0; key < 37; ++key) sum += static_cast<double>((key * 72 + i % 69) % 7);
      ASSERT_EQ(out[i], sum) << i;
    }
  }
}

void expect_decode_gives_prefills_bits(DType dtype, int q_len, std::int64_t kv_len, std::int64_t head_dim,
                                       const Target& target = kCurrentDevice) {
  WeightedMatmulFixture f(q_len, dtype, kv_len, head_dim);
  const std::vector<double> prefill = f.run(target);
  const auto last_row = [&](TensorView& view, std::size_t axis) {
    const std::int64_t skipped = (view.shape[axis] - 1) * view.strides[axis];
    view.data = static_cast<std::byte*>(view.data) + skipped * std::int64_t(dtype_size(dtype));
    view.elements -= skipped;
    view.shape[axis] = 1;
  };
  last_row(f.params.weights, 2);
  last_row(f.params.out, 1);
  const std::vector<double> decode = f.run(target);
  const auto row_size = static_cast<std::size_t>(4 * head_dim);
  std::size_t compared = 0;
  std::size_t unequal = 0;
  for (std::size_t i = 0; i < decode.size(); ++i) {
    // The other rows stay as they were poisoned.
    if (static_cast<int>(i / row_size) % q_len != q_len - 1) continue;
    ++compared;
    if (decode[i] != prefill[i]) ++unequal;
  }
  EXPECT_EQ(compared, 2u * row_size);
  EXPECT_EQ(unequal, 0u) << dtype_name(dtype) << ", q_len " << q_len << ", " << target.architecture;
}

TEST(WeightedMatmul, DecodeGivesTheBitsOfPrefillsLastRow) {
  // Tiles of rows; more than one span of keys; rows that take 16-byte accesses and rows that do not.
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    expect_decode_gives_prefills_bits(dtype, 30, 2100, 8);
    expect_decode_gives_prefills_bits(dtype, 30, 2104, 8);
  }
  // Wide tiles for many rows, small ones for one.
  for (const std::string& name : known_targets()) {
    const Target target = known_target(name);
    if (!TargetScope(target).status().ok()) continue;
    expect_decode_gives_prefills_bits(DType::kBF16, 70, 2104, 72, target);
  }
}

TEST(WeightedMatmul, ARowsBitsDoNotDependOnBatchMates) {
  WeightedMatmulFixture f(20);
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

TEST(WeightedMatmul, ReductionDepthIsThatOfTheLevels) {
  const auto depth = [](DType dtype, std::int64_t kv_len, const Target& target) {
    return weighted_matmul_reduction_depth(dtype, kv_len, target);
  };
  EXPECT_EQ(depth(DType::kF32, 0, kNarrow), 0);
  EXPECT_EQ(depth(DType::kF32, 1, kNarrow), 0);
  EXPECT_EQ(depth(DType::kF32, 32, kNarrow), 31);
  EXPECT_EQ(depth(DType::kF32, 33, kNarrow), 31 + 1);
  EXPECT_EQ(depth(DType::kF32, 2048, kNarrow), 31 + 63);
  EXPECT_EQ(depth(DType::kF32, 131072, kWide), 31 + 63 + 63);
  // Ordinary arithmetic adds key after key; each addition of a matrix unit counts twice, in steps of 16.
  EXPECT_EQ(depth(DType::kF16, 0, Target{}), 0);
  EXPECT_EQ(depth(DType::kF16, 33, Target{}), 32);
  EXPECT_EQ(depth(DType::kBF16, 4096, Target{}), 2047 + 1);
  EXPECT_EQ(depth(DType::kF16, 0, kWide), 0);
  EXPECT_EQ(depth(DType::kF16, 33, kWide), 2 * 48);
  EXPECT_EQ(depth(DType::kBF16, 131072, kWide), 2 * 2048 + 63);
}

}  // namespace
}  // namespace hipforge
