#pragma once

#include "harness/run/case_runner.h"

#include <cstdint>
#include <memory>

namespace hipforge::harness {

/// kUnsupported, and what to build instead, where this build cannot watch.
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

}  // namespace hipforge::harness
