#include "harness/ops/rope.h"
#include "harness/sweep/large_cases.h"
#include "kernels/rope.h"
#include "kernels/runtime/check.h"

namespace hipforge::harness {
namespace {

constexpr std::int64_t kSampledTokens = 48;
constexpr std::int64_t kHeads = 32;

PreparedCase prepare(DType dtype, std::int64_t batch, std::int64_t seq, std::int64_t head_dim,
                     RopeStyle style, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream, HostCopy::kNone);
  Rig& rig = *prepared.rig;
  const Shape shape{batch, seq, kHeads, head_dim};
  RopeFrequencyParams frequency_params;
  frequency_params.rotary_dim = head_dim;
  std::vector<float> inv_freq;
  RopeParams params;
  throw_if_error(rope_frequencies(frequency_params, inv_freq, params.magnitude));
  params.style = style;
  params.rotary_dim = head_dim;
  params.x = rig.input("x", dtype, shape);
  params.y = rig.output("y", dtype, shape);
  std::vector<double> positions;
  for (std::int64_t i = 0; i < seq; ++i) positions.push_back(static_cast<double>(i));
  params.positions = rig.input_values("positions", DType::kI32, {seq}, positions);
  const std::vector<double> frequencies(inv_freq.begin(), inv_freq.end());
  params.inv_freq = rig.input_values("inv_freq", DType::kF32, {head_dim / 2}, frequencies);
  params.error_word = rig.error_word();
  const std::int64_t elements = batch * seq * kHeads * head_dim;
  prepared.bytes = 2 * elements * static_cast<std::int64_t>(dtype_size(dtype)) + 4 * (seq + head_dim / 2);
  prepared.flops = 3 * elements;
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return rope(params, stream, target);
  };
  prepared.judge = [=, target = environment.target, seed = environment.seed](const Rig& judged) {
    // A token is a row of all its heads.
    const std::vector<std::int64_t> tokens = spread(batch * seq, kSampledTokens, seed);
    const std::vector<std::int64_t> indices = row_indices(tokens, kHeads * head_dim);
    const std::vector<double> x = judged.sample("x", indices);
    std::vector<double> sampled_positions;
    for (std::int64_t token : tokens) sampled_positions.push_back(static_cast<double>(token % seq));
    RopeInputs inputs;
    inputs.x = x;
    inputs.positions = sampled_positions;
    inputs.inv_freq = frequencies;
    inputs.sizes = {1, static_cast<std::int64_t>(tokens.size()), kHeads, head_dim, head_dim};
    inputs.style = style;
    inputs.magnitude = static_cast<double>(params.magnitude);
    inputs.dtype = dtype;
    return judge_samples(judged, "y", indices, rope_expected(inputs, target));
  };
  return prepared;
}

}  // namespace

std::vector<Case> rope_large_cases(std::int64_t shrink) {
  std::vector<Case> cases;
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    for (RopeStyle style : {RopeStyle::kInterleaved, RopeStyle::kHalfSplit}) {
      for (std::int64_t head_dim : {64, 128}) {
        // 256 MiB in and out.
        const std::int64_t batch = (dtype == DType::kF32 ? 256 : 512) / head_dim;
        const std::int64_t seq = 4096 / shrink;
        Case test = large_case("rope", dtype, shape_name({batch, seq, kHeads, head_dim}),
                               style == RopeStyle::kInterleaved ? "interleaved" : "half_split",
                               [=](const CaseEnvironment& environment) {
                                 return prepare(dtype, batch, seq, head_dim, style, environment);
                               });
        test.floor_share = 0.85;
        cases.push_back(std::move(test));
      }
    }
  }
  return cases;
}

}  // namespace hipforge::harness
