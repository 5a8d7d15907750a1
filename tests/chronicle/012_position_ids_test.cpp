// Position ids came in the form [batch × heads × seq].

#include "harness/core/rig.h"
#include "kernels/rope.h"
#include "tests/status_matchers.h"

namespace hipforge {
namespace {

constexpr std::int64_t kBatch = 2;
constexpr std::int64_t kSeq = 3;
constexpr std::int64_t kHeads = 4;

RopeParams make_params(harness::Rig& rig) {
  RopeParams params;
  params.x = rig.input("x", DType::kF32, {kBatch, kSeq, kHeads, 8});
  params.y = rig.output("y", DType::kF32, {kBatch, kSeq, kHeads, 8});
  params.inv_freq = rig.input("inv_freq", DType::kF32, {4}, harness::Family::kPositive);
  params.rotary_dim = 8;
  return params;
}

TEST(Chronicle012, PositionsPerHeadAreRefusedWithTheTwoLegalForms) {
  harness::Rig rig(1, nullptr);
  RopeParams params = make_params(rig);
  const std::vector<double> zeros(kBatch * kHeads * kSeq, 0.0);
  params.positions = rig.input_values("per_head", DType::kI32, {kBatch * kHeads * kSeq}, zeros);
  expect_status(rope(params, nullptr), StatusCode::kInvalidArgument, "positions", "[24]", "[seq]",
                "[batch, seq]");
  params.positions = rig.input_values("rank_three", DType::kI32, {kBatch, kHeads, kSeq}, zeros);
  expect_status(rope(params, nullptr), StatusCode::kInvalidArgument, "positions", "[batch, seq]");
}

TEST(Chronicle012, BothLegalFormsAgree) {
  const std::vector<double> once{5, 6, 7};
  const std::vector<double> per_batch{5, 6, 7, 5, 6, 7};
  harness::Rig first(1, nullptr);
  RopeParams shared = make_params(first);
  shared.positions = first.input_values("positions", DType::kI32, {kSeq}, once);
  ASSERT_OK(rope(shared, nullptr));
  ASSERT_OK(first.finish());
  harness::Rig second(1, nullptr);
  RopeParams separate = make_params(second);
  separate.positions = second.input_values("positions", DType::kI32, {kBatch, kSeq}, per_batch);
  ASSERT_OK(rope(separate, nullptr));
  ASSERT_OK(second.finish());
  EXPECT_EQ(first.read("y"), second.read("y"));
}

}  // namespace
}  // namespace hipforge
