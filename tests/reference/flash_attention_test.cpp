#include "reference/flash_attention.h"
#include "reference/not_finite.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hipforge::reference {
namespace {

// One head of dimension 1.
AttentionResult attend(const std::vector<double>& q, const std::vector<double>& k,
                       const std::vector<double>& v, const AttentionRule& rule = {},
                       const AttentionMask& mask = {}, const ScoreError& error = {}) {
  const AttentionShape shape{static_cast<std::int64_t>(q.size()), static_cast<std::int64_t>(k.size()), 1, 1,
                             1};
  return flash_attention(q, k, v, shape, rule, mask, error);
}

TEST(FlashAttentionReference, HandComputedRow) {
  // Scores ln 1, ln 2, ln 5: probabilities 1/8, 2/8, 5/8. o = (1·8 − 2·4 + 5·2) / 8 = 10/8.
  const std::vector<double> k{0.0, std::log(2.0), std::log(5.0)};
  const AttentionResult result = attend({1.0}, k, {8.0, -4.0, 2.0});
  EXPECT_NEAR(result.o[0], 1.25, 1e-15);
  EXPECT_NEAR(result.lse[0], std::log(8.0), 1e-15);
  EXPECT_NEAR(result.weighted[0], (8.0 + 8.0 + 10.0) / 8.0, 1e-15);
  EXPECT_EQ(result.value_sum[0], 14.0);
  // The largest score is ln 5: the others lie ln 5 and ln 2.5 below.
  EXPECT_NEAR(result.below[0], (std::log(5.0) + 2.0 * std::log(2.5)) / 8.0, 1e-15);
  EXPECT_NEAR(result.weighted_below[0], (8.0 * std::log(5.0) + 8.0 * std::log(2.5)) / 8.0, 1e-15);
}

TEST(FlashAttentionReference, ScaleThenSoftCapThenMask) {
  // Scores 0.5·4 = 2 and 0; capped 3·tanh(2/3) and 0; the mask adds 1 to the second.
  const std::vector<double> added{0.0, 1.0};
  const AttentionResult result =
      attend({4.0}, {1.0, 0.0}, {1.0, 0.0}, {.scale = 0.5, .soft_cap = 3.0}, {added});
  const double first = std::exp(3.0 * std::tanh(2.0 / 3.0));
  EXPECT_NEAR(result.o[0], first / (first + std::exp(1.0)), 1e-15);
}

TEST(FlashAttentionReference, VisibilityOfEachRule) {
  // With equal scores the output is the mean of the visible values: powers of two tell which they are.
  const std::vector<double> v{1.0, 2.0, 4.0, 8.0};
  const std::vector<double> k(4, 0.0);
  const auto sums = [&](std::size_t q_len, const AttentionRule& rule) {
    const AttentionResult result = attend(std::vector<double>(q_len, 1.0), k, v, rule);
    std::vector<double> all;
    for (std::size_t i = 0; i < q_len; ++i)
      all.push_back(std::round(result.o[i] * result.visible[i] * 1e6) / 1e6);
    return all;
  };
  EXPECT_EQ(sums(2, {}), (std::vector<double>{15, 15}));
  EXPECT_EQ(sums(2, {.causal = true}), (std::vector<double>{7, 15}));
  EXPECT_EQ(sums(4, {.causal = true}), (std::vector<double>{1, 3, 7, 15}));
  EXPECT_EQ(sums(6, {.causal = true}), (std::vector<double>{0, 0, 1, 3, 7, 15}));
  EXPECT_EQ(sums(4, {.window = 2}), (std::vector<double>{1, 3, 6, 12}));
  EXPECT_EQ(sums(4, {.causal = true, .prefix_len = 3}), (std::vector<double>{7, 7, 7, 15}));
  EXPECT_EQ(sums(4, {.window = 1, .prefix_len = 2}), (std::vector<double>{3, 3, 7, 11}));
  EXPECT_EQ(sums(6, {.causal = true, .prefix_len = 1}), (std::vector<double>{1, 1, 1, 3, 7, 15}));
}

TEST(FlashAttentionReference, HeadsOfAGroupShareAKvHead) {
  // Four q heads over two kv heads with values 10 and 20.
  const std::vector<double> q(4, 1.0);
  const std::vector<double> k(2, 0.0);
  const std::vector<double> v{10.0, 20.0};
  const AttentionResult result = flash_attention(q, k, v, {1, 1, 4, 2, 1}, {}, {}, {});
  EXPECT_EQ(result.o, (std::vector<double>{10.0, 10.0, 20.0, 20.0}));
}

TEST(FlashAttentionReference, MaskPlanesAreBroadcast) {
  // Two heads, two queries, two keys; one plane for both heads, in which each query keeps another key.
  const std::vector<double> q(4, 1.0);
  const std::vector<double> k(2, 0.0);
  const std::vector<double> v{10.0, 20.0};
  const std::vector<double> mask{0.0, -kInfinity, -kInfinity, 0.0};
  const AttentionResult result = flash_attention(q, k, v, {2, 2, 2, 1, 1}, {}, {mask, 1, 2}, {});
  EXPECT_EQ(result.o, (std::vector<double>{10.0, 10.0, 20.0, 20.0}));
}

TEST(FlashAttentionReference, RemovedElementsNeverLeakAndEmptyRowsAreZero) {
  const std::vector<double> mask{-kInfinity, 0.0};
  const AttentionResult kept = attend({1.0}, {kNaN, 0.0}, {kInfinity, 3.0}, {}, {mask});
  EXPECT_EQ(kept.o[0], 3.0);
  EXPECT_EQ(kept.lse[0], 0.0);
  const std::vector<double> all(2, -kInfinity);
  const AttentionResult empty = attend({1.0}, {kNaN, 0.0}, {kInfinity, 3.0}, {}, {all});
  EXPECT_EQ(empty.o[0], 0.0);
  EXPECT_EQ(empty.lse[0], -kInfinity);
  EXPECT_TRUE(std::isnan(attend({1.0}, {kNaN, 0.0}, {1.0, 3.0}).o[0]));
  EXPECT_TRUE(std::isnan(attend({1.0}, {kInfinity, 0.0}, {1.0, 3.0}).lse[0]));
}

TEST(FlashAttentionReference, SensitivityIsWhatAShiftOfTheScoresCauses) {
  // Two equal scores that may err by u each: the worst is +u and −u, P = 1 / (1 + e^−2u), o = 1·P.
  const double u = 0.01;
  const AttentionResult result = attend({1.0}, {0.0, 0.0}, {1.0, 0.0}, {}, {}, {.constant = u});
  const double worst = 1.0 / (1.0 + std::exp(-2.0 * u)) - 0.5;
  EXPECT_GE(result.o_sensitivity[0], worst);
  EXPECT_LE(result.o_sensitivity[0], worst * 2.1);
  EXPECT_NEAR(result.lse_sensitivity[0], u, 1e-15);
}

TEST(FlashAttentionReference, FarApartScoresAreInsensitive) {
  // Scores ±1e30 off by 1e22: the probabilities are 1 and 0 all the same.
  const AttentionResult result = attend({1e15}, {1e15, -1e15}, {3.0, 5.0}, {}, {}, {.dot = 1e-8});
  EXPECT_EQ(result.o[0], 3.0);
  EXPECT_EQ(result.o_sensitivity[0], 0.0);
  // Twice the same huge score: nothing can be said.
  EXPECT_EQ(attend({1e15}, {1e15, 1e15}, {3.0, 5.0}, {}, {}, {.dot = 1e-8}).o_sensitivity[0], kInfinity);
}

}  // namespace
}  // namespace hipforge::reference
