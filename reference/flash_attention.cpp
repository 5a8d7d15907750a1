#include "reference/flash_attention.h"

#include "reference/matrix.h"
#include "reference/not_finite.h"

#include <algorithm>
#include <cmath>

namespace hipforge::reference {
namespace {

using HeadMap = Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>;

HeadMap head_of(std::span<const double> values, std::int64_t rows, std::int64_t heads, std::int64_t head_dim,
                std::int64_t head) {
  return {values.data() + (rows > 0 ? head * head_dim : 0), rows, head_dim,
          Eigen::OuterStride<>(heads * head_dim)};
}

bool is_visible(const AttentionRule& rule, std::int64_t position, std::int64_t key) {
  if (!rule.causal && rule.window == 0) return true;
  if (key < rule.prefix_len) return true;
  return key <= position && (rule.window == 0 || key > position - rule.window);
}

double soft_cap(double cap, double score) {
  return cap > 0.0 ? cap * std::tanh(score / cap) : score;
}

// The visible scores of one row, each with its uncertainty.
struct ScoredKey {
  std::int64_t key;
  double score;
  double uncertainty;
};

// One row's oracle, written to index `at` of the lse-like members and the o-like block that follows it.
void attend(const std::vector<ScoredKey>& keys, const HeadMap& values, const ScoreError& error,
            std::int64_t at, AttentionResult& result) {
  const Eigen::Index dims = values.cols();
  const auto row_at = static_cast<std::size_t>(at);
  const auto row = [&](std::vector<double>& all) {
    return Eigen::Map<Eigen::RowVectorXd>(all.data() + at * dims, dims);
  };
  result.visible[row_at] = static_cast<double>(keys.size());
  if (keys.empty()) {
    result.lse[row_at] = -kInfinity;
    return;
  }
  double largest = -kInfinity;
  bool wild = false;
  for (const ScoredKey& key : keys) {
    wild = wild || std::isnan(key.score) || key.score == kInfinity;
    largest = std::max(largest, key.score);
  }
  if (wild) {
    result.lse[row_at] = kNaN;
    row(result.o).setConstant(kNaN);
    return;
  }
  double total = 0.0;
  for (const ScoredKey& key : keys) total += std::exp(key.score - largest);
  Eigen::RowVectorXd o = Eigen::RowVectorXd::Zero(dims);
  for (const ScoredKey& key : keys) {
    o += std::exp(key.score - largest) / total * values.row(key.key);
  }
  row(result.o) = o;
  result.lse[row_at] = largest + std::log(total);

  // Weights off by factors e^±u: |Δo| ≤ Σ w (e^u − 1) |v − o| / Σ w e^−u, because Σ w (v − o) = 0. In
  // logarithms, for scores that are far apart.
  double least = 0.0;
  double most = 0.0;
  std::vector<double> below(keys.size());
  std::vector<double> uncertainty(keys.size());
  double widest = 0.0;
  for (std::size_t j = 0; j < keys.size(); ++j) {
    below[j] = largest - keys[j].score;
    uncertainty[j] = keys[j].uncertainty + error.below * below[j] + error.constant;
    if (below[j] == 0.0) widest = std::max(widest, uncertainty[j]);
  }
  for (std::size_t j = 0; j < keys.size(); ++j) {
    least += std::exp(widest - below[j] - uncertainty[j]);
    most += std::exp(uncertainty[j] - below[j] - widest);
  }
  const double log_least = std::log(least) - widest;
  result.lse_sensitivity[row_at] =
      std::max(std::log(most) + widest - std::log(total), std::log(total) - log_least);
  auto weighted = row(result.weighted);
  auto weighted_below = row(result.weighted_below);
  auto value_sum = row(result.value_sum);
  auto sensitivity = row(result.o_sensitivity);
  for (std::size_t j = 0; j < keys.size(); ++j) {
    const auto value = values.row(keys[j].key);
    const double share = std::exp(-below[j]) / total;
    const double upper = std::exp(uncertainty[j] - below[j] - log_least);
    const double change = upper == kInfinity ? kInfinity : upper - std::exp(-below[j] - log_least);
    weighted += share * value.cwiseAbs();
    weighted_below += share * below[j] * value.cwiseAbs();
    value_sum += value.cwiseAbs();
    result.below[row_at] += share * below[j];
    if (change == kInfinity) {
      // A value equal to the output is no change at all, however uncertain its weight.
      sensitivity += (value - o).unaryExpr([](double apart) { return apart == 0.0 ? 0.0 : kInfinity; });
    } else {
      sensitivity += change * (value - o).cwiseAbs();
    }
  }
}

}  // namespace

AttentionResult flash_attention(std::span<const double> q, std::span<const double> k,
                                std::span<const double> v, const AttentionShape& shape,
                                const AttentionRule& rule, const AttentionMask& mask,
                                const ScoreError& error) {
  const auto rows = static_cast<std::size_t>(shape.q_len * shape.q_heads);
  const std::size_t elements = rows * static_cast<std::size_t>(shape.head_dim);
  AttentionResult result;
  for (auto* member :
       {&result.o, &result.weighted, &result.weighted_below, &result.value_sum, &result.o_sensitivity}) {
    member->assign(elements, 0.0);
  }
  for (auto* member : {&result.lse, &result.below, &result.visible, &result.lse_sensitivity}) {
    member->assign(rows, 0.0);
  }
  std::vector<ScoredKey> keys;
  for (std::int64_t head = 0; head < shape.q_heads; ++head) {
    const std::int64_t kv_head = head * shape.kv_heads / shape.q_heads;
    const HeadMap queries = head_of(q, shape.q_len, shape.q_heads, shape.head_dim, head);
    const HeadMap head_keys = head_of(k, shape.kv_len, shape.kv_heads, shape.head_dim, kv_head);
    const HeadMap values = head_of(v, shape.kv_len, shape.kv_heads, shape.head_dim, kv_head);
    for (std::int64_t i = 0; i < shape.q_len; ++i) {
      const Eigen::RowVectorXd query = queries.row(i);
      keys.clear();
      for (std::int64_t j = 0; j < shape.kv_len; ++j) {
        if (!is_visible(rule, i + shape.kv_len - shape.q_len, j)) continue;
        const double dot = rule.scale * query.dot(head_keys.row(j));
        const double magnitude = std::fabs(rule.scale) * query.cwiseAbs().dot(head_keys.row(j).cwiseAbs());
        double score = soft_cap(rule.soft_cap, dot);
        const double off = error.dot * magnitude + error.scaled * std::fabs(dot);
        double uncertainty = std::max(std::fabs(soft_cap(rule.soft_cap, dot + off) - score),
                                      std::fabs(soft_cap(rule.soft_cap, dot - off) - score));
        if (rule.soft_cap > 0.0) uncertainty += error.capped * std::fabs(score);
        if (!mask.values.empty()) {
          const std::int64_t mask_head = mask.heads == 1 ? 0 : head;
          const std::int64_t mask_row = mask.rows == 1 ? 0 : i;
          const double added =
              mask.values[static_cast<std::size_t>((mask_head * mask.rows + mask_row) * shape.kv_len + j)];
          if (added == -kInfinity) continue;
          score += added;
          uncertainty += error.masked * std::fabs(score) + error.added * std::fabs(added);
        }
        if (score == -kInfinity) continue;
        keys.push_back({j, score, uncertainty});
      }
      attend(keys, values, error, i * shape.q_heads + head, result);
    }
  }
  return result;
}

}  // namespace hipforge::reference
