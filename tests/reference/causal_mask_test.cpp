#include "reference/causal_mask.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace hipforge::reference {
namespace {

// One character an element: '1' where the key is visible (0), '.' where not (−inf); rows end in '|'.
std::string picture(std::int64_t q_len, std::int64_t kv_len, std::int64_t window, std::int64_t prefix_len) {
  const std::vector<double> mask = causal_mask(q_len, kv_len, window, prefix_len);
  std::string text;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    text += mask[i] == 0.0 ? '1' : std::isinf(mask[i]) && mask[i] < 0.0 ? '.' : '?';
    if ((i + 1) % static_cast<std::size_t>(kv_len) == 0) text += '|';
  }
  return text;
}

TEST(CausalMaskReference, LowerTriangle) {
  EXPECT_EQ(picture(3, 3, 0, 0), "1..|11.|111|");
}

TEST(CausalMaskReference, CountsFromTheBottomRight) {
  EXPECT_EQ(picture(2, 4, 0, 0), "111.|1111|");
  EXPECT_EQ(picture(1, 3, 0, 0), "111|");
  EXPECT_EQ(picture(4, 2, 0, 0), "..|..|1.|11|");
}

TEST(CausalMaskReference, WindowHoldsItsOwnKeyAndTheOnesBefore) {
  EXPECT_EQ(picture(4, 4, 1, 0), "1...|.1..|..1.|...1|");
  EXPECT_EQ(picture(3, 5, 2, 0), ".11..|..11.|...11|");
}

TEST(CausalMaskReference, PrefixIsSeenByAllAndTheRestIsCausal) {
  EXPECT_EQ(picture(4, 4, 0, 2), "11..|11..|111.|1111|");
  EXPECT_EQ(picture(4, 4, 1, 2), "11..|11..|111.|11.1|");
  EXPECT_EQ(picture(2, 2, 0, 9), "11|11|");
}

}  // namespace
}  // namespace hipforge::reference
