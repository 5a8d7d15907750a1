#include "model_runner/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

namespace hipforge::runner {
namespace {

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw InputError(InputFault::kFile, "model: " + fmt::format(format, std::forward<Args>(args)...));
}

// Far above any llama model, and low enough that no product of a few of them leaves 64 bits.
constexpr std::int64_t kMaxLayers = 1024;
constexpr std::int64_t kMaxContext = std::int64_t{1} << 24;
constexpr std::int64_t kMaxWidth = std::int64_t{1} << 20;
constexpr std::int64_t kMaxHeads = 1024;
constexpr std::int64_t kMaxHeadDim = 256;
constexpr std::int64_t kMaxVocab = std::int64_t{1} << 20;

std::int64_t checked_size(std::string_view key, std::uint32_t value, std::int64_t most) {
  if (value < 1 || value > most) fail("{} is {}, supported are 1 to {}", key, value, most);
  return value;
}

std::int64_t read_size(const GgufFile& file, std::string_view key, std::int64_t most) {
  return checked_size(key, file.required_u32(key), most);
}

double read_positive(const GgufFile& file, std::string_view key, double otherwise) {
  const auto value = file.optional_f32(key);
  if (value && !(*value > 0.0f)) fail("{} is {}, a number above 0 is needed", key, *value);
  return value ? static_cast<double>(*value) : otherwise;
}

// Metadata of features that change what the model computes and that this runner does not have.
void refuse_unsupported_features(const GgufFile& file) {
  if (const auto experts = file.optional_u32("llama.expert_count"); experts.value_or(0) > 0) {
    fail("llama.expert_count is {}: mixtures of experts are not supported", *experts);
  }
  if (const auto parts = file.optional_u32("split.count"); parts.value_or(1) > 1) {
    fail("split.count is {}: a model split over several files is not supported", *parts);
  }
}

RopeConfig read_rope(const GgufFile& file, const LlamaConfig& config) {
  RopeConfig rope;
  rope.rotary_dim =
      file.optional_u32("llama.rope.dimension_count").value_or(static_cast<std::uint32_t>(config.head_dim));
  if (rope.rotary_dim < 2 || rope.rotary_dim > config.head_dim || rope.rotary_dim % 2 != 0) {
    fail("llama.rope.dimension_count is {}, an even number from 2 to the head dimension {} is needed",
         rope.rotary_dim, config.head_dim);
  }
  rope.theta = read_positive(file, "llama.rope.freq_base", 10000.0);
  rope.file_factors = file.find_tensor("rope_freqs.weight") != nullptr;

  const double linear_factor = read_positive(file, "llama.rope.scale_linear", 1.0);  // how older files say it
  const auto type =
      file.optional_string("llama.rope.scaling.type").value_or(linear_factor != 1.0 ? "linear" : "none");
  if (type == "none") return rope;
  if (type != "linear" && type != "yarn") {
    fail("llama.rope.scaling.type is \"{}\", supported are none, linear and yarn", printable(type));
  }
  rope.factor = read_positive(file, "llama.rope.scaling.factor", linear_factor);
  if (rope.factor < 1.0) fail("llama.rope.scaling.factor is {}, at least 1 is needed", rope.factor);
  if (type == "linear") {
    if (rope.factor == 1.0) return rope;
    rope.scaling = RopeScalingType::kLinear;
  } else {
    rope.scaling = RopeScalingType::kYarn;
    if (rope.theta <= 1.0) fail("llama.rope.freq_base is {}, YaRN needs more than 1", rope.theta);
    const auto original = file.optional_u32("llama.rope.scaling.original_context_length");
    rope.original_context_length =
        original ? checked_size("llama.rope.scaling.original_context_length", *original, kMaxContext)
                 : config.context_length;
    rope.beta_fast = read_positive(file, "llama.rope.scaling.yarn_beta_fast", 32.0);
    rope.beta_slow = read_positive(file, "llama.rope.scaling.yarn_beta_slow", 1.0);
    if (rope.beta_fast <= rope.beta_slow) {
      fail("llama.rope.scaling.yarn_beta_fast is {}, it must be above yarn_beta_slow, {}", rope.beta_fast,
           rope.beta_slow);
    }
    // Peng et al., "YaRN", 2023 (arXiv:2309.00071), equation 22; the file's factor comes on top of it.
    rope.magnitude = read_positive(file, "llama.rope.scaling.attn_factor", 1.0) *
                     read_positive(file, "llama.rope.scaling.yarn_attn_factor", 1.0) *
                     (0.1 * std::log(rope.factor) + 1.0);
    if (const auto ext = file.optional_f32("llama.rope.scaling.yarn_ext_factor");
        ext && *ext != 1.0f && *ext != -1.0f) {
      fail("llama.rope.scaling.yarn_ext_factor is {}, supported is 1 (or -1, which means 1)", *ext);
    }
  }
  if (rope.file_factors && rope.scaling == RopeScalingType::kYarn) {
    fail("llama.rope.scaling.type is \"yarn\" and rope_freqs.weight is there too: not supported together");
  }
  return rope;
}

using Shape = std::vector<std::int64_t>;  // outermost first

// The file lists dimensions innermost first.
std::string file_shape_text(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape.rbegin(), shape.rend(), ", "));
}

