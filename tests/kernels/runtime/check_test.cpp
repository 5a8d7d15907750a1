#include "kernels/runtime/check.h"

#include "kernels/runtime/device_error.h"
#include "kernels/runtime/target.h"
#include "tests/status_matchers.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <thread>
#include <vector>

namespace hipforge {
namespace {

TEST(Check, AQueryOfSixteenElementsWhereThirtyTwoAreNeeded) {
  std::vector<float> storage(16);
  TensorView query = TensorView::contiguous(storage.data(), DType::kF32, {1, 2, 2, 4});
  EXPECT_EQ(query.elements, 16);
  query = TensorView::contiguous(storage.data(), DType::kF32, {1, 2, 4, 4});
  query.elements = 16;
  expect_status(check_tensor("attention", "query", query, 4), StatusCode::kInvalidArgument,
                "attention: query holds 16 elements, shape [1, 2, 4, 4] needs 32");
}

TEST(Check, HostileShapesDoNotWrap) {
  TensorView view;
  view.rank = 2;
  view.shape = {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::max()};
  view.strides = {std::numeric_limits<std::int64_t>::max(), 1};
  view.elements = 100;
  EXPECT_FALSE(check_tensor("op", "x", view, 2).ok());
  view.shape = {-1, 4};
  expect_status(check_tensor("op", "x", view, 2), StatusCode::kInvalidArgument, "negative size");
  view.shape = {2, 4};
  view.strides = {-4, 1};
  expect_status(check_tensor("op", "x", view, 2), StatusCode::kInvalidArgument, "stride -4");
}

TEST(Check, NullAndMisalignedData) {
  std::vector<float> storage(8);
  TensorView view = TensorView::contiguous(nullptr, DType::kF32, {2, 4});
  expect_status(check_tensor("op", "x", view, 2), StatusCode::kInvalidArgument, "x is null");
  view.data = reinterpret_cast<char*>(storage.data()) + 2;
  expect_status(check_tensor("op", "x", view, 2), StatusCode::kInvalidArgument, "not aligned");
  view = TensorView::contiguous(nullptr, DType::kF32, {0, 4});
  EXPECT_TRUE(check_tensor("op", "x", view, 2).ok()) << "an empty tensor needs no memory";
}

TEST(Check, SelfOverlap) {
  std::vector<float> storage(64);
  TensorView view = TensorView::contiguous(storage.data(), DType::kF32, {4, 8});
  EXPECT_TRUE(check_no_self_overlap("op", "y", view).ok());
  view.strides = {0, 1};
  expect_status(check_no_self_overlap("op", "y", view), StatusCode::kInvalidArgument, "overlaps itself");
  view.shape = {1, 8};
  EXPECT_TRUE(check_no_self_overlap("op", "y", view).ok()) << "one row needs no stride";
  view.shape = {8, 4};
  view.strides = {1, 8};
  EXPECT_TRUE(check_no_self_overlap("op", "y", view).ok()) << "a transpose does not overlap";
}

TEST(Check, OverlapOfTwo) {
  std::vector<float> storage(64);
  const TensorView a = TensorView::contiguous(storage.data(), DType::kF32, {4, 8});
  const TensorView b = TensorView::contiguous(storage.data() + 31, DType::kF32, {4, 8});
  const TensorView c = TensorView::contiguous(storage.data() + 32, DType::kF32, {4, 8});
  EXPECT_FALSE(check_no_overlap("op", "a", a, "b", b, true).ok());
  EXPECT_TRUE(check_no_overlap("op", "a", a, "c", c, false).ok());
  EXPECT_TRUE(check_no_overlap("op", "a", a, "a2", a, true).ok());
  EXPECT_FALSE(check_no_overlap("op", "a", a, "a2", a, false).ok());
}

TEST(Check, DeviceErrorBitsHaveNames) {
  EXPECT_EQ(device_error_text(0), "");
  EXPECT_EQ(device_error_text(kDeviceErrorToken | kDeviceErrorPage),
            "token id out of range, page out of range");
  EXPECT_NE(device_error_text(1u << 31).find("unknown bits"), std::string::npos);
}

TEST(Target, NamesMapToWavesAndMatrixUnits) {
  Target target;
  ASSERT_OK(target_from_name("gfx942", 32, target));
  EXPECT_EQ(target.wave, 64);
  EXPECT_EQ(target.matrix_unit, MatrixUnit::kMfma);
  ASSERT_OK(target_from_name("gfx1100", 64, target));
  EXPECT_EQ(target.wave, 32);
  ASSERT_OK(target_from_name("cpu", 64, target));
  EXPECT_EQ(target.wave, 64);
  expect_status(target_from_name("gfx000", 32, target), StatusCode::kUnsupported, "gfx000", "gfx942");
  expect_status(target_from_name("cpu", 48, target), StatusCode::kInvalidArgument, "48");
}

TEST(Target, AScopeIsOfItsThreadAndEnds) {
  EXPECT_EQ(TargetScope::innermost(), kCurrentDevice);
  for (const char* name : {"gfx942", "gfx1100"}) {
    Target device;
    ASSERT_OK(device_target(device));
    Target wanted;
    ASSERT_OK(target_from_name(name, 32, wanted));
    const TargetScope scope(wanted);
#if !defined(HIPFORGE_PLATFORM_CPU)
    if (device.wave != wanted.wave) {
      expect_status(scope.status(), StatusCode::kUnsupported, name, std::to_string(wanted.wave),
                    std::to_string(device.wave));
      continue;
    }
#endif
    ASSERT_OK(scope.status());
    EXPECT_EQ(TargetScope::innermost(), wanted);
    {
      const TargetScope inner(kCurrentDevice);
      EXPECT_EQ(TargetScope::innermost(), wanted) << "it asks for nothing";
    }
    std::thread([&] { EXPECT_EQ(TargetScope::innermost(), kCurrentDevice); }).join();
    Target now;
    ASSERT_OK(device_target(now));
    EXPECT_EQ(now, device) << "the device stays what it is";
  }
  EXPECT_EQ(TargetScope::innermost(), kCurrentDevice);
}

TEST(Check, AProductThatOverflowsOnTheLastAxisIsNotSmall) {
  std::vector<float> storage(16);
  TensorView view;
  view.data = storage.data();
  view.rank = 2;
  view.shape = {1, std::int64_t{1} << 40};
  view.strides = {1, std::int64_t{1} << 40};
  view.elements = 16;
  expect_status(check_tensor("op", "x", view, 2), StatusCode::kInvalidArgument, "holds 16 elements");
}

// Reads a and b, writes out, which may be a, and maybe extra.
struct FakeParams {
  TensorView a;
  TensorView b;
  TensorView out;
  TensorView extra;
};
template <ParamsOf<FakeParams> P, class Visit>
void for_each_operand(P& p, Visit&& visit) {
  visit(OperandRole{"a", kIn}, p.a);
  visit(OperandRole{"b", kIn | kOptional}, p.b);
  visit(OperandRole{"out", kOut, {"a"}}, p.out);
  visit(OperandRole{"extra", kOut | kOptional}, p.extra);
}

class Operands : public ::testing::Test {
 protected:
  Status check(Apart apart = nullptr) const {
    const Dim rows{params.a.shape[0], "rows of a"};
    const Dim cols{params.a.shape[1], "cols of a"};
    return check_operands("fake", params,
                          {{"a", {rows, cols}, kFloats},
                           {"b", {one_or(rows), cols}, {DType::kF32, params.a.dtype}},
                           {"out", {rows, cols}, {params.a.dtype}},
                           {"extra", {rows}, {DType::kI32}, LastAxis::kAnyStride}},
                          apart);
  }

