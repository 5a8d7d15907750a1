#include "kernels/runtime/recorder.h"

#include "kernels/runtime/check.h"

#include <nlohmann/json.hpp>

#include <stdlib.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <system_error>
#include <utility>

namespace hipforge {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr const char* kPlatform =
#if defined(HIPFORGE_PLATFORM_CPU)
    "cpu";
#elif defined(HIPFORGE_PLATFORM_NVIDIA)
    "nvidia";
#else
    "amd";
#endif

constexpr const char* kCompiler =
#if defined(__clang__)
    "clang " __clang_version__;
#else
    "g++ " __VERSION__;
#endif

[[noreturn]] void fail_io(const fs::path& path, const std::string& what, int error) {
  throw Error(failure(StatusCode::kNotFound, "record ", path.string(), ": ", what, ": ",
                      std::generic_category().message(error)));
}

std::string hex_address(std::uintptr_t address) {
  char text[2 + 2 * sizeof(address) + 1];
  std::snprintf(text, sizeof(text), "0x%zx", static_cast<std::size_t>(address));
  return text;
}

std::string hex_bytes(std::span<const std::byte> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (std::byte value : bytes) {
    text += kDigits[static_cast<unsigned>(value) >> 4];
    text += kDigits[static_cast<unsigned>(value) & 15u];
  }
  return text;
}

std::vector<std::byte> download(const Allocation& allocation) {
  std::vector<std::byte> bytes(allocation.bytes);
  HIPFORGE_HIP_CHECK(hipMemcpy(bytes.data(), reinterpret_cast<const void*>(allocation.address),
                               allocation.bytes, hipMemcpyDeviceToHost));
  return bytes;
}

// Which allocation of the table (by rising address) holds the address; its size where none does.
std::size_t find_allocation(std::span<const Allocation> table, std::uintptr_t address) {
  const auto after = std::upper_bound(
      table.begin(), table.end(), address,
      [](std::uintptr_t value, const Allocation& allocation) { return value < allocation.address; });
  if (after == table.begin()) return table.size();
  const auto at = std::prev(after);
  return address - at->address < at->bytes ? static_cast<std::size_t>(at - table.begin()) : table.size();
}

std::uint64_t mix(std::uint64_t value) {
  value ^= value >> 33;
  value *= 0xff51afd7ed558ccdu;
  value ^= value >> 33;
  value *= 0xc4ceb9fe1a85ec53u;
  return value ^ (value >> 33);
}

}  // namespace

std::string content_name(std::span<const std::byte> bytes) {
  constexpr std::uint64_t kFactor1 = 0x87c37b91114253d5u;
  constexpr std::uint64_t kFactor2 = 0x4cf5ad432745937fu;
  const auto scramble1 = [](std::uint64_t k) { return std::rotl(k * kFactor1, 31) * kFactor2; };
  const auto scramble2 = [](std::uint64_t k) { return std::rotl(k * kFactor2, 33) * kFactor1; };
  std::uint64_t h1 = 0;
  std::uint64_t h2 = 0;
  const std::size_t blocks = bytes.size() / 16;
  std::uint64_t block[2];
  for (std::size_t i = 0; i < blocks; ++i) {
    std::memcpy(block, bytes.data() + 16 * i, 16);
    h1 = (std::rotl(h1 ^ scramble1(block[0]), 27) + h2) * 5 + 0x52dce729u;
    h2 = (std::rotl(h2 ^ scramble2(block[1]), 31) + h1) * 5 + 0x38495ab5u;
  }
  block[0] = block[1] = 0;
  if (bytes.size() % 16 != 0) std::memcpy(block, bytes.data() + 16 * blocks, bytes.size() % 16);
  h1 ^= scramble1(block[0]) ^ bytes.size();
  h2 ^= scramble2(block[1]) ^ bytes.size();
  h1 += h2;
  h2 += h1;
  h1 = mix(h1);
  h2 = mix(h2);
  h1 += h2;
  h2 += h1;
  char text[33];
  std::snprintf(text, sizeof(text), "%016llx%016llx", static_cast<unsigned long long>(h1),
                static_cast<unsigned long long>(h2));
  return text;
}

