#pragma once

#include "harness/core/case.h"
#include "kernels/argmax.h"

#include <vector>

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kArgmaxBound = R"(
Index and value are exact: bound 0.)";

/// Oracle and kArgmaxBound: ids, values where present.
[[nodiscard]] std::vector<OutputExpectation> expect(const ArgmaxParams& part, const HostTensors& host,
                                                    const Target& target, const ArgmaxParams& whole);

[[nodiscard]] OpSuite argmax_suite();

}  // namespace hipforge::harness
