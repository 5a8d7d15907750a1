#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::reference {

/// One sequence of attention in double.
struct AttentionShape {
  std::int64_t q_len = 0;
  std::int64_t kv_len = 0;
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
};

/// What becomes of q · k. Query i stands at position i + kv_len − q_len.
struct AttentionRule {
  double scale = 1.0;
  double soft_cap = 0.0;  ///< 0: none
  bool causal = false;
  std::int64_t window = 0;      ///< 0: none; else implies causal
  std::int64_t prefix_len = 0;  ///< visible to all where causal
};

/// An additive mask [heads, rows, kv_len]; heads and rows are 1 or those of the queries. Empty: none.
struct AttentionMask {
  std::span<const double> values;
  std::int64_t heads = 1;
  std::int64_t rows = 1;
};

/// How far a computed score may lie from the true one, for the sensitivities below:
///   dot · scale · Σ|q k| + scaled · |scale · q·k|, carried through the soft cap; + capped · |score after the
///   cap|;
///   + masked · |score after the mask| + added · |mask|; + below · (largest score − score) + constant
struct ScoreError {
  double dot = 0.0;
  double scaled = 0.0;
  double capped = 0.0;
  double masked = 0.0;
  double added = 0.0;
  double below = 0.0;
  double constant = 0.0;
};

/// Row-major; o-like members [q_len, q_heads, head_dim], lse-like ones [q_len, q_heads]. P: the
/// probabilities; x_j = largest score − score_j.
struct AttentionResult {
  std::vector<double> o;
  std::vector<double> lse;
  std::vector<double> weighted;        ///< Σ_j P_j |v_j|
  std::vector<double> weighted_below;  ///< Σ_j P_j x_j |v_j|
  std::vector<double> value_sum;       ///< Σ_j |v_j|, visible j
  std::vector<double> below;           ///< Σ_j P_j x_j, lse-like
  std::vector<double> visible;         ///< number of visible keys, lse-like
  /// The most that scores off by ScoreError can change o and lse: exact, not only to first order.
  std::vector<double> o_sensitivity;
  std::vector<double> lse_sensitivity;
};

/// q [q_len, q_heads, head_dim]; k, v [kv_len, kv_heads, head_dim].
[[nodiscard]] AttentionResult flash_attention(std::span<const double> q, std::span<const double> k,
                                              std::span<const double> v, const AttentionShape& shape,
                                              const AttentionRule& rule, const AttentionMask& mask,
                                              const ScoreError& error);

}  // namespace hipforge::reference
