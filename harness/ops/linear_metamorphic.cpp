#include "harness/ops/linear.h"
#include "harness/sweep/metamorphic.h"

#include <fmt/format.h>

#include <algorithm>

namespace hipforge::harness {
namespace {

struct Spec {
  Shape shape;  // rows, in_features, out_features
  DType dtype;
  Layout layout;
  bool batch_invariant;
};

// Rows of one launch after another: one alone, a few, many, the rest.
std::vector<std::pair<std::int64_t, std::int64_t>> cuts_of(std::int64_t rows) {
  std::vector<std::pair<std::int64_t, std::int64_t>> cuts;
  std::int64_t first = 0;
  for (std::int64_t count : {1, 3, 40, 1000000}) {
    const std::int64_t taken = std::min(count, rows - first);
    if (taken > 0) cuts.emplace_back(first, taken);
    first += taken;
  }
  return cuts;
}

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment,
                     const Launcher<LinearParams>& launcher) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  const auto [rows, in_features, out_features] = std::tuple(spec.shape[0], spec.shape[1], spec.shape[2]);
  LinearParams whole;
  whole.batch_invariant = spec.batch_invariant;
  whole.x = rig.input("x", spec.dtype, {rows, in_features}, Family::kNormal, 1.0, spec.layout);
  whole.weight =
      rig.input("weight", spec.dtype, {out_features, in_features}, Family::kNormal, 1.0, spec.layout);
  whole.bias = rig.input("bias", DType::kF32, {out_features});
  whole.y = rig.output("together", spec.dtype, {rows, out_features}, spec.layout);
  std::vector<std::function<Status(hipStream_t)>> launches{
      [=](hipStream_t stream) { return launcher(whole, stream); }};
  const TensorView apart = rig.output("apart", spec.dtype, {rows, out_features}, spec.layout);
  for (const auto& [first, count] : cuts_of(rows)) {
    LinearParams part = whole;
    part.x = slice_axis(whole.x, 0, first, count);
    part.y = slice_axis(apart, 0, first, count);
    launches.emplace_back([=](hipStream_t stream) { return launcher(part, stream); });
  }
  prepared.launch = launch_all(std::move(launches));
  prepared.judge = [spec, whole, target = environment.target](const Rig& launched) {
    Agreement agreement{"rows together and apart", launched.read("together"), launched.read("apart"), {}};
    if (spec.batch_invariant) return judge_agreements({agreement});
    LinearInputs inputs;
    inputs.x = launched.values("x");
    inputs.weight = launched.values("weight");
    inputs.bias = launched.values("bias");
    inputs.rows = spec.shape[0];
    inputs.in_features = spec.shape[1];
    inputs.out_features = spec.shape[2];
    inputs.y_dtype = spec.dtype;
    LinearParams invariant = whole;
    invariant.batch_invariant = true;
    for (const LinearParams& params : {whole, invariant}) {
      inputs.depth = linear_reduction_depth(params, target);
      const std::vector<double> bound = linear_expected(inputs, target).bound;
      agreement.bound.resize(bound.size());
      for (std::size_t i = 0; i < bound.size(); ++i) agreement.bound[i] += bound[i];
    }
    return judge_agreements({agreement});
  };
  return prepared;
}

}  // namespace

std::vector<Case> linear_metamorphic_cases(const OpLauncher<LinearParams>& launcher) {
  std::vector<Case> cases;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      for (const Shape& shape : {Shape{7, 33, 5}, Shape{67, 129, 70}, Shape{130, 72, 64}}) {
        for (bool batch_invariant : {true, false}) {
          const Spec spec{shape, dtype, layout, batch_invariant};
          cases.push_back(
              metamorphic_case("linear", dtype, layout_name(layout),
                               batch_invariant ? "batch_mates" : "batch_mates_in_any_order", shape, "",
                               shape[0] == 67, [=](const CaseEnvironment& environment) {
                                 return prepare(spec, environment, launcher_of(environment, launcher));
                               }));
        }
      }
    }
  }
  return cases;
}

}  // namespace hipforge::harness
