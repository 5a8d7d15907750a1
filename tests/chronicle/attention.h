#pragma once

#include "harness/core/rig.h"
#include "kernels/flash_attention.h"
#include "tests/status_matchers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace hipforge {

/// Operands of one dense attention, [1, len, heads, head_dim].
struct AttentionCase {
  harness::Rig rig;
  FlashAttentionParams params;

  AttentionCase(std::int64_t q_len, std::int64_t kv_len, std::int64_t q_heads, std::int64_t kv_heads,
                std::int64_t head_dim, std::uint64_t seed = 1,
                harness::Family family = harness::Family::kNormal, double scale = 1.0)
      : rig(seed, nullptr) {
    params.q = rig.input("q", DType::kF32, {1, q_len, q_heads, head_dim}, family, scale);
    params.k = rig.input("k", DType::kF32, {1, kv_len, kv_heads, head_dim}, family, scale);
    params.v = rig.input("v", DType::kF32, {1, kv_len, kv_heads, head_dim}, family, scale);
    params.o = rig.output("o", DType::kF32, {1, q_len, q_heads, head_dim});
  }

  std::vector<double> run() {
    EXPECT_EQ(rig.reset().message, "");
    EXPECT_EQ(flash_attention(params, nullptr).message, "");
    EXPECT_EQ(rig.finish().message, "");
    return rig.read("o");
  }

  /// The textbook: all scores of a row, softmax, weighted values, in double.
  std::vector<double> textbook() const {
    const std::int64_t q_len = params.q.shape[1];
    const std::int64_t kv_len = params.k.shape[1];
    const std::int64_t q_heads = params.q.shape[2];
    const std::int64_t kv_heads = params.k.shape[2];
    const std::int64_t head_dim = params.q.shape[3];
    const std::vector<double>& q = rig.values("q");
    const std::vector<double>& k = rig.values("k");
    const std::vector<double>& v = rig.values("v");
    const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
    std::vector<double> out(q.size(), 0.0);
    for (std::int64_t i = 0; i < q_len; ++i) {
      for (std::int64_t h = 0; h < q_heads; ++h) {
        const std::int64_t kv_head = h * kv_heads / q_heads;
        const std::int64_t keys = params.causal ? std::min(kv_len, i + kv_len - q_len + 1) : kv_len;
        std::vector<double> score(static_cast<std::size_t>(std::max<std::int64_t>(keys, 0)));
        double largest = -std::numeric_limits<double>::infinity();
        for (std::int64_t j = 0; j < keys; ++j) {
          double dot = 0.0;
          for (std::int64_t d = 0; d < head_dim; ++d) {
            dot += q[at(i, h, d, q_heads, head_dim)] * k[at(j, kv_head, d, kv_heads, head_dim)];
          }
          score[static_cast<std::size_t>(j)] = scale * dot;
          largest = std::max(largest, scale * dot);
        }
        double sum = 0.0;
        for (double& s : score) sum += s = std::exp(s - largest);
        for (std::int64_t j = 0; j < keys; ++j) {
          for (std::int64_t d = 0; d < head_dim; ++d) {
            out[at(i, h, d, q_heads, head_dim)] +=
                score[static_cast<std::size_t>(j)] / sum * v[at(j, kv_head, d, kv_heads, head_dim)];
          }
        }
      }
    }
    return out;
  }

  static std::size_t at(std::int64_t i, std::int64_t h, std::int64_t d, std::int64_t heads,
                        std::int64_t head_dim) {
    return static_cast<std::size_t>((i * heads + h) * head_dim + d);
  }
};

inline double worst_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double worst = a.size() == b.size() ? 0.0 : std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    const double difference = std::fabs(a[i] - b[i]);
    if (!(difference <= worst)) worst = difference;  // a NaN stays
  }
  return worst;
}

}  // namespace hipforge
