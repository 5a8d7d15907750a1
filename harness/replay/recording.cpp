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
using Table = std::vector<Allocation>;

constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();
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

// A value of a line, under the name that it is refused by.
struct Value {
  const Json& json;
  const char* name;

  Value operator[](const char* key) const {
    if (!json.is_object()) refuse("an object with {} is needed, found {}", key, json.type_name());
    const auto at = json.find(key);
    if (at == json.end()) refuse("{} is missing", key);
    return {*at, key};
  }
  [[nodiscard]] std::uint64_t number(std::uint64_t low = 0, std::uint64_t high = kAny) const {
    if (!json.is_number_unsigned()) refuse("{} is no whole number", name);
    const auto found = json.get<std::uint64_t>();
    if (found < low || found > high) refuse("{} is {}, needs {} to {}", name, found, low, high);
    return found;
  }
  [[nodiscard]] const std::string& text() const {
    if (!json.is_string()) refuse("{} is no text", name);
    return json.get_ref<const std::string&>();
  }
  [[nodiscard]] const Json& list() const {
    if (!json.is_array()) refuse("{} is no list", name);
    return json;
  }
  // What a list of pairs holds, with what its two are called.
  [[nodiscard]] std::vector<std::pair<Value, Value>> pairs(const char* first, const char* second) const {
    std::vector<std::pair<Value, Value>> all;
    for (const Json& entry : list()) {
      if (!entry.is_array() || entry.size() != 2) refuse("{} holds what is no pair", name);
      all.push_back({{entry[0], first}, {entry[1], second}});
    }
    return all;
  }
};

bool only_of(std::string_view text, const char* characters) {
  return text.find_first_not_of(characters) == std::string_view::npos;
}

template <class T>
bool from_hex(std::string_view digits, T& value) {
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, 16);
  return error == std::errc{} && stop == end;
}

dim3 dimensions(const Value& value, std::uint64_t high) {
  const Json& list = value.list();
  if (list.size() != 3) refuse("{} has {} sizes, needs 3", value.name, list.size());
  unsigned sizes[3];
  for (std::size_t i = 0; i < 3; ++i)
    sizes[i] = static_cast<unsigned>(Value{list[i], value.name}.number(1, high));
  return {sizes[0], sizes[1], sizes[2]};
}

std::vector<std::byte> bytes_of(std::string_view hex) {
  if (hex.size() % 2 != 0 || hex.size() / 2 > kMaxArgsBytes) {
    refuse("args has {} hex digits, needs an even number up to {}", hex.size(), 2 * kMaxArgsBytes);
  }
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    std::uint8_t value = 0;
    if (!from_hex(hex.substr(i, 2), value)) refuse("args has a character that is no hex digit");
    bytes.push_back(std::byte{value});
  }
  return bytes;
}

// The file of those contents, which are `bytes` many.
fs::path content_path(const fs::path& folder, const std::string& name, std::size_t bytes) {
  const fs::path path = folder / "data" / name;
  std::error_code error;
  if (!fs::is_regular_file(fs::symlink_status(path, error))) refuse("data/{} is not there", name);
  const std::uintmax_t found = fs::file_size(path, error);
  if (error || found != bytes) refuse("data/{} has {} bytes, needs {}", name, found, bytes);
  return path;
}

// Cannot be a path.
std::string content_of(const Value& value) {
  const std::string& name = value.text();
  if (name.size() != 32 || !only_of(name, "abcdef0123456789"))
    refuse("a content's name is not 32 hex digits");
  return name;
}

Table read_table(const Value& allocations) {
  Table table;
  for (const auto& [address, bytes] : allocations.pairs("an address", "bytes")) {
    Allocation allocation;
    const std::string_view text = address.json.is_string() ? address.text() : std::string_view();
    if (!text.starts_with("0x") || !from_hex(text.substr(2), allocation.address))
      refuse("an address is no hexadecimal text");
    allocation.bytes = bytes.number(1);
    if (allocation.bytes > kAny - allocation.address) refuse("an allocation reaches past the last address");
    if (!table.empty() && allocation.address < table.back().address + table.back().bytes)
      refuse("allocations overlap or do not rise");
    table.push_back(allocation);
  }
  return table;
}

