#include "model_runner/sampler.h"

namespace hipforge::runner {

Sampler::Sampler(const SamplingParams& params) : params_(params), id_(sizeof(TokenId)) {
  check_sampling_params(params);
}

TokenId Sampler::next(OpRunner& ops, const TensorView& logits, std::uint64_t position) {
  const TensorView ids = id_.view(DType::kI32, {1});
  if (params_.greedy()) {
    ops({.part = "argmax"}, ArgmaxParams{.x = logits, .ids = ids, .values = {}});
  } else {
    SampleParams params;
    params.logits = logits;
    params.ids = ids;
    params.temperature = params_.temperature;
    params.top_k = params_.top_k;
    params.top_p = params_.top_p;
    params.seed = params_.seed;
    params.position = position;
    ops({.part = "sample"}, params);
  }
  throw_if_error(hip_status(hipStreamSynchronize(ops.stream()), "hipStreamSynchronize"));
  TokenId id = -1;
  id_.download(std::as_writable_bytes(std::span(&id, 1)));
  return id;
}

}  // namespace hipforge::runner
