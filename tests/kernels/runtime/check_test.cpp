#include "kernels/runtime/check.h"

#include "kernels/runtime/device_error.h"
#include "kernels/runtime/target.h"
#include "tests/status_matchers.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
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

TEST(Target, AnOverrideDecidesWhatLaunchersPlanFor) {
  for (const char* name : {"gfx942", "gfx1100"}) {
    Target wanted;
    ASSERT_OK(target_from_name(name, 32, wanted));
    const Status status = set_target_override(wanted);
#if !defined(HIPFORGE_PLATFORM_CPU)
    Target device;
    ASSERT_OK(current_target(device));
    if (device.wave != wanted.wave) {
      expect_status(status, StatusCode::kUnsupported, name, std::to_string(wanted.wave),
                    std::to_string(device.wave));
      continue;
    }
#endif
    ASSERT_OK(status);
    Target now;
    ASSERT_OK(current_target(now));
    EXPECT_EQ(now, wanted);
    ASSERT_OK(set_target_override(std::nullopt));
  }
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

}  // namespace
}  // namespace hipforge
