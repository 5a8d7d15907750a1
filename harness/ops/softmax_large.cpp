#include "harness/ops/softmax.h"
#include "harness/sweep/large_cases.h"
#include "kernels/softmax.h"

namespace hipforge::harness {
namespace {

constexpr std::int64_t kSampledRows = 48;

PreparedCase prepare(DType dtype, std::int64_t rows, std::int64_t cols, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream, HostCopy::kNone);
  Rig& rig = *prepared.rig;
  const Shape shape{1, 1, rows, cols};
  SoftmaxParams params;
  params.x = rig.input("x", dtype, shape, Family::kNormal, 3.0);
  params.y = rig.output("y", dtype, shape);
  prepared.bytes = 2 * rows * cols * static_cast<std::int64_t>(dtype_size(dtype));
  prepared.flops = 5 * rows * cols;
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return softmax(params, stream, target);
  };
  prepared.judge = [=, target = environment.target, seed = environment.seed](const Rig& judged) {
    const std::vector<std::int64_t> sampled = spread(rows, kSampledRows, seed);
    const std::vector<std::int64_t> indices = row_indices(sampled, cols);
    const std::vector<double> x = judged.sample("x", indices);
    SoftmaxInputs inputs;
    inputs.x = x;
    inputs.batch = 1;
    inputs.heads = 1;
    inputs.rows = static_cast<std::int64_t>(sampled.size());
    inputs.cols = cols;
    inputs.dtype = dtype;
    return judge_samples(judged, "y", indices, softmax_expected(inputs, target));
  };
  return prepared;
}

}  // namespace

std::vector<Case> softmax_large_cases(std::int64_t shrink) {
  std::vector<Case> cases;
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    for (std::int64_t cols : {1024, 2048, 4096, 8192, 16384}) {
      // 256 MiB in and out.
      const std::int64_t rows =
          (std::int64_t{128} << 20) / (cols * static_cast<std::int64_t>(dtype_size(dtype)) * shrink);
      Case test = large_case(
          "softmax", dtype, shape_name({rows, cols}), "plain",
          [=](const CaseEnvironment& environment) { return prepare(dtype, rows, cols, environment); });
      test.floor_share = 0.85;
      cases.push_back(std::move(test));
    }
  }
  return cases;
}

}  // namespace hipforge::harness
