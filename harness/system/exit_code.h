#pragma once

namespace hipforge::harness {

/// Exit codes of every command.
inline constexpr int kExitGood = 0;
inline constexpr int kExitFailed = 1;     ///< a check failed
inline constexpr int kExitUsage = 2;      ///< bad usage, or nothing matched
inline constexpr int kExitCannotRun = 3;  ///< no device, no file, a bad file, out of memory

}  // namespace hipforge::harness
