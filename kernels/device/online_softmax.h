#pragma once

#include "kernels/device/dtype.h"

#include <hip/hip_runtime.h>

#include <cmath>
#include <cstdint>

namespace hipforge {

/// How far the largest score may outgrow the reference that exponentials are taken against before everything
/// summed so far is rescaled. A lag of 0 would rescale, and round, at every new maximum; with this one a term
/// that was rescaled n times has shrunk by at least exp(−lag·n), and no exponential exceeds exp(lag).
inline constexpr float kMaxLag = 4.0f;

/// The weight of a removed element: −0 adds nothing to a sum, and is told from a weight that underflowed
/// (+0). A sum that starts from it is still it exactly where every element was removed.
inline constexpr float kRemovedWeight = -0.0f;

__device__ inline bool weight_is_removed(float weight) {
  return detail::bit_cast<std::uint32_t>(weight) == 0x80000000u;
}

/// Adds `term` to a sum that runs with a compensation (Kahan, "Further remarks on reducing truncation
/// errors", 1965): the error stays near 2u·Σ|term| however many terms there are. `excess` is what `sum` holds
/// too much; it stays finite, so that an infinite sum stays infinite. Adding 0 may round `excess` away: it is
/// not the same as adding nothing.
__device__ inline void compensated_add(float& sum, float& excess, float term) {
  const float corrected = term - excess;
  const float next = sum + corrected;
  const float found = (next - sum) - corrected;
  excess = fabsf(found) < INFINITY ? found : 0.0f;
  sum = next;
}

/// Multiplies such a sum. The added 0 turns −0 into +0, so that no sum depends on the sign of a term that is
/// zero.
__device__ inline void compensated_scale(float& sum, float& excess, float factor) {
  sum = sum * factor + 0.0f;
  excess *= factor;
}

/// The reference of an online softmax (Milakov and Gimelshein, arXiv:1805.02867), following the maximum with
/// a lag.
struct OnlineReference {
  float value = -INFINITY;

  /// Takes note of a tile's largest score; returns what everything summed so far is to be multiplied by.
  __device__ float raise(float largest) {
    if (!(largest > value + kMaxLag)) return 1.0f;
    const float factor = expf(value - largest);
    value = largest;
    return factor;
  }

  /// exp(score − reference); a score of −inf is a removed element. NaN where the score is NaN or +inf.
  __device__ float weight(float score) const {
    const float shift = value == -INFINITY ? 0.0f : value;
    return score == -INFINITY ? kRemovedWeight : expf(score - shift);
  }
};

}  // namespace hipforge
