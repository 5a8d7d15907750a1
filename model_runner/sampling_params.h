// How the next token is chosen from the logits.
#pragma once

#include <cstdint>

namespace hipforge::runner {

struct SamplingParams {
  float temperature = 0.8f;  // 0: the most likely token; up to kMaxTemperature
  std::int64_t top_k = 40;   // keep the k most likely tokens; 0 keeps all
  float top_p = 0.95f;       // then the fewest whose probabilities reach p; above 0, at most 1
  std::uint64_t seed = 0;

  [[nodiscard]] bool greedy() const { return temperature == 0.0f; }
};

inline constexpr float kMaxTemperature = 100.0f;

/// Throws InputError (kUsage) that names the parameter, its value and the legal range.
void check_sampling_params(const SamplingParams& params);

}  // namespace hipforge::runner
