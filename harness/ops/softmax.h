#pragma once

#include "harness/sweep/metamorphic.h"
#include "kernels/softmax.h"

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kSoftmaxBound = R"(
With u = 2⁻²⁴, element j's exponential has the relative error e^a_j − 1, where a_j adds
  the exponent's absolute error: u·|scale·x_j|, u·|t_j| for a mask's addition, u·|t_j − max|, each of them
  0 where f32 holds the exact result;  2u for expf, accurate to one unit in the last place;
the sum of exponentials has Σ p_k e^a_k − 1, and depth·u for its additions; the reciprocal and the product
add 2u. So the value may move by p_j·(e^(a_j + ln Σ p_k e^a_k + (depth + 2)·u) − 1), but not above 1; an
exponential below the smallest normal number loses another 2⁻¹⁴⁹ at most; then the store. Empty rows are
exact but for their store; so is a row whose t_j are the largest or at least 128 below it, 1 / count in f32.)";

/// Oracle and kSoftmaxBound: y.
[[nodiscard]] Oracle<SoftmaxParams> expect;
[[nodiscard]] Relations<SoftmaxParams> softmax_metamorphic_cases;

}  // namespace hipforge::harness
