#include "harness/ops/linear.h"
#include "harness/sweep/large_cases.h"
#include "kernels/linear.h"

namespace hipforge::harness {
namespace {

// One row and one column out of every tile, whatever its size.
constexpr std::int64_t kSampledRows = 128;
constexpr std::int64_t kSampledColumns = 128;
constexpr std::int64_t kFewRows = 32;

struct Spec {
  DType dtype;
  std::int64_t rows;
  std::int64_t in_features;
  std::int64_t out_features;
  bool batch_invariant;
};

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream, HostCopy::kNone);
  Rig& rig = *prepared.rig;
  LinearParams params;
  params.batch_invariant = spec.batch_invariant;
  params.x = rig.input("x", spec.dtype, {spec.rows, spec.in_features});
  params.weight = rig.input("weight", spec.dtype, {spec.out_features, spec.in_features});
  params.y = rig.output("y", spec.dtype, {spec.rows, spec.out_features});
  const std::int64_t elements =
      spec.rows * spec.in_features + spec.out_features * spec.in_features + spec.rows * spec.out_features;
  prepared.bytes = elements * static_cast<std::int64_t>(dtype_size(spec.dtype));
  prepared.flops = 2 * spec.rows * spec.in_features * spec.out_features;
  // A few rows are bound by reading the weights, many by arithmetic.
  prepared.ceiling = spec.rows < kFewRows ? Ceiling::kRead : Ceiling::kMatrix;
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return linear(params, stream, target);
  };
  prepared.judge = [=, target = environment.target, seed = environment.seed](const Rig& judged) {
    const std::vector<std::int64_t> rows = spread(spec.rows, kSampledRows, seed);
    const std::int64_t column_count = spec.rows < kFewRows ? 32 * kSampledColumns : kSampledColumns;
    const std::vector<std::int64_t> columns = spread(spec.out_features, column_count, seed + 1);
    const std::vector<double> x = judged.sample("x", row_indices(rows, spec.in_features));
    const std::vector<double> weight = judged.sample("weight", row_indices(columns, spec.in_features));
    std::vector<std::int64_t> indices;
    for (std::int64_t row : rows) {
      for (std::int64_t column : columns) indices.push_back(row * spec.out_features + column);
    }
    LinearInputs inputs;
    inputs.x = x;
    inputs.weight = weight;
    inputs.rows = static_cast<std::int64_t>(rows.size());
    inputs.in_features = spec.in_features;
    inputs.out_features = static_cast<std::int64_t>(columns.size());
    inputs.y_dtype = spec.dtype;
    inputs.batch_invariant = spec.batch_invariant;
    inputs.depth = linear_reduction_depth(params, target);
    return judge_samples(judged, "y", indices, linear_expected(inputs, target));
  };
  return prepared;
}

}  // namespace

std::vector<Case> linear_large_cases(std::int64_t shrink) {
  std::vector<Case> cases;
  const auto add = [&](Spec spec) -> Case& {
    if (spec.rows > shrink) spec.rows /= shrink;
    spec.in_features /= shrink;
    spec.out_features /= shrink;
    cases.push_back(
        large_case("linear", spec.dtype, shape_name({spec.rows, spec.in_features, spec.out_features}),
                   spec.batch_invariant ? "batch_invariant" : "any_order",
                   [=](const CaseEnvironment& environment) { return prepare(spec, environment); }));
    return cases.back();
  };
  for (DType dtype : {DType::kBF16, DType::kF16}) {
    add({dtype, 8192, 8192, 8192, false}).floor_tflops = 400.0;
    add({dtype, 1, 4096, 14336, true}).floor_share = 0.75;
    // What a prefill and a batch of decoding sequences ask for.
    add({dtype, 2048, 4096, 14336, false});
    add({dtype, 2048, 4096, 14336, true});
    add({dtype, 16, 4096, 14336, true});
  }
  return cases;
}

}  // namespace hipforge::harness
