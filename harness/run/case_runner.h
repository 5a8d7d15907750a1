#pragma once

#include "harness/core/case.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

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

/// kUnsupported, and what to build instead, where this build cannot watch for races.
[[nodiscard]] Status race_support();

/// While it lives, the cpu platform watches every access of every kernel (preset cpu-race): a pair that
/// nothing orders, or a read of memory that nobody wrote, fails the launch and so its case.
///
/// `inner` runs a case under the current schedule, then under the seeds that follow it until `schedules` were
/// tried or one failed. A case whose kernels have no atomic, fence or volatile access runs once: barriers
/// alone leave a schedule no choice that a kernel without a race could notice.
///
/// Throws Error where race_support() is not ok.
[[nodiscard]] std::unique_ptr<CaseRunner> make_race_runner(std::unique_ptr<CaseRunner> inner,
                                                           std::uint64_t schedules);

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
