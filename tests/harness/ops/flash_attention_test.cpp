#include "kernels/flash_attention.h"

#include "harness/core/case.h"
#include "kernels/runtime/device_error.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace hipforge::harness {
namespace {

// Packed queries, seven rows of two heads for two sequences, of which the oracle must say what the kernel does.
struct Launch {
  Rig rig{1, nullptr};
  FlashAttentionParams params;

  explicit Launch(const std::vector<double>& q_offsets) {
    params.causal = true;
    params.error_word = rig.error_word();
    params.q_offsets = rig.input_values("q_offsets", DType::kI32, {3}, q_offsets);
    params.q = rig.input("q", DType::kF32, {7, 2, 8});
    params.o = rig.output("o", DType::kF32, {7, 2, 8});
    params.lse = rig.output("lse", DType::kF32, {2, 7});
  }
  void keys(const Shape& shape) {
    params.k = rig.input("k", DType::kF32, shape);
    params.v = rig.input("v", DType::kF32, shape);
  }
  // Five pages of four slots.
  void page(const std::vector<double>& kv_lens, const std::vector<double>& block_table) {
    keys({5, 4, 1, 8});
    params.kv_lens = rig.input_values("kv_lens", DType::kI32, {2}, kv_lens);
    params.block_table = rig.input_values("block_table", DType::kI32, {2, 2}, block_table);
  }
  void pack(const std::vector<double>& kv_offsets) {
    keys({12, 1, 8});
    params.kv_offsets = rig.input_values("kv_offsets", DType::kI32, {3}, kv_offsets);
  }

  void expect_agreement(std::uint32_t error, std::ptrdiff_t nan_rows) {
    Target target;
    ASSERT_TRUE(device_target(target).ok());
    const auto before = [this](const TensorView& view) { return rig.before(view); };
    const std::vector<OutputExpectation> outputs = suite_of("flash_attention").expect(params, before, target);
    ASSERT_TRUE(rig.reset().ok());
    ASSERT_TRUE(flash_attention(params, nullptr, target).ok());
    ASSERT_TRUE(rig.finish().ok());
    EXPECT_EQ(rig.read_error_word(), error);
    ASSERT_EQ(outputs.size(), 2U);
    for (const OutputExpectation& output : outputs) {
      const Comparison comparison = compare(rig.now(output.view), output.expected);
      EXPECT_TRUE(comparison.passed) << output.output << ": " << comparison.message;
    }
    const std::vector<double>& lse = outputs[1].expected.value;
    EXPECT_EQ(std::count_if(lse.begin(), lse.end(), [](double value) { return std::isnan(value); }),
              nan_rows);
  }
};

TEST(FlashAttentionOracle, RowsOfNobodyStay) {
  Launch launch({1, 4, 6});
  launch.page({7, 5}, {3, 1, 0, 4});
  launch.expect_agreement(0, 4);
}

TEST(FlashAttentionOracle, RowsThatSeeABadPageAreNaNAndNoOthers) {
  Launch last({0, 3, 7});
  last.page({5, 8}, {3, 9, 0, 4});
  last.expect_agreement(kDeviceErrorPage, 2);  // key 4 is seen by the last row alone
  Launch first({0, 3, 7});
  first.page({7, 8}, {-1, 1, 0, 4});
  first.expect_agreement(kDeviceErrorPage, 6);
}

TEST(FlashAttentionOracle, SequencesOfABadLengthAreNaN) {
  Launch over_capacity({0, 3, 7});
  over_capacity.page({9, 8}, {3, 1, 0, 4});
  over_capacity.expect_agreement(kDeviceErrorLength, 6);
  Launch negative({1, 4, 7});
  negative.page({7, -1}, {3, 1, 0, 4});
  negative.expect_agreement(kDeviceErrorLength, 8);
  Launch over_promise({0, 3, 7});
  over_promise.page({7, 5}, {3, 1, 0, 4});
  over_promise.params.max_kv_len = 5;
  over_promise.expect_agreement(kDeviceErrorLength, 6);
}

TEST(FlashAttentionOracle, SequencesOfBadKeyOffsetsAreNaN) {
  Launch past_the_end({0, 3, 7});
  past_the_end.pack({0, 6, 13});
  past_the_end.expect_agreement(kDeviceErrorOffsets, 8);
  Launch decreasing({0, 3, 7});
  decreasing.pack({4, 3, 12});
  decreasing.expect_agreement(kDeviceErrorOffsets, 6);
}

TEST(FlashAttentionOracle, BadQueryOffsetsMakeEveryRowNaN) {
  for (const std::vector<double>& offsets : {std::vector<double>{0, 5, 3}, std::vector<double>{0, 3, 8}}) {
    Launch launch(offsets);
    launch.page({7, 5}, {3, 1, 0, 4});
    launch.expect_agreement(kDeviceErrorOffsets, 14);
  }
  Launch over_promise({0, 3, 7});
  over_promise.page({7, 5}, {3, 1, 0, 4});
  over_promise.params.max_q_len = 3;
  over_promise.expect_agreement(kDeviceErrorLength, 14);
}

}  // namespace
}  // namespace hipforge::harness
