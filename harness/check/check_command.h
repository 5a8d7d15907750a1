#pragma once

#include "harness/check/check_options.h"

#include <string>

namespace hipforge::harness {

/// What is wrong with options, whatever is to be done with them; empty where nothing.
[[nodiscard]] std::string usage_fault(const CheckOptions& options);

/// `hipforge check`: returns an exit code; throws Error where it could not run.
[[nodiscard]] int run_check(const CheckOptions& options);

}  // namespace hipforge::harness
