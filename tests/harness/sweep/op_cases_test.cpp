#include "harness/sweep/op_cases.h"

#include "kernels/embedding.h"
#include "kernels/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

namespace hipforge::harness {
namespace {

// Where a view of f32 begins in an operand that begins at null.
std::int64_t first_element(const TensorView& view) {
  return static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(view.data) / sizeof(float));
}

TEST(LinearOracle, TakesALargeWeightSliceBySliceEachWithItsPartOfTheBias) {
  constexpr std::int64_t kInputs = std::int64_t{1} << 20;
  constexpr std::int64_t kOutputs = 9;
  LinearParams params;
  params.x = TensorView::contiguous(nullptr, DType::kF32, {2, kInputs});
  params.weight = TensorView::contiguous(nullptr, DType::kF32, {kOutputs, kInputs});
  params.bias = TensorView::contiguous(nullptr, DType::kF32, {kOutputs});
  params.y = TensorView::contiguous(nullptr, DType::kF32, {2, kOutputs});
  std::size_t slices = 0;
  // x is 1 and −1, a row of weights its number, and so is the bias.
  const auto fetch = [&](const TensorView& view) {
    std::vector<double> values(static_cast<std::size_t>(view.numel()));
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto row = static_cast<std::int64_t>(i) / kInputs;
      values[i] = row == 0 ? 1.0 : -1.0;
      if (view.rank == 1) values[i] = static_cast<double>(i);
      if (view.rank == 2 && view.shape[0] != 2) {
        values[i] = static_cast<double>(first_element(view) / kInputs + row);
      }
    }
    slices += view.rank == 2 && view.shape[0] != 2;
    EXPECT_LE(values.size(), std::size_t{1} << 22) << view.shape_text();
    return values;
  };
  const Expected y = suite_of("linear").expect(params, fetch, Target{}).front().expected;
  EXPECT_EQ(slices, 3u);
  ASSERT_EQ(y.value.size(), 2u * kOutputs);
  for (std::int64_t n = 0; n < kOutputs; ++n) {
    const auto at = static_cast<std::size_t>(n);
    EXPECT_EQ(y.value[at], static_cast<double>(n * kInputs + n)) << n;
    EXPECT_EQ(y.value[at + kOutputs], static_cast<double>(n - n * kInputs)) << n;
    EXPECT_EQ(y.bound[at], 0.0) << n;
  }
}

TEST(EmbeddingOracle, AsksForTheRowsOfGoodIdsAlone) {
  EmbeddingParams params;
  params.scale = 2.0f;
  params.table = TensorView::contiguous(nullptr, DType::kF32, {1000, 2});
  params.ids = TensorView::contiguous(nullptr, DType::kI32, {4});
  params.y = TensorView::contiguous(nullptr, DType::kF32, {4, 2});
  std::vector<std::int64_t> rows;
  const auto fetch = [&](const TensorView& view) {
    if (view.rank == 1) return std::vector<double>{999.0, 1000.0, -1.0, 7.0};
    rows.push_back(first_element(view) / 2);
    EXPECT_EQ(view.numel(), 2);
    return std::vector<double>(2, static_cast<double>(rows.back()));
  };
  const Expected y = suite_of("embedding").expect(params, fetch, Target{}).front().expected;
  EXPECT_EQ(rows, (std::vector<std::int64_t>{999, 7}));
  ASSERT_EQ(y.value.size(), 8u);
  EXPECT_EQ(y.value[1], 1998.0);
  for (std::size_t i = 2; i < 6; ++i) EXPECT_TRUE(std::isnan(y.value[i])) << i;
  EXPECT_EQ(y.value[6], 14.0);
}

}  // namespace
}  // namespace hipforge::harness
