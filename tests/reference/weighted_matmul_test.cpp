#include "reference/weighted_matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace hipforge::reference {
namespace {

WeightedMatmulSizes sized(std::int64_t batch, std::int64_t q_heads, std::int64_t kv_heads, std::int64_t q_len,
                          std::int64_t kv_len, std::int64_t head_dim) {
  WeightedMatmulSizes sizes;
  sizes.batch = batch;
  sizes.q_heads = q_heads;
  sizes.kv_heads = kv_heads;
  sizes.q_len = q_len;
  sizes.kv_len = kv_len;
  sizes.head_dim = head_dim;
  return sizes;
}

TEST(WeightedMatmulReference, HandComputedProduct) {
  // [0.1 0.9; 0.5 0.5] · [1 2; 3 4]: 0.1 + 2.7, 0.2 + 3.6; 0.5 + 1.5, 1 + 2.
  const std::vector<double> weights{0.1, 0.9, 0.5, 0.5};
  const std::vector<double> values{1.0, 2.0, 3.0, 4.0};
  const WeightedMatmulResult result = weighted_matmul(weights, values, sized(1, 1, 1, 2, 2, 2));
  const double expected[] = {2.8, 3.8, 2.0, 3.0};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(result.value[i], expected[i], 1e-15);
}

TEST(WeightedMatmulReference, MagnitudeAddsAbsoluteProducts) {
  const std::vector<double> weights{1.0, -2.0, 3.0};
  const std::vector<double> values{4.0, 5.0, -6.0};
  const WeightedMatmulResult result = weighted_matmul(weights, values, sized(1, 1, 1, 1, 3, 1));
  EXPECT_EQ(result.value[0], 4.0 - 10.0 - 18.0);
  EXPECT_EQ(result.magnitude[0], 4.0 + 10.0 + 18.0);
}

TEST(WeightedMatmulReference, RunsOfQueryHeadsShareAHeadOfValues) {
  // Weights 1 over a single key: every output is the value of its head's group. values[b, 0, h, 0] = 10·b +
  // h.
  const std::vector<double> weights(2 * 6, 1.0);
  const std::vector<double> values{0.0, 1.0, 2.0, 10.0, 11.0, 12.0};
  const WeightedMatmulResult result = weighted_matmul(weights, values, sized(2, 6, 3, 1, 1, 1));
  EXPECT_EQ(result.value,
            (std::vector<double>{0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 10.0, 10.0, 11.0, 11.0, 12.0, 12.0}));
}

TEST(WeightedMatmulReference, OutputIsOrderedByQueryThenHead) {
  // Two heads, two queries, two keys, head_dim 1; weights pick key (head + query) % 2 and scale it by 1 +
  // query. values[key, head] = 1, 2; 3, 4. Head 0: query 0 key 0: 1; query 1 key 1: 2·3. Head 1: key 1: 4;
  // key 0: 2·2.
  const std::vector<double> weights{1.0, 0.0, 0.0, 2.0, 0.0, 1.0, 2.0, 0.0};
  const std::vector<double> values{1.0, 2.0, 3.0, 4.0};
  const WeightedMatmulResult result = weighted_matmul(weights, values, sized(1, 2, 2, 2, 2, 1));
  EXPECT_EQ(result.value, (std::vector<double>{1.0, 4.0, 6.0, 4.0}));
}

TEST(WeightedMatmulReference, NothingIsMaskedAndNoKeysGiveZeros) {
  const std::vector<double> weights{0.0, 1.0};
  const std::vector<double> values{std::nan(""), 5.0, 1.0, 2.0};
  const WeightedMatmulResult result = weighted_matmul(weights, values, sized(1, 1, 1, 1, 2, 2));
  EXPECT_TRUE(std::isnan(result.value[0]));
  EXPECT_EQ(result.value[1], 2.0);
  EXPECT_EQ(weighted_matmul({}, {}, sized(1, 1, 1, 2, 0, 1)).value, (std::vector<double>{0.0, 0.0}));
}

}  // namespace
}  // namespace hipforge::reference
