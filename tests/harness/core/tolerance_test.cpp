#include "harness/core/tolerance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace hipforge::harness {
namespace {

TEST(Tolerance, RoundsAsTheFormatsDo) {
  EXPECT_EQ(round_to_dtype(DType::kF16, 1.0 + 0x1p-11), 1.0);               // a tie goes to even
  EXPECT_EQ(round_to_dtype(DType::kF16, 1.0 + 3 * 0x1p-11), 1.0 + 0x1p-9);  // and up where even is up
  EXPECT_EQ(round_to_dtype(DType::kF16, 65519.0), 65504.0);
  EXPECT_EQ(round_to_dtype(DType::kF16, 65520.0), std::numeric_limits<double>::infinity());
  EXPECT_EQ(round_to_dtype(DType::kF16, 0x1p-24), 0x1p-24);
  EXPECT_EQ(round_to_dtype(DType::kF16, 0x1p-26), 0.0);
  EXPECT_EQ(round_to_dtype(DType::kBF16, 1.0 + 0x1p-8), 1.0);
  EXPECT_EQ(round_to_dtype(DType::kF32, 0.1), static_cast<double>(0.1f));
}

TEST(Tolerance, StoreRoundingCoversEveryRounding) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (double value = 1e-9; value < 6e4; value *= 1.37) {
      EXPECT_LE(std::fabs(round_to_dtype(dtype, value) - value), store_rounding(dtype, value)) << value;
    }
    EXPECT_EQ(unit_roundoff(dtype), store_rounding(dtype, 1.0));
  }
}

}  // namespace
}  // namespace hipforge::harness
