// A test demanded that position 0 change the vector. It must not; and position + 1 must not pass for
// position.

#include "harness/core/rig.h"
#include "kernels/rope.h"
#include "tests/status_matchers.h"

#include <cmath>

namespace hipforge {
namespace {

std::vector<double> rotate(harness::Rig& rig, const std::vector<double>& positions, RopeStyle style) {
  constexpr std::int64_t kHeadDim = 8;
  const auto seq = static_cast<std::int64_t>(positions.size());
  RopeParams params;
  params.x = rig.input("x", DType::kF32, {1, seq, 2, kHeadDim});
  params.y = rig.output("y", DType::kF32, {1, seq, 2, kHeadDim});
  params.positions = rig.input_values("positions", DType::kI32, {seq}, positions);
  std::vector<float> inv_freq;
  RopeFrequencyParams frequencies;
  frequencies.rotary_dim = kHeadDim;
  EXPECT_EQ(rope_frequencies(frequencies, inv_freq, params.magnitude).message, "");
  params.inv_freq = rig.input_values("inv_freq", DType::kF32, {kHeadDim / 2},
                                     std::vector<double>(inv_freq.begin(), inv_freq.end()));
  params.rotary_dim = kHeadDim;
  params.style = style;
  EXPECT_EQ(rope(params, nullptr).message, "");
  EXPECT_EQ(rig.finish().message, "");
  return rig.read("y");
}

TEST(Chronicle003, PositionZeroIsTheIdentityBitForBit) {
  for (RopeStyle style : {RopeStyle::kInterleaved, RopeStyle::kHalfSplit}) {
    harness::Rig rig(3, nullptr);
    const std::vector<double> y = rotate(rig, {0, 0, 0}, style);
    EXPECT_EQ(y, rig.values("x"));
  }
}

TEST(Chronicle003, LaterPositionsRotateByTheirOwnAngleAndKeepNorms) {
  harness::Rig rig(3, nullptr);
  const std::vector<double> y = rotate(rig, {1, 2, 77}, RopeStyle::kInterleaved);
  const std::vector<double>& x = rig.values("x");
  // The first pair turns by `position` radians.
  const double positions[] = {1, 2, 77};
  for (std::size_t token = 0; token < 3; ++token) {
    const std::size_t i = token * 16;
    EXPECT_NEAR(y[i], x[i] * std::cos(positions[token]) - x[i + 1] * std::sin(positions[token]), 1e-6);
    EXPECT_NEAR(y[i + 1], x[i] * std::sin(positions[token]) + x[i + 1] * std::cos(positions[token]), 1e-6);
  }
  for (std::size_t i = 0; i < x.size(); i += 2) {
    EXPECT_NE(y[i], x[i]);
    EXPECT_NEAR(std::hypot(y[i], y[i + 1]), std::hypot(x[i], x[i + 1]), 1e-6);
  }
}

}  // namespace
}  // namespace hipforge
