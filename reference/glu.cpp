#include "reference/glu.h"

#include "reference/matrix.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace hipforge::reference {
namespace {

double activate(double g, GluActivation activation) {
  if (activation == GluActivation::kRelu2) return g < 0.0 ? 0.0 : g * g;
  if (g == -std::numeric_limits<double>::infinity()) return -0.0;
  if (activation == GluActivation::kSilu) return g / (1.0 + std::exp(-g));
  // (1 + tanh(z)) / 2 is 1 / (1 + exp(−2z)), without the difference of near numbers.
  const double z = std::sqrt(2.0 / std::numbers::pi) * (g + 0.044715 * g * g * g);
  return g / (1.0 + std::exp(-2.0 * z));
}

}  // namespace

GluResult glu(std::span<const double> gate, std::span<const double> up, GluActivation activation) {
  const Vector activated = map_vector(gate).unaryExpr([&](double g) { return activate(g, activation); });
  if (up.empty()) return {to_std(activated), to_std(activated)};
  const Vector y = activated.cwiseProduct(map_vector(up));
  return {to_std(y), to_std(activated)};
}

}  // namespace hipforge::reference
