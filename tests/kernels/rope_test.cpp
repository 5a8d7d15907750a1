#include "kernels/rope.h"

#include "harness/core/rig.h"
#include "kernels/runtime/device_error.h"
#include "reference/rope.h"
#include "tests/refusals.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>

namespace hipforge {
namespace {

using harness::Rig;
using harness::Shape;

// A legal call; each test spoils one thing.
struct RopeFixture {
  Rig rig{1, nullptr};
  RopeParams params;

  explicit RopeFixture(const Shape& shape = {2, 3, 4, 8}, DType dtype = DType::kF32,
                       std::vector<double> positions = {0.0, 1.0, 2.0}) {
    std::vector<float> inv_freq;
    const RopeFrequencyParams plain{.rotary_dim = shape[3], .factors = {}};
    throw_if_error(rope_frequencies(plain, inv_freq, params.magnitude));
    params.rotary_dim = shape[3];
    params.x = rig.input("x", dtype, shape);
    params.y = rig.output("y", dtype, shape);
    params.positions = rig.input_values("positions", DType::kI32, {shape[1]}, positions);
    const std::vector<double> frequencies(inv_freq.begin(), inv_freq.end());
    params.inv_freq = rig.input_values("inv_freq", DType::kF32, {shape[3] / 2}, frequencies);
    params.error_word = rig.error_word();
  }
  std::vector<double> run() {
    throw_if_error(rig.reset());
    throw_if_error(rope(params, nullptr));
    throw_if_error(rig.finish());
    return rig.read("y");
  }
};

TEST(Rope, RefusesWhatItsContractExcludes) {
  const std::vector<double> zeros(24, 0.0);
  expect_refusals<RopeFixture>(
      rope,
      {// Chronicle 012: ids in the form [batch × heads × seq] were a format error that said nothing.
       {kInvalid,
        [&](RopeFixture& f) {
          f.params.positions = f.rig.input_values("per_head", DType::kI32, {24}, zeros);
        },
        {"positions has shape [24]", "[seq] = [3]", "[batch, seq] = [2, 3]", "[batch × heads × seq]"}},
       {kInvalid,
        [&](RopeFixture& f) {
          f.params.positions = f.rig.input_values("rank3", DType::kI32, {2, 4, 3}, zeros);
        },
        {"positions has shape [2, 4, 3]"}},
       {kInvalid,
        [&](RopeFixture& f) {
          f.params.positions = f.rig.input_values("swapped", DType::kI32, {3, 2}, std::span(zeros).first(6));
        },
        {"positions has shape [3, 2]"}},
       {kUnsupported,
        [](RopeFixture& f) { f.params.positions.dtype = DType::kF32; },
        {"positions has dtype f32", "i32"}},
       {kInvalid,
        [](RopeFixture& f) { f.params.x.elements = 191; },
        {"x holds 191 elements, shape [2, 3, 4, 8] needs 192"}},
       {kInvalid,
        [](RopeFixture& f) { f.params.y.shape[2] = 3; },
        {"y has shape [2, 3, 3, 8]", "needs 4 (heads of x)"}},
       {kInvalid,
        [](RopeFixture& f) { f.params.inv_freq.shape[0] = 3; },
        {"inv_freq has shape [3]", "needs 4 (rotary_dim / 2)"}},
       {kInvalid, [](RopeFixture& f) { f.params.x.rank = 3; }, {"x has rank 3", "needs rank 4"}},
       {kInvalid, [](RopeFixture& f) { f.params.magnitude = 0.0f; }, {"magnitude is 0", "needs > 0"}},
       {kInvalid,
        [](RopeFixture& f) { f.params.magnitude = std::numeric_limits<float>::infinity(); },
        {"magnitude is inf"}},
       {kUnsupported, [](RopeFixture& f) { f.params.y.dtype = DType::kF16; }, {"y has dtype f16", "f32"}},
       {kUnsupported,
        [](RopeFixture& f) { f.params.x.dtype = DType::kI32; },
        {"x has dtype i32", "f32, f16, bf16"}},
       {kInvalid,
        [](RopeFixture& f) {
          f.params.x.strides[3] = 2;
          f.params.x.elements = 1000;
        },
        {"x has stride 2 along its last axis"}},
       {kUnsupported,
        [](RopeFixture& f) { f.params.style = static_cast<RopeStyle>(7); },
        {"style 7", "interleaved, half-split"}},
       {kInvalid,
        [](RopeFixture& f) {
          f.params.y = f.params.x;
          f.params.y.data = f.params.x.as<float>() + 8;
          f.params.x.shape[0] = f.params.y.shape[0] = 1;
        },
        {"x and y overlap"}},
       {kInvalid, [](RopeFixture& f) { f.params.y.strides[1] = 0; }, {"y of shape", "overlaps itself"}}});
  for (std::int64_t rotary_dim : {0, 1, 3, 7, 10, -2}) {
    expect_refusals<RopeFixture>(
        rope, {{kInvalid,
                [=](RopeFixture& f) { f.params.rotary_dim = rotary_dim; },
                {"rotary_dim is " + std::to_string(rotary_dim), "even number from 2 to 8"}}});
  }
  const RopeFixture wide({1, 1, 1, 8194}, DType::kF32, {0.0});
  expect_status(rope(wide.params, nullptr), kInvalid, "rotary_dim is 8194", "from 2 to 8192");
  EXPECT_EQ(expect_operands_checked<RopeFixture>(rope), 6);
}

TEST(Rope, EmptyWorkLaunchesNothing) {
  for (std::size_t axis : {0u, 1u, 2u}) {
    RopeFixture f;
    f.params.x.shape[axis] = f.params.y.shape[axis] = 0;
    if (axis == 1) f.params.positions.shape[0] = 0;
    ASSERT_OK(rope(f.params, nullptr));
    LaunchPlan plan;
    ASSERT_OK(rope_plan(f.params, Target{"cpu", 64, MatrixUnit::kNone}, plan));
    EXPECT_EQ(plan.grid.x, 0u);
  }
}

TEST(Rope, PlanIsAPureFunctionOfParamsAndTarget) {
  RopeFixture f;
  LaunchPlan first;
  LaunchPlan second;
  LaunchPlan wide;
  ASSERT_OK(rope_plan(f.params, Target{"gfx1100", 32, MatrixUnit::kWmma}, first));
  ASSERT_OK(rope_plan(f.params, Target{"gfx1100", 32, MatrixUnit::kWmma}, second));
  f.params.style = RopeStyle::kHalfSplit;
  ASSERT_OK(rope_plan(f.params, Target{"gfx942", 64, MatrixUnit::kMfma}, wide));
  EXPECT_STREQ(first.kernel, "rope_interleaved_f32_w32_v4");
  EXPECT_STREQ(wide.kernel, "rope_half_split_f32_w64_v4");
  EXPECT_EQ(first.function, second.function);
  EXPECT_EQ(first.block.x, second.block.x);
  EXPECT_EQ(wide.block.x % 64, 0u);
  EXPECT_EQ(first.grid.x, 1u);
  // Rows that 16-byte accesses cannot take.
  f.params.x.data = f.params.x.as<float>() + 1;
  f.params.x.shape[0] = f.params.y.shape[0] = 1;
  ASSERT_OK(rope_plan(f.params, Target{"gfx942", 64, MatrixUnit::kMfma}, wide));
  EXPECT_STREQ(wide.kernel, "rope_half_split_f32_w64_v1");
}

// Chronicle 003: position 0 is the identity, bit by bit, whatever the bits are.
template <class Word>
void expect_identity(DType dtype, std::vector<Word> bits) {
  const auto count = static_cast<std::int64_t>(bits.size());
  for (RopeStyle style : {RopeStyle::kInterleaved, RopeStyle::kHalfSplit}) {
    for (std::int64_t rotary_dim : {count, count / 2}) {
      RopeFixture f({1, 1, 1, count}, dtype, {0.0});
      f.params.style = style;
      f.params.rotary_dim = rotary_dim;
      f.params.inv_freq.shape[0] = rotary_dim / 2;
      ASSERT_EQ(hipMemcpy(f.params.x.data, bits.data(), bits.size() * sizeof(Word), hipMemcpyHostToDevice),
                hipSuccess);
      ASSERT_OK(rope(f.params, nullptr));
      std::vector<Word> out(bits.size());
      ASSERT_EQ(hipMemcpy(out.data(), f.params.y.data, bits.size() * sizeof(Word), hipMemcpyDeviceToHost),
                hipSuccess);
      EXPECT_EQ(out, bits) << dtype_name(dtype) << " rotary_dim " << rotary_dim;
    }
  }
}

TEST(Rope, PositionZeroIsABitExactIdentity) {
  // −0, +0, a signalling and a quiet NaN with payloads, both infinities, a subnormal, a number.
  expect_identity<std::uint32_t>(DType::kF32, {0x80000000u, 0u, 0x7f800abcu, 0xffc12345u, 0x7f800000u,
                                               0xff800000u, 0x00000123u, 0x3fc00000u});
  expect_identity<std::uint16_t>(DType::kF16, {0x8000u, 0u, 0x7c12u, 0xfe34u, 0x7c00u, 0xfc00u, 0x0003u,
                                               0x3e00u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u});
  expect_identity<std::uint16_t>(DType::kBF16, {0x8000u, 0u, 0x7f81u, 0xffc3u, 0x7f80u, 0xff80u, 0x0003u,
                                                0x3fc0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u});
}

TEST(Rope, PositionsFromOneOnRotateAndKeepTheNorm) {
  RopeFixture f({1, 4, 2, 64}, DType::kF32, {1.0, 7.0, 131071.0, 2147483647.0});
  const std::vector<double> y = f.run();
  const std::vector<double>& x = f.rig.values("x");
  for (std::size_t i = 0; i < x.size(); i += 2) {
    const double before = std::hypot(x[i], x[i + 1]);
    const double after = std::hypot(y[i], y[i + 1]);
    // Each component is within 3.25u of |a| + |b|, at most √2 of the norm.
    EXPECT_NEAR(after, before, 8.0 * 0x1p-24 * before) << i;
  }
  for (std::size_t i = 0; i < x.size(); i += 64) EXPECT_NE(y[i], x[i]) << "the fastest pair did not turn";
}

TEST(Rope, ScoresDependOnTheDistanceOfPositionsAlone) {
  // One q and one k in every token: (R(p) q)·(R(p + 5) k) is the same for all p.
  const std::vector<double> starts{0.0, 1000.0, 131067.0, 16777216.0, 2147483642.0};
  std::vector<double> positions = starts;
  for (double start : starts) positions.push_back(start + 5.0);
  RopeFixture f({1, 10, 1, 64}, DType::kF32, positions);
  // Broadcast: every token reads the same vector.
  f.params.x.strides[1] = 0;
  f.params.x.shape[0] = f.params.y.shape[0] = 1;
  const std::vector<double> y = f.run();
  const std::vector<double>& x = f.rig.values("x");
  double weight = 0.0;
  for (std::size_t i = 0; i < 64; ++i) weight += 2.0 * x[i] * x[i];
  const auto score = [&](std::size_t token) {
    double sum = 0.0;
    for (std::size_t i = 0; i < 64; ++i) sum += y[token * 64 + i] * y[(token + 5) * 64 + i];
    return sum;
  };
  for (std::size_t token = 1; token < 5; ++token) {
    EXPECT_NEAR(score(token), score(0), 8.0 * 0x1p-24 * weight) << positions[token];
  }
}

TEST(Rope, ANegativePositionMakesItsTokenNaNAndSetsTheErrorWord) {
  for (RopeStyle style : {RopeStyle::kInterleaved, RopeStyle::kHalfSplit}) {
    RopeFixture f({1, 3, 2, 8}, DType::kF16, {1.0, -1.0, 2.0});
    f.params.style = style;
    f.params.rotary_dim = 4;
    f.params.inv_freq.shape[0] = 2;
    const std::vector<double> y = f.run();
    EXPECT_EQ(f.rig.read_error_word(), kDeviceErrorPosition);
    for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i / 16 == 1) << i;
    f.params.error_word = nullptr;
    const std::vector<double> again = f.run();
    for (std::size_t i = 0; i < y.size(); ++i) EXPECT_TRUE(again[i] == y[i] || i / 16 == 1) << i;
  }
}

TEST(Rope, NaNAndInfinityReachTheirPairAlone) {
  Rig rig(1, nullptr);
  std::vector<double> x(16, 1.0);
  x[2] = std::nan("");
  x[12] = std::numeric_limits<double>::infinity();
  RopeFixture f({1, 1, 2, 8}, DType::kF32, {3.0});
  f.params.x = f.rig.input_values("special", DType::kF32, {1, 1, 2, 8}, x);
  const std::vector<double> y = f.run();
  for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(!std::isfinite(y[i]), i / 2 == 1 || i / 2 == 6) << i;
}

TEST(Rope, AFrequencyWithoutAnAngleMakesItsPairNaN) {
  RopeFixture f({1, 1, 1, 8}, DType::kF32, {3.0});
  const std::vector<double> inv_freq{1.0, std::nan(""), 0x1p24, -0.5};
  f.params.inv_freq = f.rig.input_values("frequencies", DType::kF32, {4}, inv_freq);
  const std::vector<double> y = f.run();
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(std::isnan(y[i]), i >= 2 && i < 6) << i;
}

TEST(Rope, StylesAreOnePermutationOfEachOtherAndInPlaceIsTheSame) {
  RopeFixture f({1, 5, 2, 32}, DType::kF32, {0.0, 1.0, 5.0, 131072.0, 1e6});
  const std::vector<double> interleaved = f.run();
  const std::vector<double>& x = f.rig.values("x");
  const auto half = [](std::size_t i) { return i / 32 * 32 + i % 32 / 2 + (i % 2) * 16; };
  std::vector<double> split(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) split[half(i)] = x[i];
  f.params.x = f.rig.input_values("split", DType::kF32, {1, 5, 2, 32}, split);
  f.params.style = RopeStyle::kHalfSplit;
  const std::vector<double> halves = f.run();
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(halves[half(i)], interleaved[i]) << i;
  f.rig.allow_writes(f.rig.view("split"));
  f.params.y = f.params.x;
  f.run();
  EXPECT_EQ(f.rig.read("split"), halves);
}

TEST(Rope, ATokensBitsDoNotDependOnTheBatch) {
  RopeFixture f({1, 1500, 1, 16}, DType::kBF16, std::vector<double>(1500, 77.0));
  LaunchPlan many;
  ASSERT_OK(rope_plan(f.params, Target{"cpu", 32, MatrixUnit::kNone}, many));
  EXPECT_LT(many.grid.x, 1500u);  // several tokens to a block
  const std::vector<double> all = f.run();
  f.params.x.data = f.params.x.as<std::uint16_t>() + 1234 * 16;
  f.params.y.data = f.params.y.as<std::uint16_t>() + 1234 * 16;
  f.params.x.shape[1] = f.params.y.shape[1] = f.params.positions.shape[0] = 1;
  f.params.x.elements = f.params.y.elements = 16;
  const std::vector<double> alone = f.run();
  for (std::size_t i = 1234 * 16; i < 1235 * 16; ++i) EXPECT_EQ(alone[i], all[i]) << i;
}

TEST(Rope, PositionsMayHaveAnyStrides) {
  // [batch, seq] stored as [seq, batch].
  RopeFixture f;
  f.params.positions =
      f.rig.input_values("own", DType::kI32, {2, 3}, std::vector{0.0, 7.0, 2.0, 9.0, 1.0, 3.0});
  const std::vector<double> plain = f.run();
  f.params.positions =
      f.rig.input_values("swapped", DType::kI32, {3, 2}, std::vector{0.0, 9.0, 7.0, 1.0, 2.0, 3.0});
  std::swap(f.params.positions.shape[0], f.params.positions.shape[1]);
  std::swap(f.params.positions.strides[0], f.params.positions.strides[1]);
  EXPECT_EQ(f.run(), plain);
}

// ---- Frequencies ----

// The oracle has the same formulas in other words; both are rounded to f32 at the end.
void expect_frequencies(const RopeFrequencyParams& params, const std::vector<double>& oracle,
                        double magnitude) {
  std::vector<float> inv_freq;
  float found = 0.0f;
  ASSERT_OK(rope_frequencies(params, inv_freq, found));
  ASSERT_EQ(inv_freq.size(), oracle.size());
  for (std::size_t i = 0; i < oracle.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(inv_freq[i]), oracle[i], 1.0001 * 0x1p-24 * oracle[i]) << i;
  }
  EXPECT_NEAR(static_cast<double>(found), magnitude, 0x1p-24 * magnitude);
}

