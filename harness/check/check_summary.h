#pragma once

#include "harness/check/case_record.h"
#include "harness/output/summary.h"

#include <vector>

namespace hipforge::harness {

/// What `hipforge check` says of its records: a group for every op, dtype and
/// wave, with its worst share and where that is; every result with device,
/// compiler, seed and, where it failed, the command that repeats it.
[[nodiscard]] Summary check_summary(const CheckOptions& options, const std::vector<CaseRecord>& records,
                                    double seconds);

}  // namespace hipforge::harness
