#pragma once

#include "harness/check/check_options.h"
#include "harness/core/case.h"
#include "harness/output/summary.h"

#include <string>
#include <vector>

namespace hipforge::harness {

/// One case under one target, as it ran.
struct CaseRecord {
  const Case* test = nullptr;
  Target target;
  CaseResult result;
  double seconds = 0.0;
  std::string shrunk_id;       ///< the smallest case that fails in the same way; empty: none was looked for
  std::string shrunk_message;  ///< what is wrong with that one

  [[nodiscard]] bool failed() const { return !result.passed && !result.unsupported; }
};

/// A shell command that runs the case of that id under that target, alone.
[[nodiscard]] std::string case_command(const std::string& id, const Target& target,
                                       const CheckOptions& options);

/// What `hipforge check` says of its records: a group for every op, dtype and wave, with its worst share and
/// where that is; every result with device, compiler, seed and, where it failed, the command that repeats it.
[[nodiscard]] Summary check_summary(const CheckOptions& options, const std::vector<CaseRecord>& records,
                                    double seconds);

/// An output whose worst share over a whole suite stays under this has a bound too loose to mean anything.
inline constexpr double kLooseShare = 0.02;

/// A message for each op, dtype, wave and output whose bound no case comes near. An output that is compared
/// exactly everywhere has none. Means something only for the records of all cases of an op.
[[nodiscard]] std::vector<std::string> loose_bounds(const std::vector<CaseRecord>& records);

}  // namespace hipforge::harness