// An allocation that the args of a launch point into.
struct Recorder::Reached {
  std::size_t index;  // in the table
  std::vector<std::byte> before;
  Json line;
};

Recorder::Recorder(fs::path folder) : folder_(std::move(folder)), lines_(nullptr, &std::fclose) {
  while (!folder_.has_filename() && folder_.has_parent_path() && folder_ != folder_.root_path()) {
    folder_ = folder_.parent_path();  // of "DIR/"
  }
  std::error_code error;
  const bool exists = fs::exists(folder_, error);
  if (exists && (!fs::is_directory(folder_, error) || !fs::is_empty(folder_, error) || error)) {
    throw Error(invalid_argument("record ", folder_.string(),
                                 ": is there already and is no empty folder; it is not overwritten"));
  }
  hipDeviceProp_t properties{};
  int device = 0;
  HIPFORGE_HIP_CHECK(hipGetDevice(&device));
  HIPFORGE_HIP_CHECK(hipGetDeviceProperties(&properties, device));
  Target own;
  throw_if_error(device_target(own));

  std::string pattern = folder_.string() + ".partial.XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) fail_io(folder_, "cannot be made", errno);
  partial_ = pattern;
  try {
    fs::permissions(partial_, fs::perms{0755});
    fs::create_directory(partial_ / "data");
    lines_.reset(std::fopen((partial_ / "launches.jsonl").c_str(), "wb"));
    if (lines_ == nullptr) fail_io(folder_, "cannot be written", errno);
    const Json header = {{"hipforge_record", 1},
                         {"platform", kPlatform},
                         {"device", properties.name},
                         {"architecture", own.architecture},
                         {"compiler", kCompiler}};
    write_line(header.dump());
  } catch (...) {
    fs::remove_all(partial_, error);
    throw;
  }
  set_launch_observer(this);
}

Recorder::~Recorder() {
  if (partial_.empty()) return;
  set_launch_observer(nullptr);
  lines_.reset();
  std::error_code ignored;
  fs::remove_all(partial_, ignored);
}

void Recorder::begin_case(RecordedCase recorded) {
  const std::lock_guard lock(mutex_);
  case_ = std::move(recorded);
  inputs_made_ = false;
}

void Recorder::begin_launches(std::vector<RecordedCase::Operand> operands) {
  const std::lock_guard lock(mutex_);
  if (!case_) return;
  case_->operands = std::move(operands);
  inputs_made_ = true;
}

void Recorder::end_case() {
  const std::lock_guard lock(mutex_);
  if (case_) ++case_runs_;
  case_.reset();
}

Status Recorder::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

void Recorder::finish() {
  set_launch_observer(nullptr);
  const std::lock_guard lock(mutex_);
  throw_if_error(status_);
  write_line(Json{{"end", launches_}}.dump());
  if (std::fclose(lines_.release()) != 0) fail_io(folder_, "cannot be written", errno);
  std::error_code error;
  fs::rename(partial_, folder_, error);
  if (error) fail_io(folder_, "cannot be put in place", error.value());
  partial_.clear();
}

void Recorder::write_line(const std::string& line) {
  const std::string text = line + "\n";
  if (std::fwrite(text.data(), 1, text.size(), lines_.get()) != text.size()) {
    fail_io(folder_, "cannot be written", errno);
  }
}

std::string Recorder::store(std::span<const std::byte> bytes) {
  const std::string name = content_name(bytes);
  const fs::path path = partial_ / "data" / name;
  if (stored_.contains(name)) {
    // The hash is quick rather than proof against accidents: equal names must be equal bytes.
    std::ifstream file(path, std::ios::binary);
    std::vector<char> held(bytes.size());
    file.read(held.data(), static_cast<std::streamsize>(held.size()));
    if (!file || std::memcmp(held.data(), bytes.data(), bytes.size()) != 0) {
      throw Error(failure(StatusCode::kInvalidArgument, "record ", folder_.string(),
                          ": two contents have the name ", name));
    }
    return name;
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "wb"), &std::fclose);
  if (file == nullptr) fail_io(folder_, "cannot be written", errno);
  if (std::fwrite(bytes.data(), 1, bytes.size(), file.get()) != bytes.size() ||
      std::fflush(file.get()) != 0) {
    fail_io(folder_, "cannot be written", errno);
  }
  stored_.insert(name);
  return name;
}

