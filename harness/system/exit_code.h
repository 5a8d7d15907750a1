#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string>

namespace hipforge::harness {

/// Exit codes of every command.
inline constexpr int kExitGood = 0;
inline constexpr int kExitFailed = 1;     ///< a check failed
inline constexpr int kExitUsage = 2;      ///< bad usage, or nothing matched
inline constexpr int kExitCannotRun = 3;  ///< no device, no file, a bad file, out of memory

/// Says what is wrong with how a command was called.
[[nodiscard]] inline int usage_error(const char* command, const std::string& message) {
  fmt::print(stderr, "hipforge {}: {}\n", command, message);
  return kExitUsage;
}

}  // namespace hipforge::harness
