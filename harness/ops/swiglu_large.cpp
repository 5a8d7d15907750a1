#include "harness/ops/swiglu.h"
#include "harness/sweep/column_slice.h"
#include "harness/sweep/large_cases.h"
#include "kernels/swiglu.h"

namespace hipforge::harness {
namespace {

constexpr std::int64_t kSampledRows = 24;
constexpr std::int64_t kCols = 14336;

// `fused`: gate and up are the halves of one matrix, as one product of a model leaves them.
PreparedCase prepare(DType dtype, std::int64_t rows, bool fused, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream, HostCopy::kNone);
  Rig& rig = *prepared.rig;
  SwigluParams params;
  if (fused) {
    const TensorView both = rig.input("gate_up", dtype, {rows, 2 * kCols});
    params.gate = slice_columns(both, 0, kCols);
    params.up = slice_columns(both, kCols, kCols);
  } else {
    params.gate = rig.input("gate", dtype, {rows, kCols});
    params.up = rig.input("up", dtype, {rows, kCols});
  }
  params.y = rig.output("y", dtype, {rows, kCols});
  prepared.bytes = 3 * rows * kCols * static_cast<std::int64_t>(dtype_size(dtype));
  prepared.flops = 5 * rows * kCols;
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return swiglu(params, stream, target);
  };
  prepared.judge = [=, target = environment.target, seed = environment.seed](const Rig& judged) {
    const std::vector<std::int64_t> sampled = spread(rows, kSampledRows, seed);
    const std::vector<std::int64_t> indices = row_indices(sampled, kCols);
    std::vector<double> gate;
    std::vector<double> up;
    if (fused) {
      const std::vector<double> both = judged.sample("gate_up", row_indices(sampled, 2 * kCols));
      gate = slice_columns(both, 2 * kCols, 0, kCols);
      up = slice_columns(both, 2 * kCols, kCols, kCols);
    } else {
      gate = judged.sample("gate", indices);
      up = judged.sample("up", indices);
    }
    const auto count = static_cast<std::int64_t>(sampled.size());
    return judge_samples(judged, "y", indices, swiglu_expected({gate, up, count, kCols, dtype}, target));
  };
  return prepared;
}

}  // namespace

std::vector<Case> swiglu_large_cases(std::int64_t shrink) {
  std::vector<Case> cases;
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    for (bool fused : {false, true}) {
      // 336 MiB in and out.
      const std::int64_t rows = (dtype == DType::kF32 ? 2048 : 4096) / shrink;
      Case test = large_case(
          "swiglu", dtype, shape_name({rows, kCols}), fused ? "fused_halves" : "plain",
          [=](const CaseEnvironment& environment) { return prepare(dtype, rows, fused, environment); });
      test.floor_share = 0.85;
      cases.push_back(std::move(test));
    }
  }
  return cases;
}

}  // namespace hipforge::harness
