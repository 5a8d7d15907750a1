// Writes GGUF images for tests: right ones, and ones that are wrong in one chosen place.
#pragma once

#include "model_runner/gguf.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hipforge::runner::testing {

using Image = std::vector<std::byte>;

/// Appends little-endian values.
class ByteWriter {
 public:
  template <class T>
  ByteWriter& put(T value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    image.insert(image.end(), bytes, bytes + sizeof value);
    return *this;
  }
  ByteWriter& put_bytes(std::string_view text) {
    const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
    image.insert(image.end(), bytes, bytes + text.size());
    return *this;
  }
  ByteWriter& put_string(std::string_view text) { return put<std::uint64_t>(text.size()).put_bytes(text); }
  ByteWriter& pad_to(std::size_t alignment) {
    while (image.size() % alignment != 0) image.push_back(std::byte{0});
    return *this;
  }

  Image image;
};

struct BuilderTensor {
  std::string name;
  std::vector<std::uint64_t> dims;  // innermost first
  std::uint32_t type = 0;
  Image data;
  std::optional<std::uint64_t> offset;  // where the entry says the data is; else where it is
};

/// Fields that a test sets wrong stand beside those that build() works out.
class GgufBuilder {
 public:
  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::uint32_t alignment = 32;  // what build() pads to; the metadata key is the test's business
  std::optional<std::uint64_t> tensor_count;
  std::optional<std::uint64_t> metadata_count;
  std::vector<BuilderTensor> tensors;

  GgufBuilder& meta(std::string_view key, MetaType type, const ByteWriter& value) {
    metadata_.put_string(key).put(static_cast<std::uint32_t>(type));
    metadata_.image.insert(metadata_.image.end(), value.image.begin(), value.image.end());
    ++metadata_entries_;
    return *this;
  }
  GgufBuilder& string(std::string_view key, std::string_view value) {
    return meta(key, MetaType::kString, ByteWriter().put_string(value));
  }
  GgufBuilder& u32(std::string_view key, std::uint32_t value) {
    return meta(key, MetaType::kU32, ByteWriter().put(value));
  }
  GgufBuilder& f32(std::string_view key, float value) {
    return meta(key, MetaType::kF32, ByteWriter().put(value));
  }
  GgufBuilder& boolean(std::string_view key, bool value) {
    return meta(key, MetaType::kBool, ByteWriter().put<std::uint8_t>(value ? 1 : 0));
  }
  GgufBuilder& strings(std::string_view key, const std::vector<std::string>& values) {
    ByteWriter writer = array_header(MetaType::kString, values.size());
    for (const std::string& value : values) writer.put_string(value);
    return meta(key, MetaType::kArray, writer);
  }
  GgufBuilder& i32s(std::string_view key, const std::vector<std::int32_t>& values) {
    ByteWriter writer = array_header(MetaType::kI32, values.size());
    for (const std::int32_t value : values) writer.put(value);
    return meta(key, MetaType::kArray, writer);
  }
  static ByteWriter array_header(MetaType element_type, std::uint64_t count) {
    return ByteWriter().put(static_cast<std::uint32_t>(element_type)).put(count);
  }

  /// Adds a tensor of zeros.
  GgufBuilder& tensor(std::string_view name, const std::vector<std::uint64_t>& dims, std::uint32_t type = 0) {
    std::uint64_t elements = 1;
    for (const std::uint64_t dim : dims) elements *= dim;
    const GgmlTypeTraits* const traits = ggml_type_traits(type);
    const std::uint64_t bytes =
        traits == nullptr ? 0 : elements / traits->block_elements * traits->block_bytes;
    tensors.push_back({std::string(name), dims, type, Image(bytes), std::nullopt});
    return *this;
  }

  [[nodiscard]] Image build() const {
    ByteWriter writer;
    writer.put_bytes(magic).put(version);
    writer.put<std::uint64_t>(tensor_count.value_or(tensors.size()));
    writer.put<std::uint64_t>(metadata_count.value_or(metadata_entries_));
    writer.image.insert(writer.image.end(), metadata_.image.begin(), metadata_.image.end());
    std::uint64_t offset = 0;
    for (const BuilderTensor& tensor : tensors) {
      writer.put_string(tensor.name).put(static_cast<std::uint32_t>(tensor.dims.size()));
      for (const std::uint64_t dim : tensor.dims) writer.put(dim);
      writer.put(tensor.type).put(tensor.offset.value_or(offset));
      offset += (tensor.data.size() + alignment - 1) / alignment * alignment;
    }
    for (const BuilderTensor& tensor : tensors) {
      writer.pad_to(alignment);
      writer.image.insert(writer.image.end(), tensor.data.begin(), tensor.data.end());
    }
    return writer.image;
  }

 private:
  ByteWriter metadata_;
  std::uint64_t metadata_entries_ = 0;
};

/// Token texts in GPT-2's byte characters: the 256 single bytes, in byte order.
[[nodiscard]] std::vector<std::string> byte_vocabulary();
/// `bytes` in byte characters.
[[nodiscard]] std::string in_byte_characters(std::string_view bytes);

/// A vocabulary with merges, put together from words: every prefix of a word that has two bytes or more is a
/// token, made by merging the byte after it. Tokens 0 to 255 are the single bytes.
struct Vocabulary {
  std::vector<std::string> tokens = byte_vocabulary();
  std::vector<std::string> merges;
  std::vector<std::int32_t> types = std::vector<std::int32_t>(256, 1);

  Vocabulary& word(std::string_view bytes);
  Vocabulary& merge(std::string_view left, std::string_view right);  // raw bytes; adds the token if it is new
  Vocabulary& special(std::string_view text, std::int32_t type);
  [[nodiscard]] std::int32_t id(std::string_view token_text) const;  // -1 if there is none
  void write_to(GgufBuilder& builder, std::string_view pre_tokenizer) const;
};

/// What a small llama file holds; every field can be set wrong.
struct TinyModel {
  std::uint32_t layers = 2;
  std::uint32_t context = 64;
  std::uint32_t hidden = 32;
  std::uint32_t feed_forward = 64;
  std::uint32_t q_heads = 4;
  std::uint32_t kv_heads = 2;
  std::uint32_t head_dim = 8;
  std::uint32_t type = 0;  // of the matrices
  bool tied = true;
  std::optional<std::uint32_t> eos;  // else that of <|endoftext|>
  std::string pre_tokenizer = "gpt-2";
  Vocabulary vocabulary = default_vocabulary();

  static Vocabulary default_vocabulary();
  /// Metadata and tensors (of zeros) that make a valid model.
  [[nodiscard]] GgufBuilder builder() const;
};

/// Fills every tensor with random values that keep activations of order 1: matrices scaled by their width,
/// norms near 1, frequency factors from 1 to 8. Q8_0 blocks get random quants and a scale.
void fill_random(GgufBuilder& builder, std::uint64_t seed);

}  // namespace hipforge::runner::testing
