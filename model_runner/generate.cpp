#include "model_runner/generate.h"

#include "kernels/runtime/device.h"
#include "kernels/runtime/recorder.h"
#include "kernels/runtime/stream.h"
#include "model_runner/forward.h"
#include "model_runner/kv_cache.h"
#include "model_runner/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

namespace hipforge::runner {
namespace {

constexpr std::int64_t kPageSize = 32;      // tokens of a page of the cache
constexpr std::int64_t kPrefillRows = 128;  // tokens of a prompt that run at once

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Logits as they come from the device, hashed.
class LogitsWatch {
 public:
  explicit LogitsWatch(std::int64_t vocab) : host_(static_cast<std::size_t>(vocab)) {}

  /// Takes in one row; false if it holds NaN.
  [[nodiscard]] bool take(const TensorView& logits) {
    const auto bytes = std::as_writable_bytes(std::span(host_));
    throw_if_error(hip_status(hipMemcpy(bytes.data(), logits.data, bytes.size(), hipMemcpyDeviceToHost),
                              "hipMemcpy of the logits"));
    bool numbers = true;
    for (const float logit : host_) {
      std::uint32_t bits = 0;
      static_assert(sizeof bits == sizeof logit);
      std::memcpy(&bits, &logit, sizeof bits);
      hash_ = (hash_ ^ bits) * 0x100000001b3u;
      numbers = numbers && !std::isnan(logit);
    }
    return numbers;
  }
  [[nodiscard]] std::uint64_t hash() const { return hash_; }

 private:
  std::vector<float> host_;
  std::uint64_t hash_ = 0xcbf29ce484222325u;
};

std::vector<TokenId> encode_prompt(const GenerateOptions& options, const Model& model) {
  auto ids = model.tokenizer.encode(options.prompt, {.parse_special = options.parse_special});
  const auto count = static_cast<std::int64_t>(ids.size());
  if (count == 0) throw InputError(InputFault::kUsage, "the prompt is empty");
  if (count > model.config.context_length) {
    throw InputError(InputFault::kUsage,
                     fmt::format("the prompt has {} tokens, the context of the model is {}", count,
                                 model.config.context_length));
  }
  return ids;
}

// One sequence on its way through a model, from the prompt on.
class Generation {
 public:
  Generation(const GenerateOptions& options, const Model& model, std::int64_t prompt_tokens,
             DType activations)
      : model_(model),
        cache_(cache_shape(model.config, prompt_tokens + options.max_new_tokens - 1, activations)),
        forward_(model.config, model.weights, cache_, activations,
                 {.max_rows = std::min(kPrefillRows, prompt_tokens), .max_sequences = 1}, stream_.get()),
        sampler_(options.sampling),
        watch_(model.config.vocab),
        sequence_(cache_.create_sequence()) {
    if (options.verify) forward_.ops().observe(&verifier_.emplace());
  }

  /// Runs tokens through the model, a chunk at a time, and chooses the one that follows. None where the
  /// logits are NaN and the verifier knows of an op that is off: what it has to say is more than an error.
  std::optional<TokenId> next(std::span<const TokenId> tokens) {
    TensorView logits;
    while (!tokens.empty()) {
      const std::size_t count = std::min(tokens.size(), static_cast<std::size_t>(forward_.limits().max_rows));
      const SequenceTokens chunk{sequence_, tokens.first(count)};
      tokens = tokens.subspan(count);
      logits = forward_.step({&chunk, 1}, tokens.empty());
    }
    const std::int64_t position = cache_.length(sequence_);
    if (watch_.take(logits))
      return sampler_.next(forward_.ops(), logits, static_cast<std::uint64_t>(position));
    forward_.check_device_errors();
    if (verifier_ && !verifier_->passed()) return std::nullopt;
    throw Error(
        failure(StatusCode::kInvalidArgument, "generate: the logits for position ", position,
                " hold NaN: the model's weights are damaged, or its activations left the range of their "
                "dtype (see --activations)"));
  }

  [[nodiscard]] bool context_full() const { return cache_.length(sequence_) == model_.config.context_length; }

