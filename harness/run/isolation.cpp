#include "harness/run/isolation.h"

#include "harness/sweep/variants.h"
#include "harness/system/host_memory.h"
#include "kernels/runtime/device_buffer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>

extern char** environ;

namespace hipforge::harness {
namespace {

using Clock = std::chrono::steady_clock;

// Where the process finds its requests and leaves its answers.
constexpr int kServedSocket = 3;
// Cases of one process: what must be searched where one of them harms a later one.
constexpr std::size_t kCasesOfAProcess = 256;
constexpr int kLookEveryMs = 5;
constexpr double kSearchSeconds = 10.0;
constexpr double kStartSeconds = 120.0;
constexpr const char* kReady = "ready\n";

void send_all(const std::string& text) {
  for (std::size_t sent = 0; sent < text.size();) {
    const ssize_t written = send(kServedSocket, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (written <= 0) return;
    sent += static_cast<std::size_t>(written);
  }
}

CaseResult died(Failure failure, std::string message) {
  CaseResult result;
  result.failure = failure;
  result.worst_share = std::numeric_limits<double>::infinity();
  result.message = std::move(message);
  return result;
}

std::string to_line(const CaseResult& result) {
  nlohmann::json line;
  line["passed"] = result.passed;
  line["bounded"] = result.bounded;
  // JSON has no infinity.
  if (std::isfinite(result.worst_share)) line["worst_share"] = result.worst_share;
  line["elements"] = result.elements;
  line["where"] = result.where;
  line["message"] = result.message;
  line["unsupported"] = result.unsupported;
  line["failure"] = static_cast<int>(result.failure);
  for (const OutputShare& output : result.outputs) {
    if (!std::isfinite(output.worst_share)) continue;  // no passed case has one
    line["outputs"].push_back({output.output, output.bounded, output.worst_share});
  }
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

CaseResult from_line(const std::string& text) {
  const nlohmann::json line = nlohmann::json::parse(text);
  CaseResult result;
  result.passed = line.at("passed");
  result.bounded = line.at("bounded");
  result.worst_share = line.value("worst_share", std::numeric_limits<double>::infinity());
  result.elements = line.at("elements");
  result.where = line.at("where");
  result.message = line.at("message");
  result.unsupported = line.at("unsupported");
  result.failure = static_cast<Failure>(line.at("failure").get<int>());
  if (line.contains("outputs")) {
    for (const nlohmann::json& output : line["outputs"]) {
      result.outputs.push_back({output.at(0), output.at(1), output.at(2)});
    }
  }
  return result;
}

std::int64_t resident_mib(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/statm", pid));
  std::int64_t size = 0;
  std::int64_t resident = 0;
  if (!(file >> size >> resident)) return 0;
  return resident * sysconf(_SC_PAGESIZE) >> 20;
}

// One process that serves cases.
class Worker {
 public:
  explicit Worker(const IsolationOptions& options) {
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) fail("socketpair");
    socket_ = sockets[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, sockets[1], kServedSocket);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    // What a kernel's host code prints must not stand in our table.
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    std::vector<std::string> arguments{"hipforge"};
    arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const int error = posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    close(sockets[1]);
    if (error != 0) {
      pid_ = 0;
      close(socket_);
      errno = error;
      fail("a process for cases");
    }
    // Starting, and the device's context, are no part of a case's time.
    CaseResult death;
    if (receive(kStartSeconds, std::numeric_limits<std::int64_t>::max(), death) != kReady) {
      throw Error(failure(StatusCode::kNotFound, "a process for cases does not start: ", death.message));
    }
  }
  ~Worker() {
    close(socket_);
    if (pid_ > 0) end();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  CaseResult run(const Case& test, std::size_t target, double timeout_s, std::int64_t limit_mib) {
    const std::string request = fmt::format("{} {}\n", target, test.id);
    (void)send(socket_, request.data(), request.size(), MSG_NOSIGNAL);  // a dead one shows below
    CaseResult death;
    const std::string answer = receive(timeout_s, limit_mib, death);
    return answer.empty() ? death : from_line(answer);
  }

  [[nodiscard]] bool alive() const { return pid_ > 0; }

 private:
  [[noreturn]] static void fail(const char* what) {
    throw Error(failure(StatusCode::kNotFound, what, " cannot be made: ", std::strerror(errno)));
  }

  // The next line of the process; empty, with `death` set, where it has come to an end, if only by our hand.
  std::string receive(double timeout_s, std::int64_t limit_mib, CaseResult& death) {
    const auto end_time = Clock::now() + std::chrono::duration<double>(timeout_s);
    std::string line;
    for (;;) {
      pollfd event{socket_, POLLIN, 0};
      if (poll(&event, 1, kLookEveryMs) > 0) {
        char buffer[4096];
        const ssize_t count = recv(socket_, buffer, sizeof(buffer), 0);
        if (count <= 0) {
          death = how_it_died();
          return {};
        }
        line.append(buffer, static_cast<std::size_t>(count));
        if (line.back() == '\n') return line;
        continue;
      }
      if (const std::int64_t mib = resident_mib(pid_); mib > limit_mib) {
        end();
        death = died(Failure::kMemory,
                     fmt::format("its process grew to {} MiB, the limit is {} MiB", mib, limit_mib));
        return {};
      }
      if (Clock::now() >= end_time) {
        end();
        death = died(Failure::kHang, fmt::format("no result within {:g} s", timeout_s));
        return {};
      }
    }
  }

  void end() {
    kill(pid_, SIGKILL);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
  }

  CaseResult how_it_died() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    if (WIFSIGNALED(status)) {
      const int signal = WTERMSIG(status);
      return died(Failure::kCrash,
                  fmt::format("its process died: {} (signal {})", strsignal(signal), signal));
    }
    return died(Failure::kCrash, fmt::format("its process ended with exit code {}", WEXITSTATUS(status)));
  }

  int socket_ = -1;
  pid_t pid_ = 0;
};

class IsolatedRunner final : public CaseRunner {
 public:
  IsolatedRunner(const IsolationOptions& options, const std::vector<Target>& targets)
      : options_(options), targets_(targets), timeout_s_(options.timeout_s) {
    limit_mib_ =
        options.memory_limit_mib > 0 ? options.memory_limit_mib : host_memory().available_mib / 4 * 3;
#if defined(HIPFORGE_PLATFORM_CPU)
    // The executor stops a kernel that does not end by itself, and says where it was: a little earlier than
    // the process would be.
    setenv("HIPFORGE_CPU_TIMEOUT_MS", fmt::format("{:.0f}", std::max(750.0 * timeout_s_, 1.0)).c_str(), 0);
#endif
  }

  void limit(double seconds) override {
    timeout_s_ = std::min(seconds, options_.timeout_s);
  }

  CaseResult run(const Case& test, const Target& target) override {
    const auto at = std::find(targets_.begin(), targets_.end(), target);
    const auto index = static_cast<std::size_t>(at - targets_.begin());
    if (ran_.size() >= kCasesOfAProcess) worker_.reset();
    if (!worker_) start();
    CaseResult result = worker_->run(test, index, timeout_s_, limit_mib_);
    const std::vector<Case> before = std::move(ran_);
    ran_ = before;
    ran_.push_back(test);
    if (worker_->alive()) return result;
    worker_.reset();
    if (before.empty() || result.failure != Failure::kCrash) return result;
    start();
    const CaseResult alone = worker_->run(test, index, timeout_s_, limit_mib_);
    ran_ = {test};
    if (!worker_->alive()) worker_.reset();
    if (!alone.passed) return alone;
    result.message += after_which(before, test, index);
    return result;
  }

 private:
  void start() {
    worker_ = std::make_unique<Worker>(options_);
    ran_.clear();
  }

  // The case that one must come after to die; the latest are the most likely.
  std::string after_which(const std::vector<Case>& before, const Case& test, std::size_t index) {
    const auto end_time = Clock::now() + std::chrono::duration<double>(kSearchSeconds);
    for (std::size_t at = before.size(); at-- > 0 && Clock::now() < end_time;) {
      Worker worker(options_);
      (void)worker.run(before[at], index, timeout_s_, limit_mib_);
      if (!worker.alive() || worker.run(test, index, timeout_s_, limit_mib_).passed) continue;
      return fmt::format("; alone it passes, not in one process after {}", before[at].id);
    }
    return fmt::format("; alone it passes, not in one process after {} other cases, {} to {}", before.size(),
                       before.front().id, before.back().id);
  }

  IsolationOptions options_;
  std::vector<Target> targets_;
  double timeout_s_;
  std::int64_t limit_mib_ = 0;
  std::unique_ptr<Worker> worker_;
  std::vector<Case> ran_;  // in the worker's process
};

}  // namespace

std::unique_ptr<CaseRunner> make_isolated_runner(const IsolationOptions& options,
                                                 const std::vector<Target>& targets) {
  return std::make_unique<IsolatedRunner>(options, targets);
}

void serve_cases(CaseRunner& runner, const std::vector<Target>& targets) {
  // Whoever asks may be killed while a case hangs.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  { const DeviceBuffer context(1); }
  send_all(kReady);
  std::string pending;
  char buffer[4096];
  for (;;) {
    const ssize_t count = recv(kServedSocket, buffer, sizeof(buffer), 0);
    if (count <= 0) break;
    pending.append(buffer, static_cast<std::size_t>(count));
    const std::size_t end = pending.find('\n');
    if (end == std::string::npos) continue;
    const std::size_t space = pending.find(' ');
    const std::size_t target = std::stoul(pending.substr(0, space));
    const std::string id = pending.substr(space + 1, end - space - 1);
    pending.erase(0, end + 1);
    send_all(to_line(runner.run(find_case(id), targets.at(target))));
  }
  std::fflush(nullptr);
  // Nothing of what the cases left behind is to be tidied up.
  std::_Exit(0);
}

}  // namespace hipforge::harness
