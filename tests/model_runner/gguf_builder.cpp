#include "tests/model_runner/gguf_builder.h"

#include "kernels/device/dtype.h"
#include "model_runner/utf8.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace hipforge::runner::testing {
namespace {

// GPT-2's own construction, apart from the tokenizer's: printable bytes keep their code point, the others
// get U+0100 and up in byte order.
std::vector<char32_t> byte_characters() {
  std::vector<char32_t> characters(256, 0);
  const auto keep = [&](unsigned low, unsigned high) {
    for (unsigned byte = low; byte <= high; ++byte) characters[byte] = byte;
  };
  keep('!', '~');
  keep(0xA1, 0xAC);
  keep(0xAE, 0xFF);
  char32_t next = 0x100;
  for (char32_t& character : characters) {
    if (character == 0) character = next++;
  }
  return characters;
}

}  // namespace

std::string in_byte_characters(std::string_view bytes) {
  static const std::vector<char32_t> characters = byte_characters();
  std::string text;
  for (const char byte : bytes) utf8_append(text, characters[static_cast<unsigned char>(byte)]);
  return text;
}

std::vector<std::string> byte_vocabulary() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte)
    tokens.push_back(in_byte_characters(std::string(1, static_cast<char>(byte))));
  return tokens;
}

std::int32_t Vocabulary::id(std::string_view token_text) const {
  const auto found = std::find(tokens.begin(), tokens.end(), token_text);
  return found == tokens.end() ? -1 : static_cast<std::int32_t>(found - tokens.begin());
}

Vocabulary& Vocabulary::merge(std::string_view left, std::string_view right) {
  const std::string left_text = in_byte_characters(left);
  const std::string right_text = in_byte_characters(right);
  merges.push_back(left_text + " " + right_text);
  if (id(left_text + right_text) < 0) {
    tokens.push_back(left_text + right_text);
    types.push_back(1);
  }
  return *this;
}

Vocabulary& Vocabulary::word(std::string_view bytes) {
  for (std::size_t length = 2; length <= bytes.size(); ++length) {
    if (id(in_byte_characters(bytes.substr(0, length))) < 0) {
      merge(bytes.substr(0, length - 1), bytes.substr(length - 1, 1));
    }
  }
  return *this;
}

Vocabulary& Vocabulary::special(std::string_view text, std::int32_t type) {
  tokens.emplace_back(text);
  types.push_back(type);
  return *this;
}

void Vocabulary::write_to(GgufBuilder& builder, std::string_view pre_tokenizer) const {
  builder.string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", pre_tokenizer);
  builder.strings("tokenizer.ggml.tokens", tokens).i32s("tokenizer.ggml.token_type", types);
  builder.strings("tokenizer.ggml.merges", merges);
}

Vocabulary TinyModel::default_vocabulary() {
  Vocabulary vocabulary;
  vocabulary.word("the").word(" the").word("ing").word(" and").word("'s");
  vocabulary.special("<|begin|>", 3).special("<|endoftext|>", 3).special("<user>", 4);
  return vocabulary;
}

GgufBuilder TinyModel::builder() const {
  GgufBuilder builder;
  builder.string("general.architecture", "llama").string("general.name", "tiny");
  builder.u32("llama.block_count", layers).u32("llama.context_length", context);
  builder.u32("llama.embedding_length", hidden).u32("llama.feed_forward_length", feed_forward);
  builder.u32("llama.attention.head_count", q_heads).u32("llama.attention.head_count_kv", kv_heads);
  builder.u32("llama.attention.key_length", head_dim).u32("llama.rope.dimension_count", head_dim);
  builder.f32("llama.attention.layer_norm_rms_epsilon", 1e-5f).f32("llama.rope.freq_base", 10000.0f);
  vocabulary.write_to(builder, pre_tokenizer);
  builder.u32("tokenizer.ggml.bos_token_id", static_cast<std::uint32_t>(vocabulary.id("<|begin|>")));
  builder.u32("tokenizer.ggml.eos_token_id",
              eos.value_or(static_cast<std::uint32_t>(vocabulary.id("<|endoftext|>"))));
  builder.boolean("tokenizer.ggml.add_bos_token", true);

  const std::uint64_t q_width = std::uint64_t{q_heads} * head_dim;
  const std::uint64_t kv_width = std::uint64_t{kv_heads} * head_dim;
  builder.tensor("token_embd.weight", {hidden, vocabulary.tokens.size()}, type)
      .tensor("output_norm.weight", {hidden});
  if (!tied) builder.tensor("output.weight", {hidden, vocabulary.tokens.size()}, type);
  for (std::uint32_t layer = 0; layer < layers; ++layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    builder.tensor(prefix + "attn_norm.weight", {hidden}).tensor(prefix + "ffn_norm.weight", {hidden});
    builder.tensor(prefix + "attn_q.weight", {hidden, q_width}, type);
    builder.tensor(prefix + "attn_k.weight", {hidden, kv_width}, type);
    builder.tensor(prefix + "attn_v.weight", {hidden, kv_width}, type);
    builder.tensor(prefix + "attn_output.weight", {q_width, hidden}, type);
    builder.tensor(prefix + "ffn_gate.weight", {hidden, feed_forward}, type);
    builder.tensor(prefix + "ffn_up.weight", {hidden, feed_forward}, type);
    builder.tensor(prefix + "ffn_down.weight", {feed_forward, hidden}, type);
  }
  return builder;
}

void fill_random(GgufBuilder& builder, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  for (BuilderTensor& tensor : builder.tensors) {
    ByteWriter writer;
    std::uint64_t elements = 1;
    for (const std::uint64_t dim : tensor.dims) elements *= dim;
    const float width = std::sqrt(static_cast<float>(tensor.dims[0]));
    const bool is_norm = tensor.name.find("norm") != std::string::npos;
    const auto next = [&] {
      if (tensor.name == "rope_freqs.weight") return std::exp2(3.0f * std::abs(std::sin(normal(random))));
      if (is_norm) return 1.0f + 0.25f * normal(random);
      return normal(random) * (tensor.dims.size() == 1 ? 0.5f : 1.5f / width);
    };
    if (tensor.type == 8) {
      for (std::uint64_t block = 0; block < elements / 32; ++block) {
        // Uniform quants of +-127 have a standard deviation of 73.
        writer.put(from_float<F16>(1.5f / width / 73.0f * (0.5f + std::abs(normal(random)))));
        for (int i = 0; i < 32; ++i)
          writer.put(static_cast<std::int8_t>(static_cast<int>(random() % 255) - 127));
      }
    } else {
      for (std::uint64_t i = 0; i < elements; ++i) {
        if (tensor.type == 0) {
          writer.put(next());
        } else if (tensor.type == 1) {
          writer.put(from_float<F16>(next()));
        } else {
          writer.put(from_float<BF16>(next()));
        }
      }
    }
    tensor.data = writer.image;
  }
}

}  // namespace hipforge::runner::testing
