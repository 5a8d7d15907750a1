#include "model_runner/generate.h"

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

// Logits as they come from the device: hashed, and refused if one is NaN.
class LogitsWatch {
 public:
  explicit LogitsWatch(std::int64_t vocab) : host_(static_cast<std::size_t>(vocab)) {}

  void take(const TensorView& logits, std::int64_t position) {
    const auto bytes = std::as_writable_bytes(std::span(host_));
    throw_if_error(hip_status(hipMemcpy(bytes.data(), logits.data, bytes.size(), hipMemcpyDeviceToHost),
                              "hipMemcpy of the logits"));
    for (const float logit : host_) {
      std::uint32_t bits = 0;
      static_assert(sizeof bits == sizeof logit);
      std::memcpy(&bits, &logit, sizeof bits);
      hash_ = (hash_ ^ bits) * 0x100000001b3u;
      if (std::isnan(logit)) {
        throw Error(
            failure(StatusCode::kInvalidArgument, "generate: the logits for position ", position,
                    " hold NaN: the model's weights are damaged, or its activations left the range of their "
                    "dtype (see --activations)"));
      }
    }
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

}  // namespace

void select_device(int device) {
  int count = 0;
  throw_if_error(hip_status(hipGetDeviceCount(&count), "hipGetDeviceCount"));
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
  Stopwatch load_watch;
  select_device(options.device);
  const Model model = load_model(model_path);
  statistics.load_s = load_watch.seconds();
  result.prompt_ids = encode_prompt(options, model);

  const auto prompt_tokens = static_cast<std::int64_t>(result.prompt_ids.size());
  const DType activations = options.activations.value_or(model.weights.matrix_dtype());
  // The last generated token is never run through the model.
  const std::int64_t most_tokens =
      std::min(model.config.context_length, prompt_tokens + options.max_new_tokens - 1);
  const Stream stream;
  KvCache cache({.layers = model.config.layers,
                 .kv_heads = model.config.kv_heads,
                 .head_dim = model.config.head_dim,
                 .page_size = kPageSize,
                 .max_pages = (most_tokens + kPageSize - 1) / kPageSize,
                 .dtype = activations});
  Forward forward(model.config, model.weights, cache, activations,
                  {.max_rows = std::min(kPrefillRows, prompt_tokens), .max_sequences = 1}, stream.get());
  if (options.verify) forward.ops().observe(&result.verifier.emplace());
  Sampler sampler(options.sampling);
  LogitsWatch watch(model.config.vocab);
  StreamDecoder decoder(model.tokenizer);
  const SequenceId sequence = cache.create_sequence();

  const auto choose = [&](const TensorView& logits) {
    watch.take(logits, cache.length(sequence));
    return sampler.next(forward.ops(), logits, static_cast<std::uint64_t>(cache.length(sequence)));
  };
  Stopwatch prefill_watch;
  TensorView logits;
  for (std::span<const TokenId> rest = result.prompt_ids; !rest.empty();) {
    const std::size_t count = std::min(rest.size(), static_cast<std::size_t>(forward.limits().max_rows));
    const SequenceTokens chunk{sequence, rest.first(count)};
    rest = rest.subspan(count);
    logits = forward.step({&chunk, 1}, rest.empty());
  }
  forward.check_device_errors();
  TokenId id = choose(logits);
  statistics.prefill_s = prefill_watch.seconds();

  Stopwatch decode_watch;
  while (true) {
    if (model.tokenizer.ends_generation(id) && !options.ignore_eos) {
      result.stop = StopReason::kEndToken;
      break;
    }
    result.ids.push_back(id);
    const std::string text = decoder.push(id);
    result.text += text;
    sink(id, text);
    if (static_cast<std::int64_t>(result.ids.size()) == options.max_new_tokens) {
      result.stop = StopReason::kMaxTokens;
      break;
    }
    if (cache.length(sequence) == model.config.context_length) {
      result.stop = StopReason::kContextFull;
      break;
    }
    const SequenceTokens next{sequence, {&id, 1}};
    id = choose(forward.step({&next, 1}));
    ++statistics.decoded_tokens;
  }
  statistics.decode_s = decode_watch.seconds();
  forward.check_device_errors();
  const std::string held = decoder.finish();
  result.text += held;
  sink(-1, held);

  statistics.prompt_tokens = prompt_tokens;
  statistics.weight_bytes = model.weights.bytes();
  statistics.kv_cache_bytes = cache.bytes();
  statistics.activation_bytes = forward.bytes();
  statistics.peak_memory_bytes = peak_memory_bytes();
  statistics.logits_hash = watch.hash();
  statistics.weight_dtype = model.weights.matrix_dtype();
  statistics.activation_dtype = activations;
  statistics.parameters = model.weights.parameters();
  return result;
}

}  // namespace hipforge::runner
