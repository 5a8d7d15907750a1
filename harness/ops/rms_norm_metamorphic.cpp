#include "harness/ops/rms_norm.h"
#include "harness/sweep/metamorphic.h"

namespace hipforge::harness {
namespace {

constexpr double kPowerOfTwo = 4.0;  // changes no bit of y
constexpr double kOther = 3.0;       // changes the roundings; integers stay exact

struct Spec {
  Shape shape;
  DType dtype;
  Layout layout;
  bool fused;
};

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment,
                     const Launcher<RmsNormParams>& launcher) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  RmsNormParams plain;
  plain.eps = 0.0f;
  plain.weight = rig.input("weight", DType::kF32, {spec.shape[1]});
  const TensorView x = rig.input("x", spec.dtype, spec.shape, Family::kIntegers, 1.0, spec.layout);
  TensorView residual;
  if (spec.fused) {
    residual = rig.input("residual", spec.dtype, spec.shape, Family::kIntegers, 2.0, spec.layout);
  }
  std::vector<std::function<Status(hipStream_t)>> launches;
  for (const auto& [name, factor] : {std::pair{"y", 1.0}, std::pair{"y_of_4x", kPowerOfTwo},
                                     std::pair{"y_of_minus_x", -1.0}, std::pair{"y_of_3x", kOther}}) {
    RmsNormParams params = plain;
    const auto times = [&, factor = factor, name = name](const char* operand, const TensorView& view) {
      return factor == 1.0 ? view
                           : rig.input_values(std::string(operand) + "_for_" + name, spec.dtype, spec.shape,
                                              scaled(rig.values(operand), factor), spec.layout);
    };
    params.x = times("x", x);
    params.y = rig.output(name, spec.dtype, spec.shape, spec.layout);
    if (spec.fused) {
      params.residual = times("residual", residual);
      params.residual_out = rig.output(std::string("sum_for_") + name, spec.dtype, spec.shape, spec.layout);
    }
    launches.emplace_back([=](hipStream_t stream) { return launcher(params, stream); });
  }
  prepared.launch = launch_all(std::move(launches));
  plain.x = x;
  plain.residual = residual;
  plain.y = rig.view("y");
  if (spec.fused) plain.residual_out = rig.view("sum_for_y");
  prepared.judge = [plain, target = environment.target](const Rig& launched) {
    const HostTensors host(plain, [&](const TensorView& view) { return launched.before(view); });
    const auto expected = expect(plain, host, target, plain);
    const std::vector<double> y = launched.read("y");
    return judge_agreements(
        {{"rms_norm(4x)", y, launched.read("y_of_4x"), {}},
         {"-rms_norm(-x)", y, scaled(launched.read("y_of_minus_x"), -1.0),
          // But for the signs of zeros: x + residual is +0 either way.
          std::vector<double>(y.size(), 0.0)},
         {"rms_norm(3x)", y, launched.read("y_of_3x"), scaled(expected.front().expected.bound, 2.0)}});
  };
  return prepared;
}

}  // namespace

std::vector<Case> rms_norm_metamorphic_cases(const OpLauncher<RmsNormParams>& launcher) {
  std::vector<Case> cases;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      for (const Shape& shape : {Shape{3, 65}, Shape{5, 1000}, Shape{2, 4099}}) {
        const Spec spec{shape, dtype, layout, shape[0] == 5};
        cases.push_back(metamorphic_case(
            "rms_norm", dtype, layout_name(layout), "scale_invariant", shape, spec.fused ? "residual" : "",
            shape[0] == 3, [=](const CaseEnvironment& environment) {
              return prepare(spec, environment, launcher_of(environment, launcher));
            }));
      }
    }
  }
  return cases;
}

}  // namespace hipforge::harness
