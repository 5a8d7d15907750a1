#pragma once

#include "harness/sweep/metamorphic.h"
#include "kernels/causal_mask.h"

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kCausalMaskBound = R"(
Every element is exactly 0 or −inf: bound 0.)";

/// Oracle and kCausalMaskBound: mask.
[[nodiscard]] Oracle<CausalMaskParams> expect;

}  // namespace hipforge::harness
