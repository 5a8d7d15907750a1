#include "model_runner/gguf.h"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <system_error>
#include <utility>

namespace hipforge::runner {
namespace {

static_assert(std::endian::native == std::endian::little, "values are read by copying their bytes");

constexpr std::string_view kMagic = "GGUF";
constexpr std::uint32_t kDefaultAlignment = 32;
constexpr std::uint32_t kMaxAlignment = 1u << 30;
constexpr std::uint64_t kMaxKeyBytes = 65535;
constexpr std::uint64_t kMaxTensorNameBytes = 64;
constexpr int kMaxArrayDepth = 4;
// The least that one entry occupies in the file; a count that needs more bytes than are left is refused
// before a vector of that size exists.
constexpr std::uint64_t kMinMetaEntryBytes = 8 + 4 + 1;
constexpr std::uint64_t kMinTensorInfoBytes = 8 + 4 + 8 + 4 + 8;
constexpr std::uint64_t kArrayHeaderBytes = 4 + 8;

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw InputError(InputFault::kFile, "gguf: " + fmt::format(format, std::forward<Args>(args)...));
}

template <class T>
T load(std::span<const std::byte> bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Takes values off the front of the file; `what` names the thing being read in the error.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  [[nodiscard]] std::uint64_t position() const { return position_; }
  [[nodiscard]] std::uint64_t left() const { return bytes_.size() - position_; }

  std::span<const std::byte> take(std::uint64_t count, std::string_view what, std::string_view part = "") {
    if (count > left()) {
      fail("{}{} needs {} bytes at byte {}, file has {}", what, part, count, position_, bytes_.size());
    }
    const auto taken = bytes_.subspan(position_, count);
    position_ += count;
    return taken;
  }

  template <class T>
  T read(std::string_view what, std::string_view part = "") {
    return load<T>(take(sizeof(T), what, part));
  }

  std::string_view read_text(std::string_view what) {
    const auto length = read<std::uint64_t>(what, " (its length)");
    return as_text(take(length, what));
  }

 private:
  std::span<const std::byte> bytes_;
  std::uint64_t position_ = 0;
};

bool is_meta_type(std::uint32_t id) {
  return id <= static_cast<std::uint32_t>(MetaType::kF64);
}

MetaType read_meta_type(Cursor& cursor, std::string_view what) {
  const auto id = cursor.read<std::uint32_t>(what, " (its type)");
  if (!is_meta_type(id)) fail("{} has value type {}, known are 0 to 12", what, id);
  return static_cast<MetaType>(id);
}

void check_bools(std::span<const std::byte> payload, std::string_view what) {
  const auto bad = std::find_if(payload.begin(), payload.end(),
                                [](std::byte value) { return std::to_integer<unsigned>(value) > 1; });
  if (bad != payload.end()) {
    fail("{} holds a bool of value {}, legal are 0 and 1", what, std::to_integer<unsigned>(*bad));
  }
}

MetaValue read_value(Cursor& cursor, MetaType type, std::string_view what, int depth);

MetaValue read_array(Cursor& cursor, std::string_view what, int depth) {
  if (depth > kMaxArrayDepth) fail("{} nests arrays more than {} deep", what, kMaxArrayDepth);
  MetaValue value;
  value.type = MetaType::kArray;
  value.element_type = read_meta_type(cursor, what);
  value.count = cursor.read<std::uint64_t>(what, " (its element count)");
  const std::size_t fixed_bytes = meta_type_bytes(value.element_type);
  std::uint64_t least_bytes = fixed_bytes;
  if (value.element_type == MetaType::kString) least_bytes = sizeof(std::uint64_t);
  if (value.element_type == MetaType::kArray) least_bytes = kArrayHeaderBytes;
  if (value.count > cursor.left() / least_bytes) {
    fail("{} announces {} elements of type {} at byte {}, the {} bytes left hold at most {}", what,
         value.count, meta_type_name(value.element_type), cursor.position(), cursor.left(),
         cursor.left() / least_bytes);
  }
  if (fixed_bytes != 0) {
    value.payload = cursor.take(value.count * fixed_bytes, what);
    if (value.element_type == MetaType::kBool) check_bools(value.payload, what);
    return value;
  }
  Cursor start = cursor;
  for (std::uint64_t i = 0; i < value.count; ++i) read_value(cursor, value.element_type, what, depth + 1);
  value.payload = start.take(cursor.position() - start.position(), what);
  return value;
}

MetaValue read_value(Cursor& cursor, MetaType type, std::string_view what, int depth) {
  if (type == MetaType::kArray) return read_array(cursor, what, depth);
  MetaValue value;
  value.type = type;
  if (type == MetaType::kString) {
    const auto text = cursor.read_text(what);
    value.payload = std::as_bytes(std::span(text.data(), text.size()));
  } else {
    value.payload = cursor.take(meta_type_bytes(type), what);
    if (type == MetaType::kBool) check_bools(value.payload, what);
  }
  return value;
}

// Indices of `entries` sorted by name; throws on two of one name. Sorting rather than hashing, because a
// hostile file can aim its names at one bucket.
template <class Entry, class NameOf>
std::vector<std::uint32_t> sorted_index(const std::vector<Entry>& entries, NameOf name_of,
                                        std::string_view kind) {
  std::vector<std::uint32_t> index(entries.size());
  std::iota(index.begin(), index.end(), 0u);
  std::sort(index.begin(), index.end(),
            [&](std::uint32_t a, std::uint32_t b) { return name_of(entries[a]) < name_of(entries[b]); });
  const auto twice = std::adjacent_find(index.begin(), index.end(), [&](std::uint32_t a, std::uint32_t b) {
    return name_of(entries[a]) == name_of(entries[b]);
  });
  if (twice != index.end()) fail("{} {} appears twice", kind, printable(name_of(entries[*twice])));
  return index;
}

template <class Entry, class NameOf>
const Entry* find_by_name(const std::vector<Entry>& entries, const std::vector<std::uint32_t>& index,
                          NameOf name_of, std::string_view name) {
  const auto found =
      std::lower_bound(index.begin(), index.end(), name,
                       [&](std::uint32_t a, std::string_view b) { return name_of(entries[a]) < b; });
  if (found == index.end() || name_of(entries[*found]) != name) return nullptr;
  return &entries[*found];
}

constexpr auto kKeyOf = [](const MetaEntry& entry) { return entry.key; };
constexpr auto kNameOf = [](const TensorInfo& tensor) { return tensor.name; };

void check_version(std::uint32_t version) {
  if (version == 2 || version == 3) return;
  const std::uint32_t swapped = __builtin_bswap32(version);
  if (swapped >= 1 && swapped <= 3) {
    fail(
        "the file is big-endian (its version field reads {} when swapped); only little-endian files are "
        "supported",
        swapped);
  }
  fail("version {} is not supported, supported are 2 and 3", version);
}

TensorInfo read_tensor_info(Cursor& cursor, std::uint64_t number) {
  TensorInfo tensor;
  const std::string entry = fmt::format("entry of tensor {}", number);
  tensor.name = cursor.read_text(entry + " (its name)");
  if (tensor.name.empty() || tensor.name.size() > kMaxTensorNameBytes) {
    fail("the name of tensor {} has {} bytes, legal are 1 to {}", number, tensor.name.size(),
         kMaxTensorNameBytes);
  }
  const std::string what = "tensor " + printable(tensor.name);
  const auto dim_count = cursor.read<std::uint32_t>(what, " (its dimension count)");
  if (dim_count < 1 || dim_count > kMaxTensorDims) {
    fail("{} has {} dimensions, legal are 1 to {}", what, dim_count, kMaxTensorDims);
  }
  tensor.dim_count = dim_count;
  tensor.dims.fill(1);
  tensor.elements = 1;
  for (std::size_t i = 0; i < dim_count; ++i) {
    const auto dim = cursor.read<std::uint64_t>(what, " (its dimensions)");
    tensor.dims[i] = dim;
    if (dim == 0) fail("{} has a dimension of 0 in {}", what, tensor.shape_text());
    // Signed 64-bit element counts are what everything downstream uses for shapes and strides.
    constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (dim > kMost / tensor.elements)
      fail("{} of shape {} has more than 2^63 - 1 elements", what, tensor.shape_text());
    tensor.elements *= dim;
  }
  const auto type_id = cursor.read<std::uint32_t>(what, " (its type)");
  tensor.type = ggml_type_traits(type_id);
  if (tensor.type == nullptr) fail("{} has type {}, which is not a known tensor type", what, type_id);
  if (tensor.dims[0] % tensor.type->block_elements != 0) {
    fail("{} has rows of {} elements, type {} needs a multiple of {}", what, tensor.dims[0],
         tensor.type->name, tensor.type->block_elements);
  }
  const std::uint64_t blocks = tensor.elements / tensor.type->block_elements;
  if (blocks > std::numeric_limits<std::uint64_t>::max() / tensor.type->block_bytes) {
    fail("{} of shape {} and type {} has more than 2^64 - 1 bytes", what, tensor.shape_text(),
         tensor.type->name);
  }
  tensor.bytes = blocks * tensor.type->block_bytes;
  tensor.offset = cursor.read<std::uint64_t>(what, " (its offset)");
  return tensor;
}

bool is_integer(MetaType type) {
  switch (type) {
    case MetaType::kU8:
    case MetaType::kI8:
    case MetaType::kU16:
    case MetaType::kI16:
    case MetaType::kU32:
    case MetaType::kI32:
    case MetaType::kU64:
    case MetaType::kI64:
      return true;
    default:
      return false;
  }
}

// An integer as a sign and a magnitude, so that u64 and i64 both fit.
struct Integer {
  bool negative;
  std::uint64_t magnitude;
  [[nodiscard]] std::string text() const { return (negative ? "-" : "") + std::to_string(magnitude); }
};

Integer as_integer(const MetaValue& value) {
  const auto of_signed = [](std::int64_t number) {
    return Integer{number < 0,
                   number < 0 ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number)};
  };
  switch (value.type) {
    case MetaType::kU8:
      return {false, load<std::uint8_t>(value.payload)};
    case MetaType::kU16:
      return {false, load<std::uint16_t>(value.payload)};
    case MetaType::kU32:
      return {false, load<std::uint32_t>(value.payload)};
    case MetaType::kU64:
      return {false, load<std::uint64_t>(value.payload)};
    case MetaType::kI8:
      return of_signed(load<std::int8_t>(value.payload));
    case MetaType::kI16:
      return of_signed(load<std::int16_t>(value.payload));
    case MetaType::kI32:
      return of_signed(load<std::int32_t>(value.payload));
    default:
      return of_signed(load<std::int64_t>(value.payload));
  }
}

