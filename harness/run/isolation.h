#pragma once

#include "harness/run/case_runner.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace hipforge::harness {

/// How cases run in processes of their own.
struct IsolationOptions {
  /// Of the process: this executable with these arguments, which must end in serve_cases().
  std::vector<std::string> arguments;
  double timeout_s = 30.0;            ///< of a case
  std::int64_t memory_limit_mib = 0;  ///< resident, of the process; 0: three quarters of what is available
};

/// Runs cases in a process that is executed anew, not forked, and again after it died: a crash is
/// Failure::kCrash of the case that ran, no answer in time kHang, growth over the limit kMemory, and the next
/// case goes on. One process takes many cases. Where it dies, the case runs once more in a fresh one; where
/// that passes, the earlier case is looked for after which it dies, and the message names it.
/// Throws Error where no process can be started. `targets` are the ones that the process has too.
[[nodiscard]] std::unique_ptr<CaseRunner> make_isolated_runner(const IsolationOptions& options,
                                                               const std::vector<Target>& targets);

/// The other side: answers the requests of make_isolated_runner() with `runner` until there are no more, and
/// ends the process.
[[noreturn]] void serve_cases(CaseRunner& runner, const std::vector<Target>& targets);

}  // namespace hipforge::harness
