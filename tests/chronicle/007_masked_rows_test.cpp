// All scores very negative, or all masked: the sum underflowed to 0 and the result was infinite.

#include "kernels/softmax.h"
#include "tests/chronicle/attention.h"

namespace hipforge {
namespace {

TEST(Chronicle007, ScoresOfAnySizeGiveFiniteAttention) {
  for (double scale : {1e-15, 1.0, 1e15}) {
    AttentionCase attention(3, 40, 2, 1, 16, 5, harness::Family::kNormal, scale);
    for (double value : attention.run()) EXPECT_TRUE(std::isfinite(value)) << scale;
  }
}

TEST(Chronicle007, AllScoresVeryNegativeIsNotAllMasked) {
  harness::Rig rig(1, nullptr);
  SoftmaxParams params;
  params.x = rig.input_values("x", DType::kF32, {1, 1, 1, 4}, std::vector<double>(4, -1e30));
  params.y = rig.output("y", DType::kF32, {1, 1, 1, 4});
  ASSERT_OK(softmax(params, nullptr));
  ASSERT_OK(rig.finish());
  for (double value : rig.read("y")) EXPECT_NEAR(value, 0.25, 1e-7);
}

TEST(Chronicle007, AFullyMaskedRowFollowsTheCallersPolicy) {
  const auto masked_row = [](EmptyRow policy) {
    harness::Rig rig(1, nullptr);
    const std::vector<double> minus_infinity(4, -std::numeric_limits<double>::infinity());
    SoftmaxParams params;
    params.x = rig.input("x", DType::kF32, {1, 1, 1, 4});
    params.mask = rig.input_values("mask", DType::kF32, {1, 1, 1, 4}, minus_infinity);
    params.y = rig.output("y", DType::kF32, {1, 1, 1, 4});
    params.empty_row = policy;
    EXPECT_EQ(softmax(params, nullptr).message, "");
    EXPECT_EQ(rig.finish().message, "");
    return rig.read("y")[2];
  };
  EXPECT_EQ(masked_row(EmptyRow::kZero), 0.0);
  EXPECT_EQ(masked_row(EmptyRow::kUniform), 0.25);
  EXPECT_TRUE(std::isnan(masked_row(EmptyRow::kNaN)));
}

TEST(Chronicle007, AttentionOfAFullyMaskedRowIsZeroAndItsLseMinusInfinity) {
  AttentionCase attention(4, 2, 1, 1, 8);  // causal from the bottom right: rows 0 and 1 see nothing
  attention.params.causal = true;
  attention.params.lse = attention.rig.output("lse", DType::kF32, {1, 1, 4});
  const std::vector<double> out = attention.run();
  const std::vector<double> lse = attention.rig.read("lse");
  for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(out[i], 0.0);
  EXPECT_EQ(lse[0], -std::numeric_limits<double>::infinity());
  EXPECT_EQ(lse[1], -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isfinite(lse[2]) && std::isfinite(lse[3]));
}

}  // namespace
}  // namespace hipforge
