#include "harness/sweep/metamorphic.h"

#include "kernels/flash_attention.h"
#include "kernels/linear.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/device_buffer.h"
#include "kernels/runtime/target.h"
#include "kernels/softmax.h"
#include "kernels/weighted_matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

namespace hipforge::harness {
namespace {

struct Tally {
  std::size_t passed = 0;
  std::size_t failed = 0;
  std::string message;  // of the first failure
};

// Runs the cases of a relation; `options` is a part of their ids.
Tally run_relation(const std::vector<Case>& cases, const std::string& relation,
                   const std::string& options = "") {
  Target target;
  throw_if_error(device_target(target));
  Tally tally;
  for (const Case& test : cases) {
    if (test.features.front() != relation || test.id.find(options) == std::string::npos) continue;
    const CaseResult result = run_case(test, {target});
    if (!result.passed && tally.message.empty()) tally.message = test.id + ": " + result.message;
    ++(result.passed ? tally.passed : tally.failed);
  }
  EXPECT_GT(tally.passed + tally.failed, 0u) << relation << " " << options;
  return tally;
}

void expect_caught(const std::vector<Case>& cases, const std::string& relation,
                   const std::string& options = "") {
  const Tally tally = run_relation(cases, relation, options);
  EXPECT_EQ(tally.passed, 0u) << relation << " " << options << " passes in spite of the defect";
}

void expect_passed(const std::vector<Case>& cases, const std::string& relation,
                   const std::string& options = "") {
  const Tally tally = run_relation(cases, relation, options);
  EXPECT_EQ(tally.failed, 0u) << tally.message;
}

// The op's relations between launches by `launcher`.
template <class Params>
std::vector<Case> relations_of(const OpLauncher<Params>& launcher) {
  return suite_of(op_name(Params{})).relations(launcher);
}

TEST(Agreements, BitsAreComparedWithTheSignsOfZeros) {
  EXPECT_TRUE(judge_agreements({{"a", {1.0, NAN, -0.0}, {1.0, NAN, -0.0}, {}}}).passed);
  EXPECT_FALSE(judge_agreements({{"a", {0.0}, {-0.0}, {}}}).passed);
  EXPECT_FALSE(judge_agreements({{"a", {1.0}, {NAN}, {}}}).passed);
  const Comparison comparison =
      judge_agreements({{"first", {1.0}, {1.0}, {}}, {"second", {1.0, 2.0}, {1.0, 2.0 + 1e-12}, {}}});
  EXPECT_FALSE(comparison.passed);
  EXPECT_EQ(comparison.where, "second[1]");
  EXPECT_NE(comparison.message.find("second: element 1"), std::string::npos) << comparison.message;
}

TEST(Agreements, WithinABoundTheShareIsTheDistanceOverIt) {
  const Comparison comparison = judge_agreements({{"a", {1.0, 2.0}, {1.25, 2.0}, {0.5, 0.5}}});
  EXPECT_TRUE(comparison.passed);
  EXPECT_TRUE(comparison.bounded);
  EXPECT_EQ(comparison.worst_share, 0.5);
  EXPECT_FALSE(judge_agreements({{"a", {1.0}, {2.0}, {0.5}}}).passed);
  EXPECT_FALSE(judge_agreements({{"a", {1.0}, {INFINITY}, {0.5}}}).passed);
}

TEST(Agreements, NothingAgreesWithNothingAndSizesMustMatch) {
  EXPECT_FALSE(judge_agreements({}).passed);
  EXPECT_FALSE(judge_agreements({{"a", {}, {}, {}}}).passed);
  EXPECT_FALSE(judge_agreements({{"a", {1.0}, {1.0, 2.0}, {}}}).passed);
}

TEST(Metamorphic, AttentionThatMasksADecodedRowOtherwiseIsCaught) {
  const auto off_by_one = [](FlashAttentionParams params, hipStream_t stream, const Target& target) {
    if (params.q.shape[1] == 1) params.k = slice_axis(params.k, 1, 0, params.k.shape[1] - 1);
    if (params.q.shape[1] == 1) params.v = slice_axis(params.v, 1, 0, params.v.shape[1] - 1);
    return flash_attention(params, stream, target);
  };
  const std::vector<Case> cases = relations_of<FlashAttentionParams>(off_by_one);
  expect_caught(cases, "decode_is_last_row");
  expect_caught(cases, "chunked_prefill");  // its first chunk is one row
  expect_passed(cases, "batch_mates");
}

TEST(Metamorphic, AttentionOfAnotherOrderIsCaughtWhereItPromisedOneAndAllowedWhereNot) {
  // A last bit of the scale, as another order of a sum would change it, where there is one sequence alone.
  const auto other_order = [](FlashAttentionParams params, hipStream_t stream, const Target& target) {
    const float scale = 1.0f / std::sqrt(static_cast<float>(params.q.shape[3]));
    params.scale = params.q.shape[0] == 1 ? std::nextafter(scale, 1.0f) : scale;
    return flash_attention(params, stream, target);
  };
  const std::vector<Case> cases = relations_of<FlashAttentionParams>(other_order);
  expect_passed(cases, "batch_mates", "any_order");
  const Tally tally = run_relation(cases, "batch_mates", "f32/");
  EXPECT_EQ(tally.failed, tally.passed) << "those with batch_invariant, and no others";
  const auto wrong = [](FlashAttentionParams params, hipStream_t stream, const Target& target) {
    params.scale = params.q.shape[0] == 1 ? 0.5f : 0.0f;
    return flash_attention(params, stream, target);
  };
  expect_caught(relations_of<FlashAttentionParams>(wrong), "batch_mates");
}

TEST(Metamorphic, AWrongPageAndALostSequenceAreCaught) {
  // The first page of the cache where the table names another as the last.
  const auto wrong_page = [](FlashAttentionParams params, hipStream_t stream, const Target& target) {
    if (!params.block_table.present()) return flash_attention(params, stream, target);
    std::vector<std::int32_t> table(static_cast<std::size_t>(params.block_table.numel()));
    const std::size_t bytes = table.size() * sizeof(table[0]);
    HIPFORGE_HIP_CHECK(hipMemcpy(table.data(), params.block_table.data, bytes, hipMemcpyDeviceToHost));
    table.back() = 0;
    DeviceBuffer buffer(bytes);
    HIPFORGE_HIP_CHECK(hipMemcpy(buffer.data(), table.data(), bytes, hipMemcpyHostToDevice));
    params.block_table.data = buffer.data();
    const Status status = flash_attention(params, stream, target);
    HIPFORGE_HIP_CHECK(hipStreamSynchronize(stream));
    return status;
  };
  expect_caught(relations_of<FlashAttentionParams>(wrong_page), "page_order");
  const auto shorter = [](FlashAttentionParams params, hipStream_t stream, const Target& target) {
    if (params.q_offsets.present()) params.window = params.window > 0 ? params.window - 1 : 30;
    return flash_attention(params, stream, target);
  };
  expect_caught(relations_of<FlashAttentionParams>(shorter), "packed_is_dense");
}

TEST(Metamorphic, ALinearLayerThatForgetsTheBiasOfASingleRowIsCaught) {
  const auto no_bias = [](LinearParams params, hipStream_t stream, const Target& target) {
    if (params.x.shape[0] == 1) params.bias = {};
    return linear(params, stream, target);
  };
  const std::vector<Case> cases = relations_of<LinearParams>(no_bias);
  expect_caught(cases, "batch_mates");
  expect_caught(cases, "batch_mates_in_any_order");
}

TEST(Metamorphic, WeightedSumsThatLoseAKeyInDecodingAreCaught) {
  const auto lost_key = [](WeightedMatmulParams params, hipStream_t stream, const Target& target) {
    if (params.weights.shape[2] == 1 || params.weights.shape[0] == 1) {
      params.weights = slice_axis(params.weights, 3, 0, params.weights.shape[3] - 1);
      params.values = slice_axis(params.values, 1, 0, params.values.shape[1] - 1);
    }
    return weighted_matmul(params, stream, target);
  };
  const std::vector<Case> cases = relations_of<WeightedMatmulParams>(lost_key);
  expect_caught(cases, "decode_is_last_row");
  expect_caught(cases, "batch_mates");
}

TEST(Metamorphic, ASoftmaxThatDoesNotSubtractTheMaximumIsCaught) {
  const auto without_maximum = [](const SoftmaxParams& params, hipStream_t stream, const Target& target) {
    if (params.mask.present()) return softmax(params, stream, target);
    const auto count = static_cast<std::size_t>(params.x.numel());
    const auto cols = static_cast<std::size_t>(params.x.shape[3]);
    std::vector<float> values(count);
    HIPFORGE_HIP_CHECK(hipMemcpy(values.data(), params.x.data, count * sizeof(float), hipMemcpyDeviceToHost));
    for (std::size_t row = 0; row < count; row += cols) {
      float sum = 0.0f;
      for (std::size_t i = row; i < row + cols; ++i) sum += std::exp(values[i]);
      for (std::size_t i = row; i < row + cols; ++i) values[i] = std::exp(values[i]) / sum;
    }
    HIPFORGE_HIP_CHECK(hipMemcpy(params.y.data, values.data(), count * sizeof(float), hipMemcpyHostToDevice));
    return Status{};
  };
  const std::vector<Case> cases = relations_of<SoftmaxParams>(without_maximum);
  expect_caught(cases, "shift_invariant", "softmax/f32/contiguous/metamorphic/2x3x5x33/");
}

TEST(Metamorphic, AnRmsNormWithAnEpsilonOfItsOwnIsCaught) {
  const auto own_eps = [](RmsNormParams params, hipStream_t stream, const Target& target) {
    params.eps = 0.05f;
    return rms_norm(params, stream, target);
  };
  expect_caught(relations_of<RmsNormParams>(own_eps), "scale_invariant");
}

TEST(Metamorphic, ARotationThatScalesOrKeepsStalePositionsIsCaught) {
  const auto scales = [](RopeParams params, hipStream_t stream, const Target& target) {
    params.magnitude *= 1.02f;
    return rope(params, stream, target);
  };
  expect_caught(relations_of<RopeParams>(scales), "keeps_norms");
  // Of four launches the third takes the positions of the one before it.
  struct Stale {
    TensorView previous;
    int calls = 0;
  };
  const auto stale = std::make_shared<Stale>();
  const auto keeps_positions = [stale](RopeParams params, hipStream_t stream, const Target& target) {
    const TensorView own = params.positions;
    if (stale->calls++ % 4 == 2) params.positions = stale->previous;
    stale->previous = own;
    return rope(params, stream, target);
  };
  expect_caught(relations_of<RopeParams>(keeps_positions), "relative_positions");
}

}  // namespace
}  // namespace hipforge::harness
