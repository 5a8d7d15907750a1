#include "harness/replay/recording.h"

#include "kernels/runtime/recorder.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <charconv>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <string_view>

namespace hipforge::harness {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr std::uint64_t kMaxGridSize = 0x7fffffff;
constexpr std::uint64_t kMaxBlockSize = 1024;
constexpr std::uint64_t kMaxSharedBytes = 1u << 20;
constexpr std::size_t kMaxArgsBytes = 4096;  // CUDA's own limit before version 12.1

// What is wrong with a line; the reader adds file and line.
struct Fault {
  std::string text;
};

template <class... Parts>
[[noreturn]] void refuse(fmt::format_string<Parts...> format, Parts&&... parts) {
  throw Fault{fmt::format(format, std::forward<Parts>(parts)...)};
}

const Json& member(const Json& object, const char* key) {
  if (!object.is_object()) refuse("an object with {} is needed, found {}", key, object.type_name());
  const auto at = object.find(key);
  if (at == object.end()) refuse("{} is missing", key);
  return *at;
}

constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();

std::uint64_t number(const Json& value, const char* what, std::uint64_t low = 0, std::uint64_t high = kAny) {
  if (!value.is_number_unsigned()) refuse("{} is no whole number", what);
  const auto found = value.get<std::uint64_t>();
  if (found < low || found > high) refuse("{} is {}, needs {} to {}", what, found, low, high);
  return found;
}

std::uint64_t number_at(const Json& object, const char* key, std::uint64_t low = 0,
                        std::uint64_t high = kAny) {
  return number(member(object, key), key, low, high);
}

std::string text_of(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_string()) refuse("{} is no text", key);
  return value.get<std::string>();
}

const Json& list(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_array()) refuse("{} is no list", key);
  return value;
}

const Json& pair_of(const Json& value, const char* what) {
  if (!value.is_array() || value.size() != 2) refuse("{} holds what is no pair", what);
  return value;
}

dim3 dimensions(const Json& object, const char* key, std::uint64_t high) {
  const Json& value = list(object, key);
  if (value.size() != 3) refuse("{} has {} sizes, needs 3", key, value.size());
  unsigned sizes[3];
  for (std::size_t i = 0; i < 3; ++i) sizes[i] = static_cast<unsigned>(number(value[i], key, 1, high));
  return {sizes[0], sizes[1], sizes[2]};
}

std::uintptr_t address_of(const Json& value) {
  std::uintptr_t address = 0;
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    const char* const end = text.data() + text.size();
    if (text.starts_with("0x")) {
      const auto [stop, error] = std::from_chars(text.data() + 2, end, address, 16);
      if (error == std::errc{} && stop == end) return address;
    }
  }
  refuse("an address is no hexadecimal text");
}

std::vector<std::byte> bytes_of(const std::string& hex) {
  if (hex.size() % 2 != 0 || hex.size() / 2 > kMaxArgsBytes) {
    refuse("args has {} hex digits, needs an even number up to {}", hex.size(), 2 * kMaxArgsBytes);
  }
  std::vector<std::byte> bytes(hex.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    unsigned value = 0;
    const char* const at = hex.data() + 2 * i;
    const auto [stop, error] = std::from_chars(at, at + 2, value, 16);
    if (error != std::errc{} || stop != at + 2) refuse("args has a character that is no hex digit");
    bytes[i] = static_cast<std::byte>(value);
  }
  return bytes;
}

bool has_only(std::string_view text, std::string_view characters) {
  return text.find_first_not_of(characters) == std::string_view::npos;
}

void check_kernel_name(const std::string& name) {
  constexpr const char* kWord = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  if (name.empty() || name.size() > 256 || !has_only(name, kWord)) refuse("kernel is no name of a kernel");
}

// A name of contents cannot be a path.
void check_content_name(const std::string& name) {
  if (name.size() != 32 || !has_only(name, "abcdef0123456789"))
    refuse("a content's name is not 32 hex digits");
}

std::vector<Allocation> read_table(const Json& line) {
  std::vector<Allocation> table;
  for (const Json& entry : list(line, "allocations")) {
    const Json& row = pair_of(entry, "allocations");
    Allocation allocation;
    allocation.address = address_of(row[0]);
    allocation.bytes = number(row[1], "bytes", 1, std::numeric_limits<std::uintptr_t>::max());
    if (allocation.bytes > std::numeric_limits<std::uintptr_t>::max() - allocation.address) {
      refuse("an allocation reaches past the last address");
    }
    if (!table.empty() && allocation.address < table.back().address + table.back().bytes) {
      refuse("allocations overlap or do not rise");
    }
    table.push_back(allocation);
  }
  return table;
}

