#include "harness/replay/emulation.h"

#include "harness/isa/amd_toolchain.h"
#include "harness/isa/disassembly.h"
#include "harness/system/tool_output.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#ifndef HIPFORGE_EMULATE_PY
#error "the build defines HIPFORGE_EMULATE_PY, the path of harness/replay/emulate.py"
#endif

extern char** environ;

namespace hipforge::harness {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

// No launch that is worth emulating takes that long.
constexpr std::chrono::seconds kLaunchLimit{600};

constexpr const char* kCheckout = "HIPFORGE_TINYGRAD";
constexpr const char* kEmulator = "test/mockgpu/amd/emu.py";

bool on_path(const std::string& program) {
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (::access((fs::path(folder) / program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

Error missing(const std::string& message) {
  return Error(failure(StatusCode::kNotFound, message));
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

// A folder of its own that is gone with its owner.
class WorkFolder {
 public:
  WorkFolder() {
    std::string pattern = (fs::temp_directory_path() / "hipforge_emulator.XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      throw missing(fmt::format("{}: {}", pattern, std::generic_category().message(errno)));
    }
    path_ = pattern;
  }
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// A child process that answers each line with a line.
class Worker {
 public:
  Worker(const std::vector<std::string>& arguments, const fs::path& log) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      throw missing(fmt::format("no socket for the emulator: {}", std::generic_category().message(errno)));
    }
    socket_ = ends[0];
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                       0644);
    std::vector<char*> argv;
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    const int error = ::posix_spawnp(&child_, argv[0], &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    if (error == 0) return;
    ::close(socket_);
    throw missing(fmt::format("cannot start {}: {}", arguments[0], std::generic_category().message(error)));
  }
  ~Worker() {
    ::close(socket_);  // the end of its input ends the worker
    if (child_ > 0) (void)wait_for_end();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// False where the worker is gone.
  [[nodiscard]] bool send_line(std::string line) const {
    line += '\n';
    for (std::size_t sent = 0; sent < line.size();) {
      const ssize_t now = ::send(socket_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
      if (now < 0 && errno == EINTR) continue;
      if (now <= 0) return false;
      sent += static_cast<std::size_t>(now);
    }
    return true;
  }

  /// False where the worker is gone or kLaunchLimit is over; then it has been ended and end() says how.
  [[nodiscard]] bool read_line(std::string& line) {
    const auto limit = std::chrono::steady_clock::now() + kLaunchLimit;
    for (;;) {
      if (const auto end = received_.find('\n'); end != std::string::npos) {
        line = received_.substr(0, end);
        received_.erase(0, end + 1);
        return true;
      }
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(limit - std::chrono::steady_clock::now());
      pollfd wait{socket_, POLLIN, 0};
      const int ready = left.count() <= 0 ? 0 : ::poll(&wait, 1, static_cast<int>(left.count()));
      if (ready < 0 && errno == EINTR) continue;
      if (ready <= 0) {
        ::kill(child_, SIGKILL);
        (void)wait_for_end();
        end_ = fmt::format("took over {} s and was ended", kLaunchLimit.count());
        return false;
      }
      char buffer[4096];
      const ssize_t got = ::recv(socket_, buffer, sizeof(buffer), 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        end_ = wait_for_end();
        return false;
      }
      received_.append(buffer, static_cast<std::size_t>(got));
    }
  }

  [[nodiscard]] const std::string& end() const { return end_; }

 private:
  std::string wait_for_end() {
    int status = 0;
    while (::waitpid(std::exchange(child_, -1), &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) return fmt::format("was ended by signal {}", WTERMSIG(status));
    return fmt::format("ended with code {}", WEXITSTATUS(status));
  }

  int socket_ = -1;
  pid_t child_ = -1;
  std::string received_;
  std::string end_;
};

class EmulatorRerunner final : public Rerunner {
 public:
  explicit EmulatorRerunner(const Emulation& emulation) : objdump_(emulation.objdump) {
    command_ = {"python3", HIPFORGE_EMULATE_PY, emulation.architecture};
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
      if (!file) throw missing(fmt::format("cannot write {}", path.string()));
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
    if (!worker_->send_line(request.dump()) || !worker_->read_line(line)) {
      const std::string end = worker_->end().empty() ? "is gone" : worker_->end();
      worker_.reset();
      return {Rerun::Outcome::kFailed, fmt::format("the emulator {}", end), {}, 0.0};
    }
    return read_answer(line, std::move(before));
  }

 private:
  [[nodiscard]] fs::path buffer_path(std::size_t index) const {
    return work_.path() / fmt::format("buffer{}", index);
  }

  void start() {
    const fs::path log = work_.path() / "stderr";
    worker_ = std::make_unique<Worker>(command_, log);
    std::string line;
    if (worker_->read_line(line)) {
      const Json answer = Json::parse(line, nullptr, false);
      if (answer.is_object() && answer.value("ready", false)) return;
      if (answer.is_object() && answer.contains("error")) {
        throw missing(fmt::format("the emulator does not start: {}", answer["error"].get<std::string>()));
      }
    }
    std::ifstream file(log);
    std::string last;
    for (std::string text; std::getline(file, text);) {
      if (!text.empty()) last = text;
    }
    throw missing(fmt::format("the emulator does not start, it {}: {}", worker_->end(), last));
  }

  Rerun read_answer(const std::string& line, BufferContents contents) const {
    const Json answer = Json::parse(line, nullptr, false);
    const auto text = [&](const char* key) {
      return answer.is_object() && answer.contains(key) && answer[key].is_string()
                 ? answer[key].get<std::string>()
                 : std::string();
    };
    if (const std::string name = text("missing"); !name.empty()) {
      return {Rerun::Outcome::kFailed, fmt::format("no code object has kernel {}", name), {}, 0.0};
    }
    if (std::string name = text("not_emulated"); !name.empty()) {
      const std::string instruction =
          instruction_at(objdump_, text("code_object"), answer.value("address", std::uint64_t{0}));
      if (!instruction.empty()) name = instruction;
      return {Rerun::Outcome::kSkipped, fmt::format("not emulated: {}", name), {}, 0.0};
    }
    if (!answer.is_object() || !answer.value("ran", false)) {
      const std::string error = text("error");
      return {
          Rerun::Outcome::kFailed, fmt::format("the emulator: {}", error.empty() ? line : error), {}, 0.0};
    }
    for (std::size_t i = 0; i < contents.size(); ++i) {
      std::ifstream file(buffer_path(i), std::ios::binary);
      file.read(reinterpret_cast<char*>(contents[i].data()),
                static_cast<std::streamsize>(contents[i].size()));
      if (!file) throw missing(fmt::format("cannot read {}", buffer_path(i).string()));
    }
    return {Rerun::Outcome::kRan, {}, std::move(contents), answer.value("seconds", 0.0)};
  }

  WorkFolder work_;
  std::string objdump_;
  std::vector<std::string> command_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace

Emulation find_emulation(const std::string& architecture, const fs::path& code) {
  const char* const checkout = std::getenv(kCheckout);
  if (checkout == nullptr || *checkout == 0) {
    throw missing(
        fmt::format("replay --emulate needs tinygrad's emulator: git clone "
                    "https://github.com/tinygrad/tinygrad and set {} to the checkout",
                    kCheckout));
  }
  if (!fs::is_regular_file(fs::path(checkout) / kEmulator)) {
    throw missing(fmt::format("{} is {}, which has no {}: git clone https://github.com/tinygrad/tinygrad",
                              kCheckout, checkout, kEmulator));
  }
  if (!on_path("python3"))
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
        fmt::format("no code objects (*.co) in {}: ./test.sh --only amd-code makes them, --code names "
                    "another folder",
                    folder.string()));
  }
  return emulation;
}

std::unique_ptr<Rerunner> make_emulator(const Emulation& emulation) {
  return std::make_unique<EmulatorRerunner>(emulation);
}

}  // namespace hipforge::harness
