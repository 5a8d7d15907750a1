#pragma once

#include "harness/check/check_options.h"
#include "harness/core/case.h"

#include <string>

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

/// A shell command that runs the case of that id under that target.
[[nodiscard]] std::string case_command(const std::string& id, const Target& target,
                                       const CheckOptions& options);

/// A shell command that runs this case again, alone, as it ran.
[[nodiscard]] std::string repro_command(const CaseRecord& record, const CheckOptions& options);

}  // namespace hipforge::harness
