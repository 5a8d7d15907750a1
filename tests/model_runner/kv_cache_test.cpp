#include "model_runner/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <set>
#include <type_traits>

namespace hipforge::runner {
namespace {

static_assert(std::is_move_constructible_v<KvCache> && !std::is_copy_constructible_v<KvCache>);

KvCacheShape shape_of(std::int64_t page_size, std::int64_t max_pages) {
  return {.layers = 2,
          .kv_heads = 3,
          .head_dim = 5,
          .page_size = page_size,
          .max_pages = max_pages,
          .dtype = DType::kF16};
}

TEST(KvCache, APageHoldsAsManyTokensAsItsSize) {
  // Case 001 of the bug chronicle: pages of 4, ten of them, four tokens to a new sequence.
  KvCache cache(shape_of(4, 10));
  const SequenceId sequence = cache.create_sequence();
  EXPECT_EQ(cache.length(sequence), 0);
  ASSERT_TRUE(cache.append(sequence, 4).ok());
  EXPECT_EQ(cache.length(sequence), 4);
  EXPECT_EQ(cache.block_table(sequence).size(), 1u);
  EXPECT_EQ(cache.free_pages(), 9);
  ASSERT_TRUE(cache.append(sequence, 1).ok());
  EXPECT_EQ(cache.block_table(sequence).size(), 2u);
  for (int token = 5; token < 40; ++token) ASSERT_TRUE(cache.append(sequence, 1).ok()) << token;
  EXPECT_EQ(cache.length(sequence), 40);
  EXPECT_EQ(cache.free_pages(), 0);
}

TEST(KvCache, AFullCacheSaysSoAndChangesNothing) {
  KvCache cache(shape_of(4, 3));
  const SequenceId first = cache.create_sequence();
  const SequenceId second = cache.create_sequence();
  ASSERT_TRUE(cache.append(first, 5).ok());
  ASSERT_TRUE(cache.append(second, 2).ok());
  const std::vector<std::int32_t> pages(cache.block_table(second).begin(), cache.block_table(second).end());
  const Status status = cache.append(second, 3);
  EXPECT_EQ(status.code, StatusCode::kCapacity);
  EXPECT_EQ(status.message, "kv cache: 3 tokens after 2 need 1 more pages of 4 tokens, 0 of 3 are free");
  EXPECT_EQ(cache.length(second), 2);
  EXPECT_TRUE(std::equal(pages.begin(), pages.end(), cache.block_table(second).begin(),
                         cache.block_table(second).end()));
  // What is left of pages that are held can still be used.
  EXPECT_TRUE(cache.append(second, 2).ok());
  EXPECT_TRUE(cache.append(first, 3).ok());
  EXPECT_EQ(cache.append(first, 1).code, StatusCode::kCapacity);
  EXPECT_EQ(cache.append(first, std::numeric_limits<std::int64_t>::max()).code, StatusCode::kCapacity);
  EXPECT_EQ(cache.length(first), 8);
  EXPECT_EQ(cache.append(first, -1).code, StatusCode::kInvalidArgument);
  EXPECT_TRUE(cache.append(first, 0).ok());
}

TEST(KvCache, ReleasedPagesAreTakenAgain) {
  KvCache cache(shape_of(2, 4));
  const SequenceId first = cache.create_sequence();
  ASSERT_TRUE(cache.append(first, 8).ok());
  cache.release(first);
  EXPECT_EQ(cache.free_pages(), 4);
  EXPECT_THROW((void)cache.length(first), Error);
  EXPECT_THROW((void)cache.append(first, 1), Error);
  EXPECT_THROW(cache.release(first), Error);
  EXPECT_THROW((void)cache.block_table(99), Error);
  const SequenceId second = cache.create_sequence();
  EXPECT_EQ(cache.length(second), 0);
  EXPECT_TRUE(cache.append(second, 8).ok());
}

TEST(KvCache, NoPageIsEverHeldTwice) {
  KvCache cache(shape_of(3, 17));
  std::mt19937 random(5);
  std::vector<SequenceId> live;
  for (int i = 0; i < 2000; ++i) {
    const auto what = random() % 4;
    if (what == 0 || live.empty()) {
      live.push_back(cache.create_sequence());
    } else if (what == 1) {
      const auto at = live.begin() + static_cast<std::ptrdiff_t>(random() % live.size());
      cache.release(*at);
      live.erase(at);
    } else {
      (void)cache.append(live[random() % live.size()], random() % 8);
    }
    std::set<std::int32_t> held;
    std::size_t count = 0;
    for (const SequenceId sequence : live) {
      const auto table = cache.block_table(sequence);
      held.insert(table.begin(), table.end());
      count += table.size();
      ASSERT_EQ(static_cast<std::int64_t>(table.size()), (cache.length(sequence) + 2) / 3);
    }
    ASSERT_EQ(held.size(), count);
    ASSERT_EQ(static_cast<std::int64_t>(count) + cache.free_pages(), 17);
    ASSERT_TRUE(held.empty() || (*held.begin() >= 0 && *held.rbegin() < 17));
  }
}

TEST(KvCache, ViewsOfLayersLieSideBySide) {
  const KvCache cache(shape_of(4, 10));
  const TensorView first = cache.keys(0);
  const TensorView second = cache.keys(1);
  EXPECT_EQ(first.shape_text(), "[10, 4, 3, 5]");
  EXPECT_EQ(first.elements, 600);
  EXPECT_EQ(second.as<std::byte>() - first.as<std::byte>(), 1200);
  EXPECT_EQ(cache.bytes(), 2u * 2u * 1200u);
  EXPECT_NE(cache.values(0).data, first.data);
  EXPECT_THROW((void)cache.keys(2), Error);
  EXPECT_THROW((void)cache.values(-1), Error);
}

TEST(KvCache, ImpossibleShapesAreRefused) {
  for (const auto& [page_size, max_pages] : {std::pair<std::int64_t, std::int64_t>{0, 10},
                                             {4, 0},
                                             {-1, 10},
                                             {std::int64_t{1} << 40, std::int64_t{1} << 40},
                                             {1, std::int64_t{1} << 31}}) {
    try {
      const KvCache cache(shape_of(page_size, max_pages));
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.status().code, StatusCode::kInvalidArgument);
      EXPECT_EQ(std::string_view(error.what()).find("kv cache: "), 0u);
    }
  }
}

}  // namespace
}  // namespace hipforge::runner
