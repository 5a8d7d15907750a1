// Runs a program and catches what it says.
#pragma once

#include <string>
#include <vector>

namespace hipforge::runner::testing {

struct ProcessResult {
  int exit_code = -1;  // 128 + the signal that ended it, as a shell would say
  std::string out;
  std::string err;
};

struct ProcessOptions {
  std::string out_path = {};                  // standard output goes there, if that is given
  bool out_closed = false;                    // standard output is a pipe that nobody reads
  std::vector<std::string> environment = {};  // "NAME=value", beside what this process has
};

/// Runs arguments[0] with the rest as its arguments.
[[nodiscard]] ProcessResult run_process(const std::vector<std::string>& arguments,
                                        const ProcessOptions& options = {});

}  // namespace hipforge::runner::testing
