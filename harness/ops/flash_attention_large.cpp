#include "harness/ops/flash_attention.h"
#include "harness/sweep/large_cases.h"
#include "kernels/flash_attention.h"

#include <algorithm>

namespace hipforge::harness {
namespace {

constexpr std::int64_t kSampledHeads = 12;
constexpr std::int64_t kSampledRows = 16;  // neighbours, from one place of each sampled head

struct Spec {
  DType dtype;
  std::int64_t batch;
  std::int64_t q_len;
  std::int64_t kv_len;
  std::int64_t q_heads;
  std::int64_t kv_heads;
  std::int64_t head_dim;
  bool causal;
};

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream, HostCopy::kNone);
  Rig& rig = *prepared.rig;
  FlashAttentionParams params;
  params.causal = spec.causal;
  params.error_word = rig.error_word();
  params.q = rig.input("q", spec.dtype, {spec.batch, spec.q_len, spec.q_heads, spec.head_dim});
  params.k = rig.input("k", spec.dtype, {spec.batch, spec.kv_len, spec.kv_heads, spec.head_dim});
  params.v = rig.input("v", spec.dtype, {spec.batch, spec.kv_len, spec.kv_heads, spec.head_dim});
  params.o = rig.output("o", spec.dtype, {spec.batch, spec.q_len, spec.q_heads, spec.head_dim});
  const std::int64_t elements = 2 * params.q.numel() + 2 * params.k.numel();
  prepared.bytes = elements * static_cast<std::int64_t>(dtype_size(spec.dtype));
  // Keys that a causal row does not see are not counted: q_len ends where kv_len does.
  const std::int64_t hidden = spec.causal ? spec.q_len * (spec.q_len - 1) / 2 : 0;
  prepared.flops = 4 * spec.batch * spec.q_heads * spec.head_dim * (spec.q_len * spec.kv_len - hidden);
  prepared.ceiling = spec.q_len > 8 ? Ceiling::kMatrix : Ceiling::kRead;
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return flash_attention(params, stream, target);
  };
  prepared.judge = [=, seed = environment.seed](const Rig& judged) {
    std::vector<std::int64_t> indices;
    Expected expected;
    const std::vector<std::int64_t> pairs = spread(spec.batch * spec.q_heads, kSampledHeads, seed);
    const std::int64_t count = std::min(kSampledRows, spec.q_len);
    // Each sampled head at a place of its own: together they reach over all rows.
    const std::vector<std::int64_t> places =
        spread(spec.q_len - count + 1, static_cast<std::int64_t>(pairs.size()), seed + 1);
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      const std::int64_t batch = pairs[i] / spec.q_heads;
      const std::int64_t head = pairs[i] % spec.q_heads;
      const std::int64_t kv_head = head / (spec.q_heads / spec.kv_heads);
      const std::int64_t first = places[i % places.size()];
      // Rows see keys up to their own: those past the last sampled row do not exist for them.
      const std::int64_t kv_len = spec.causal ? spec.kv_len - spec.q_len + first + count : spec.kv_len;
      std::vector<std::int64_t> q_rows;
      for (std::int64_t row = first; row < first + count; ++row) {
        q_rows.push_back((batch * spec.q_len + row) * spec.q_heads + head);
      }
      std::vector<std::int64_t> kv_rows;
      for (std::int64_t key = 0; key < kv_len; ++key) {
        kv_rows.push_back((batch * spec.kv_len + key) * spec.kv_heads + kv_head);
      }
      const std::vector<std::int64_t> q_indices = row_indices(q_rows, spec.head_dim);
      const std::vector<std::int64_t> kv_indices = row_indices(kv_rows, spec.head_dim);
      const std::vector<double> q = judged.sample("q", q_indices);
      const std::vector<double> k = judged.sample("k", kv_indices);
      const std::vector<double> v = judged.sample("v", kv_indices);
      FlashAttentionInputs inputs;
      inputs.q = q;
      inputs.k = k;
      inputs.v = v;
      inputs.batch = 1;
      inputs.q_len = count;
      inputs.kv_len = kv_len;
      inputs.q_heads = 1;
      inputs.kv_heads = 1;
      inputs.head_dim = spec.head_dim;
      inputs.causal = spec.causal;
      inputs.dtype = spec.dtype;
      append(expected, flash_attention_expected(inputs).o);
      indices.insert(indices.end(), q_indices.begin(), q_indices.end());
    }
    return judge_samples(judged, "o", indices, expected);
  };
  return prepared;
}

}  // namespace

std::vector<Case> flash_attention_large_cases(std::int64_t shrink) {
  std::vector<Case> cases;
  const auto add = [&](Spec spec, const std::string& what) -> Case& {
    if (spec.q_len > shrink) spec.q_len /= shrink;
    spec.kv_len /= shrink;
    cases.push_back(large_case(
        "flash_attention", spec.dtype,
        shape_name({spec.batch, spec.q_len, spec.kv_len, spec.q_heads, spec.kv_heads, spec.head_dim}), what,
        [=](const CaseEnvironment& environment) { return prepare(spec, environment); }));
    return cases.back();
  };
  for (DType dtype : {DType::kBF16, DType::kF16}) {
    add({dtype, 4, 4096, 4096, 32, 32, 128, false}, "full").floor_tflops = 250.0;
    add({dtype, 4, 4096, 4096, 32, 32, 128, true}, "causal").floor_tflops = 220.0;
    add({dtype, 32, 1, 8192, 32, 8, 128, false}, "decode").floor_share = 0.80;
  }
  return cases;
}

}  // namespace hipforge::harness
