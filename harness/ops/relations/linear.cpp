#include "harness/ops/linear.h"

#include "harness/sweep/large_cases.h"

#include <algorithm>

namespace hipforge::harness {
std::vector<Case> linear_metamorphic_cases(const OpLauncher<LinearParams>& launcher) {
  std::vector<Case> cases;
  const auto add = [&](DType dtype, Layout layout, const Shape& shape, bool batch_invariant) {
    const auto prepare = [=](Relation<LinearParams>& relation) {
      Rig& rig = relation.rig;
      const Shape y_shape{shape[0], shape[2]};
      LinearParams whole;
      whole.batch_invariant = batch_invariant;
      whole.x = rig.input("x", dtype, {shape[0], shape[1]}, Family::kNormal, 1.0, layout);
      whole.weight = rig.input("weight", dtype, {shape[2], shape[1]}, Family::kNormal, 1.0, layout);
      whole.bias = rig.input("bias", DType::kF32, {shape[2]});
      whole.y = rig.output("together", dtype, y_shape, layout);
      relation.launch(whole);
      LinearParams apart = whole;
      apart.y = rig.output("apart", dtype, y_shape, layout);
      // One row alone, a few, many, the rest.
      std::int64_t first = 0;
      for (std::int64_t most : {1, 3, 40, 1000000}) {
        const std::int64_t count = std::min(most, shape[0] - first);
        if (count > 0) relation.launch(slice_operands(apart, {"x", "y"}, 0, first, count));
        first += count;
      }
      return [whole, target = relation.target](const Rig& launched) {
        Agreement agreement{"rows together and apart", launched.read("together"), launched.read("apart"), {}};
        if (whole.batch_invariant) return std::vector{agreement};
        const HostTensors host(whole, [&](const TensorView& view) { return launched.before(view); });
        LinearParams invariant = whole;
        invariant.batch_invariant = true;
        agreement.bound.resize(agreement.left.size());
        for (const LinearParams& params : {whole, invariant}) {
          const Expected y = expect(whole, host, target, params).front().expected;
          for (std::size_t i = 0; i < y.bound.size(); ++i) agreement.bound[i] += y.bound[i];
        }
        return std::vector{agreement};
      };
    };
    cases.push_back(relation_case(launcher, dtype, layout,
                                  batch_invariant ? "batch_mates" : "batch_mates_in_any_order", shape, "",
                                  shape[0] == 67, prepare));
  };
  for_each_form({{7, 33, 5}, {67, 129, 70}, {130, 72, 64}},
                [&](DType dtype, Layout layout, const Shape& shape) {
                  for (bool batch_invariant : {true, false}) add(dtype, layout, shape, batch_invariant);
                });
  return cases;
}

}  // namespace hipforge::harness
