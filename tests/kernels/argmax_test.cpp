#include "kernels/argmax.h"

#include "harness/core/rig.h"
#include "tests/refusals.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hipforge {
namespace {

using harness::Rig;
using harness::Shape;

// A legal call; each test spoils one thing.
struct ArgmaxFixture {
  Rig rig{1, nullptr};
  ArgmaxParams params;

  explicit ArgmaxFixture(const Shape& shape = {3, 40}, DType dtype = DType::kF32) {
    params.x = rig.input("x", dtype, shape);
    params.ids = rig.output("ids", DType::kI32, {shape[0]});
    params.values = rig.output("values", DType::kF32, {shape[0]});
  }
};

TEST(Argmax, RefusesWhatItsContractExcludes) {
  expect_refusals<ArgmaxFixture>(
      argmax,
      {{kInvalid,
        [](ArgmaxFixture& f) { f.params.x.elements = 119; },
        {"x holds 119 elements, shape [3, 40] needs 120"}},
       {kInvalid,
        [](ArgmaxFixture& f) { f.params.ids.shape[0] = 2; },
        {"ids has shape [2]", "needs 3 (rows of x)"}},
       {kInvalid,
        [](ArgmaxFixture& f) { f.params.values.shape[0] = 2; },
        {"values has shape [2]", "needs 3 (rows of x)"}},
       {kInvalid, [](ArgmaxFixture& f) { f.params.x.rank = 1; }, {"x has rank 1", "needs rank 2"}},
       {kInvalid, [](ArgmaxFixture& f) { f.params.x.shape[1] = 0; }, {"cols is 0, needs 1 to 2147483647"}},
       {kInvalid,
        [](ArgmaxFixture& f) {
          f.params.x.strides[1] = 2;
          f.params.x.elements = 1000;
        },
        {"x has stride 2 along its last axis"}},
       {kUnsupported,
        [](ArgmaxFixture& f) { f.params.x.dtype = DType::kU8; },
        {"x has dtype u8", "f32, f16, bf16"}},
       {kUnsupported,
        [](ArgmaxFixture& f) { f.params.ids.dtype = DType::kU32; },
        {"ids has dtype u32", "i32"}},
       {kUnsupported,
        [](ArgmaxFixture& f) { f.params.values.dtype = DType::kF16; },
        {"values has dtype f16", "f32"}},
       {kInvalid, [](ArgmaxFixture& f) { f.params.ids.strides[0] = 0; }, {"ids of shape", "overlaps itself"}},
       {kInvalid, [](ArgmaxFixture& f) { f.params.values.data = f.params.x.data; }, {"x and values overlap"}},
       {kInvalid,
        [](ArgmaxFixture& f) { f.params.values.data = f.params.ids.data; },
        {"ids and values overlap"}}});
  EXPECT_EQ(expect_operands_checked<ArgmaxFixture>(argmax), 6);
}

TEST(Argmax, PlanIsAPureFunctionOfParamsAndTarget) {
  ArgmaxFixture f({3, 5000}, DType::kF16);
  LaunchPlan first;
  LaunchPlan second;
  LaunchPlan wide;
  ASSERT_OK(argmax_plan(f.params, Target{"gfx1030", 32, MatrixUnit::kNone}, first));
  ASSERT_OK(argmax_plan(f.params, Target{"gfx1030", 32, MatrixUnit::kNone}, second));
  ASSERT_OK(argmax_plan(f.params, Target{"gfx942", 64, MatrixUnit::kMfma}, wide));
  EXPECT_STREQ(first.kernel, "argmax_f16_w32");
  EXPECT_STREQ(wide.kernel, "argmax_f16_w64");
  EXPECT_EQ(first.function, second.function);
  EXPECT_EQ(first.block.x, 160u);  // 5,000 / (32 lanes · 8 elements · 4 steps), rounded up, is 5 waves
  EXPECT_EQ(wide.block.x, 192u);
  EXPECT_EQ(first.grid.x, 3u);
  ArgmaxFixture g({1, 200000}, DType::kF16);
  ASSERT_OK(argmax_plan(g.params, Target{"gfx942", 64, MatrixUnit::kMfma}, wide));
  EXPECT_EQ(wide.block.x, 1024u);
}

TEST(Argmax, NoRowsLaunchNothing) {
  ArgmaxFixture f({0, 40});
  LaunchPlan plan;
  ASSERT_OK(argmax_plan(f.params, Target{"cpu", 32, MatrixUnit::kNone}, plan));
  EXPECT_EQ(plan.grid.x, 0u);
  ASSERT_OK(argmax(f.params, nullptr));
}

// A row that several waves take in several steps, its maximum at every index in turn with a tie behind it:
// windows of one buffer, `stride` elements apart.
void expect_every_peak(std::int64_t stride, std::int64_t shift) {
  constexpr std::int64_t kCols = 2600;
  Rig rig(1, nullptr);
  std::vector<double> buffer(2 * kCols + 16, -2.0);
  const std::int64_t peak = kCols - 1 + shift;
  buffer[static_cast<std::size_t>(peak)] = buffer[static_cast<std::size_t>(peak) + 1] = -1.0;
  ArgmaxParams params;
  params.x = rig.input_values("x", DType::kF16, {1, static_cast<std::int64_t>(buffer.size())}, buffer);
  const std::int64_t rows = (peak - shift) / stride + 1;
  params.x.shape = {rows, kCols};
  params.x.strides[0] = stride;
  params.x.data = params.x.as<std::uint16_t>() + (shift + 7) / 8 * 8;
  params.x.elements -= (shift + 7) / 8 * 8;
  params.ids = rig.output("ids", DType::kI32, {rows});
  ASSERT_OK(argmax(params, nullptr));
  ASSERT_OK(rig.finish());
  const std::vector<double> ids = rig.read("ids");
  for (std::int64_t row = 0; row < rows; ++row) {
    EXPECT_EQ(ids[static_cast<std::size_t>(row)],
              static_cast<double>(peak - (shift + 7) / 8 * 8 - row * stride));
  }
}

TEST(Argmax, TheLargestIsFoundWhereverItStands) {
  expect_every_peak(1, 0);  // rows without alignment
  for (std::int64_t shift = 1; shift <= 8; ++shift) expect_every_peak(8, shift);
}

TEST(Argmax, ARowMayServeAllRows) {
  ArgmaxFixture f({4, 100});
  f.params.x.strides[0] = 0;
  ASSERT_OK(argmax(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  const std::vector<double> ids = f.rig.read("ids");
  for (double id : ids) EXPECT_EQ(id, ids[0]);
}

TEST(Argmax, OutputsMayHaveAnyStride) {
  ArgmaxFixture f;
  ASSERT_OK(argmax(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  const std::vector<double> ids = f.rig.read("ids");
  const std::vector<double> values = f.rig.read("values");
  f.params.ids = f.rig.output("wide_ids", DType::kI32, {3, 2});
  f.params.values = f.rig.output("wide_values", DType::kF32, {3, 4});
  f.params.ids.rank = f.params.values.rank = 1;
  ASSERT_OK(f.rig.reset());
  ASSERT_OK(argmax(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  const std::vector<double> wide_ids = f.rig.read("wide_ids");
  const std::vector<double> wide_values = f.rig.read("wide_values");
  for (std::size_t row = 0; row < 3; ++row) {
    EXPECT_EQ(wide_ids[2 * row], ids[row]);
    EXPECT_EQ(wide_values[4 * row], values[row]);
  }
}

}  // namespace
}  // namespace hipforge
