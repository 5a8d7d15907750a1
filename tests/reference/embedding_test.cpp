#include "reference/embedding.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hipforge::reference {
namespace {

TEST(EmbeddingReference, PicksRowsInTheOrderOfTheIds) {
  const std::vector<double> table{1, 2, 3, 4, 5, 6};
  const std::vector<std::int32_t> ids{2, 0, 2};
  EXPECT_EQ(embedding(table, ids, 3, 2, 1.0), (std::vector<double>{5, 6, 1, 2, 5, 6}));
  EXPECT_EQ(embedding(table, ids, 2, 3, -0.5).size(), 9u);
  EXPECT_EQ(embedding(table, std::vector<std::int32_t>{1}, 2, 3, -0.5), (std::vector<double>{-2, -2.5, -3}));
}

TEST(EmbeddingReference, IdsOutsideTheTableGiveNaNRows) {
  const std::vector<double> table{1, 2, 3, 4};
  const std::vector<double> y = embedding(table, std::vector<std::int32_t>{-1, 1, 2}, 2, 2, 1.0);
  EXPECT_TRUE(std::isnan(y[0]) && std::isnan(y[1]));
  EXPECT_EQ(y[2], 3);
  EXPECT_EQ(y[3], 4);
  EXPECT_TRUE(std::isnan(y[4]) && std::isnan(y[5]));
}

TEST(EmbeddingReference, EmptySizes) {
  EXPECT_TRUE(embedding({}, {}, 0, 5, 1.0).empty());
  EXPECT_TRUE(std::isnan(embedding({}, std::vector<std::int32_t>{0}, 0, 1, 1.0)[0]));
}

}  // namespace
}  // namespace hipforge::reference
