#include "reference/swiglu.h"

#include "reference/matrix.h"

#include <cmath>
#include <limits>

namespace hipforge::reference {

SwigluResult swiglu(std::span<const double> gate, std::span<const double> up) {
  const Vector silu = map_vector(gate).unaryExpr([](double g) {
    return g == -std::numeric_limits<double>::infinity() ? -0.0 : g / (1.0 + std::exp(-g));
  });
  const Vector y = silu.cwiseProduct(map_vector(up));
  return {to_std(y), to_std(silu)};
}

}  // namespace hipforge::reference