bool has_shape(const TensorInfo& tensor, const Shape& shape) {
  if (tensor.dim_count != shape.size()) return false;
  return std::equal(
      shape.rbegin(), shape.rend(), tensor.dims.begin(),
      [](std::int64_t wanted, std::uint64_t found) { return static_cast<std::uint64_t>(wanted) == found; });
}

void check_type(const TensorInfo& tensor, std::initializer_list<GgmlType> legal) {
  if (std::any_of(legal.begin(), legal.end(), [&](GgmlType type) { return tensor.is(type); })) return;
  std::vector<std::string_view> names;
  for (const GgmlType type : legal) names.push_back(ggml_type_traits(static_cast<std::uint32_t>(type))->name);
  fail("tensor {} is of type {}, supported are {}", printable(tensor.name), tensor.type->name,
       fmt::join(names, ", "));
}

// Compares the file's tensors with those of the architecture, one expectation after the other.
class TensorCheck {
 public:
  explicit TensorCheck(const GgufFile& file) : file_(file) {}

  void require(const std::string& name, const Shape& shape) {
    const TensorInfo& tensor = file_.tensor(name);
    check(tensor, shape);
  }

  bool allow(const std::string& name, const Shape& shape) {
    const TensorInfo* const tensor = file_.find_tensor(name);
    if (tensor != nullptr) check(*tensor, shape);
    return tensor != nullptr;
  }

  /// A tensor that nothing reads means that the model is not what it is taken for.
  void refuse_the_rest() const {
    for (const TensorInfo& tensor : file_.tensors()) {
      if (!known_.contains(tensor.name)) {
        fail("tensor {} is not part of the llama architecture as supported", printable(tensor.name));
      }
    }
  }

 private:
  void check(const TensorInfo& tensor, const Shape& shape) {
    if (!has_shape(tensor, shape)) {
      fail("tensor {} has shape {}, {} is needed", printable(tensor.name), tensor.shape_text(),
           file_shape_text(shape));
    }
    if (tensor.name == "rope_freqs.weight") {
      check_type(tensor, {GgmlType::kF32});
    } else {
      check_type(tensor, {GgmlType::kF32, GgmlType::kF16, GgmlType::kBF16, GgmlType::kQ8_0});
    }
    known_.insert(tensor.name);
  }

  const GgufFile& file_;
  std::set<std::string_view> known_;
};

