// The shape of a llama model, read from a GGUF file's metadata and checked against its tensors.
#pragma once

#include "model_runner/gguf.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hipforge::runner {

enum class RopeScalingType { kNone, kLinear, kYarn };

struct RopeConfig {
  std::int64_t rotary_dim = 0;  // elements of a head that rotate; even, at most head_dim
  double theta = 10000.0;       // base of the frequencies
  RopeScalingType scaling = RopeScalingType::kNone;
  double factor = 1.0;                       // linear, YaRN: how much longer the context is made; >= 1
  std::int64_t original_context_length = 0;  // YaRN
  double beta_fast = 32.0;                   // YaRN
  double beta_slow = 1.0;                    // YaRN
  double magnitude = 1.0;     // what rotated elements are multiplied by (YaRN's attention factor)
  bool file_factors = false;  // rope_freqs.weight [rotary_dim / 2] divides the frequencies
};

/// Sizes are in elements. Shapes in comments are outermost first.
struct LlamaConfig {
  std::string name;  // general.name, or empty
  std::int64_t layers = 0;
  std::int64_t context_length = 0;  // tokens
  std::int64_t hidden = 0;          // width of the residual stream
  std::int64_t feed_forward =
      0;  // width of the MLP: gate, up [feed_forward, hidden]; down [hidden, feed_forward]
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;  // divides q_heads
  std::int64_t head_dim = 0;  // of queries, keys and values
  std::int64_t vocab = 0;     // token_embd [vocab, hidden]
  float rms_eps = 0.0f;
  RopeConfig rope;
  bool tied_output = false;  // logits = hidden · token_embdᵀ; there is no output.weight

  [[nodiscard]] std::int64_t q_width() const { return q_heads * head_dim; }
  [[nodiscard]] std::int64_t kv_width() const { return kv_heads * head_dim; }
};

/// Reads and checks the metadata and the name, shape and type of every tensor. Throws InputError (kFile) with
/// a text that starts with "model: " or "gguf: ": an architecture other than llama (by its name), a missing
/// or wrong key, numbers that disagree or leave the supported range, a tensor that is missing, unknown, of
/// the wrong shape (the name, the shape and the shape that is needed) or of a type that cannot be computed
/// with.
[[nodiscard]] LlamaConfig read_llama_config(const GgufFile& file);

/// Name of a tensor of block `layer`: "blk.3.attn_q.weight".
[[nodiscard]] std::string layer_tensor_name(std::int64_t layer, std::string_view part);

}  // namespace hipforge::runner
