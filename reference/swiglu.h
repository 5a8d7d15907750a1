#pragma once

#include <span>
#include <vector>

namespace hipforge::reference {

/// SwiGLU in double, element by element.
struct SwigluResult {
  std::vector<double> y;     ///< silu · up
  std::vector<double> silu;  ///< gate / (1 + exp(−gate)), −0 at −infinity
};

[[nodiscard]] SwigluResult swiglu(std::span<const double> gate, std::span<const double> up);

}  // namespace hipforge::reference