  /// Throws if a kernel met a bad index; then moves what was learned to the result.
  void finish(GenerateResult& result) {
    forward_.check_device_errors();
    GenerateStatistics& statistics = result.statistics;
    statistics.weight_bytes = model_.weights.bytes();
    statistics.kv_cache_bytes = cache_.bytes();
    statistics.activation_bytes = forward_.bytes();
    statistics.peak_memory_bytes = peak_memory_bytes();
    statistics.logits_hash = watch_.hash();
    statistics.weight_dtype = model_.weights.matrix_dtype();
    statistics.activation_dtype = forward_.activations();
    statistics.parameters = model_.weights.parameters();
    forward_.ops().observe(nullptr);
    result.verifier = std::move(verifier_);
  }

 private:
  static KvCacheShape cache_shape(const LlamaConfig& config, std::int64_t tokens, DType dtype) {
    return {.layers = config.layers,
            .kv_heads = config.kv_heads,
            .head_dim = config.head_dim,
            .page_size = kPageSize,
            .max_pages = (std::min(tokens, config.context_length) + kPageSize - 1) / kPageSize,
            .dtype = dtype};
  }

  const Model& model_;
  Stream stream_;
  KvCache cache_;
  Forward forward_;
  Sampler sampler_;
  LogitsWatch watch_;
  SequenceId sequence_;
  std::optional<Verifier> verifier_;
};

}  // namespace

void select_device(int device) {
  int count = 0;
  throw_if_error(usable_devices(count));
  if (device < 0 || device >= count) {
    throw Error(failure(StatusCode::kNotFound, "there is no device ", device, ", devices found: ", count));
  }
  throw_if_error(hip_status(hipSetDevice(device), "hipSetDevice"));
}

Model load_model(const std::filesystem::path& path) {
  return naming(path, [&] {
    const GgufFile file = GgufFile::open(path);
    const LlamaConfig config = read_llama_config(file);
    return Model{config, Tokenizer(file), Weights(file, config)};
  });
}

std::string_view stop_reason_text(StopReason reason) {
  switch (reason) {
    case StopReason::kEndToken:
      return "end of text";
    case StopReason::kMaxTokens:
      return "token limit";
    case StopReason::kContextFull:
      return "context full";
    case StopReason::kCheckFailed:
      return "failed check";
  }
  return "";
}

std::size_t peak_memory_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  }
  return 0;
}

GenerateResult generate(const GenerateOptions& options, const std::filesystem::path& model_path,
                        const TokenSink& sink) {
  GenerateResult result;
  GenerateStatistics& statistics = result.statistics;
  const Stopwatch load_watch;
  select_device(options.device);
  std::optional<Recorder> recorder;
  if (!options.record.empty()) recorder.emplace(options.record);
  const Model model = load_model(model_path);
  statistics.load_s = load_watch.seconds();
  result.prompt_ids = encode_prompt(options, model);
  statistics.prompt_tokens = static_cast<std::int64_t>(result.prompt_ids.size());

  Generation generation(options, model, statistics.prompt_tokens,
                        options.activations.value_or(model.weights.matrix_dtype()));
  const Stopwatch prefill_watch;
  std::optional<TokenId> id = generation.next(result.prompt_ids);
  statistics.prefill_s = prefill_watch.seconds();
  result.stop = id ? StopReason::kEndToken : StopReason::kCheckFailed;

  const Stopwatch decode_watch;
  StreamDecoder decoder(model.tokenizer);
  const auto emit = [&](TokenId token, const std::string& text) {
    result.text += text;
    sink(token, text);
  };
  while (id && (options.ignore_eos || !model.tokenizer.ends_generation(*id))) {
    result.ids.push_back(*id);
    emit(*id, decoder.push(*id));
    const bool enough = static_cast<std::int64_t>(result.ids.size()) == options.max_new_tokens;
    if (enough || generation.context_full()) {
      result.stop = enough ? StopReason::kMaxTokens : StopReason::kContextFull;
      break;
    }
    id = generation.next({&result.ids.back(), 1});
    ++statistics.decoded_tokens;
    result.stop = id ? StopReason::kEndToken : StopReason::kCheckFailed;
  }
  statistics.decode_s = decode_watch.seconds();
  emit(-1, decoder.finish());
  generation.finish(result);
  if (recorder) recorder->finish();
  return result;
}

}  // namespace hipforge::runner
