#include "reference/kv_append.h"

#include <gtest/gtest.h>

namespace hipforge::reference {
namespace {

// Two pages of two slots, rows of one number; empty slots hold 0.
const std::vector<double> kEmpty(4, 0.0);

TEST(KvAppendReference, TokensFollowTheBlockTable) {
  // Three tokens after one that is there: token 1 ends page 1, tokens 2 and 3 fill page 0.
  const std::vector<double> cache = kv_append(
      std::vector{10.0, 20.0, 30.0}, kEmpty, std::vector{0.0, 3.0}, std::vector{4.0}, std::vector{1.0, 0.0},
      {.tokens = 3, .row = 1, .pages = 2, .page_size = 2, .batch = 1, .max_pages = 2});
  EXPECT_EQ(cache, (std::vector{20.0, 30.0, 0.0, 10.0}));
}

TEST(KvAppendReference, EachSequenceHasItsOwnLengthAndTable) {
  const std::vector<double> cache = kv_append(
      std::vector{10.0, 20.0}, kEmpty, std::vector{0.0, 1.0, 2.0}, std::vector{1.0, 2.0},
      std::vector{0.0, 1.0}, {.tokens = 2, .row = 1, .pages = 2, .page_size = 2, .batch = 2, .max_pages = 1});
  EXPECT_EQ(cache, (std::vector{10.0, 0.0, 0.0, 20.0}));
}

TEST(KvAppendReference, FaultsWriteNothing) {
  const std::vector<double> rows{10.0, 20.0, 30.0};
  const KvAppendSizes sizes{.tokens = 3, .row = 1, .pages = 2, .page_size = 2, .batch = 1, .max_pages = 2};
  const std::vector<double> table{1.0, 0.0};
  const std::vector<double> all{0.0, 3.0};
  EXPECT_EQ(kv_append(rows, kEmpty, std::vector{0.0, 4.0}, std::vector{4.0}, table, sizes), kEmpty);
  EXPECT_EQ(kv_append(rows, kEmpty, std::vector{2.0, 1.0}, std::vector{4.0}, table, sizes), kEmpty);
  EXPECT_EQ(kv_append(rows, kEmpty, all, std::vector{5.0}, table, sizes), kEmpty);
  EXPECT_EQ(kv_append(rows, kEmpty, all, std::vector{2.0}, table, sizes), kEmpty);
  // A bad second page: the token in the first is stored.
  EXPECT_EQ(kv_append(rows, kEmpty, all, std::vector{4.0}, std::vector{1.0, 2.0}, sizes),
            (std::vector{0.0, 0.0, 0.0, 10.0}));
}

}  // namespace
}  // namespace hipforge::reference