// "a string", "an array of 3 f32", for messages about a value of the wrong kind.
std::string describe(const MetaValue& value) {
  if (value.type == MetaType::kArray) {
    return fmt::format("an array of {} {}", value.count, meta_type_name(value.element_type));
  }
  if (is_integer(value.type))
    return fmt::format("{} {}", meta_type_name(value.type), as_integer(value).text());
  return fmt::format("of type {}", meta_type_name(value.type));
}

constexpr std::array kTypeTable = {
    GgmlTypeTraits{0, "F32", 1, 4},         GgmlTypeTraits{1, "F16", 1, 2},
    GgmlTypeTraits{2, "Q4_0", 32, 18},      GgmlTypeTraits{3, "Q4_1", 32, 20},
    GgmlTypeTraits{6, "Q5_0", 32, 22},      GgmlTypeTraits{7, "Q5_1", 32, 24},
    GgmlTypeTraits{8, "Q8_0", 32, 34},      GgmlTypeTraits{9, "Q8_1", 32, 36},
    GgmlTypeTraits{10, "Q2_K", 256, 84},    GgmlTypeTraits{11, "Q3_K", 256, 110},
    GgmlTypeTraits{12, "Q4_K", 256, 144},   GgmlTypeTraits{13, "Q5_K", 256, 176},
    GgmlTypeTraits{14, "Q6_K", 256, 210},   GgmlTypeTraits{15, "Q8_K", 256, 292},
    GgmlTypeTraits{16, "IQ2_XXS", 256, 66}, GgmlTypeTraits{17, "IQ2_XS", 256, 74},
    GgmlTypeTraits{18, "IQ3_XXS", 256, 98}, GgmlTypeTraits{19, "IQ1_S", 256, 50},
    GgmlTypeTraits{20, "IQ4_NL", 32, 18},   GgmlTypeTraits{21, "IQ3_S", 256, 110},
    GgmlTypeTraits{22, "IQ2_S", 256, 82},   GgmlTypeTraits{23, "IQ4_XS", 256, 136},
    GgmlTypeTraits{24, "I8", 1, 1},         GgmlTypeTraits{25, "I16", 1, 2},
    GgmlTypeTraits{26, "I32", 1, 4},        GgmlTypeTraits{27, "I64", 1, 8},
    GgmlTypeTraits{28, "F64", 1, 8},        GgmlTypeTraits{29, "IQ1_M", 256, 56},
    GgmlTypeTraits{30, "BF16", 1, 2},       GgmlTypeTraits{34, "TQ1_0", 256, 54},
    GgmlTypeTraits{35, "TQ2_0", 256, 66},   GgmlTypeTraits{39, "MXFP4", 32, 17},
    GgmlTypeTraits{40, "NVFP4", 64, 36},    GgmlTypeTraits{41, "Q1_0", 128, 18},
};

