#pragma once

#include "harness/core/case.h"

#include <cstdint>
#include <span>

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kSampleBound = R"(
A weight w = exp(z), z = (logit − max) / temperature, may be off by w·(2u·|z| + 2u) + 2⁻⁴³ with u = 2⁻²⁴:
one subtraction, one division, an exponential within 1 ulp (2u), and its place among integers; the largest
is exact, and so are all sums. The edge E of an interval of the cumulative distribution, with error D
below it and D' above, moves by at most ((1 − E)·D + E·D') / total. A token is right if its interval,
widened so, holds u, in the set of top_k (exact) and of a top_p cut whose own edges, widened so, hold
top_p. The share is the distance of u (or of top_p) to the exact edge over the widening; 0 inside.)";

/// Host values of one draw per row; logits already rounded to their dtype.
struct SampleInputs {
  std::span<const double> logits;  ///< [rows, vocab]
  std::int64_t rows = 0;
  std::int64_t vocab = 0;
  double temperature = 1.0;
  std::int64_t top_k = 0;
  double top_p = 1.0;
  std::uint64_t seed = 0;
  std::uint64_t position = 0;
};

/// Whether the tokens are ones that the draws allow, by kSampleBound. `draws`, where not empty, must be the
/// oracle's u exactly.
[[nodiscard]] Comparison sample_judge(const SampleInputs& inputs, std::span<const double> ids,
                                      std::span<const double> draws);

[[nodiscard]] OpSuite sample_suite();

}  // namespace hipforge::harness
