#include "harness/ops/weighted_matmul.h"
#include "harness/sweep/large_cases.h"
#include "kernels/weighted_matmul.h"

namespace hipforge::harness {
namespace {

constexpr std::int64_t kSampledHeads = 8;
constexpr std::int64_t kSampledRows = 32;

struct Spec {
  DType dtype;
  std::int64_t batch;
  std::int64_t heads;
  std::int64_t q_len;
  std::int64_t kv_len;
  std::int64_t head_dim;
};

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream, HostCopy::kNone);
  Rig& rig = *prepared.rig;
  WeightedMatmulParams params;
  // Weights that sum to about 1, as probabilities do.
  params.weights = rig.input("weights", spec.dtype, {spec.batch, spec.heads, spec.q_len, spec.kv_len},
                             Family::kPositive, 2.0 / static_cast<double>(spec.kv_len));
  params.values = rig.input("values", spec.dtype, {spec.batch, spec.kv_len, spec.heads, spec.head_dim});
  params.out = rig.output("out", spec.dtype, {spec.batch, spec.q_len, spec.heads, spec.head_dim});
  const std::int64_t elements = params.weights.numel() + params.values.numel() + params.out.numel();
  prepared.bytes = elements * static_cast<std::int64_t>(dtype_size(spec.dtype));
  prepared.flops = 2 * params.weights.numel() * spec.head_dim;
  prepared.ceiling = Ceiling::kRead;
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return weighted_matmul(params, stream, target);
  };
  prepared.judge = [=, target = environment.target, seed = environment.seed](const Rig& judged) {
    std::vector<std::int64_t> indices;
    Expected expected;
    for (std::int64_t pair : spread(spec.batch * spec.heads, kSampledHeads, seed)) {
      const std::int64_t batch = pair / spec.heads;
      const std::int64_t head = pair % spec.heads;
      std::vector<std::int64_t> weight_rows;
      for (std::int64_t row : spread(spec.q_len, kSampledRows, seed + static_cast<std::uint64_t>(pair))) {
        weight_rows.push_back(pair * spec.q_len + row);
        const std::int64_t out_row = (batch * spec.q_len + row) * spec.heads + head;
        for (std::int64_t d = 0; d < spec.head_dim; ++d) indices.push_back(out_row * spec.head_dim + d);
      }
      std::vector<std::int64_t> value_rows;
      for (std::int64_t key = 0; key < spec.kv_len; ++key) {
        value_rows.push_back((batch * spec.kv_len + key) * spec.heads + head);
      }
      const std::vector<double> weights = judged.sample("weights", row_indices(weight_rows, spec.kv_len));
      const std::vector<double> values = judged.sample("values", row_indices(value_rows, spec.head_dim));
      WeightedMatmulInputs inputs;
      inputs.weights = weights;
      inputs.values = values;
      inputs.batch = 1;
      inputs.q_len = static_cast<std::int64_t>(weight_rows.size());
      inputs.kv_len = spec.kv_len;
      inputs.q_heads = 1;
      inputs.kv_heads = 1;
      inputs.head_dim = spec.head_dim;
      inputs.dtype = spec.dtype;
      append(expected, weighted_matmul_expected(inputs, target));
    }
    return judge_samples(judged, "out", indices, expected);
  };
  return prepared;
}

}  // namespace

std::vector<Case> weighted_matmul_large_cases(std::int64_t shrink) {
  std::vector<Case> cases;
  for (DType dtype : {DType::kBF16, DType::kF16}) {
    const Spec spec{dtype, 4, 32, 4096 / shrink, 4096 / shrink, 128};
    Case test =
        large_case("weighted_matmul", dtype,
                   shape_name({spec.batch, spec.heads, spec.q_len, spec.kv_len, spec.head_dim}), "plain",
                   [=](const CaseEnvironment& environment) { return prepare(spec, environment); });
    test.floor_share = 0.80;
    cases.push_back(std::move(test));
  }
  return cases;
}

}  // namespace hipforge::harness