Status Recorder::record(const LaunchPlan& plan, std::span<const std::byte> args,
                        const std::function<Status()>& run, Status& launched) {
  // A device that an earlier kernel stopped has no contents to tell of, and refuses the launch.
  if (hipDeviceSynchronize() != hipSuccess) {
    launched = run();
    return {};
  }
  Target target;
  HIPFORGE_TRY(device_target(target));
  const Target& scope = TargetScope::innermost();
  if (scope.wave != kCurrentDevice.wave) target = scope;
  if (plan.target.wave != kCurrentDevice.wave) target = plan.target;
  std::vector<Allocation> table = live_allocations();
  if (tables_ == 0 || table != table_) {
    table_ = std::move(table);
    Json allocations = Json::array();
    for (const Allocation& allocation : table_) {
      allocations.push_back({hex_address(allocation.address), allocation.bytes});
    }
    write_line(Json{{"table", tables_}, {"allocations", std::move(allocations)}}.dump());
    ++tables_;
  }

  Json pointers = Json::array();
  std::map<std::size_t, Reached> reached;
  for (std::size_t offset = 0; offset + sizeof(std::uintptr_t) <= args.size();
       offset += sizeof(std::uintptr_t)) {
    std::uintptr_t word = 0;
    std::memcpy(&word, args.data() + offset, sizeof(word));
    const std::size_t index = find_allocation(table_, word);
    if (index == table_.size()) continue;
    pointers.push_back({offset, index});
    reached.try_emplace(index, Reached{index, {}, {}});
  }
  for (auto& [index, buffer] : reached) {
    buffer.before = download(table_[index]);
    buffer.line = {{"allocation", index}, {"before", store(buffer.before)}};
  }

  launched = run();
  std::string error = launched.message;
  if (launched.ok()) error = hip_status(hipDeviceSynchronize(), "kernel").message;
  Json buffers = Json::array();
  for (auto& [index, buffer] : reached) {
    if (error.empty()) {
      const std::vector<std::byte> after = download(table_[index]);
      buffer.line["after"] = after == buffer.before ? buffer.line["before"] : Json(store(after));
    }
    buffers.push_back(std::move(buffer.line));
  }

  Json line = {{"launch", launches_},
               {"kernel", plan.kernel},
               {"grid", {plan.grid.x, plan.grid.y, plan.grid.z}},
               {"block", {plan.block.x, plan.block.y, plan.block.z}},
               {"shared_bytes", plan.shared_bytes},
               {"args", hex_bytes(args)},
               {"target", {{"architecture", target.architecture}, {"wave", target.wave}}},
               {"table", tables_ - 1},
               {"pointers", std::move(pointers)},
               {"buffers", std::move(buffers)}};
  if (!error.empty()) line["error"] = error;
  if (case_) {
    Json operands = Json::array();
    for (const RecordedCase::Operand& operand : case_->operands) {
      const std::size_t index = find_allocation(table_, operand.address);
      if (index != table_.size()) operands.push_back({operand.name, index});
    }
    line["case"] = {{"run", case_runs_},
                    {"id", case_->id},
                    {"op", case_->op},
                    {"dtype", case_->dtype},
                    {"seed", case_->seed},
                    {"phase", inputs_made_ ? "launch" : "inputs"},
                    {"operands", std::move(operands)}};
  }
  write_line(line.dump(-1, ' ', false, Json::error_handler_t::replace));
  ++launches_;
  return {};
}

Status Recorder::observe(const LaunchPlan& plan, std::span<const std::byte> args, hipStream_t,
                         const std::function<Status()>& run) {
  const std::lock_guard lock(mutex_);
  if (!status_.ok()) return status_;
  Status launched;
  try {
    status_ = record(plan, args, run, launched);
  } catch (const Error& error) {
    status_ = error.status();
  } catch (const std::exception& error) {
    status_ = failure(StatusCode::kOutOfMemory, "record ", folder_.string(), ": ", error.what());
  }
  return status_.ok() ? launched : status_;
}

}  // namespace hipforge
