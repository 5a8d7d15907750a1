#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::reference {

/// x [batch, seq, heads, head_dim]; positions [seq] or [batch, seq]; inv_freq [rotary_dim / 2].
struct RopeSizes {
  std::int64_t batch = 0;
  std::int64_t seq = 0;
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t rotary_dim = 0;
};

struct RopeResult {
  std::vector<double> y;
  /// magnitude · (|a cos| + |b sin|), the two products of each rotated element; 0 for copied ones.
  std::vector<double> products;
  /// |position| · magnitude · (|a| + |b|): the most that y moves when every position's angle changes by
  /// position · δ, divided by δ.
  std::vector<double> angle_slope;
};

/// Rotates pairs as vectors of the plane: (2i, 2i + 1) where interleaved, else (i, i + rotary_dim / 2).
/// Products of positions and f32 frequencies are exact in the long double that the angle is made in. A
/// negative position makes its token NaN.
[[nodiscard]] RopeResult rope(std::span<const double> x, std::span<const double> positions,
                              std::span<const double> inv_freq, const RopeSizes& sizes, bool interleaved,
                              double magnitude);

/// Inverse frequencies of the scalings, [rotary_dim / 2], each written as its paper does.
[[nodiscard]] std::vector<double> rope_frequencies_plain(std::int64_t rotary_dim, double theta);
[[nodiscard]] std::vector<double> rope_frequencies_ntk(std::int64_t rotary_dim, double theta, double factor);
[[nodiscard]] std::vector<double> rope_frequencies_yarn(std::int64_t rotary_dim, double theta, double factor,
                                                        double context, double beta_fast, double beta_slow);
[[nodiscard]] std::vector<double> rope_frequencies_llama3(std::int64_t rotary_dim, double theta,
                                                          double factor, double context, double low_factor,
                                                          double high_factor);

}  // namespace hipforge::reference