bool check_tensors(const GgufFile& file, const LlamaConfig& config) {
  TensorCheck check(file);
  check.require("token_embd.weight", {config.vocab, config.hidden});
  check.require("output_norm.weight", {config.hidden});
  const bool has_output = check.allow("output.weight", {config.vocab, config.hidden});
  check.allow("rope_freqs.weight", {config.rope.rotary_dim / 2});
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const auto name = [&](std::string_view part) { return layer_tensor_name(layer, part); };
    check.require(name("attn_norm.weight"), {config.hidden});
    check.require(name("ffn_norm.weight"), {config.hidden});
    const std::array<std::pair<std::string_view, Shape>, 7> matrices = {{
        {"attn_q", {config.q_width(), config.hidden}},
        {"attn_k", {config.kv_width(), config.hidden}},
        {"attn_v", {config.kv_width(), config.hidden}},
        {"attn_output", {config.hidden, config.q_width()}},
        {"ffn_gate", {config.feed_forward, config.hidden}},
        {"ffn_up", {config.feed_forward, config.hidden}},
        {"ffn_down", {config.hidden, config.feed_forward}},
    }};
    for (const auto& [part, shape] : matrices) {
      check.require(name(fmt::format("{}.weight", part)), shape);
      check.allow(name(fmt::format("{}.bias", part)), {shape[0]});
    }
  }
  check.refuse_the_rest();
  return has_output;
}

}  // namespace

std::string layer_tensor_name(std::int64_t layer, std::string_view part) {
  return fmt::format("blk.{}.{}", layer, part);
}

LlamaConfig read_llama_config(const GgufFile& file) {
  const auto architecture = file.required_string("general.architecture");
  if (architecture != "llama") {
    fail("general.architecture is \"{}\", supported is llama", printable(architecture));
  }
  refuse_unsupported_features(file);
  LlamaConfig config;
  config.name = file.optional_string("general.name").value_or("");
  config.layers = read_size(file, "llama.block_count", kMaxLayers);
  config.context_length = read_size(file, "llama.context_length", kMaxContext);
  config.hidden = read_size(file, "llama.embedding_length", kMaxWidth);
  config.feed_forward = read_size(file, "llama.feed_forward_length", kMaxWidth);
  config.q_heads = read_size(file, "llama.attention.head_count", kMaxHeads);
  config.kv_heads = config.q_heads;
  if (const auto kv_heads = file.optional_u32("llama.attention.head_count_kv")) {
    config.kv_heads = checked_size("llama.attention.head_count_kv", *kv_heads, kMaxHeads);
  }
  if (config.q_heads % config.kv_heads != 0) {
    fail("llama.attention.head_count is {}, which is not a multiple of head_count_kv, {}", config.q_heads,
         config.kv_heads);
  }
  if (const auto key_length = file.optional_u32("llama.attention.key_length")) {
    config.head_dim = checked_size("llama.attention.key_length", *key_length, kMaxHeadDim);
  } else {
    config.head_dim = config.hidden / config.q_heads;
    if (config.hidden % config.q_heads != 0 || config.head_dim > kMaxHeadDim) {
      fail("llama.embedding_length {} over llama.attention.head_count {} is no head dimension from 1 to {}",
           config.hidden, config.q_heads, kMaxHeadDim);
    }
  }
  if (const auto value_length = file.optional_u32("llama.attention.value_length");
      value_length && *value_length != config.head_dim) {
    fail("llama.attention.value_length is {}, keys have {}: different lengths are not supported",
         *value_length, config.head_dim);
  }
  config.rms_eps = file.required_f32("llama.attention.layer_norm_rms_epsilon");
  if (!(config.rms_eps >= 0.0f) || config.rms_eps >= 1.0f) {
    fail("llama.attention.layer_norm_rms_epsilon is {}, a number from 0 to 1 is needed", config.rms_eps);
  }

  const MetaValue* const tokens = file.find("tokenizer.ggml.tokens");
  if (tokens == nullptr || tokens->type != MetaType::kArray)
    fail("tokenizer.ggml.tokens, an array, is missing");
  if (tokens->count < 1 || tokens->count > static_cast<std::uint64_t>(kMaxVocab)) {
    fail("tokenizer.ggml.tokens has {} tokens, supported are 1 to {}", tokens->count, kMaxVocab);
  }
  config.vocab = static_cast<std::int64_t>(tokens->count);
  if (const auto vocab_size = file.optional_u32("llama.vocab_size");
      vocab_size && *vocab_size != config.vocab) {
    fail("llama.vocab_size is {}, tokenizer.ggml.tokens has {} tokens", *vocab_size, config.vocab);
  }

  config.rope = read_rope(file, config);
  config.tied_output = !check_tensors(file, config);
  return config;
}

}  // namespace hipforge::runner
