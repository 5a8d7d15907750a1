#include "harness/core/inputs.h"

#include "harness/core/rig.h"
#include "tests/harness/core/rocrand_probe.h"
#include "tests/status_matchers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

namespace hipforge::harness {
namespace {

std::vector<double> draw(Family family, Shape shape, double scale = 1.0, DType dtype = DType::kF32,
                         std::uint64_t seed = 42) {
  Rig rig(seed, nullptr);
  rig.input("x", dtype, shape, family, scale);
  return rig.values("x");
}

TEST(Inputs, OneSeedGivesTheSameBitsEverywhere) {
  // Printed by the CPU platform at wave 32; every platform, wave and schedule must repeat them.
  std::uint64_t hash = 1469598103934665603ull;
  for (double value : draw(Family::kNormal, {1000})) {
    const auto narrow = static_cast<float>(value);
    std::uint32_t bits = 0;
    std::memcpy(&bits, &narrow, sizeof(bits));
    hash = (hash ^ bits) * 1099511628211ull;
  }
  EXPECT_EQ(hash, kNormalHash) << std::hex << hash;
}

TEST(Inputs, SeedsTensorsAndElementsDiffer) {
  EXPECT_NE(draw(Family::kUniform, {64}, 1.0, DType::kF32, 1),
            draw(Family::kUniform, {64}, 1.0, DType::kF32, 2));
  Rig rig(1, nullptr);
  rig.input("a", DType::kF32, {64});
  rig.input("b", DType::kF32, {64});
  EXPECT_NE(rig.values("a"), rig.values("b"));
  EXPECT_NE(rig.values("a")[0], rig.values("a")[1]);
}

TEST(Inputs, NormalsAreNormal) {
  const std::vector<double> x = draw(Family::kNormal, {200000});
  const auto n = static_cast<double>(x.size());
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / n;
  double variance = 0.0;
  double fourth = 0.0;
  for (double value : x) {
    variance += value * value / n;
    fourth += value * value * value * value / n;
  }
  EXPECT_NEAR(mean, 0.0, 5.0 / std::sqrt(n));
  EXPECT_NEAR(variance, 1.0, 5.0 * std::sqrt(2.0 / n));
  EXPECT_NEAR(fourth, 3.0, 5.0 * std::sqrt(96.0 / n));
}

TEST(Inputs, OurNormalsAgreeWithRocrandsWithinABound) {
  constexpr std::int64_t kCount = 4096;
  const std::vector<double> ours = draw(Family::kNormal, {kCount});
  const std::vector<float> theirs = rocrand_normals(kCount, 42, 0);
  double worst = 0.0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    worst = std::max(worst, std::fabs(ours[i] - static_cast<double>(theirs[i])));
  }
  // rocRAND works in f32: the angle alone carries 2π·2⁻²⁴ times a radius of at most 6.7.
  EXPECT_LT(worst, 1e-5);
  EXPECT_GT(worst, 0.0) << "a comparison of a thing with itself proves nothing";
}

TEST(Inputs, FamiliesAreWhatTheySay) {
  for (double value : draw(Family::kIntegers, {500}, 2.0)) {
    EXPECT_EQ(std::fmod(value, 2.0), 0.0);
    EXPECT_LE(std::fabs(value), 16.0);
  }
  for (double value : draw(Family::kPositive, {500})) EXPECT_TRUE(value > 0.0 && value <= 1.0);
  for (double value : draw(Family::kUniform, {500}, 3.0)) EXPECT_LE(std::fabs(value), 3.0);
  for (double value : draw(Family::kEqual, {10}, 7.0)) EXPECT_EQ(value, 7.0);
  for (double value : draw(Family::kSubnormal, {500})) EXPECT_LT(std::fabs(value), 0x1p-126);
  for (double value : draw(Family::kSubnormal, {500}, 1.0, DType::kF16)) EXPECT_LT(std::fabs(value), 0x1p-14);
  const std::vector<double> hot = draw(Family::kOneHot, {20, 9}, 5.0);
  for (std::size_t row = 0; row < 20; ++row) {
    EXPECT_EQ(std::accumulate(hot.begin() + static_cast<std::ptrdiff_t>(row * 9),
                              hot.begin() + static_cast<std::ptrdiff_t>(row * 9 + 9), 0.0),
              5.0);
  }
  const std::vector<double> cancel = draw(Family::kCancel, {512});
  for (std::size_t i = 0; i < cancel.size(); i += 2) {
    EXPECT_LE(std::fabs(cancel[i] + cancel[i + 1]), std::fabs(cancel[i]) * 0x1p-6);
  }
  std::size_t large = 0;
  for (double value : draw(Family::kOutliers, {6400})) large += std::fabs(value) > 6.0 ? 1 : 0;
  EXPECT_GT(large, 40u);
  EXPECT_LT(large, 160u);
}

TEST(Inputs, RefusesAnIntegerTensor) {
  Rig rig(1, nullptr);
  const TensorView ids = rig.output("ids", DType::kI32, {4});
  expect_status(fill(ids, Family::kNormal, 1.0, 1, 0, nullptr), StatusCode::kUnsupported, "i32");
}

}  // namespace
}  // namespace hipforge::harness
