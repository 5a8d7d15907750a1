#include "harness/ops/weighted_matmul.h"
#include "harness/sweep/metamorphic.h"

namespace hipforge::harness {
namespace {

struct Spec {
  Shape shape;  // batch, q_heads, kv_heads, q_len, kv_len, head_dim
  DType dtype;
  Layout layout;
};

PreparedCase prepare(const Spec& spec, bool decode, const CaseEnvironment& environment,
                     const Launcher<WeightedMatmulParams>& launcher) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  const std::int64_t batch = spec.shape[0];
  const std::int64_t q_heads = spec.shape[1];
  const std::int64_t q_len = spec.shape[3];
  const Shape out_shape{batch, q_len, q_heads, spec.shape[5]};
  WeightedMatmulParams whole;
  whole.weights = rig.input("weights", spec.dtype, {batch, q_heads, q_len, spec.shape[4]}, Family::kPositive,
                            1.0, spec.layout);
  whole.values = rig.input("values", spec.dtype, {batch, spec.shape[4], spec.shape[2], spec.shape[5]},
                           Family::kNormal, 1.0, spec.layout);
  whole.out = rig.output("together", spec.dtype, out_shape, spec.layout);
  std::vector<std::function<Status(hipStream_t)>> launches{
      [=](hipStream_t stream) { return launcher(whole, stream); }};
  WeightedMatmulParams part = whole;
  if (decode) {
    part.weights = slice_axis(whole.weights, 2, q_len - 1, 1);
    part.out = rig.output("decoded", spec.dtype, {batch, 1, q_heads, spec.shape[5]}, spec.layout);
    launches.emplace_back([=](hipStream_t stream) { return launcher(part, stream); });
  } else {
    const TensorView apart = rig.output("apart", spec.dtype, out_shape, spec.layout);
    for (std::int64_t b = 0; b < batch; ++b) {
      part.weights = slice_axis(whole.weights, 0, b, 1);
      part.values = slice_axis(whole.values, 0, b, 1);
      part.out = slice_axis(apart, 0, b, 1);
      launches.emplace_back([=](hipStream_t stream) { return launcher(part, stream); });
    }
  }
  prepared.launch = launch_all(std::move(launches));
  prepared.judge = [=](const Rig& launched) {
    const std::vector<double> together = launched.read("together");
    if (!decode)
      return judge_agreements({{"batch together and apart", together, launched.read("apart"), {}}});
    return judge_agreements({{"last row of many and alone",
                              slice_axis(together, out_shape, 1, q_len - 1, 1),
                              launched.read("decoded"),
                              {}}});
  };
  return prepared;
}

}  // namespace

std::vector<Case> weighted_matmul_metamorphic_cases(const OpLauncher<WeightedMatmulParams>& launcher) {
  std::vector<Case> cases;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      for (const Shape& shape :
           {Shape{2, 4, 2, 19, 70, 24}, Shape{3, 2, 2, 65, 133, 65}, Shape{2, 3, 1, 5, 2060, 16}}) {
        const Spec spec{shape, dtype, layout};
        for (bool decode : {true, false}) {
          cases.push_back(metamorphic_case(
              "weighted_matmul", dtype, layout_name(layout), decode ? "decode_is_last_row" : "batch_mates",
              shape, "", shape[3] == 19, [=](const CaseEnvironment& environment) {
                return prepare(spec, decode, environment, launcher_of(environment, launcher));
              }));
        }
      }
    }
  }
  return cases;
}

}  // namespace hipforge::harness
