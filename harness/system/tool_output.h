#pragma once

#include <string>
#include <vector>

namespace hipforge::harness {

/// Runs command[0], a path (no shell, no search), with the rest as its arguments, and returns its standard
/// output; its standard error is ours. Throws Error{kNotFound} with the command where it cannot be run or
/// does not end with exit code 0.
[[nodiscard]] std::string tool_output(const std::vector<std::string>& command);

/// The first executable file of `paths`, then of the PATH's folders under the name `name`; empty where none
/// is.
[[nodiscard]] std::string find_tool(const std::vector<std::string>& paths, const std::string& name);

}  // namespace hipforge::harness
