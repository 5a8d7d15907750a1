#pragma once

#include "harness/sweep/metamorphic.h"
#include "kernels/argmax.h"

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kArgmaxBound = R"(
Index and value are exact: bound 0.)";

/// Oracle and kArgmaxBound: ids, values where present.
[[nodiscard]] Oracle<ArgmaxParams> expect;

}  // namespace hipforge::harness
