#pragma once

#include "harness/core/case.h"

#include <memory>
#include <string>

namespace hipforge::harness {

/// Runs cases one after another, somewhere.
class CaseRunner {
 public:
  virtual ~CaseRunner() = default;
  /// Throws Error only where nothing can run any more.
  [[nodiscard]] virtual CaseResult run(const Case& test, const Target& target) = 0;
  /// What run() may take from now on, in seconds, where it can be limited at all.
  virtual void limit(double seconds) { (void)seconds; }
  /// What there is to say of all the runs beside their results; empty where nothing.
  [[nodiscard]] virtual std::string summary() const { return {}; }
};

/// In this process: a crash of the host's code ends it. The environment's target is set for each case.
[[nodiscard]] std::unique_ptr<CaseRunner> make_local_runner(const CaseEnvironment& environment);

}  // namespace hipforge::harness
