#include "harness/ops/softmax.h"

namespace hipforge::harness {
namespace {

// Multiples of ½ up to 68: every sum below is exact in every dtype, so that no difference t − max changes.
constexpr double kStep = 0.5;
constexpr double kShift = 64.0;

}  // namespace

std::vector<Case> softmax_metamorphic_cases(const OpLauncher<SoftmaxParams>& launcher) {
  std::vector<Case> cases;
  const auto add = [&](DType dtype, Layout layout, const Shape& shape) {
    const bool causal = shape[3] % 2 == 0;
    const auto prepare = [=](Relation<SoftmaxParams>& relation) {
      Rig& rig = relation.rig;
      SoftmaxParams params;
      params.causal = causal;
      params.causal_offset = shape[3] - shape[2];
      params.x = rig.input("x", dtype, shape, Family::kIntegers, kStep, layout);
      params.y = rig.output("y", dtype, shape, layout);
      relation.launch(params);
      SoftmaxParams moved = params;
      moved.x = rig.input_values("x_plus_c", dtype, shape, shifted(rig.values("x"), kShift), layout);
      moved.y = rig.output("y_of_x_plus_c", dtype, shape, layout);
      relation.launch(moved);
      SoftmaxParams masked = params;
      masked.mask = rig.input("c", DType::kF32, {1, 1, 1, shape[3]}, Family::kEqual, -kShift, layout);
      masked.y = rig.output("y_with_mask_c", dtype, shape, layout);
      relation.launch(masked);
      return [](const Rig& launched) {
        const std::vector<double> y = launched.read("y");
        return std::vector<Agreement>{{"softmax(x + c)", y, launched.read("y_of_x_plus_c"), {}},
                                      {"softmax(x) with a mask of c", y, launched.read("y_with_mask_c"), {}}};
      };
    };
    cases.push_back(relation_case(launcher, dtype, layout, "shift_invariant", shape, causal ? "causal" : "",
                                  shape[3] == 300, prepare));
  };
  for_each_form({{2, 3, 5, 33}, {1, 2, 3, 300}, {1, 1, 4, 2049}, {1, 1, 2, 17000}}, add);
  return cases;
}

}  // namespace hipforge::harness
