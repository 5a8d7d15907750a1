#include "harness/replay/emulation.h"

#include "harness/isa/code_object.h"
#include "harness/isa/disassembly.h"
#include "harness/system/child_process.h"
#include "harness/system/cleanup.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <system_error>
#include <utility>

#ifndef HIPFORGE_EMULATE_PY
#error "the build defines HIPFORGE_EMULATE_PY, the path of harness/replay/emulate.py"
#endif

namespace hipforge::harness {
namespace {

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
    command_ = {find_tool({}, "python3"), HIPFORGE_EMULATE_PY, emulation.architecture};
    for (const fs::path& path : emulation.code_objects) command_.push_back(path.string());
    start();
  }

  Rerun run(const RecordedLaunch& launch, BufferContents before) override {
    if (!worker_) start();
    Json paths = Json::array();
    for (std::size_t i = 0; i < before.size(); ++i) {
      const fs::path path = buffer_path(i);
      std::ofstream file(path, std::ios::binary | std::ios::trunc);
      file.write(reinterpret_cast<const char*>(before[i].data()),
                 static_cast<std::streamsize>(before[i].size()));
      file.close();
      if (!file) throw missing("cannot write {}", path.string());
      paths.push_back(path.string());
    }
    Json pointers = Json::array();
    for (const RecordedPointer& pointer : launch.pointers) {
      pointers.push_back({pointer.args_offset, pointer.buffer, pointer.offset});
    }
    std::string args;
    for (std::byte value : launch.args) args += fmt::format("{:02x}", static_cast<unsigned>(value));
    const Json request = {{"kernel", launch.kernel},
                          {"grid", {launch.grid.x, launch.grid.y, launch.grid.z}},
                          {"block", {launch.block.x, launch.block.y, launch.block.z}},
                          {"shared_bytes", launch.shared_bytes},
                          {"args", args},
                          {"buffers", std::move(paths)},
                          {"pointers", std::move(pointers)}};
    std::string line;
    if (std::string end; !ask(request.dump(), line, end)) {
      worker_.reset();
      return {Rerun::Outcome::kFailed, fmt::format("the emulator {}", end)};
    }
    return read_answer(line, std::move(before));
  }

 private:
  [[nodiscard]] fs::path buffer_path(std::size_t index) const {
    return work_.path() / fmt::format("buffer{}", index);
  }

  // False, with `end` set, where the emulator has come to an end, if only by our hand.
  bool ask(const std::string& request, std::string& answer, std::string& end) const {
    if (!request.empty()) (void)worker_->send(request);  // one that is gone shows below
    const auto got = worker_->answers().next(answer, kLaunchSeconds);
    if (got == LineReader::Got::kLine) return true;
    ChildProcess& process = worker_->process();
    end = got == LineReader::Got::kEnd ? process.wait().text()
                                       : fmt::format("took over {:.0f} s and was ended", kLaunchSeconds);
    (void)process.kill();
    return false;
  }

  void start() {
    const fs::path path = work_.path() / "stderr";
    {
      const std::unique_ptr<std::FILE, int (*)(std::FILE*)> log(std::fopen(path.c_str(), "we"), std::fclose);
      if (!log) throw missing("cannot write {}", path.string());
      worker_ =
          std::make_unique<ChildDialog>(ChildStart{command_, {}, {{STDERR_FILENO, ::fileno(log.get())}}},
                                        std::vector<int>{STDIN_FILENO, STDOUT_FILENO});
    }
    std::string line;
    std::string end;
    if (ask("", line, end)) {
      const Json answer = Json::parse(line, nullptr, false);
      if (answer.is_object() && answer.value("ready", false)) return;
      if (answer.is_object() && answer.contains("error")) {
        throw missing("the emulator does not start: {}", answer["error"].get<std::string>());
      }
    }
    std::ifstream file(path);
    std::string last;
    for (std::string text; std::getline(file, text);) {
      if (!text.empty()) last = text;
    }
    throw missing("the emulator does not start, it {}: {}", end, last);
  }

  Rerun read_answer(const std::string& line, BufferContents contents) const {
    const Json answer = Json::parse(line, nullptr, false);
    const auto text = [&](const char* key) {
      return answer.is_object() && answer.contains(key) && answer[key].is_string()
                 ? answer[key].get<std::string>()
                 : std::string();
    };
    if (const std::string name = text("missing"); !name.empty()) {
      return {Rerun::Outcome::kFailed, fmt::format("no code object has kernel {}", name)};
    }
    if (std::string name = text("not_emulated"); !name.empty()) {
      const std::string instruction =
          instruction_at(objdump_, text("code_object"), answer.value("address", std::uint64_t{0}));
      if (!instruction.empty()) name = instruction;
      return {Rerun::Outcome::kSkipped, fmt::format("not emulated: {}", name)};
    }
    if (!answer.is_object() || !answer.value("ran", false)) {
      const std::string error = text("error");
      return {Rerun::Outcome::kFailed, fmt::format("the emulator: {}", error.empty() ? line : error)};
    }
    for (std::size_t i = 0; i < contents.size(); ++i) {
      std::ifstream file(buffer_path(i), std::ios::binary);
      file.read(reinterpret_cast<char*>(contents[i].data()),
                static_cast<std::streamsize>(contents[i].size()));
      if (!file) throw missing("cannot read {}", buffer_path(i).string());
    }
    return {Rerun::Outcome::kRan, {}, std::move(contents), answer.value("seconds", 0.0)};
  }

  TemporaryFolder work_;
  std::string objdump_;
  std::vector<std::string> command_;
  std::unique_ptr<ChildDialog> worker_;
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
  if (find_tool({}, "python3").empty())
    throw missing("replay --emulate needs python3 on the PATH: apt-get install python3");
  Emulation emulation{architecture, {}, read_amd_toolchain(code).objdump};
  const fs::path folder = code / architecture;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".co") emulation.code_objects.push_back(entry.path());
  }
  std::sort(emulation.code_objects.begin(), emulation.code_objects.end());
  if (emulation.code_objects.empty()) {
    throw missing(
        "no code objects (*.co) in {}: ./test.sh --only amd-code makes them, --code names another folder",
        folder.string());
  }
  return emulation;
}

std::unique_ptr<Rerunner> make_emulator(const Emulation& emulation) {
  return std::make_unique<EmulatorRerunner>(emulation);
}

}  // namespace hipforge::harness
