#pragma once

#include "harness/check/case_record.h"
#include "harness/run/case_runner.h"

#include <set>
#include <string>

namespace hipforge::harness {

/// Prints failures as they come: the case, what is wrong with it, and a command that repeats it; then the
/// smallest and simplest case that fails in the same way, with the command that repeats that. One case is
/// shrunk for each op, dtype, wave and way to fail; the command of any other does it for that one.
class FailureReport {
 public:
  FailureReport(const CheckOptions& options, CaseRunner& runner) : options_(options), runner_(runner) {}
  /// Also puts what it was shrunk to into the record.
  void print(CaseRecord& record);

 private:
  const CheckOptions& options_;
  CaseRunner& runner_;
  std::set<std::string> shrunk_;
};

}  // namespace hipforge::harness
