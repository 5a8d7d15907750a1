#pragma once

#include "harness/core/case.h"
#include "kernels/causal_mask.h"

#include <vector>

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kCausalMaskBound = R"(
Every element is exactly 0 or −inf: bound 0.)";

/// Oracle and kCausalMaskBound: mask.
[[nodiscard]] std::vector<OutputExpectation> expect(const CausalMaskParams& part, const HostTensors& host,
                                                    const Target& target, const CausalMaskParams& whole);

[[nodiscard]] OpSuite causal_mask_suite();

}  // namespace hipforge::harness