// Closes a file descriptor at the end of a scope.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

std::string errno_text(int number) {
  return std::generic_category().message(number);
}

}  // namespace

std::string_view meta_type_name(MetaType type) {
  constexpr std::array<std::string_view, 13> kNames = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                       "bool", "string", "array", "u64", "i64", "f64"};
  return kNames[static_cast<std::size_t>(type)];
}

std::size_t meta_type_bytes(MetaType type) {
  switch (type) {
    case MetaType::kU8:
    case MetaType::kI8:
    case MetaType::kBool:
      return 1;
    case MetaType::kU16:
    case MetaType::kI16:
      return 2;
    case MetaType::kU32:
    case MetaType::kI32:
    case MetaType::kF32:
      return 4;
    case MetaType::kU64:
    case MetaType::kI64:
    case MetaType::kF64:
      return 8;
    case MetaType::kString:
    case MetaType::kArray:
      return 0;
  }
  return 0;
}

std::string_view MetaValue::as_string() const {
  return as_text(payload);
}

bool MetaValue::as_bool() const {
  return payload[0] != std::byte{0};
}

double MetaValue::as_double() const {
  if (type == MetaType::kF32) return static_cast<double>(load<float>(payload));
  if (type == MetaType::kF64) return load<double>(payload);
  const Integer number = as_integer(*this);
  const auto magnitude = static_cast<double>(number.magnitude);
  return number.negative ? -magnitude : magnitude;
}