// Where each allocation of a launch's table stands among its buffers.
using BufferIndex = std::map<std::size_t, std::size_t>;

void read_buffers(const Json& line, const std::vector<Allocation>& table, RecordedLaunch& launch,
                  BufferIndex& index) {
  for (const Json& entry : list(line, "buffers")) {
    if (table.empty()) refuse("a buffer in an empty table");
    const std::size_t at = number_at(entry, "allocation", 0, table.size() - 1);
    if (!index.emplace(at, launch.buffers.size()).second) refuse("allocation {} stands twice in buffers", at);
    RecordedBuffer buffer{table[at], text_of(entry, "before"), {}};
    check_content_name(buffer.before);
    if (entry.contains("after")) {
      buffer.after = text_of(entry, "after");
      check_content_name(buffer.after);
    }
    if (buffer.after.empty() == launch.error.empty()) {
      refuse("a buffer has {} and the launch has {}", buffer.after.empty() ? "no after" : "an after",
             launch.error.empty() ? "no error" : "an error");
    }
    launch.buffers.push_back(std::move(buffer));
  }
}

void read_pointers(const Json& line, RecordedLaunch& launch, const BufferIndex& index) {
  for (const Json& entry : list(line, "pointers")) {
    const Json& row = pair_of(entry, "pointers");
    if (launch.args.size() < sizeof(std::uintptr_t)) refuse("args are too short for a pointer");
    RecordedPointer pointer;
    pointer.args_offset =
        number(row[0], "a pointer's offset", 0, launch.args.size() - sizeof(std::uintptr_t));
    if (pointer.args_offset % sizeof(std::uintptr_t) != 0) {
      refuse("a pointer's offset is {}, needs a multiple of {}", pointer.args_offset, sizeof(std::uintptr_t));
    }
    const std::size_t allocation = number(row[1], "a pointer's allocation");
    const auto at = index.find(allocation);
    if (at == index.end()) refuse("a pointer's allocation, {}, is not among the buffers", allocation);
    pointer.buffer = at->second;
    std::uintptr_t word = 0;
    std::memcpy(&word, launch.args.data() + pointer.args_offset, sizeof(word));
    const Allocation& target = launch.buffers[pointer.buffer].allocation;
    if (word < target.address || word - target.address >= target.bytes) {
      refuse("the pointer at byte {} of the args is {:#x}, outside of its allocation, {:#x} and {} bytes",
             pointer.args_offset, word, target.address, target.bytes);
    }
    pointer.offset = word - target.address;
    launch.pointers.push_back(pointer);
  }
}

RecordedOrigin read_origin(const Json& object, const BufferIndex& index) {
  RecordedOrigin origin;
  origin.run = number_at(object, "run");
  origin.id = text_of(object, "id");
  origin.op = text_of(object, "op");
  origin.dtype = text_of(object, "dtype");
  origin.seed = number_at(object, "seed");
  const std::string phase = text_of(object, "phase");
  if (phase != "inputs" && phase != "launch") refuse("phase is neither inputs nor launch");
  origin.made_inputs = phase == "inputs";
  for (const Json& entry : list(object, "operands")) {
    const Json& row = pair_of(entry, "operands");
    if (!row[0].is_string()) refuse("an operand's name is no text");
    const auto at = index.find(number(row[1], "an operand's allocation"));
    if (at != index.end()) origin.operands.emplace_back(row[0].get<std::string>(), at->second);
  }
  return origin;
}

