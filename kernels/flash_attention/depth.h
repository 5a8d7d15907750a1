#pragma once

#include <cstdint>

namespace hipforge {

/// Roundings on the longest paths of flash_attention's sums, for the error bound.
struct FlashAttentionDepth {
  std::int64_t score = 0;    ///< of q · k
  std::int64_t weights = 0;  ///< of the sum of exponentials
  std::int64_t values = 0;   ///< of the sum of weighted values
  double factor = 1.0;       ///< of the sums of products: what one addition errs by, in roundings to nearest
  /// What was summed is rescaled when the largest score outgrows the reference of the exponentials by this
  /// much: a term that lies x below the final maximum was rescaled at most 1 + x / lag times.
  double lag = 0.0;
  double lift = 0.0;  ///< ln of what the largest weight is multiplied by, to save the smallest ones' bits
};

}  // namespace hipforge
