#include "harness/core/tolerance.h"
#include "tests/kernels/device/matrix_core_probe.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>

namespace hipforge::test {
namespace {

constexpr std::size_t kTile = 16;

// Unequal numbers of both signs that f16 and bf16 hold exactly.
std::vector<float> operand(std::uint32_t salt) {
  std::vector<float> values(kTile * kTile);
  std::uint32_t state = salt;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int>(state >> 24) - 128) / 64.0f;
  }
  return values;
}

struct Product {
  std::vector<double> value;
  std::vector<double> magnitude;
};

Product multiply(const std::vector<double>& a, const std::vector<float>& b, double start) {
  Product product{std::vector<double>(kTile * kTile, start),
                  std::vector<double>(kTile * kTile, std::fabs(start))};
  for (std::size_t m = 0; m < kTile; ++m) {
    for (std::size_t n = 0; n < kTile; ++n) {
      for (std::size_t k = 0; k < kTile; ++k) {
        const double term = a[m * kTile + k] * static_cast<double>(b[k * kTile + n]);
        product.value[m * kTile + n] += term;
        product.magnitude[m * kTile + n] += std::fabs(term);
      }
    }
  }
  return product;
}

void expect_within(const std::vector<float>& found, const Product& expected, double unit) {
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double error = std::fabs(static_cast<double>(found[i]) - expected.value[i]);
    EXPECT_TRUE(error <= unit * expected.magnitude[i])
        << "element " << i << ": " << found[i] << ", expected " << expected.value[i];
  }
}

class MatrixCore : public ::testing::TestWithParam<DType> {};

TEST_P(MatrixCore, MultipliesColumnsAndRows) {
  const std::vector<float> a = operand(1);
  const std::vector<float> b = operand(2);
  const Product expected = multiply({a.begin(), a.end()}, b, 0.375);
  constexpr double kUnit = 16 * 0x1p-23;
  expect_within(matrix_core_product(GetParam(), ProbeProduct::kColumns, a, b, 0.375f), expected, kUnit);
  expect_within(matrix_core_product(GetParam(), ProbeProduct::kRows, a, b, 0.375f), expected, kUnit);
}

TEST_P(MatrixCore, AnAccumulatorIsTheOperandOfTheNextProduct) {
  const std::vector<float> a = operand(3);
  const std::vector<float> b = operand(4);
  // These products are multiples of 2^-12 below 64: f32 sums them exactly, and only the conversion rounds.
  const Product first = multiply({a.begin(), a.end()}, b, 0.0);
  std::vector<double> rounded;
  for (double value : first.value) rounded.push_back(harness::round_to_dtype(GetParam(), value));
  const Product expected = multiply(rounded, b, 0.0);
  expect_within(matrix_core_product(GetParam(), ProbeProduct::kAccumulator, a, b, 0.0f), expected,
                16 * 0x1p-23);
}

TEST_P(MatrixCore, LanesOfARowReduceToItsSum) {
  const std::vector<float> a = operand(5);
  const std::vector<float> b = operand(6);
  const Product product = multiply({a.begin(), a.end()}, b, 0.0);
  const std::vector<float> sums = matrix_core_row_sums(GetParam(), a, b);
  for (std::size_t m = 0; m < kTile; ++m) {
    double expected = 0.0;
    double magnitude = 0.0;
    for (std::size_t n = 0; n < kTile; ++n) {
      expected += product.value[m * kTile + n];
      magnitude += product.magnitude[m * kTile + n];
    }
    EXPECT_TRUE(std::fabs(static_cast<double>(sums[m]) - expected) <= 32 * 0x1p-23 * magnitude)
        << "row " << m;
  }
}

TEST_P(MatrixCore, InfinityAndNaNReachTheirRowsAndColumnsAlone) {
  std::vector<float> a = operand(7);
  std::vector<float> b(kTile * kTile, 1.0f);
  a[3 * kTile + 5] = std::numeric_limits<float>::infinity();
  b[9 * kTile + 2] = std::nanf("");
  const std::vector<float> c = matrix_core_product(GetParam(), ProbeProduct::kRows, a, b, 0.0f);
  for (std::size_t m = 0; m < kTile; ++m) {
    for (std::size_t n = 0; n < kTile; ++n) {
      const float value = c[m * kTile + n];
      if (n == 2) {
        EXPECT_TRUE(std::isnan(value)) << m << ", " << n;
      } else if (m == 3) {
        EXPECT_TRUE(std::isinf(value) && value > 0.0f) << m << ", " << n;
      } else {
        EXPECT_TRUE(std::isfinite(value)) << m << ", " << n;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, MatrixCore, ::testing::Values(DType::kF16, DType::kBF16),
                         [](const auto& instance) { return std::string(dtype_name(instance.param)); });

}  // namespace
}  // namespace hipforge::test
