#pragma once

#include <functional>
#include <string>
#include <vector>

namespace hipforge::harness {

/// How a process that was started ended.
struct ChildOutcome {
  enum class End { kExit, kSignal, kTimeout, kStopped };
  End end = End::kExit;
  int number = 0;  ///< exit code, or signal
  double seconds = 0.0;
};

/// Runs command[0], a path (no shell, no search), with the rest as its arguments and `variables`
/// ("NAME=value") put over the environment, in a process group of its own. `on_line` gets every line that it
/// writes to stdout or stderr, without the newline; where it returns true the whole group is killed
/// (kStopped), as it is after timeout_s (kTimeout). Throws Error{kNotFound} where the process cannot be
/// started. Threads may call it at once.
[[nodiscard]] ChildOutcome run_child(const std::vector<std::string>& command,
                                     const std::vector<std::string>& variables, double timeout_s,
                                     const std::function<bool(const std::string&)>& on_line);

}  // namespace hipforge::harness
