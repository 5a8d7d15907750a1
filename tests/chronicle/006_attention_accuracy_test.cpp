// Naive parallel sums: a difference of 4.2 at 32 × 32, and an error that grew with the sequence.

#include "tests/chronicle/attention.h"

namespace hipforge {
namespace {

TEST(Chronicle006, WithinAThousandthAt32By32) {
  for (std::uint64_t seed : {1, 2, 3}) {
    AttentionCase attention(32, 32, 1, 1, 32, seed);
    EXPECT_LT(worst_difference(attention.run(), attention.textbook()), 1e-5);
  }
}

TEST(Chronicle006, TheErrorDoesNotGrowWithTheSequence) {
  // Positive inputs: a naive running sum in f32 drifts with the number of terms, a tiled one does not.
  const auto error_at = [](std::int64_t kv_len) {
    double worst = 0.0;
    for (std::uint64_t seed : {1, 2, 3, 4}) {
      AttentionCase attention(1, kv_len, 1, 1, 8, seed, harness::Family::kPositive);
      worst = std::max(worst, worst_difference(attention.run(), attention.textbook()));
    }
    return worst;
  };
  EXPECT_LT(error_at(8192), 4 * error_at(64) + 0x1p-23);
}

}  // namespace
}  // namespace hipforge
