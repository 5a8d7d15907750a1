#include "harness/ops/softmax.h"
#include "harness/sweep/metamorphic.h"

namespace hipforge::harness {
namespace {

// Multiples of ½ up to 68: every sum below is exact in every dtype, so that no difference t − max changes.
constexpr double kStep = 0.5;
constexpr double kShift = 64.0;

struct Spec {
  Shape shape;
  DType dtype;
  Layout layout;
  bool causal;
};

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment,
                     const Launcher<SoftmaxParams>& launcher) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  SoftmaxParams params;
  params.causal = spec.causal;
  params.causal_offset = spec.shape[3] - spec.shape[2];
  params.x = rig.input("x", spec.dtype, spec.shape, Family::kIntegers, kStep, spec.layout);
  params.y = rig.output("y", spec.dtype, spec.shape, spec.layout);
  SoftmaxParams moved = params;
  moved.x =
      rig.input_values("x_plus_c", spec.dtype, spec.shape, shifted(rig.values("x"), kShift), spec.layout);
  moved.y = rig.output("y_of_x_plus_c", spec.dtype, spec.shape, spec.layout);
  SoftmaxParams masked = params;
  masked.mask = rig.input("c", DType::kF32, {1, 1, 1, spec.shape[3]}, Family::kEqual, -kShift, spec.layout);
  masked.y = rig.output("y_with_mask_c", spec.dtype, spec.shape, spec.layout);
  prepared.launch = launch_all({[=](hipStream_t stream) { return launcher(params, stream); },
                                [=](hipStream_t stream) { return launcher(moved, stream); },
                                [=](hipStream_t stream) { return launcher(masked, stream); }});
  prepared.judge = [](const Rig& launched) {
    const std::vector<double> y = launched.read("y");
    return judge_agreements({{"softmax(x + c)", y, launched.read("y_of_x_plus_c"), {}},
                             {"softmax(x) with a mask of c", y, launched.read("y_with_mask_c"), {}}});
  };
  return prepared;
}

}  // namespace

std::vector<Case> softmax_metamorphic_cases(const OpLauncher<SoftmaxParams>& launcher) {
  std::vector<Case> cases;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      for (const Shape& shape :
           {Shape{2, 3, 5, 33}, Shape{1, 2, 3, 300}, Shape{1, 1, 4, 2049}, Shape{1, 1, 2, 17000}}) {
        const Spec spec{shape, dtype, layout, shape[3] % 2 == 0};
        cases.push_back(metamorphic_case(
            "softmax", dtype, layout_name(layout), "shift_invariant", shape, spec.causal ? "causal" : "",
            shape[3] == 300, [=](const CaseEnvironment& environment) {
              return prepare(spec, environment, launcher_of(environment, launcher));
            }));
      }
    }
  }
  return cases;
}

}  // namespace hipforge::harness
