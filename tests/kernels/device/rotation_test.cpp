#include "kernels/device/rotation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

namespace hipforge {
namespace {

constexpr double kRoundoff = 0x1p-24;

TEST(Rotation, AnglesKeepTheirAccuracyUpToTheLastPosition) {
  double worst = 0.0;
  // Frequencies over 0.. 2^-20 in uneven steps, positions in every octave up to 2^31.
  for (int step = 0; step < 400; ++step) {
    const float inv_freq = std::exp(-0.035f * static_cast<float>(step));
    bool valid = false;
    const std::uint64_t unit = turns_per_position(inv_freq, valid);
    ASSERT_TRUE(valid);
    for (int octave = 0; octave < 31; ++octave) {
      const std::uint64_t position = (std::uint64_t{2} << octave) - 1 - static_cast<unsigned>(octave % 3);
      float sine = 0.0f;
      float cosine = 0.0f;
      sincos_turns(unit * position, sine, cosine);
      const long double angle = static_cast<long double>(position) * static_cast<long double>(inv_freq);
      const double drift = 2.0 * std::numbers::pi * static_cast<double>(position) * 0x1p-64;
      const auto true_sine = static_cast<double>(std::sin(angle));
      const auto true_cosine = static_cast<double>(std::cos(angle));
      const double sine_bound = 1.25 * kRoundoff * std::fabs(true_sine) + drift;
      const double cosine_bound = 1.25 * kRoundoff * std::fabs(true_cosine) + drift;
      ASSERT_LE(std::fabs(static_cast<double>(sine) - true_sine), sine_bound) << inv_freq << " " << position;
      ASSERT_LE(std::fabs(static_cast<double>(cosine) - true_cosine), cosine_bound)
          << inv_freq << " " << position;
      worst = std::fmax(worst, std::fabs(static_cast<double>(sine) - true_sine) / sine_bound);
    }
  }
  EXPECT_GT(worst, 0.5);  // the bound is no wish
}

TEST(Rotation, QuartersOfATurnAreExact) {
  const float sines[] = {0.0f, 1.0f, 0.0f, -1.0f};
  for (std::uint64_t quarter = 0; quarter < 4; ++quarter) {
    float sine = 2.0f;
    float cosine = 2.0f;
    sincos_turns(quarter << 62, sine, cosine);
    EXPECT_EQ(sine, sines[quarter]);
    EXPECT_EQ(cosine, sines[(quarter + 1) % 4]);
  }
}

TEST(Rotation, ZeroTinyNegativeAndUnrepresentableFrequencies) {
  bool valid = false;
  EXPECT_EQ(turns_per_position(0.0f, valid), 0u);
  EXPECT_TRUE(valid);
  // 2^-62 / 2π turns are 0.64 of 2^-64: truncated.
  EXPECT_EQ(turns_per_position(0x1p-62f, valid), 0u);
  EXPECT_EQ(turns_per_position(0x1p-149f, valid), 0u);
  // 2^-40 / 2π · 2^64 = 2^24 / 2π = 2670176.4...
  EXPECT_EQ(turns_per_position(0x1p-40f, valid), 2670176u);
  EXPECT_EQ(turns_per_position(-0x1p-40f, valid), 0u - std::uint64_t{2670176u});
  EXPECT_TRUE(valid);
  for (float bad : {kMaxInvFreq, -kMaxInvFreq, std::numeric_limits<float>::infinity(),
                    std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_EQ(turns_per_position(bad, valid), 0u);
    EXPECT_FALSE(valid) << bad;
  }
}

}  // namespace
}  // namespace hipforge
