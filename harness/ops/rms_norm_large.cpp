#include "harness/ops/rms_norm.h"
#include "harness/sweep/large_cases.h"
#include "kernels/rms_norm.h"

namespace hipforge::harness {
namespace {

constexpr std::int64_t kSampledRows = 64;

PreparedCase prepare(DType dtype, std::int64_t rows, std::int64_t hidden, bool fused,
                     const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream, HostCopy::kNone);
  Rig& rig = *prepared.rig;
  const Shape shape{rows, hidden};
  RmsNormParams params;
  params.x = rig.input("x", dtype, shape);
  params.weight = rig.input("weight", dtype, {hidden});
  if (fused) {
    params.residual = rig.input("residual", dtype, shape);
    params.residual_out = rig.output("residual_out", dtype, shape);
  }
  params.y = rig.output("y", dtype, shape);
  const auto size = static_cast<std::int64_t>(dtype_size(dtype));
  prepared.bytes = (rows * hidden * (fused ? 4 : 2) + hidden) * size;
  prepared.flops = 4 * rows * hidden;
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return rms_norm(params, stream, target);
  };
  prepared.judge = [=, target = environment.target, seed = environment.seed](const Rig& judged) {
    const std::vector<std::int64_t> sampled = spread(rows, kSampledRows, seed);
    const std::vector<std::int64_t> indices = row_indices(sampled, hidden);
    const std::vector<double> x = judged.sample("x", indices);
    const std::vector<double> weight = judged.sample("weight", row_indices({0}, hidden));
    std::vector<double> residual;
    if (fused) residual = judged.sample("residual", indices);
    RmsNormInputs inputs;
    inputs.x = x;
    inputs.residual = residual;
    inputs.weight = weight;
    inputs.rows = static_cast<std::int64_t>(sampled.size());
    inputs.hidden = hidden;
    inputs.eps = static_cast<double>(params.eps);
    inputs.y_dtype = dtype;
    inputs.residual_dtype = dtype;
    const RmsNormExpected expected = rms_norm_expected(inputs, target);
    Comparison y = judge_samples(judged, "y", indices, expected.y);
    if (!fused || !y.passed) return y;
    Comparison stream_sum = judge_samples(judged, "residual_out", indices, expected.residual_out);
    return stream_sum.passed ? y : stream_sum;
  };
  return prepared;
}

}  // namespace

std::vector<Case> rms_norm_large_cases(std::int64_t shrink) {
  std::vector<Case> cases;
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    for (std::int64_t hidden : {4096, 8192}) {
      for (bool fused : {false, true}) {
        if (fused && hidden != 4096) continue;
        // 256 MiB or more in and out.
        const std::int64_t rows =
            (std::int64_t{128} << 20) / (hidden * static_cast<std::int64_t>(dtype_size(dtype)) * shrink);
        Case test = large_case("rms_norm", dtype, shape_name({rows, hidden}), fused ? "fused_add" : "plain",
                               [=](const CaseEnvironment& environment) {
                                 return prepare(dtype, rows, hidden, fused, environment);
                               });
        test.floor_share = 0.85;
        cases.push_back(std::move(test));
      }
    }
  }
  return cases;
}

}  // namespace hipforge::harness
