#include "reference/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace hipforge::reference {
namespace {

constexpr double kQuarter = std::numbers::pi / 2.0;

TEST(RopeReference, AQuarterTurnByHand) {
  // One head of 4; both pairs turn by 90 degrees: (a, b) becomes (−b, a).
  const std::vector<double> x{1.0, 2.0, 3.0, 4.0};
  const std::vector<double> positions{1.0};
  const std::vector<double> inv_freq{kQuarter, kQuarter};
  const RopeSizes sizes{1, 1, 1, 4, 4};
  const RopeResult interleaved = rope(x, positions, inv_freq, sizes, true, 1.0);
  const RopeResult halves = rope(x, positions, inv_freq, sizes, false, 1.0);
  const double by_pairs[] = {-2.0, 1.0, -4.0, 3.0};   // (1, 2) and (3, 4)
  const double by_halves[] = {-3.0, -4.0, 1.0, 2.0};  // (1, 3) and (2, 4)
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(interleaved.y[i], by_pairs[i], 1e-14);
    EXPECT_NEAR(halves.y[i], by_halves[i], 1e-14);
  }
  // |a cos| + |b sin| with cos 0 and sin 1.
  EXPECT_NEAR(interleaved.products[0], 2.0, 1e-14);
  EXPECT_EQ(interleaved.angle_slope[0], 3.0);
}

TEST(RopeReference, MagnitudePartialDimensionsAndPositionsOfEachSequence) {
  // batch 2, seq 1, one head of 4 of which 2 turn, doubled; positions 2 and 0 at a quarter turn each.
  const std::vector<double> x{1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0};
  const std::vector<double> positions{2.0, 0.0};
  const std::vector<double> inv_freq{kQuarter};
  const RopeResult result = rope(x, positions, inv_freq, {2, 1, 1, 4, 2}, true, 2.0);
  const double expected[] = {-2.0, -4.0, 3.0, 4.0, 10.0, 12.0, 7.0, 8.0};
  for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR(result.y[i], expected[i], 1e-14) << i;
  EXPECT_EQ(result.products[2], 0.0);
}

TEST(RopeReference, NegativePositionsAreNaNAndZeroIsTheIdentity) {
  const std::vector<double> x{1.0, 2.0, 3.0, 4.0};
  const std::vector<double> positions{-1.0, 0.0};
  const std::vector<double> inv_freq{1.0};
  const RopeResult result = rope(x, positions, inv_freq, {1, 2, 1, 2, 2}, false, 1.0);
  EXPECT_TRUE(std::isnan(result.y[0]));
  EXPECT_TRUE(std::isnan(result.y[1]));
  EXPECT_EQ(result.y[2], 3.0);
  EXPECT_EQ(result.y[3], 4.0);
}

TEST(RopeReference, PlainFrequenciesAreAGeometricSeries) {
  // theta 10,000, 8 dimensions: 10000^(−i/4) = 1, 0.1, 0.01, 0.001.
  const std::vector<double> plain = rope_frequencies_plain(8, 10000.0);
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(plain[i] * std::pow(10.0, static_cast<double>(i)), 1.0, 1e-12);
}

TEST(RopeReference, NtkKeepsTheFastestAndInterpolatesTheSlowest) {
  // The base is made so that the last of d/2 frequencies is divided by exactly the factor.
  const std::vector<double> plain = rope_frequencies_plain(64, 10000.0);
  const std::vector<double> ntk = rope_frequencies_ntk(64, 10000.0, 4.0);
  EXPECT_DOUBLE_EQ(ntk.front(), 1.0);
  EXPECT_NEAR(ntk.back() / plain.back(), 0.25, 1e-12);
}

TEST(RopeReference, YarnRampByHand) {
  // d 8, theta 10,000, L 2048: dim(32) = 8·ln(2048 / 201.06) / (2·9.2103) = 1.008, low 1;
  // dim(1) = 8·ln(2048 / 6.2832) / 18.4207 = 2.513, high 3. The ramp over pairs 0..3 is 0, 0, 1/2, 1.
  const std::vector<double> yarn = rope_frequencies_yarn(8, 10000.0, 4.0, 2048.0, 32.0, 1.0);
  EXPECT_NEAR(yarn[0], 1.0, 1e-12);
  EXPECT_NEAR(yarn[1], 0.1, 1e-13);
  EXPECT_NEAR(yarn[2], 0.01 * (0.5 + 0.5 / 4.0), 1e-14);
  EXPECT_NEAR(yarn[3], 0.001 / 4.0, 1e-15);
}

TEST(RopeReference, Llama3ByHand) {
  // L 2π·1000, low 1, high 4: λ < 2π·250 (f > 0.004) stays, λ > 2π·1000 (f < 0.001) is divided by 8.
  // d 8, theta 16,000,000: frequencies 1, 1/63.2, 1/4000, ...; theta 6,250,000 gives 1, 0.02, 0.0004,
  // 0.000008.
  const double context = 2.0 * std::numbers::pi * 1000.0;
  const std::vector<double> sharp = rope_frequencies_llama3(8, 6250000.0, 8.0, context, 1.0, 4.0);
  EXPECT_NEAR(sharp[0], 1.0, 1e-12);
  EXPECT_NEAR(sharp[1], 0.02, 1e-13);
  EXPECT_NEAR(sharp[2], 0.0004 / 8.0, 1e-15);
  // Between: theta 160,000 gives f = 0.0025 at i = 2, L / λ = 2.5, so the share that stays is (2.5 − 1) / 3 =
  // 1/2.
  const std::vector<double> smooth = rope_frequencies_llama3(8, 160000.0, 8.0, context, 1.0, 4.0);
  EXPECT_NEAR(smooth[2], 0.0025 * (0.5 + 0.5 / 8.0), 1e-14);
}

}  // namespace
}  // namespace hipforge::reference
