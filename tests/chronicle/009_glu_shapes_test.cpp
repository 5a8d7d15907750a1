// The shapes of gate, up and down did not fit together, and nothing said so.

#include "harness/core/rig.h"
#include "kernels/glu.h"
#include "kernels/linear.h"
#include "tests/status_matchers.h"

#include <cmath>

namespace hipforge {
namespace {

TEST(Chronicle009, ShapesOfTheMlpAreValidated) {
  harness::Rig rig(1, nullptr);
  GluParams params;
  params.gate = rig.input("gate", DType::kF32, {2, 8});
  params.up = rig.input("up", DType::kF32, {2, 7});
  params.y = rig.output("y", DType::kF32, {2, 8});
  expect_status(glu(params, nullptr), StatusCode::kInvalidArgument, "up", "[2, 7]", "8");
  LinearParams down;
  down.x = rig.input("activated", DType::kF32, {2, 8});
  down.weight = rig.input("down", DType::kF32, {4, 7});
  down.y = rig.output("out", DType::kF32, {2, 4});
  expect_status(linear(down, nullptr), StatusCode::kInvalidArgument, "weight", "[4, 7]", "8");
}

TEST(Chronicle009, TheWholePathEqualsTheFormula) {
  harness::Rig rig(1, nullptr);
  const TensorView x = rig.input("x", DType::kF32, {2, 5});
  const TensorView gate_weight = rig.input("gate_weight", DType::kF32, {7, 5});
  const TensorView up_weight = rig.input("up_weight", DType::kF32, {7, 5});
  const TensorView down_weight = rig.input("down_weight", DType::kF32, {5, 7});
  const TensorView gate = rig.output("gate", DType::kF32, {2, 7});
  const TensorView up = rig.output("up", DType::kF32, {2, 7});
  const TensorView hidden = rig.output("hidden", DType::kF32, {2, 7});
  const TensorView y = rig.output("y", DType::kF32, {2, 5});
  ASSERT_OK(linear({.x = x, .weight = gate_weight, .bias = {}, .y = gate}, nullptr));
  ASSERT_OK(linear({.x = x, .weight = up_weight, .bias = {}, .y = up}, nullptr));
  ASSERT_OK(glu({.gate = gate, .up = up, .y = hidden}, nullptr));
  ASSERT_OK(linear({.x = hidden, .weight = down_weight, .bias = {}, .y = y}, nullptr));
  ASSERT_OK(rig.finish());
  const std::vector<double>& xs = rig.values("x");
  const std::vector<double>& gates = rig.values("gate_weight");
  const std::vector<double>& ups = rig.values("up_weight");
  const std::vector<double>& downs = rig.values("down_weight");
  const std::vector<double> out = rig.read("y");
  for (std::size_t row = 0; row < 2; ++row) {
    for (std::size_t col = 0; col < 5; ++col) {
      double sum = 0.0;
      for (std::size_t n = 0; n < 7; ++n) {
        double g = 0.0;
        double u = 0.0;
        for (std::size_t k = 0; k < 5; ++k) {
          g += xs[row * 5 + k] * gates[n * 5 + k];
          u += xs[row * 5 + k] * ups[n * 5 + k];
        }
        sum += g / (1.0 + std::exp(-g)) * u * downs[col * 7 + n];
      }
      EXPECT_NEAR(out[row * 5 + col], sum, 1e-5);
    }
  }
}

}  // namespace
}  // namespace hipforge
