// Loads a model and continues a prompt.
#pragma once

#include "kernels/runtime/dtype.h"
#include "model_runner/command_line.h"
#include "model_runner/config.h"
#include "model_runner/tokenizer.h"
#include "model_runner/verify.h"
#include "model_runner/weights.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hipforge::runner {

/// A model on the current device, ready to run.
struct Model {
  LlamaConfig config;
  Tokenizer tokenizer;
  Weights weights;
};

/// Makes `device` the current one. Throws hipforge::Error (kNotFound) with the number of devices if there is
/// no such device.
void select_device(int device);

/// Loads a model to the current device. Throws InputError (kFile) that begins with the path for anything
/// wrong with the file, hipforge::Error for anything wrong with the device.
[[nodiscard]] Model load_model(const std::filesystem::path& path);

/// kCheckFailed: under --verify an op was off, and the logits have become NaN.
enum class StopReason { kEndToken, kMaxTokens, kContextFull, kCheckFailed };

/// "end of text", "token limit", "context full", "failed check".
[[nodiscard]] std::string_view stop_reason_text(StopReason reason);

struct GenerateStatistics {
  double load_s = 0.0;     // opening, checking and uploading the file
  double prefill_s = 0.0;  // from the prompt's tokens to the first generated one
  double decode_s = 0.0;   // of the tokens after the first
  std::int64_t prompt_tokens = 0;
  std::int64_t decoded_tokens = 0;  // after the first
  std::size_t weight_bytes = 0;
  std::size_t kv_cache_bytes = 0;
  std::size_t activation_bytes = 0;
  std::size_t peak_memory_bytes = 0;  // of the process on the host; 0 where the system does not tell
  std::uint64_t logits_hash = 0;      // FNV-1a, 32 bits at a time, of all logits that tokens were chosen from
  DType weight_dtype = DType::kF32;   // of most matrices
  DType activation_dtype = DType::kF32;
  std::int64_t parameters = 0;

  [[nodiscard]] double prefill_tokens_per_s() const { return rate(prompt_tokens, prefill_s); }
  [[nodiscard]] double decode_tokens_per_s() const { return rate(decoded_tokens, decode_s); }

 private:
  [[nodiscard]] static double rate(std::int64_t count, double seconds) {
    return seconds > 0.0 ? static_cast<double>(count) / seconds : 0.0;
  }
};

struct GenerateResult {
  std::vector<TokenId> prompt_ids;
  std::vector<TokenId> ids;  // generated, without the token that ended it
  std::string text;          // of ids
  StopReason stop = StopReason::kEndToken;
  GenerateStatistics statistics;
  std::optional<Verifier> verifier;  // what --verify saw
};

/// Called for each generated token with the text that it completes; the last call has id -1 and what was
/// held back.
using TokenSink = std::function<void(TokenId id, std::string_view text)>;

/// Runs a generation from loading to the last token. Throws InputError (kUsage) for an empty prompt or one
/// longer than the context, with both numbers; else like load_model(), or whatever `sink` throws.
[[nodiscard]] GenerateResult generate(const GenerateOptions& options, const std::filesystem::path& model_path,
                                      const TokenSink& sink);

/// The most memory that this process has had resident, or 0 where the system does not tell.
[[nodiscard]] std::size_t peak_memory_bytes();

}  // namespace hipforge::runner
