#include "kernels/causal_mask.h"

#include "harness/core/rig.h"
#include "kernels/runtime/check.h"
#include "tests/refusals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace hipforge {
namespace {

using harness::Rig;

constexpr std::int64_t kHuge = std::int64_t{1} << 40;

struct CausalMaskFixture {
  Rig rig{1, nullptr};
  CausalMaskParams params;

  explicit CausalMaskFixture(DType dtype = DType::kF32) { params.mask = rig.output("mask", dtype, {3, 40}); }
};

// One character an element of a device buffer of f32: '1' where visible, '.' where −inf, '?' otherwise.
std::string picture(const DeviceBuffer& buffer) {
  std::vector<float> mask(buffer.bytes() / sizeof(float));
  buffer.download(std::as_writable_bytes(std::span(mask)));
  std::string text;
  for (float value : mask) text += value == 0.0f ? '1' : std::isinf(value) && value < 0.0f ? '.' : '?';
  return text;
}

TEST(CausalMask, RefusesWhatItsContractExcludes) {
  expect_refusals<CausalMaskFixture>(
      causal_mask,
      {{kInvalid,
        [](CausalMaskFixture& f) { f.params.mask.elements = 119; },
        {"mask holds 119 elements, shape [3, 40] needs 120"}},
       {kInvalid, [](CausalMaskFixture& f) { f.params.mask.rank = 3; }, {"mask has rank 3", "needs rank 2"}},
       {kInvalid,
        [](CausalMaskFixture& f) { f.params.mask.strides[0] = 39; },
        {"overlaps itself", "stride 39"}},
       {kInvalid,
        [](CausalMaskFixture& f) {
          f.params.mask.strides[1] = 2;
          f.params.mask.strides[0] = 1;
        },
        {"stride 2 along its last axis"}},
       {kInvalid, [](CausalMaskFixture& f) { f.params.window = -1; }, {"window is -1"}},
       {kInvalid, [](CausalMaskFixture& f) { f.params.prefix_len = -2; }, {"prefix_len is -2"}},
       {kUnsupported,
        [](CausalMaskFixture& f) { f.params.mask.dtype = DType::kI32; },
        {"mask has dtype i32", "f32, f16, bf16"}}});
  EXPECT_EQ(expect_operands_checked<CausalMaskFixture>(causal_mask), 1);
}

TEST(CausalMask, ScalarsOfAnySizeAreLegal) {
  CausalMaskFixture f;
  f.params.window = f.params.prefix_len = std::numeric_limits<std::int64_t>::max();
  ASSERT_OK(f.rig.reset());
  ASSERT_OK(causal_mask(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  for (double value : f.rig.read("mask")) EXPECT_EQ(value, 0.0);
}

TEST(CausalMask, EmptyMasksLaunchNothing) {
  for (std::size_t axis = 0; axis < 2; ++axis) {
    CausalMaskFixture f;
    f.params.mask.shape[axis] = 0;
    f.params.mask.data = nullptr;
    ASSERT_OK(causal_mask(f.params, nullptr));
    LaunchPlan plan;
    ASSERT_OK(causal_mask_plan(f.params, Target{"cpu", 32, MatrixUnit::kNone}, plan));
    EXPECT_EQ(plan.grid.x, 0u);
  }
}

TEST(CausalMask, PlanIsAPureFunctionOfParamsAndTarget) {
  CausalMaskFixture f(DType::kBF16);
  LaunchPlan first;
  LaunchPlan second;
  LaunchPlan wide;
  ASSERT_OK(causal_mask_plan(f.params, Target{"gfx1100", 32, MatrixUnit::kWmma}, first));
  ASSERT_OK(causal_mask_plan(f.params, Target{"gfx1100", 32, MatrixUnit::kWmma}, second));
  ASSERT_OK(causal_mask_plan(f.params, Target{"gfx942", 64, MatrixUnit::kMfma}, wide));
  EXPECT_EQ(first.function, second.function);
  EXPECT_STREQ(first.kernel, "causal_mask_bf16_w32");
  EXPECT_STREQ(wide.kernel, "causal_mask_bf16_w64");
  EXPECT_EQ(first.block.x, 32u);
  EXPECT_EQ(wide.block.x, 64u);
  EXPECT_EQ(first.grid.x, 3u);
}

TEST(CausalMask, BytesAreCountedWithoutOverflow) {
  std::size_t bytes = 7;
  ASSERT_OK(causal_mask_bytes(32768, 32768, DType::kF32, bytes));
  EXPECT_EQ(bytes, 4294967296u);  // the 4 GB of chronicle 013
  ASSERT_OK(causal_mask_bytes(0, kHuge, DType::kF16, bytes));
  EXPECT_EQ(bytes, 0u);
  bytes = 7;
  expect_status(causal_mask_bytes(kHuge, kHuge, DType::kF16, bytes), StatusCode::kInvalidArgument,
                "1099511627776", "more bytes than 64 bits count");
  expect_status(causal_mask_bytes(-1, 4, DType::kF32, bytes), StatusCode::kInvalidArgument, "q_len is -1");
  expect_status(causal_mask_bytes(4, -3, DType::kF32, bytes), StatusCode::kInvalidArgument, "kv_len is -3");
  expect_status(causal_mask_bytes(4, 4, DType::kU8, bytes), StatusCode::kUnsupported, "dtype u8",
                "f32, f16, bf16");
  EXPECT_EQ(bytes, 7u);
}

TEST(MakeCausalMask, RefusesWhatDoesNotFitBeforeItAllocates) {
  DeviceBuffer buffer(64);
  const void* before = buffer.data();
  // 2³⁰ × 2³⁰ elements of 4 bytes: 4 EiB.
  const std::int64_t side = std::int64_t{1} << 30;
  const Status status = make_causal_mask(side, side, DType::kF32, 0, 0, nullptr, buffer);
  expect_status(status, StatusCode::kOutOfMemory, "1073741824 × 1073741824",
                "needs 4611686018427387904 bytes", "free");
  EXPECT_EQ(buffer.data(), before);
  EXPECT_EQ(buffer.bytes(), 64u);
  EXPECT_EQ(hipGetLastError(), hipSuccess);  // no allocation was tried
}

TEST(MakeCausalMask, RefusesBadArgumentsAndLeavesTheBuffer) {
  DeviceBuffer buffer(64);
  expect_status(make_causal_mask(-1, 4, DType::kF32, 0, 0, nullptr, buffer), StatusCode::kInvalidArgument,
                "q_len is -1");
  expect_status(make_causal_mask(4, 4, DType::kF32, -1, 0, nullptr, buffer), StatusCode::kInvalidArgument,
                "window is -1");
  expect_status(make_causal_mask(4, 4, DType::kI32, 0, 0, nullptr, buffer), StatusCode::kUnsupported,
                "dtype i32");
  EXPECT_EQ(buffer.bytes(), 64u);
}

TEST(MakeCausalMask, MakesThePictureOfEachKind) {
  const auto made = [](std::int64_t q_len, std::int64_t kv_len, std::int64_t window,
                       std::int64_t prefix_len) {
    DeviceBuffer buffer;
    throw_if_error(make_causal_mask(q_len, kv_len, DType::kF32, window, prefix_len, nullptr, buffer));
    HIPFORGE_HIP_CHECK(hipDeviceSynchronize());
    return picture(buffer);
  };
  EXPECT_EQ(made(3, 3, 0, 0), "1..11.111");
  EXPECT_EQ(made(2, 4, 0, 0), "111.1111");
  EXPECT_EQ(made(4, 4, 2, 0), "1...11...11...11");
  EXPECT_EQ(made(4, 4, 0, 2), "11..11..111.1111");  // GLM: j ≤ i or j < prefix_len
  EXPECT_EQ(made(0, 4, 0, 0), "");
}

}  // namespace
}  // namespace hipforge
