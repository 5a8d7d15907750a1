#pragma once

#include "harness/core/case.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

namespace hipforge::harness {

/// A smaller and simpler case that fails in the same way as another one.
struct Shrunk {
  Case test;
  CaseResult result;
  std::string changes;    ///< "rows 5 -> 1, family normal -> equal"
  std::size_t tries = 0;  ///< cases that were run to find it
  bool finished = false;  ///< no setting alone makes it simpler still; false where time ran out
};

/// Looks for the smallest sizes and simplest data with which `failing` still fails as `result` says
/// (Failure::kWrong stays kWrong): sizes by bisection, choices from the simplest on, again and again until
/// nothing changes or `seconds` are over. `run` runs a case. Empty where nothing simpler fails.
[[nodiscard]] std::optional<Shrunk> shrink(const Case& failing, const CaseResult& result,
                                           const std::function<CaseResult(const Case&)>& run, double seconds);

}  // namespace hipforge::harness
