#include "model_runner/sampling_params.h"

#include "model_runner/error.h"

#include <fmt/format.h>

namespace hipforge::runner {
namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw InputError(InputFault::kUsage, message);
}

}  // namespace

void check_sampling_params(const SamplingParams& params) {
  // Written so that NaN fails.
  if (!(params.temperature >= 0.0f && params.temperature <= kMaxTemperature)) {
    refuse(fmt::format("--temp is {}, legal are 0 to {}", params.temperature, kMaxTemperature));
  }
  if (params.top_k < 0)
    refuse(fmt::format("--top-k is {}, a number from 0 (all tokens) on is needed", params.top_k));
  if (!(params.top_p > 0.0f && params.top_p <= 1.0f)) {
    refuse(fmt::format("--top-p is {}, legal are numbers above 0, up to 1", params.top_p));
  }
}

}  // namespace hipforge::runner
