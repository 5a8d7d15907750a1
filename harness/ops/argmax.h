#pragma once

#include "harness/core/case.h"

#include <span>

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kArgmaxBound = R"(
Index and value are exact: bound 0.)";

/// Host values of one argmax, row-major and already rounded to their dtype.
struct ArgmaxInputs {
  std::span<const double> x;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

struct ArgmaxExpected {
  Expected ids;
  Expected values;
};

/// Oracle and kArgmaxBound.
[[nodiscard]] ArgmaxExpected argmax_expected(const ArgmaxInputs& inputs, const Target& target);

[[nodiscard]] OpSuite argmax_suite();

}  // namespace hipforge::harness