std::string MetaValue::integer_text() const {
  return as_integer(*this).text();
}

MetaArrayReader::MetaArrayReader(const MetaValue& array)
    : element_type_(array.element_type), remaining_(array.count), rest_(array.payload) {}

MetaValue MetaArrayReader::next() {
  // The file's constructor walked the same bytes, so nothing here can run off the end.
  Cursor cursor(rest_);
  const MetaValue value = read_value(cursor, element_type_, "array element", 1);
  rest_ = rest_.subspan(cursor.position());
  --remaining_;
  return value;
}

const GgmlTypeTraits* ggml_type_traits(std::uint32_t id) {
  const auto found =
      std::lower_bound(kTypeTable.begin(), kTypeTable.end(), id,
                       [](const GgmlTypeTraits& traits, std::uint32_t key) { return traits.id < key; });
  return found != kTypeTable.end() && found->id == id ? &*found : nullptr;
}

std::string TensorInfo::shape_text() const {
  return fmt::format("[{}]",
                     fmt::join(dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(dim_count), ", "));
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const auto refuse = [](const std::string& problem) { throw InputError(InputFault::kFile, problem); };
  // Without O_NONBLOCK, opening a FIFO would wait for a writer.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) refuse("cannot open: " + errno_text(errno));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) refuse("cannot read its size: " + errno_text(errno));
  if (S_ISDIR(info.st_mode)) refuse("is a directory, a GGUF file is needed");
  if (!S_ISREG(info.st_mode)) refuse("is not a regular file");
  if (info.st_size == 0) refuse("is empty");
  const auto size = static_cast<std::size_t>(info.st_size);
  void* const mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (mapped == MAP_FAILED) refuse(fmt::format("cannot map {} bytes: {}", size, errno_text(errno)));
  data_ = static_cast<const std::byte*>(mapped);
  size_ = size;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    unmap();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

MappedFile::~MappedFile() {
  unmap();
}

void MappedFile::unmap() noexcept {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::drop_pages(std::uint64_t offset, std::uint64_t length) const {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t first = (offset + page - 1) / page * page;
  const std::uint64_t last = (offset + length) / page * page;
  // Advice only: a failure costs memory, not correctness.
  if (first < last) ::madvise(const_cast<std::byte*>(data_ + first), last - first, MADV_DONTNEED);
}

GgufFile GgufFile::open(const std::filesystem::path& path) {
  MappedFile mapping(path);
  GgufFile file(mapping.bytes());
  file.mapping_.emplace(std::move(mapping));
  file.parse();
  return file;
}

GgufFile GgufFile::over(std::span<const std::byte> image) {
  GgufFile file(image);
  file.parse();
  return file;
}

void GgufFile::parse() {
  Cursor cursor(bytes_);
  const auto magic = as_text(cursor.take(kMagic.size(), "the magic"));
  if (magic != kMagic) fail("not a GGUF file: it starts with \"{}\", not \"GGUF\"", printable(magic));
  version_ = cursor.read<std::uint32_t>("the version");
  check_version(version_);
  const auto tensor_count = cursor.read<std::uint64_t>("the tensor count");
  const auto entry_count = cursor.read<std::uint64_t>("the metadata count");
  if (entry_count > cursor.left() / kMinMetaEntryBytes) {
    fail("{} metadata entries need at least {} bytes each, the file has {} bytes in all", entry_count,
         kMinMetaEntryBytes, bytes_.size());
  }
  if (tensor_count > cursor.left() / kMinTensorInfoBytes) {
    fail("{} tensors need at least {} bytes each, the file has {} bytes in all", tensor_count,
         kMinTensorInfoBytes, bytes_.size());
  }
  if (entry_count > std::numeric_limits<std::uint32_t>::max() ||
      tensor_count > std::numeric_limits<std::uint32_t>::max()) {
    fail("{} metadata entries and {} tensors, at most 2^32 - 1 of each are supported", entry_count,
         tensor_count);
  }

  metadata_.reserve(entry_count);
  for (std::uint64_t i = 0; i < entry_count; ++i) {
    MetaEntry entry;
    entry.key = cursor.read_text(fmt::format("key of metadata entry {}", i));
    if (entry.key.empty() || entry.key.size() > kMaxKeyBytes) {
      fail("the key of metadata entry {} has {} bytes, legal are 1 to {}", i, entry.key.size(), kMaxKeyBytes);
    }
    const std::string what = printable(entry.key);
    const MetaType type = read_meta_type(cursor, what);
    entry.value = read_value(cursor, type, what, 1);
    metadata_.push_back(entry);
  }
  metadata_by_key_ = sorted_index(metadata_, kKeyOf, "metadata key");

  tensors_.reserve(tensor_count);
  for (std::uint64_t i = 0; i < tensor_count; ++i) tensors_.push_back(read_tensor_info(cursor, i));
  tensors_by_name_ = sorted_index(tensors_, kNameOf, "tensor");

  alignment_ = kDefaultAlignment;
  if (const auto given = optional_u32("general.alignment")) {
    if (!std::has_single_bit(*given) || *given > kMaxAlignment) {
      fail("general.alignment is {}, legal are the powers of two up to {}", *given, kMaxAlignment);
    }
    alignment_ = *given;
  }
  // The cursor stands within the file, and the alignment is at most 2^30: no overflow.
  check_tensor_data((cursor.position() + alignment_ - 1) / alignment_ * alignment_);
}

void GgufFile::check_tensor_data(std::uint64_t data_start) {
  const std::uint64_t size = bytes_.size();
  for (TensorInfo& tensor : tensors_) {
    const std::string name = printable(tensor.name);
    if (tensor.offset % alignment_ != 0) {
      fail("tensor {} lies at offset {}, which is not a multiple of the alignment {}", name, tensor.offset,
           alignment_);
    }
    if (data_start > size || tensor.offset > size - data_start) {
      fail("tensor {} starts {} bytes after the start of the data at byte {}, file has {}", name,
           tensor.offset, data_start, size);
    }
    tensor.offset += data_start;
    if (tensor.bytes > size - tensor.offset) {
      if (tensor.bytes > std::numeric_limits<std::uint64_t>::max() - tensor.offset) {
        fail("tensor {} has {} bytes, file has {}", name, tensor.bytes, size);
      }
      fail("tensor {} ends at byte {}, file has {}", name, tensor.offset + tensor.bytes, size);
    }
  }
  std::vector<const TensorInfo*> in_order;
  in_order.reserve(tensors_.size());
  for (const TensorInfo& tensor : tensors_) in_order.push_back(&tensor);
  std::sort(in_order.begin(), in_order.end(),
            [](const TensorInfo* a, const TensorInfo* b) { return a->offset < b->offset; });
  for (std::size_t i = 1; i < in_order.size(); ++i) {
    const TensorInfo& before = *in_order[i - 1];
    const TensorInfo& after = *in_order[i];
    if (before.offset + before.bytes > after.offset) {
      fail("tensors {} and {} overlap: the first ends at byte {}, the second starts at byte {}",
           printable(before.name), printable(after.name), before.offset + before.bytes, after.offset);
    }
  }
}

const MetaValue* GgufFile::find(std::string_view key) const {
  const MetaEntry* const entry = find_by_name(metadata_, metadata_by_key_, kKeyOf, key);
  return entry == nullptr ? nullptr : &entry->value;
}

const TensorInfo* GgufFile::find_tensor(std::string_view name) const {
  return find_by_name(tensors_, tensors_by_name_, kNameOf, name);
}

const TensorInfo& GgufFile::tensor(std::string_view name) const {
  const TensorInfo* const found = find_tensor(name);
  if (found == nullptr) fail("tensor {} is missing", printable(name));
  return *found;
}

std::span<const std::byte> GgufFile::data(const TensorInfo& tensor) const {
  return bytes_.subspan(tensor.offset, tensor.bytes);
}

void GgufFile::drop_pages(const TensorInfo& tensor) const {
  if (mapping_) mapping_->drop_pages(tensor.offset, tensor.bytes);
}

std::optional<std::uint32_t> GgufFile::optional_u32(std::string_view key) const {
  const MetaValue* const value = find(key);
  if (value == nullptr) return std::nullopt;
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  if (!is_integer(value->type)) {
    fail("{} is {}, an integer from 0 to {} is needed", printable(key), describe(*value), kMost);
  }
  const Integer number = as_integer(*value);
  if (number.negative || number.magnitude > kMost) {
    fail("{} is {}, legal are 0 to {}", printable(key), number.text(), kMost);
  }
  return static_cast<std::uint32_t>(number.magnitude);
}

std::uint32_t GgufFile::required_u32(std::string_view key) const {
  const auto value = optional_u32(key);
  if (!value) fail("{} is missing", printable(key));
  return *value;
}

std::optional<float> GgufFile::optional_f32(std::string_view key) const {
  const MetaValue* const value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != MetaType::kF32 && value->type != MetaType::kF64) {
    fail("{} is {}, a float is needed", printable(key), describe(*value));
  }
  const double number = value->as_double();
  if (!std::isfinite(number) || std::abs(number) > static_cast<double>(std::numeric_limits<float>::max())) {
    fail("{} is {}, a finite f32 is needed", printable(key), number);
  }
  return static_cast<float>(number);
}

float GgufFile::required_f32(std::string_view key) const {
  const auto value = optional_f32(key);
  if (!value) fail("{} is missing", printable(key));
  return *value;
}

std::optional<bool> GgufFile::optional_bool(std::string_view key) const {
  const MetaValue* const value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != MetaType::kBool) fail("{} is {}, a bool is needed", printable(key), describe(*value));
  return value->as_bool();
}