TEST(RopeFrequencies, AgreeWithTheOracle) {
  RopeFrequencyParams params{.rotary_dim = 128, .factors = {}};
  expect_frequencies(params, reference::rope_frequencies_plain(128, 1e4), 1.0);
  params.scaling = RopeScaling::kLinear;
  params.factor = 4.0;
  std::vector<double> linear = reference::rope_frequencies_plain(128, 1e4);
  for (double& value : linear) value /= 4.0;
  expect_frequencies(params, linear, 1.0);
  params.scaling = RopeScaling::kNtk;
  expect_frequencies(params, reference::rope_frequencies_ntk(128, 1e4, 4.0), 1.0);
  params.scaling = RopeScaling::kYarn;
  params.theta = 1e6;
  params.original_context_length = 32768;
  // 0.1·ln 4 + 1.
  expect_frequencies(params, reference::rope_frequencies_yarn(128, 1e6, 4.0, 32768.0, 32.0, 1.0),
                     1.1386294361119891);
  params.attention_factor = 0.707;
  expect_frequencies(params, reference::rope_frequencies_yarn(128, 1e6, 4.0, 32768.0, 32.0, 1.0), 0.707);
  params = {.rotary_dim = 128,
            .theta = 5e5,
            .scaling = RopeScaling::kLlama3,
            .factor = 8.0,
            .original_context_length = 8192,
            .factors = {}};
  expect_frequencies(params, reference::rope_frequencies_llama3(128, 5e5, 8.0, 8192.0, 1.0, 4.0), 1.0);
}

