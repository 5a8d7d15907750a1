#pragma once

#include <stdexcept>

namespace hipforge::harness {

/// Exit codes of every command.
inline constexpr int kExitGood = 0;
inline constexpr int kExitFailed = 1;     ///< a check failed
inline constexpr int kExitUsage = 2;      ///< bad usage, or nothing matched
inline constexpr int kExitCannotRun = 3;  ///< no device, no file, a bad file, out of memory

/// What is wrong with how a command was called: main() says so and ends with kExitUsage.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace hipforge::harness
