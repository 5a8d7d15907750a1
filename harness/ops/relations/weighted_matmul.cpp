#include "harness/ops/weighted_matmul.h"

#include "harness/sweep/large_cases.h"

namespace hipforge::harness {

std::vector<Case> weighted_matmul_metamorphic_cases(const OpLauncher<WeightedMatmulParams>& launcher) {
  std::vector<Case> cases;
  // Of batch, q_heads, kv_heads, q_len, kv_len and head_dim.
  const auto add = [&](DType dtype, Layout layout, const Shape& shape, bool decode) {
    const auto prepare = [=](Relation<WeightedMatmulParams>& relation) {
      Rig& rig = relation.rig;
      const Shape out_shape{shape[0], shape[3], shape[1], shape[5]};
      WeightedMatmulParams whole;
      whole.weights = rig.input("weights", dtype, {shape[0], shape[1], shape[3], shape[4]}, Family::kPositive,
                                1.0, layout);
      whole.values =
          rig.input("values", dtype, {shape[0], shape[4], shape[2], shape[5]}, Family::kNormal, 1.0, layout);
      whole.out = rig.output("together", dtype, out_shape, layout);
      relation.launch(whole);
      WeightedMatmulParams apart = whole;
      const std::int64_t last = shape[3] - 1;
      if (decode) {
        apart.weights = slice_axis(whole.weights, 2, last, 1);
        apart.out = rig.output("decoded", dtype, {shape[0], 1, shape[1], shape[5]}, layout);
        relation.launch(apart);
      } else {
        apart.out = rig.output("apart", dtype, out_shape, layout);
        for (std::int64_t b = 0; b < shape[0]; ++b) {
          relation.launch(slice_operands(apart, {"weights", "values", "out"}, 0, b));
        }
      }
      const TensorView together = decode ? slice_axis(whole.out, 1, last, 1) : whole.out;
      return [=](const Rig& launched) {
        return std::vector<Agreement>{{decode ? "last row of many and alone" : "batch together and apart",
                                       launched.now(together),
                                       launched.now(apart.out),
                                       {}}};
      };
    };
    cases.push_back(relation_case(launcher, dtype, layout, decode ? "decode_is_last_row" : "batch_mates",
                                  shape, "", shape[3] == 19, prepare));
  };
  for_each_form({{2, 4, 2, 19, 70, 24}, {3, 2, 2, 65, 133, 65}, {2, 3, 1, 5, 2060, 16}},
                [&](DType dtype, Layout layout, const Shape& shape) {
                  for (bool decode : {true, false}) add(dtype, layout, shape, decode);
                });
  return cases;
}

}  // namespace hipforge::harness
