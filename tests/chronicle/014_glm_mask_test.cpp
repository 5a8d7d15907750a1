// A test expected 0 and got -inf: GLM's mask is a bidirectional prefix, then causal.

#include "kernels/causal_mask.h"
#include "tests/chronicle/attention.h"

namespace hipforge {
namespace {

TEST(Chronicle014, ThePrefixIsVisibleToEveryRowTheRestIsCausal) {
  constexpr std::int64_t kLen = 6;
  constexpr std::int64_t kPrefix = 3;
  harness::Rig rig(1, nullptr);
  CausalMaskParams params;
  params.mask = rig.output("mask", DType::kF32, {kLen, kLen});
  params.prefix_len = kPrefix;
  ASSERT_OK(causal_mask(params, nullptr));
  ASSERT_OK(rig.finish());
  const std::vector<double> mask = rig.read("mask");
  for (std::int64_t i = 0; i < kLen; ++i) {
    for (std::int64_t j = 0; j < kLen; ++j) {
      const bool visible = j <= i || j < kPrefix;
      EXPECT_EQ(mask[static_cast<std::size_t>(i * kLen + j)],
                visible ? 0.0 : -std::numeric_limits<double>::infinity())
          << i << ", " << j;
    }
  }
}

TEST(Chronicle014, AttentionWithAPrefixEqualsAttentionWithThatMask) {
  AttentionCase prefix(7, 7, 2, 1, 16);
  prefix.params.causal = true;
  prefix.params.prefix_len = 3;
  AttentionCase masked(7, 7, 2, 1, 16);
  CausalMaskParams mask;
  mask.mask = masked.rig.output("mask", DType::kF32, {7, 7});
  mask.prefix_len = 3;
  ASSERT_OK(causal_mask(mask, nullptr));
  ASSERT_OK(masked.rig.finish());
  const std::vector<double> values = masked.rig.read("mask");
  masked.params.mask = masked.rig.input_values("additive", DType::kF32, {1, 1, 7, 7}, values);
  EXPECT_LT(worst_difference(prefix.run(), masked.run()), 1e-6);
}

}  // namespace
}  // namespace hipforge
