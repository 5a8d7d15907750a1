#include "kernels/linear.h"

#include "harness/core/rig.h"
#include "reference/linear.h"
#include "tests/refusals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace hipforge {
namespace {

using harness::Family;
using harness::Layout;
using harness::Rig;

// A legal call; each test spoils one thing.
struct LinearFixture {
  Rig rig{1, nullptr};
  LinearParams params;

  explicit LinearFixture(DType x = DType::kF32, DType weight = DType::kF32) {
    params.x = rig.input("x", x, {3, 40});
    params.weight = rig.input("weight", weight, {5, 40});
    params.bias = rig.input("bias", weight, {5});
    params.y = rig.output("y", x, {3, 5});
  }
};

// y of some rows of a matrix of x, row-major.
std::vector<double> run(const LinearParams& all, std::int64_t first_row, std::int64_t rows,
                        const Target& target = kCurrentDevice) {
  Rig rig(1, nullptr);
  LinearParams params = all;
  const auto skip = static_cast<std::size_t>(first_row * all.x.strides[0]) * dtype_size(all.x.dtype);
  params.x.data = static_cast<std::byte*>(all.x.data) + skip;
  params.x.elements -= first_row * all.x.strides[0];
  params.x.shape[0] = rows;
  params.y = rig.output("y", all.y.dtype, {rows, all.weight.shape[0]});
  throw_if_error(linear(params, nullptr, target));
  throw_if_error(rig.finish());
  return rig.read("y");
}

TEST(Linear, RefusesWhatItsContractExcludes) {
  expect_refusals<LinearFixture>(
      linear, {{kInvalid,
                [](LinearFixture& f) { f.params.weight.elements = 199; },
                {"weight holds 199 elements, shape [5, 40] needs 200"}},
               {kInvalid, [](LinearFixture& f) { f.params.x.data = nullptr; }, {"x is null", "120"}},
               {kInvalid,
                [](LinearFixture& f) {
                  f.params.weight = f.rig.input("short", DType::kF32, {5, 39});
                },
                {"weight has shape [5, 39]", "needs 40 (in_features of x)"}},
               {kInvalid,
                [](LinearFixture& f) { f.params.y.shape[1] = 4; },
                {"y has shape [3, 4]", "needs 5 (out_features of weight)"}},
               {kInvalid,
                [](LinearFixture& f) { f.params.y.shape[0] = 2; },
                {"y has shape [2, 5]", "needs 3 (rows of x)"}},
               {kInvalid,
                [](LinearFixture& f) { f.params.bias = f.rig.input("long", DType::kF32, {6}); },
                {"bias has shape [6]", "needs 5"}},
               {kInvalid,
                [](LinearFixture& f) {
                  f.params.x.rank = 3;
                  f.params.x.shape[2] = 1;
                },
                {"x has rank 3", "needs rank 2"}},
               {kUnsupported,
                [](LinearFixture& f) { f.params.weight.dtype = DType::kU8; },
                {"weight has dtype u8", "f32, f16, bf16"}},
               {kUnsupported,
                [](LinearFixture& f) {
                  f.params.x.dtype = DType::kF16;
                  f.params.y.dtype = DType::kBF16;
                },
                {"y has dtype bf16", "supported: f16, f32"}},
               {kUnsupported,
                [](LinearFixture& f) {
                  f.params.weight.dtype = DType::kF16;
                  f.params.bias.dtype = DType::kBF16;
                },
                {"bias has dtype bf16", "supported: f16, f32"}},
               {kInvalid,
                [](LinearFixture& f) {
                  f.params.x.strides[1] = 2;
                  f.params.x.shape[0] = f.params.y.shape[0] = 1;
                },
                {"x has stride 2 along its last axis"}},
               {kInvalid,
                [](LinearFixture& f) { f.params.y.strides[0] = 4; },
                {"y of shape", "overlaps itself", "stride 4"}},
               {kInvalid, [](LinearFixture& f) { f.params.y.data = f.params.x.data; }, {"x and y overlap"}},
               {kInvalid,
                [](LinearFixture& f) {
                  f.params.y.data = f.params.bias.data;
                  f.params.y.shape[0] = f.params.x.shape[0] = 1;
                },
                {"bias and y overlap"}}});
  EXPECT_EQ(expect_operands_checked<LinearFixture>(linear), 6);
}

TEST(Linear, RefusesAWaveThatHasNoKernel) {
  LinearFixture f;
  LaunchPlan plan;
  expect_status(linear_plan(f.params, Target{"cpu", 16, MatrixUnit::kNone}, plan), StatusCode::kUnsupported,
                "waves of 16", "32, 64");
}

TEST(Linear, EmptyWorkLaunchesNothing) {
  for (int axis : {0, 1}) {
    LinearFixture f;
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
  LinearFixture f(DType::kBF16, DType::kF16);
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

// Rows of 16-bit numbers at multiples of 16 bytes, which no test reads.
LinearParams aligned_params(DType dtype, std::int64_t rows, std::int64_t in_features,
                            std::int64_t out_features) {
  static constexpr std::uintptr_t kApart = std::uintptr_t{1} << 40;
  const auto at = [](std::uintptr_t place) { return reinterpret_cast<void*>(place * kApart); };
  LinearParams params;
  params.x = TensorView::contiguous(at(1), dtype, {rows, in_features});
  params.weight = TensorView::contiguous(at(2), dtype, {out_features, in_features});
  params.y = TensorView::contiguous(at(3), dtype, {rows, out_features});
  params.batch_invariant = false;
  return params;
}

Target known_target(const char* name) {
  Target target;
  throw_if_error(target_from_name(name, 32, target));
  return target;
}

TEST(Linear, EachTargetGetsTheTileThatSuitsIt) {
  struct Expected {
    const char* target;
    const char* few_rows;
    const char* some_tiles;
    const char* many_tiles;
  };
  const Expected expectations[] = {
      {"cpu", "w32_mma64x64x32_s2", "w32_mma64x64x32_s2", "w32_mma64x64x32_s2"},
      {"gfx1030", "w32_mma64x64x32_s2", "w32_mma64x64x32_s2", "w32_mma64x64x32_s2"},
      {"gfx1100", "w32_mma64x64x32_s2", "w32_mma128x128x32_s2", "w32_mma128x128x32_s2"},
      {"gfx90a", "w64_mma64x64x32_s2", "w64_mma128x128x32_s2", "w64_mma128x128x32_s2"},
      {"gfx942", "w64_mma64x64x32_s2", "w64_mma128x128x32_s2", "w64_mma128x128x32_s2"},
      {"sm_80", "w32_mma64x64x32_s2", "w32_mma128x128x32_s2", "w32_mma128x256x64_s3"},
      {"sm_90", "w32_wgmma128x128x64_s6", "w32_wgmma128x128x64_s6", "w32_wgmma128x256x64_s4"},
  };
  for (const Expected& expected : expectations) {
    const Target target = known_target(expected.target);
    for (const DType dtype : {DType::kF16, DType::kBF16}) {
      const std::string name = dtype_name(dtype);
      const std::string prefix = "linear_" + name + "_" + name + "_";
      const auto plan_of = [&](const LinearParams& params) {
        LaunchPlan plan;
        throw_if_error(linear_plan(params, target, plan));
        EXPECT_NE(plan.function, nullptr) << plan.kernel;
        EXPECT_LE(plan.shared_bytes, target.shared_bytes) << plan.kernel;
        return plan;
      };
      EXPECT_EQ(plan_of(aligned_params(dtype, 32, 64, 4096)).kernel, prefix + expected.few_rows);
      EXPECT_EQ(plan_of(aligned_params(dtype, 128, 64, 128)).kernel, prefix + expected.some_tiles);
      EXPECT_EQ(plan_of(aligned_params(dtype, 2048, 64, 2048)).kernel, prefix + expected.many_tiles);
      // Rows that take no 16-byte accesses: the kernel that needs none.
      const std::string any_row = target.wave == 32 ? "w32_mma64x64x32_s2" : "w64_mma64x64x32_s2";
      EXPECT_EQ(plan_of(aligned_params(dtype, 2048, 68, 2048)).kernel, prefix + any_row);
      LinearParams shifted = aligned_params(dtype, 2048, 64, 2048);
      shifted.weight.data = static_cast<std::byte*>(shifted.weight.data) + 2;
      const LaunchPlan plan = plan_of(shifted);
      EXPECT_EQ(plan.kernel, prefix + any_row);
      EXPECT_EQ(plan.grid.x, 32u * 32u);
    }
  }
}

TEST(Linear, MatrixCoresTakeOneSixteenBitDtypeInAnyOrder) {
  const Target target = known_target("gfx942");
  LinearParams params = aligned_params(DType::kF16, 256, 64, 256);
  LaunchPlan plan;
  params.batch_invariant = true;
  ASSERT_OK(linear_plan(params, target, plan));
  EXPECT_STREQ(plan.kernel, "linear_f16_f16_w64_rows4");
  params.batch_invariant = false;
  params.weight.dtype = DType::kBF16;
  ASSERT_OK(linear_plan(params, target, plan));
  EXPECT_STREQ(plan.kernel, "linear_f16_bf16_fma64x64x32");
  params = aligned_params(DType::kF16, 31, 64, 256);
  ASSERT_OK(linear_plan(params, target, plan));
  EXPECT_STREQ(plan.kernel, "linear_f16_f16_w64_rows4");
}

// Products of unequal small integers, whose sums f32 holds: any order gives the same.
TEST(Linear, EveryTargetsTilesGiveTheExactProduct) {
  const std::int64_t sizes[][3] = {{130, 136, 130}, {70, 37, 67}, {1410, 72, 2565}};
  for (const auto& [rows, in_features, out_features] : sizes) {
    Rig rig(11, nullptr);
    const auto integers = [](std::int64_t count, std::int64_t columns, std::int64_t step) {
      std::vector<double> values;
      for (std::int64_t i = 0; i < count; ++i) {
        values.push_back(static_cast<double>((i / columns * step + i % columns * 7) % 15 - 7));
      }
      return values;
    };
    const std::vector<double> x = integers(rows * in_features, in_features, 3);
    const std::vector<double> weight = integers(out_features * in_features, in_features, 11);
    LinearParams params;
    params.x = rig.input_values("x", DType::kBF16, {rows, in_features}, x);
    params.weight = rig.input_values("weight", DType::kBF16, {out_features, in_features}, weight);
    params.y.dtype = DType::kF32;
    params.batch_invariant = false;
    const std::vector<double> expected = reference::linear(x, weight, {}, rows, in_features, out_features).y;
    for (const std::string& name : known_targets()) {
      const Target target = known_target(name.c_str());
      // Those that have tiles of this size alone, and those of the device's wave.
      if (rows > 1000 && target.shared_bytes <= Target{}.shared_bytes) continue;
      if (!TargetScope(target).status().ok()) continue;
      const std::vector<double> y = run(params, 0, rows, target);
      std::size_t wrong = 0;
      while (wrong < y.size() && y[wrong] == expected[wrong]) ++wrong;
      EXPECT_EQ(wrong, y.size()) << name << ", rows " << rows << ", element " << wrong;
    }
  }
}

TEST(Linear, WhatStandsBehindARowNeverCounts) {
  // Rows of 37 in memory for 40, at multiples of 16 bytes, with NaN in the last 3.
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    Rig rig(5, nullptr);
    LinearParams params;
    std::vector<double> x(70 * 40, std::nan(""));
    std::vector<double> weight(66 * 40, std::nan(""));
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (i % 40 < 37) x[i] = 1.0;
    }
    for (std::size_t i = 0; i < weight.size(); ++i) {
      if (i % 40 < 37) weight[i] = static_cast<double>(i / 40);
    }
    params.x = rig.input_values("x", dtype, {70, 40}, x);
    params.weight = rig.input_values("weight", dtype, {66, 40}, weight);
    params.x.shape[1] = params.weight.shape[1] = 37;
    params.y.dtype = DType::kF32;
    params.batch_invariant = false;
    const std::vector<double> y = run(params, 0, 70);
    for (std::size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], static_cast<double>(37 * (i % 66))) << i;
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
  params.x.dtype = params.weight.dtype = DType::kBF16;
  params.x.shape = {100, 8200};  // 513 steps of 16: each addition of a matrix unit counts twice
  EXPECT_EQ(linear_reduction_depth(params, Target{}), 513 + 5 + 1);
  EXPECT_EQ(linear_reduction_depth(params, known_target("gfx942")), 513 * 32 + 1);
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
  for (const auto& [x, batch_invariant] :
       {std::pair{DType::kF32, true}, std::pair{DType::kF32, false}, std::pair{DType::kF16, false}}) {
    Rig rig(3, nullptr);
    LinearParams params;
    params.x = rig.input_values("x", x, {33, 33}, identity);
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

TEST(Linear, TilesTakeEachMatrixWithItsOwnStride) {
  Rig rig(1, nullptr);
  LinearParams params;
  params.x = rig.input("x", DType::kF32, {40, 33});
  params.weight = rig.input("weight", DType::kF32, {35, 33});
  params.y = rig.output("y", DType::kF32, {40, 35});
  ASSERT_OK(linear(params, nullptr));
  ASSERT_OK(rig.finish());
  const std::vector<double> y = rig.read("y");
  params.weight = rig.input_values("padded", DType::kF32, {35, 33}, rig.values("weight"), Layout::kStrided);
  ASSERT_NE(params.weight.strides[0], params.x.strides[0]);
  ASSERT_OK(rig.reset());
  ASSERT_OK(linear(params, nullptr));
  ASSERT_OK(rig.finish());
  EXPECT_EQ(rig.read("y"), y);
}

}  // namespace
}  // namespace hipforge
