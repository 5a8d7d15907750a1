#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::reference {

/// The u in (0, 1] of a seed and a subsequence: Philox4x32-10's first output as rocRAND's f32 uniform.
[[nodiscard]] double philox_uniform(std::uint64_t seed, std::uint64_t subsequence);

/// The four outputs of Philox4x32-10 for a counter and a key, lowest word first.
struct PhiloxBlock {
  std::uint32_t words[4];
};
[[nodiscard]] PhiloxBlock philox4x32_10(PhiloxBlock counter, std::uint64_t key);

/// A row after temperature and top_k.
struct SampleDistribution {
  /// Candidates by falling logit, then rising index; NaN is none. Empty where no logit is above −infinity.
  std::vector<std::int64_t> order;
  std::vector<double> exponent;  ///< (logit − max) / temperature of each in `order`, 0 for the largest
  std::vector<double> weight;    ///< exp(exponent)
};

/// top_k 0 keeps all.
[[nodiscard]] SampleDistribution sample_distribution(std::span<const double> logits, double temperature,
                                                     std::int64_t top_k);

/// How many of the first candidates top_p keeps: the fewest whose weight reaches top_p of the whole.
[[nodiscard]] std::int64_t sample_nucleus(const SampleDistribution& distribution, double top_p);

/// The token whose interval of the cumulative distribution over the first `kept` candidates, in index order,
/// holds u; −1 for an empty distribution.
[[nodiscard]] std::int64_t sample_token(const SampleDistribution& distribution, std::int64_t kept, double u);

}  // namespace hipforge::reference