TEST(RopeFrequencies, AFilesFactorsDivide) {
  const std::vector<float> factors{1.0f, 2.0f, 4.0f, 8.0f};
  RopeFrequencyParams params{.rotary_dim = 8, .scaling = RopeScaling::kFactors, .factors = factors};
  expect_frequencies(params, {1.0, 0.05, 0.0025, 0.000125}, 1.0);
  params.factor = 2.0;
  params.attention_factor = 1.5;
  expect_frequencies(params, {0.5, 0.025, 0.00125, 0.0000625}, 1.5);
}

TEST(RopeFrequencies, YarnThatDoesNotStretchHasMagnitudeOne) {
  const RopeFrequencyParams params{.rotary_dim = 8,
                                   .scaling = RopeScaling::kYarn,
                                   .factor = 1.0,
                                   .original_context_length = 2048,
                                   .factors = {}};
  expect_frequencies(params, reference::rope_frequencies_plain(8, 1e4), 1.0);
}

TEST(RopeFrequencies, RefusesNumbersOutsideTheirRangeAndLeavesTheResultAlone) {
  std::vector<float> inv_freq{7.0f};
  float magnitude = 3.0f;
  const auto refuse = [&](const RopeFrequencyParams& params, const char* text) {
    expect_status(rope_frequencies(params, inv_freq, magnitude), StatusCode::kInvalidArgument, text);
    EXPECT_EQ(inv_freq, std::vector<float>{7.0f});
    EXPECT_EQ(magnitude, 3.0f);
  };
  const std::vector<float> three(3, 1.0f);
  const std::vector<float> zero{1.0f, 0.0f, 1.0f, 1.0f};
  refuse({.rotary_dim = 7, .factors = {}}, "rotary_dim is 7");
  refuse({.rotary_dim = 0, .factors = {}}, "rotary_dim is 0");
  refuse({.rotary_dim = 2, .scaling = RopeScaling::kNtk, .factors = {}},
         "rotary_dim is 2, needs an even number from 4");
  refuse({.rotary_dim = 8, .theta = 0.0, .factors = {}}, "theta is 0");
  refuse({.rotary_dim = 8, .theta = std::nan(""), .factors = {}}, "theta is nan");
  refuse({.rotary_dim = 8, .scaling = RopeScaling::kLinear, .factor = -1.0, .factors = {}}, "factor is -1");
  refuse({.rotary_dim = 8, .scaling = RopeScaling::kYarn, .factors = {}}, "original_context_length is 0");
  refuse({.rotary_dim = 8,
          .theta = 1.0,
          .scaling = RopeScaling::kYarn,
          .original_context_length = 9,
          .factors = {}},
         "theta is 1, YaRN needs > 1");
  refuse({.rotary_dim = 8,
          .scaling = RopeScaling::kYarn,
          .original_context_length = 9,
          .beta_fast = 0.5,
          .factors = {}},
         "beta_fast is 0.5, needs at least beta_slow, 1");
  refuse({.rotary_dim = 8,
          .scaling = RopeScaling::kYarn,
          .original_context_length = 9,
          .beta_slow = 0.0,
          .factors = {}},
         "beta_slow is 0");
  refuse({.rotary_dim = 8,
          .scaling = RopeScaling::kLlama3,
          .original_context_length = 9,
          .high_freq_factor = 1.0,
          .factors = {}},
         "high_freq_factor is 1, needs more than low_freq_factor, 1");
  refuse({.rotary_dim = 8, .attention_factor = -2.0, .factors = {}}, "attention_factor is -2");
  refuse({.rotary_dim = 8, .scaling = RopeScaling::kFactors, .factors = three},
         "factors holds 3 numbers, rotary_dim 8 needs 4");
  refuse({.rotary_dim = 8, .scaling = RopeScaling::kFactors, .factors = zero}, "factors is 0");
}

TEST(Rope, ThreadsThatShareTheirAnglesKeepToTheHeadsThereAre) {
  // Enough work for a thread to take two heads, and an odd number of them.
  constexpr std::int64_t kSeq = 600;
  constexpr std::int64_t kHeads = 7;
  RopeFixture f({1, kSeq, kHeads, 128}, DType::kF32, std::vector<double>(kSeq, 3.0));
  f.params.x = f.rig.input("odd_x", DType::kF32, {1, kSeq, kHeads, 128}, harness::Family::kNormal, 1.0,
                           harness::Layout::kStrided);
  const std::vector<double> y = f.run();
  const std::vector<double>& x = f.rig.values("odd_x");
  for (std::size_t row = 0; row < static_cast<std::size_t>(kSeq * kHeads); ++row) {
    const std::size_t at = row * 128;
    // The first pair turns by `position` radians.
    ASSERT_NEAR(y[at], x[at] * std::cos(3.0) - x[at + 1] * std::sin(3.0), 1e-5) << row;
  }
}

}  // namespace
}  // namespace hipforge
