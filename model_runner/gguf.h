// GGUF files, versions 2 and 3, little-endian, memory-mapped.
//
// A file is hostile until proven otherwise: every count, length and offset is checked against the bytes
// that are there, with arithmetic that cannot wrap, before anything is allocated or read by it. What the
// constructor lets through can be used without further checks: every string, array and tensor lies inside
// the file, names are unique, tensors are aligned and do not overlap.
//
// Every error is an InputError of kind kFile whose text starts with "gguf: " and names the thing and the
// numbers. A file that another process truncates while it is mapped is beyond this: reading the lost pages
// raises SIGBUS.
#pragma once

#include "model_runner/error.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hipforge::runner {

/// Types of a metadata value, numbered as in the file.
enum class MetaType : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

/// "u8", "string", "array", ...
[[nodiscard]] std::string_view meta_type_name(MetaType type);

/// Bytes of one value of a fixed-size type; 0 for strings and arrays.
[[nodiscard]] std::size_t meta_type_bytes(MetaType type);

/// One metadata value, still encoded: a view of the file.
struct MetaValue {
  MetaType type = MetaType::kU8;
  MetaType element_type = MetaType::kU8;  // of an array; else unused
  std::uint64_t count = 1;                // elements of an array; else 1
  std::span<const std::byte> payload;     // scalar: its bytes; string: its characters; array: its elements

  [[nodiscard]] std::string_view as_string() const;  // type must be kString
  [[nodiscard]] bool as_bool() const;                // type must be kBool
  /// The value of an integer or float type, exactly for integers within +-2^53.
  [[nodiscard]] double as_double() const;
  [[nodiscard]] std::string integer_text() const;  // decimal, of an integer type
};

struct MetaEntry {
  std::string_view key;
  MetaValue value;
};

/// Walks the elements of an array value, nested arrays included, in the file's order.
class MetaArrayReader {
 public:
  explicit MetaArrayReader(const MetaValue& array);
  [[nodiscard]] bool done() const { return remaining_ == 0; }
  /// The next element. Call only while !done().
  MetaValue next();

 private:
  MetaType element_type_;
  std::uint64_t remaining_;
  std::span<const std::byte> rest_;
};

/// The tensor types that the runner computes with; the file may hold others.
enum class GgmlType : std::uint32_t { kF32 = 0, kF16 = 1, kQ8_0 = 8, kBF16 = 30 };

/// Storage of a tensor type: `block_bytes` bytes hold `block_elements` consecutive elements of a row.
struct GgmlTypeTraits {
  std::uint32_t id;
  std::string_view name;
  std::uint32_t block_elements;
  std::uint32_t block_bytes;
};

/// Traits of a type by its number in the file, or null where the number stands for no type of known size.
[[nodiscard]] const GgmlTypeTraits* ggml_type_traits(std::uint32_t id);

inline constexpr std::size_t kMaxTensorDims = 4;

struct TensorInfo {
  std::string_view name;
  const GgmlTypeTraits* type = nullptr;
  std::size_t dim_count = 0;                         // 1 to 4
  std::array<std::uint64_t, kMaxTensorDims> dims{};  // innermost first, as in the file; 1 beyond dim_count
  std::uint64_t elements = 0;
  std::uint64_t offset = 0;  // of the first byte, from the start of the file
  std::uint64_t bytes = 0;

  [[nodiscard]] bool is(GgmlType wanted) const { return type->id == static_cast<std::uint32_t>(wanted); }
  [[nodiscard]] std::string shape_text() const;  // "[256, 4096]", innermost first
};

/// A read-only mapping of a whole file. One owner; the mapping goes with it.
class MappedFile {
 public:
  /// Maps `path`. Throws InputError (kFile), which does not name it, if it does not exist, is not a regular
  /// file, is empty or cannot be read.
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// Tells the kernel that the whole pages within [offset, offset + length) are not needed for now. They
  /// are read from the file again when touched.
  void drop_pages(std::uint64_t offset, std::uint64_t length) const;

 private:
  void unmap() noexcept;

  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

class GgufFile {
 public:
  /// Maps and checks the file at `path`.
  [[nodiscard]] static GgufFile open(const std::filesystem::path& path);
  /// Checks a file image that the caller holds and keeps alive.
  [[nodiscard]] static GgufFile over(std::span<const std::byte> image);

  GgufFile(GgufFile&&) noexcept = default;
  GgufFile& operator=(GgufFile&&) noexcept = default;

  [[nodiscard]] std::uint32_t version() const { return version_; }
  [[nodiscard]] std::uint64_t size_bytes() const { return bytes_.size(); }
  [[nodiscard]] std::uint32_t alignment() const { return alignment_; }
  /// Both in the file's order.
  [[nodiscard]] std::span<const MetaEntry> metadata() const { return metadata_; }
  [[nodiscard]] std::span<const TensorInfo> tensors() const { return tensors_; }

  /// Null where there is none.
  [[nodiscard]] const MetaValue* find(std::string_view key) const;
  [[nodiscard]] const TensorInfo* find_tensor(std::string_view name) const;
  /// Throws where there is none.
  [[nodiscard]] const TensorInfo& tensor(std::string_view name) const;

  [[nodiscard]] std::span<const std::byte> data(const TensorInfo& tensor) const;
  /// Lets go of the tensor's pages in memory; data() reads them from the file again. Nothing happens to an
  /// image that the caller holds.
  void drop_pages(const TensorInfo& tensor) const;

  // Typed getters. `required_` throws where the key is missing; both throw where the value is of another
  // kind or does not fit. Integers of any width are taken where an integer is wanted, floats of any width
  // where a float is.
  [[nodiscard]] std::uint32_t required_u32(std::string_view key) const;
  [[nodiscard]] std::optional<std::uint32_t> optional_u32(std::string_view key) const;
  [[nodiscard]] float required_f32(std::string_view key) const;
  [[nodiscard]] std::optional<float> optional_f32(std::string_view key) const;
  [[nodiscard]] std::optional<bool> optional_bool(std::string_view key) const;
  [[nodiscard]] std::string_view required_string(std::string_view key) const;
  [[nodiscard]] std::optional<std::string_view> optional_string(std::string_view key) const;
  [[nodiscard]] std::vector<std::string_view> required_strings(std::string_view key) const;
  [[nodiscard]] std::optional<std::vector<std::int32_t>> optional_i32s(std::string_view key) const;

 private:
  explicit GgufFile(std::span<const std::byte> image) : bytes_(image) {}
  void parse();
  void check_tensor_data(std::uint64_t data_start);

  std::optional<MappedFile> mapping_;  // none for an image that the caller holds
  std::span<const std::byte> bytes_;
  std::uint32_t version_ = 0;
  std::uint32_t alignment_ = 0;
  std::vector<MetaEntry> metadata_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::uint32_t> metadata_by_key_;  // indices into the above, sorted by name
  std::vector<std::uint32_t> tensors_by_name_;
};

}  // namespace hipforge::runner
