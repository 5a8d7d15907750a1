#include "kernels/softmax.h"

#include "harness/sweep/metamorphic.h"

namespace hipforge::harness {
namespace {

// Multiples of ½ up to 68: every sum below is exact in every dtype, so that no difference t − max changes.
constexpr double kStep = 0.5;
constexpr double kShift = 64.0;

Judge shift_invariant(Relation<SoftmaxParams>& made) {
  const auto launch = [&](SoftmaxParams params, const char* y) {
    params.y = made.output(y, made.shape);
    made.launch(params);
  };
  SoftmaxParams params;
  params.causal = made.options == "causal";
  params.causal_offset = made.shape[3] - made.shape[2];
  params.x = made.input("x", made.shape, Family::kIntegers, kStep);
  launch(params, "y");
  SoftmaxParams moved = params;
  moved.x = made.input("x_plus_c", made.shape, shifted(made.rig.values("x"), kShift));
  launch(moved, "y_of_x_plus_c");
  params.mask =
      made.rig.input("c", DType::kF32, {1, 1, 1, made.shape[3]}, Family::kEqual, -kShift, made.layout);
  launch(params, "y_with_mask_c");
  return [](const Rig& launched) {
    const std::vector<double> y = launched.read("y");
    return std::vector<Agreement>{{"softmax(x + c)", y, launched.read("y_of_x_plus_c"), {}},
                                  {"softmax(x) with a mask of c", y, launched.read("y_with_mask_c"), {}}};
  };
}

}  // namespace

std::vector<Case> softmax_metamorphic_cases(const OpLauncher<SoftmaxParams>& launcher) {
  std::vector<Case> cases;
  for (const Form& form : forms("2x3x5x33 1x1x4x2049 \n 1x2x3x300! 1x1x2x17000 : causal")) {
    cases.push_back(relation_case(launcher, "shift_invariant", form, shift_invariant));
  }
  return cases;
}

}  // namespace hipforge::harness
