#pragma once

#include "harness/check/check_options.h"
#include "harness/core/case.h"

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace hipforge::harness {

/// How often a suite's cases of a dtype use a feature.
struct FeatureCount {
  std::map<std::string, std::size_t> by_layout;
  std::size_t shapes = 0;  ///< distinct
  std::size_t odd = 0;
  std::size_t over_tile = 0;
};
[[nodiscard]] FeatureCount count_feature(const OpSuite& suite, const std::string& feature, DType dtype);

inline constexpr std::size_t kShapesPerFeature = 3;

/// What the cases of a suite lack: an empty cell of feature × dtype × layout that is not excluded, a feature
/// with fewer than kShapesPerFeature shapes, without an odd one or without one over a tile. Empty where
/// nothing.
[[nodiscard]] std::vector<std::string> coverage_holes(const OpSuite& suite);

/// `hipforge check --coverage`: prints the counts and the holes; kExitFailed where there are any.
[[nodiscard]] int run_coverage(const CheckOptions& options);

}  // namespace hipforge::harness
