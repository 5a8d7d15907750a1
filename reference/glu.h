#pragma once

#include <span>
#include <vector>

namespace hipforge::reference {

/// The activation and what it gates, in double, element by element.
struct GluResult {
  std::vector<double> y;          ///< activated · up, or activated where up is empty
  std::vector<double> activated;  ///< of gate; −0 at −infinity
};

enum class GluActivation { kSilu, kGeluTanh, kRelu2 };

/// up may be empty.
[[nodiscard]] GluResult glu(std::span<const double> gate, std::span<const double> up,
                            GluActivation activation = GluActivation::kSilu);

}  // namespace hipforge::reference
