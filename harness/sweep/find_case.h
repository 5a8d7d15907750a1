#pragma once

#include "harness/core/case.h"

#include <string>

namespace hipforge::harness {

/// The case of that id, among the checked ones or those of a bench, or a variant of one:
/// "op/dtype/layout/what@rows=1,family=equal". Throws Error{kNotFound} for an unknown one,
/// Error{kInvalidArgument} for settings that it cannot take.
[[nodiscard]] Case find_case(const std::string& id);

}  // namespace hipforge::harness
