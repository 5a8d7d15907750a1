#pragma once

#include "harness/check/check_options.h"
#include "harness/core/case.h"

#include <cstddef>
#include <string>
#include <vector>

namespace hipforge::harness {

inline constexpr std::size_t kShapesPerFeature = 3;

/// What the cases of a suite lack: an empty cell of feature × dtype × layout that is not excluded, a feature
/// with fewer than kShapesPerFeature shapes, without an odd one or without one over a tile. Empty where
/// nothing.
[[nodiscard]] std::vector<std::string> coverage_holes(const OpSuite& suite);

/// `hipforge check --coverage`: prints the counts and the holes; kExitFailed where there are any.
[[nodiscard]] int run_coverage(const CheckOptions& options);

}  // namespace hipforge::harness