  std::vector<float> memory_ = std::vector<float>(64);
  FakeParams params{.a = TensorView::contiguous(memory_.data(), DType::kF32, {2, 4}),
                    .b = {},
                    .out = TensorView::contiguous(memory_.data() + 8, DType::kF32, {2, 4}),
                    .extra = {}};
};

TEST_F(Operands, WhatIsAbsentIsRefusedUnlessItIsOptional) {
  ASSERT_OK(check());
  params.out = {};
  expect_status(check(), StatusCode::kInvalidArgument, "fake: out is absent, needs rank 2");
}

TEST_F(Operands, EachLineOfTheTableIsHeld) {
  params.b = TensorView::contiguous(memory_.data() + 16, DType::kF32, {3, 4});
  expect_status(check(), StatusCode::kInvalidArgument,
                "fake: b has shape [3, 4], size 3 along axis 0, needs 2 (1, or rows of a)");
  params.b.shape[0] = 1;
  ASSERT_OK(check());
  params.b.dtype = DType::kF16;
  expect_status(check(), StatusCode::kUnsupported, "fake: b has dtype f16, supported: f32");
  params.b.dtype = DType::kF32;
  params.b.strides[1] = 2;
  expect_status(check(), StatusCode::kInvalidArgument, "fake: b has stride 2 along its last axis, needs 1");
  params.b = {};
  params.extra = TensorView::contiguous(memory_.data() + 32, DType::kI32, {2});
  params.extra.strides[0] = 3;
  params.extra.elements = 4;
  ASSERT_OK(check());
  params.extra.strides[0] = 0;
  expect_status(check(), StatusCode::kInvalidArgument, "fake: extra of shape [2] overlaps itself");
}

TEST_F(Operands, OutputsLieApartButWhereTheyMayBeTheSameView) {
  params.out = params.a;
  ASSERT_OK(check());
  params.out.data = memory_.data() + 1;
  params.out.shape[0] = params.a.shape[0] = 1;
  expect_status(check(), StatusCode::kInvalidArgument,
                "fake: a and out overlap in memory without being the same view");
  ASSERT_OK(check([](const TensorView&, const TensorView&) { return true; }));
  params.out.data = memory_.data() + 8;
  params.b = params.out;
  expect_status(check(), StatusCode::kInvalidArgument, "fake: b and out overlap in memory");
  params.b = params.a;
  ASSERT_OK(check());
  params.extra = TensorView::contiguous(params.out.data, DType::kI32, {1});
  expect_status(check(), StatusCode::kInvalidArgument, "fake: out and extra overlap in memory");
}

TEST_F(Operands, AnOperandWithoutALineIsRefused) {
  expect_status(check_operands("fake", params, {{"a", {{2, "rows"}, {4, "cols"}}, kFloats}}),
                StatusCode::kInvalidArgument, "fake: out has no contract");
}

}  // namespace
}  // namespace hipforge
