#include "harness/replay/rerun.h"

#include "harness/isa/amd_toolchain.h"
#include "harness/isa/disassembly.h"
#include "harness/system/child_process.h"
#include "harness/system/file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <set>
#include <system_error>
#include <utility>

#ifndef HIPFORGE_EMULATE_PY
#error "the build defines HIPFORGE_EMULATE_PY, the path of harness/replay/emulate.py"
#endif

namespace hipforge::harness {
namespace {

using enum Rerun::Outcome;
using Json = nlohmann::json;
namespace fs = std::filesystem;

// No launch that is worth emulating takes that long.
constexpr double kLaunchSeconds = 600.0;

constexpr const char* kCheckout = "HIPFORGE_TINYGRAD";
constexpr const char* kEmulator = "test/mockgpu/amd/emu.py";

template <class... Parts>
Error missing(fmt::format_string<Parts...> format, Parts&&... parts) {
  return Error(failure(StatusCode::kNotFound, fmt::format(format, std::forward<Parts>(parts)...)));
}

// The name of a code object's instruction; empty where it cannot be disassembled.
std::string instruction_at(const std::string& objdump, const std::string& code_object,
                           std::uint64_t address) {
  if (objdump.empty() || code_object.empty()) return {};
  try {
    const std::vector<Routine> routines = parse_amd_disassembly(tool_output(
        {objdump, "--disassemble", "--no-show-raw-insn", fmt::format("--start-address={}", address),
         fmt::format("--stop-address={}", address + 1), fs::absolute(code_object).string()}));
    for (const Routine& routine : routines) {
      for (const Instruction& instruction : routine.code) {
        // What it does not know itself is ".long".
        if (instruction.address == address && !instruction.mnemonic.starts_with('.'))
          return instruction.mnemonic;
      }
    }
  } catch (const Error&) {
    // The launch is skipped all the same, under the emulator's own words.
  }
  return {};
}

class EmulatorRerunner final : public Rerunner {
 public:
  explicit EmulatorRerunner(const Emulation& emulation) : objdump_(emulation.objdump) {
    start_.command = emulation.command;
    start();
  }

  Rerun run(const RecordedLaunch& launch, BufferContents before) override {
    if (!worker_) start();
    Json paths = Json::array();
    for (std::size_t i = 0; i < before.size(); ++i) {
      write_file(buffer_path(i), {reinterpret_cast<const char*>(before[i].data()), before[i].size()});
      paths.push_back(buffer_path(i));
    }
    Json pointers = Json::array();
    for (const RecordedPointer& pointer : launch.pointers) {
      pointers.push_back({pointer.args_offset, pointer.buffer, pointer.offset});
    }
    std::string args;
    for (std::byte value : launch.args) args += fmt::format("{:02x}", static_cast<unsigned>(value));
    const auto sizes = [](const dim3& of) { return Json{of.x, of.y, of.z}; };
    const Json request = {{"kernel", launch.kernel},
                          {"grid", sizes(launch.plan.grid)},
                          {"block", sizes(launch.plan.block)},
                          {"shared_bytes", launch.plan.shared_bytes},
                          {"args", args},
                          {"buffers", std::move(paths)},
                          {"pointers", std::move(pointers)}};
    std::string line;
    if (!ask(request.dump(), line)) {
      worker_.reset();
      return {kFailed, fmt::format("the emulator {}", line)};
    }
    return read_answer(line, std::move(before));
  }

 private:
  [[nodiscard]] std::string buffer_path(std::size_t index) const {
    return work_.path() / fmt::format("buffer{}", index);
  }

  // False, with how it ended for an answer, where the emulator has come to an end, if only by our hand.
  bool ask(const std::string& request, std::string& answer) {
    const auto got = worker_->ask(request, answer, kLaunchSeconds);
    if (got == Lines::Got::kTimeout) answer = fmt::format("took over {:.0f} s and was ended", kLaunchSeconds);
    return got == Lines::Got::kLine;
  }

  void start() {
    worker_.emplace(start_);
    std::string line;
    if (ask("", line)) {
      const Json answer = Json::parse(line, nullptr, false);
      if (answer.is_object() && answer.value("ready", false)) return;
      if (answer.is_object() && answer.contains("error")) {
        throw missing("the emulator does not start: {}", answer["error"].get<std::string>());
      }
      line.clear();
    }
    std::string log = read_file(start_.log);
    log.erase(log.find_last_not_of('\n') + 1);
    throw missing("the emulator does not start, it {}: {}", line, log.substr(log.rfind('\n') + 1));
  }

  Rerun read_answer(const std::string& line, BufferContents contents) const {
    const Json answer = Json::parse(line, nullptr, false);
    if (!answer.is_object()) return {kFailed, fmt::format("the emulator: {}", line)};
    const auto text = [&](const char* key) { return answer.value(key, std::string()); };
    if (const std::string name = text("missing"); !name.empty())
      return {kFailed, fmt::format("no code object has kernel {}", name)};
    if (const std::string name = text("not_emulated"); !name.empty()) {
      const std::string instruction =
          instruction_at(objdump_, text("code_object"), answer.value("address", std::uint64_t{0}));
      return {kSkipped, fmt::format("not emulated: {}", instruction.empty() ? name : instruction)};
    }
    if (!answer.value("ran", false))
      return {kFailed, fmt::format("the emulator: {}", answer.value("error", line))};
    for (std::size_t i = 0; i < contents.size(); ++i) {
      const std::string bytes = read_file(buffer_path(i));
      if (bytes.size() != contents[i].size()) throw missing("cannot read {}", buffer_path(i));
      std::memcpy(contents[i].data(), bytes.data(), bytes.size());
    }
    return {kRan, {}, std::move(contents)};
  }

  TemporaryFolder work_;
  std::string objdump_;
  ChildStart start_{{}, {}, {STDIN_FILENO, STDOUT_FILENO}, work_.path() / "stderr"};
  std::optional<ChildProcess> worker_;
};

}  // namespace

Emulation find_emulation(const std::string& architecture, const fs::path& code) {
  const char* const checkout = std::getenv(kCheckout);
  if (checkout == nullptr || *checkout == 0) {
    throw missing(
        "replay --emulate needs tinygrad's emulator: git clone https://github.com/tinygrad/tinygrad and set "
        "{} to the checkout",
        kCheckout);
  }
  if (!fs::is_regular_file(fs::path(checkout) / kEmulator)) {
    throw missing("{} is {}, which has no {}: git clone https://github.com/tinygrad/tinygrad", kCheckout,
                  checkout, kEmulator);
  }
  const std::string python = find_tool({}, "python3");
  if (python.empty()) throw missing("replay --emulate needs python3 on the PATH: apt-get install python3");
  Emulation emulation{{python, HIPFORGE_EMULATE_PY, architecture}, read_amd_toolchain(code).objdump};
  const fs::path folder = code / architecture;
  std::set<std::string> objects;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".co") objects.insert(entry.path());
  }
  if (objects.empty()) {
    throw missing(
        "no code objects (*.co) in {}: ./test.sh --only amd-code makes them, --code names another folder",
        folder.string());
  }
  emulation.command.insert(emulation.command.end(), objects.begin(), objects.end());
  return emulation;
}

std::unique_ptr<Rerunner> make_emulator(const Emulation& emulation) {
  return std::make_unique<EmulatorRerunner>(emulation);
}

}  // namespace hipforge::harness
