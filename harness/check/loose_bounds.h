#pragma once

#include "harness/check/case_record.h"

#include <string>
#include <vector>

namespace hipforge::harness {

/// An output whose worst share over a whole suite stays under this has a bound too loose to mean anything.
inline constexpr double kLooseShare = 0.02;

/// A message for each op, dtype, wave and output whose bound no case comes near. An output that is compared
/// exactly everywhere has none. Means something only for the records of all cases of an op.
[[nodiscard]] std::vector<std::string> loose_bounds(const std::vector<CaseRecord>& records);

}  // namespace hipforge::harness