std::optional<std::string_view> GgufFile::optional_string(std::string_view key) const {
  const MetaValue* const value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != MetaType::kString)
    fail("{} is {}, a string is needed", printable(key), describe(*value));
  return value->as_string();
}

std::string_view GgufFile::required_string(std::string_view key) const {
  const auto value = optional_string(key);
  if (!value) fail("{} is missing", printable(key));
  return *value;
}

std::vector<std::string_view> GgufFile::required_strings(std::string_view key) const {
  const MetaValue* const value = find(key);
  if (value == nullptr) fail("{} is missing", printable(key));
  if (value->type != MetaType::kArray || value->element_type != MetaType::kString) {
    fail("{} is {}, an array of strings is needed", printable(key), describe(*value));
  }
  std::vector<std::string_view> strings;
  strings.reserve(value->count);
  for (MetaArrayReader reader(*value); !reader.done();) strings.push_back(reader.next().as_string());
  return strings;
}

std::optional<std::vector<std::int32_t>> GgufFile::optional_i32s(std::string_view key) const {
  const MetaValue* const value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->type != MetaType::kArray || !is_integer(value->element_type)) {
    fail("{} is {}, an array of integers is needed", printable(key), describe(*value));
  }
  std::vector<std::int32_t> numbers;
  numbers.reserve(value->count);
  for (MetaArrayReader reader(*value); !reader.done();) {
    const Integer number = as_integer(reader.next());
    constexpr std::uint64_t kMost = std::numeric_limits<std::int32_t>::max();
    if (number.magnitude > kMost) {
      fail("element {} of {} is {}, legal are {} to {}", numbers.size(), printable(key), number.text(),
           -static_cast<std::int64_t>(kMost), kMost);
    }
    const auto magnitude = static_cast<std::int32_t>(number.magnitude);
    numbers.push_back(number.negative ? -magnitude : magnitude);
  }
  return numbers;
}

}  // namespace hipforge::runner
