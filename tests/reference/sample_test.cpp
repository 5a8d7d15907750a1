#include "reference/sample.h"
#include "reference/not_finite.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hipforge::reference {
namespace {

TEST(SampleReference, PhiloxGivesItsPublishedAnswers) {
  // The known-answer vectors of Random123 for philox4x32 with 10 rounds.
  const auto expect = [](PhiloxBlock counter, std::uint64_t key, PhiloxBlock answer) {
    const PhiloxBlock found = philox4x32_10(counter, key);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(found.words[i], answer.words[i]) << i;
  };
  expect({{0, 0, 0, 0}}, 0, {{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}});
  expect({{0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu}}, 0xffffffffffffffffull,
         {{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}});
  expect({{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}}, 0x299f31d0a4093822ull,
         {{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}});
}

TEST(SampleReference, TheUniformIsTheFirstWordOfTheSubsequence) {
  // 0x6627e8d5 = 1713891541, plus 1, over 2^32.
  EXPECT_NEAR(philox_uniform(0, 0), 1713891542.0 / 4294967296.0, 0x1p-25);
  EXPECT_NE(philox_uniform(0, 1), philox_uniform(0, 0));
  EXPECT_NE(philox_uniform(0, std::uint64_t{1} << 32), philox_uniform(0, 0));
  EXPECT_NE(philox_uniform(std::uint64_t{1} << 32, 0), philox_uniform(0, 0));
}

TEST(SampleReference, CandidatesFallAndTiesRise) {
  const SampleDistribution all = sample_distribution(std::vector{0.0, 2.0, kNaN, 2.0, -kInfinity}, 2.0, 0);
  EXPECT_EQ(all.order, (std::vector<std::int64_t>{1, 3, 0, 4}));
  EXPECT_EQ(all.weight[0], 1.0);
  EXPECT_EQ(all.weight[1], 1.0);
  EXPECT_NEAR(all.weight[2], std::exp(-1.0), 1e-15);
  EXPECT_EQ(all.weight[3], 0.0);
  EXPECT_EQ(sample_distribution(std::vector{0.0, 2.0, 2.0}, 1.0, 1).order, (std::vector<std::int64_t>{1}));
  EXPECT_TRUE(sample_distribution(std::vector{kNaN, -kInfinity}, 1.0, 0).order.empty());
}

TEST(SampleReference, NucleusIsTheShortestRun) {
  // Weights 1, 1/2, 1/4, 1/4: shares 0.5, 0.75, 0.875, 1.
  const SampleDistribution distribution =
      sample_distribution(std::vector{std::log(4.0), std::log(2.0), 0.0, 0.0}, 1.0, 0);
  EXPECT_EQ(sample_nucleus(distribution, 0.4), 1);
  EXPECT_EQ(sample_nucleus(distribution, 0.51), 2);
  EXPECT_EQ(sample_nucleus(distribution, 0.8), 3);
  EXPECT_EQ(sample_nucleus(distribution, 1.0), 4);
}

TEST(SampleReference, TheDrawFallsIntoAnIntervalInIndexOrder) {
  // Weights by index 1/2, 1, 1/2: edges at 0.25 and 0.75.
  const SampleDistribution distribution = sample_distribution(std::vector{0.0, std::log(2.0), 0.0}, 1.0, 0);
  EXPECT_EQ(sample_token(distribution, 3, 0.2), 0);
  EXPECT_EQ(sample_token(distribution, 3, 0.3), 1);
  EXPECT_EQ(sample_token(distribution, 3, 0.7), 1);
  EXPECT_EQ(sample_token(distribution, 3, 1.0), 2);
  // The two largest alone are 1 and, of the tie, 0.
  EXPECT_EQ(sample_token(distribution, 2, 1.0), 1);
  EXPECT_EQ(sample_token(distribution, 2, 0.3), 0);
}

}  // namespace
}  // namespace hipforge::reference
