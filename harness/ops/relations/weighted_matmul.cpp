#include "kernels/weighted_matmul.h"

#include "harness/sweep/large_cases.h"
#include "harness/sweep/metamorphic.h"

namespace hipforge::harness {
namespace {

using Made = Relation<WeightedMatmulParams>;

// Of all rows of all batches, into "together". Shapes: batch x q_heads x kv_heads x q_len x kv_len x
// head_dim.
WeightedMatmulParams launch_whole(Made& made) {
  const Shape& size = made.shape;
  WeightedMatmulParams whole;
  whole.weights = made.input("weights", {size[0], size[1], size[3], size[4]}, Family::kPositive);
  whole.values = made.input("values", {size[0], size[4], size[2], size[5]});
  whole.out = made.output("together", {size[0], size[3], size[1], size[5]});
  made.launch(whole);
  return whole;
}

Judge agree(const char* what, const TensorView& together, const TensorView& apart) {
  return [=](const Rig& launched) {
    return std::vector<Agreement>{{what, launched.now(together), launched.now(apart), {}}};
  };
}

Judge decode_is_last_row(Made& made) {
  const WeightedMatmulParams whole = launch_whole(made);
  const std::int64_t last = made.shape[3] - 1;
  WeightedMatmulParams decoded = slice_operands(whole, {"weights"}, 2, last);
  const TensorView row = slice_axis(whole.out, 1, last, 1);
  decoded.out = made.output("decoded", shape_of(row));
  made.launch(decoded);
  return agree("last row of many and alone", row, decoded.out);
}

Judge batch_mates(Made& made) {
  const WeightedMatmulParams whole = launch_whole(made);
  WeightedMatmulParams apart = whole;
  apart.out = made.output("apart", shape_of(whole.out));
  for (std::int64_t b = 0; b < made.shape[0]; ++b) {
    made.launch(slice_operands(apart, {"weights", "values", "out"}, 0, b));
  }
  return agree("batch together and apart", whole.out, apart.out);
}

}  // namespace

std::vector<Case> weighted_matmul_metamorphic_cases(const OpLauncher<WeightedMatmulParams>& launcher) {
  std::vector<Case> cases;
  for (const Form& form : forms("2x4x2x19x70x24! 3x2x2x65x133x65 2x3x1x5x2060x16")) {
    cases.push_back(relation_case(launcher, "decode_is_last_row", form, decode_is_last_row));
    cases.push_back(relation_case(launcher, "batch_mates", form, batch_mates));
  }
  return cases;
}

}  // namespace hipforge::harness