RecordedLaunch read_launch(const Json& line, const std::vector<std::vector<Allocation>>& tables) {
  RecordedLaunch launch;
  launch.kernel = text_of(line, "kernel");
  check_kernel_name(launch.kernel);
  launch.grid = dimensions(line, "grid", kMaxGridSize);
  launch.block = dimensions(line, "block", kMaxBlockSize);
  const std::uint64_t threads = std::uint64_t{launch.block.x} * launch.block.y * launch.block.z;
  if (threads > kMaxBlockSize) refuse("block has {} threads, needs at most {}", threads, kMaxBlockSize);
  launch.shared_bytes = static_cast<unsigned>(number_at(line, "shared_bytes", 0, kMaxSharedBytes));
  launch.args = bytes_of(text_of(line, "args"));
  const Json& target = member(line, "target");
  launch.architecture = text_of(target, "architecture");
  launch.wave = static_cast<int>(number_at(target, "wave", 32, 64));
  if (launch.wave != 32 && launch.wave != 64) refuse("wave is {}, needs 32 or 64", launch.wave);
  if (line.contains("error")) {
    launch.error = text_of(line, "error");
    if (launch.error.empty()) refuse("error is empty");
  }
  if (tables.empty()) refuse("a launch before the first table");
  const std::vector<Allocation>& table = tables[number_at(line, "table", 0, tables.size() - 1)];
  BufferIndex index;
  read_buffers(line, table, launch, index);
  read_pointers(line, launch, index);
  if (line.contains("case")) launch.origin = read_origin(line["case"], index);
  return launch;
}

}  // namespace

Recording::Recording(fs::path folder) : folder_(std::move(folder)) {
  const fs::path path = folder_ / "launches.jsonl";
  std::error_code ignored;
  if (!fs::is_regular_file(fs::symlink_status(path, ignored))) {
    throw Error(failure(StatusCode::kNotFound, "no record in ", folder_.string(), ": ", path.string(),
                        " is not there"));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(failure(StatusCode::kNotFound, "cannot read ", path.string()));
  std::string text;
  std::size_t line = 0;
  try {
    while (std::getline(file, text)) read_line(text, ++line);
    if (file.bad()) refuse("cannot be read");
    if (!ended_) refuse("the last line, with end, is missing: the file is cut");
  } catch (const Fault& fault) {
    throw Error(invalid_argument("corrupt record: ", path.string(), ":", line, ": ", fault.text));
  } catch (const Json::exception& error) {
    throw Error(invalid_argument("corrupt record: ", path.string(), ":", line, ": ", error.what()));
  }
}

void Recording::read_line(const std::string& text, std::size_t line) {
  if (ended_) refuse("a line after the end");
  const Json json = Json::parse(text);
  if (line == 1) {
    if (number_at(json, "hipforge_record") != 1) {
      refuse("hipforge_record is {}, this hipforge reads 1",
             member(json, "hipforge_record").get<std::uint64_t>());
    }
    platform_ = text_of(json, "platform");
    device_ = text_of(json, "device");
    architecture_ = text_of(json, "architecture");
  } else if (json.is_object() && json.contains("allocations")) {
    (void)number_at(json, "table", tables_.size(), tables_.size());
    tables_.push_back(read_table(json));
  } else if (json.is_object() && json.contains("end")) {
    const std::uint64_t launches = number_at(json, "end");
    if (launches != launches_.size())
      refuse("end says {} launches, there are {}", launches, launches_.size());
    ended_ = true;
  } else {
    const std::size_t index = number_at(json, "launch", launches_.size(), launches_.size());
    RecordedLaunch launch = read_launch(json, tables_);
    launch.index = index;
    for (const RecordedBuffer& buffer : launch.buffers) {
      (void)content_path(buffer.before, buffer.allocation.bytes);
      if (!buffer.after.empty()) (void)content_path(buffer.after, buffer.allocation.bytes);
    }
    launches_.push_back(std::move(launch));
  }
}

fs::path Recording::content_path(const std::string& name, std::size_t bytes) const {
  const fs::path path = folder_ / "data" / name;
  std::error_code error;
  if (!fs::is_regular_file(fs::symlink_status(path, error))) refuse("data/{} is not there", name);
  const std::uintmax_t found = fs::file_size(path, error);
  if (error || found != bytes) refuse("data/{} has {} bytes, needs {}", name, found, bytes);
  return path;
}

std::vector<std::byte> Recording::contents(const std::string& name, std::size_t bytes) const {
  try {
    const fs::path path = content_path(name, bytes);
    std::vector<std::byte> content(bytes);
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(content.data()), static_cast<std::streamsize>(bytes));
    if (!file) refuse("data/{} cannot be read", name);
    if (content_name(content) != name) refuse("data/{} has other contents than its name says", name);
    return content;
  } catch (const Fault& fault) {
    throw Error(invalid_argument("corrupt record: ", folder_.string(), ": ", fault.text));
  }
}

Target recorded_target(const RecordedLaunch& launch) {
  Target target;
  if (!target_from_name(launch.architecture, launch.wave, target).ok())
    target.architecture = launch.architecture;
  target.wave = launch.wave;
  return target;
}

}  // namespace hipforge::harness