// Where each allocation of a launch's table stands among its buffers.
using BufferIndex = std::map<std::size_t, std::size_t>;

BufferIndex read_buffers(const Value& buffers, const Table& table, RecordedLaunch& launch) {
  BufferIndex index;
  for (const Json& entry : buffers.list()) {
    const Value value{entry, "a buffer"};
    if (table.empty()) refuse("a buffer in an empty table");
    const std::size_t at = value["allocation"].number(0, table.size() - 1);
    if (!index.emplace(at, launch.buffers.size()).second) refuse("allocation {} stands twice in buffers", at);
    RecordedBuffer buffer{table[at], content_of(value["before"]), {}};
    if (entry.contains("after")) buffer.after = content_of(value["after"]);
    if (buffer.after.empty() == launch.error.empty()) {
      refuse("a buffer has {} and the launch has {}", buffer.after.empty() ? "no after" : "an after",
             launch.error.empty() ? "no error" : "an error");
    }
    launch.buffers.push_back(std::move(buffer));
  }
  return index;
}

void read_pointers(const Value& pointers, RecordedLaunch& launch, const BufferIndex& index) {
  constexpr std::size_t kWord = sizeof(std::uintptr_t);
  for (const auto& [offset, allocation] : pointers.pairs("a pointer's offset", "a pointer's allocation")) {
    if (launch.args.size() < kWord) refuse("args are too short for a pointer");
    RecordedPointer pointer;
    pointer.args_offset = offset.number(0, launch.args.size() - kWord);
    if (pointer.args_offset % kWord != 0)
      refuse("a pointer's offset is {}, needs a multiple of {}", pointer.args_offset, kWord);
    const auto at = index.find(allocation.number());
    if (at == index.end()) {
      refuse("a pointer's allocation, {}, is not among the buffers", allocation.number());
    }
    pointer.buffer = at->second;
    std::uintptr_t word = 0;
    std::memcpy(&word, launch.args.data() + pointer.args_offset, kWord);
    const Allocation& target = launch.buffers[pointer.buffer].allocation;
    if (word < target.address || word - target.address >= target.bytes) {
      refuse("the pointer at byte {} of the args is {:#x}, outside of its allocation, {:#x} and {} bytes",
             pointer.args_offset, word, target.address, target.bytes);
    }
    pointer.offset = word - target.address;
    launch.pointers.push_back(pointer);
  }
}

RecordedOrigin read_origin(const Value& value, const BufferIndex& index) {
  RecordedOrigin origin{value["run"].number(), value["id"].text(), value["op"].text(), value["dtype"].text(),
                        value["seed"].number()};
  const std::string& phase = value["phase"].text();
  if (phase != "inputs" && phase != "launch") refuse("phase is neither inputs nor launch");
  origin.made_inputs = phase == "inputs";
  for (const auto& [name, allocation] :
       value["operands"].pairs("an operand's name", "an operand's allocation")) {
    const std::string& operand = name.text();
    const auto at = index.find(allocation.number());
    if (at != index.end()) origin.operands.emplace_back(operand, at->second);
  }
  return origin;
}

RecordedLaunch read_launch(const Value& line, const std::vector<Table>& tables) {
  RecordedLaunch launch;
  launch.kernel = line["kernel"].text();
  constexpr const char* kWord = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  if (launch.kernel.empty() || launch.kernel.size() > 256 || !only_of(launch.kernel, kWord))
    refuse("kernel is no name of a kernel");
  LaunchPlan& plan = launch.plan;
  plan.grid = dimensions(line["grid"], kMaxGridSize);
  plan.block = dimensions(line["block"], kMaxBlockSize);
  const std::uint64_t threads = std::uint64_t{plan.block.x} * plan.block.y * plan.block.z;
  if (threads > kMaxBlockSize) refuse("block has {} threads, needs at most {}", threads, kMaxBlockSize);
  plan.shared_bytes = static_cast<unsigned>(line["shared_bytes"].number(0, kMaxSharedBytes));
  launch.args = bytes_of(line["args"].text());
  const Value target = line["target"];
  const std::string& architecture = target["architecture"].text();
  const int wave = static_cast<int>(target["wave"].number(32, 64));
  if (wave != 32 && wave != 64) refuse("wave is {}, needs 32 or 64", wave);
  plan.target = {};
  if (!target_from_name(architecture, wave, plan.target).ok()) plan.target.architecture = architecture;
  plan.target.wave = wave;
  if (line.json.contains("error")) {
    launch.error = line["error"].text();
    if (launch.error.empty()) refuse("error is empty");
  }
  if (tables.empty()) refuse("a launch before the first table");
  const Table& table = tables[line["table"].number(0, tables.size() - 1)];
  const BufferIndex index = read_buffers(line["buffers"], table, launch);
  read_pointers(line["pointers"], launch, index);
  if (line.json.contains("case")) launch.origin = read_origin(line["case"], index);
  return launch;
}

