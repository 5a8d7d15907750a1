#pragma once

#include "harness/sweep/metamorphic.h"
#include "kernels/sample.h"

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kSampleBound = R"(
A weight w = exp(z), z = (logit − max) / temperature, may be off by w·(2u·|z| + 2u) + 2⁻⁴³ with u = 2⁻²⁴:
one subtraction, one division, an exponential within 1 ulp (2u), and its place among integers; the largest
is exact, and so are all sums. The edge E of an interval of the cumulative distribution, with error D
below it and D' above, moves by at most ((1 − E)·D + E·D') / total. A token is right if its interval,
widened so, holds u, in the set of top_k (exact) and of a top_p cut whose own edges, widened so, hold
top_p. The share is the distance of u (or of top_p) to the exact edge over the widening; 0 inside.)";

/// ids are judged by kSampleBound, draws, where present, must be the oracle's u exactly.
[[nodiscard]] Oracle<SampleParams> expect;

}  // namespace hipforge::harness
