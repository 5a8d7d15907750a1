// Chooses tokens from logits with the kernels for it.
#pragma once

#include "kernels/runtime/device_buffer.h"
#include "model_runner/op_observer.h"
#include "model_runner/sampling_params.h"
#include "model_runner/tokenizer.h"

#include <cstdint>

namespace hipforge::runner {

class Sampler {
 public:
  explicit Sampler(const SamplingParams& params);

  /// The token at `position` of a sequence, from its logits f32 [1, vocab]. With temperature 0 the most
  /// likely one, the lowest id of several; else drawn, from the seed and the position alone. Waits for the
  /// stream.
  TokenId next(OpRunner& ops, const TensorView& logits, std::uint64_t position);

 private:
  SamplingParams params_;
  DeviceBuffer id_;
};

}  // namespace hipforge::runner