// A line behind the first; false for the last.
bool read_line(const Value& line, Recording& recording, std::vector<Table>& tables) {
  std::vector<RecordedLaunch>& launches = recording.launches;
  if (line.json.contains("allocations")) {
    (void)line["table"].number(tables.size(), tables.size());
    tables.push_back(read_table(line["allocations"]));
  } else if (line.json.contains("end")) {
    const std::uint64_t end = line["end"].number();
    if (end != launches.size()) refuse("end says {} launches, there are {}", end, launches.size());
    return false;
  } else {
    const std::size_t index = line["launch"].number(launches.size(), launches.size());
    RecordedLaunch& launch = launches.emplace_back(read_launch(line, tables));
    launch.index = index;
    for (const RecordedBuffer& buffer : launch.buffers) {
      (void)content_path(recording.folder, buffer.before, buffer.allocation.bytes);
      if (!buffer.after.empty()) (void)content_path(recording.folder, buffer.after, buffer.allocation.bytes);
    }
  }
  return true;
}

}  // namespace

Recording::Recording(fs::path record) : folder(std::move(record)) {
  const fs::path path = folder / "launches.jsonl";
  std::error_code ignored;
  if (!fs::is_regular_file(fs::symlink_status(path, ignored))) {
    throw Error(failure(StatusCode::kNotFound, "no record in ", folder.string(), ": ", path.string(),
                        " is not there"));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(failure(StatusCode::kNotFound, "cannot read ", path.string()));
  std::vector<Table> tables;
  bool ended = false;
  std::size_t number = 0;
  const auto corrupt = [&](const std::string& fault) {
    return Error(invalid_argument("corrupt record: ", path.string(), ":", number, ": ", fault));
  };
  try {
    for (std::string text; std::getline(file, text);) {
      ++number;
      if (ended) refuse("a line after the end");
      const Json json = Json::parse(text);
      const Value line{json, "the line"};
      if (number == 1) {
        if (const std::uint64_t version = line["hipforge_record"].number(); version != 1)
          refuse("hipforge_record is {}, this hipforge reads 1", version);
        platform = line["platform"].text();
        device = line["device"].text();
        architecture = line["architecture"].text();
      } else {
        ended = !read_line(line, *this, tables);
      }
    }
    if (file.bad()) refuse("cannot be read");
    if (!ended) refuse("the last line, with end, is missing: the file is cut");
  } catch (const Fault& fault) {
    throw corrupt(fault.text);
  } catch (const Json::exception& error) {
    throw corrupt(error.what());
  }
}

std::vector<std::byte> Recording::contents(const std::string& name, std::size_t bytes) const {
  try {
    std::vector<std::byte> content(bytes);
    std::ifstream file(content_path(folder, name, bytes), std::ios::binary);
    file.read(reinterpret_cast<char*>(content.data()), static_cast<std::streamsize>(bytes));
    if (!file) refuse("data/{} cannot be read", name);
    if (content_name(content) != name) refuse("data/{} has other contents than its name says", name);
    return content;
  } catch (const Fault& fault) {
    throw Error(invalid_argument("corrupt record: ", folder.string(), ": ", fault.text));
  }
}

}  // namespace hipforge::harness
