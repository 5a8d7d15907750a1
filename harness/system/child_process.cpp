#include "harness/system/child_process.h"

#include "harness/system/cleanup.h"
#include "kernels/runtime/status.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <string_view>

extern char** environ;

namespace hipforge::harness {
namespace {

[[noreturn]] void cannot_start(const std::string& program, int error) {
  throw Error(failure(StatusCode::kNotFound, "cannot start ", program, ": ", std::strerror(error)));
}

}  // namespace

// A pipe or a pair of sockets.
struct DescriptorPair {
  DescriptorPair(const std::string& program, bool sockets) {
    int both[2];
    if ((sockets ? ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) : ::pipe2(both, O_CLOEXEC)) !=
        0)
      cannot_start(program, errno);
    ours = both[0];
    theirs = both[1];
  }
  ~DescriptorPair() {
    ::close(ours);
    close_theirs();
  }
  DescriptorPair(const DescriptorPair&) = delete;
  DescriptorPair& operator=(const DescriptorPair&) = delete;
  void close_theirs() {
    if (theirs >= 0) ::close(std::exchange(theirs, -1));
  }

  int ours;
  int theirs;
};

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLookEveryMs = 5;

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_with(const std::vector<std::string>& variables) {
  std::vector<std::string> all = variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view name(*entry, std::strcspn(*entry, "="));
    const bool replaced = std::any_of(variables.begin(), variables.end(), [&](const std::string& variable) {
      return std::string_view(variable).substr(0, variable.find('=')) == name;
    });
    if (!replaced) all.emplace_back(*entry);
  }
  return all;
}

// Between fork and exec: only what a signal handler may call. Returns what failed.
int become(pid_t parent, const std::vector<std::pair<int, int>>& files, const sigset_t& mask,
           char** arguments, char** environment) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) return ESRCH;
  // What is above the descriptors that are wanted cannot be overwritten by one of them.
  constexpr int kAbove = 16;
  int moved[kAbove];
  std::size_t count = 0;
  for (const auto& [to, from] : files) {
    if (count == kAbove || (moved[count++] = ::fcntl(from, F_DUPFD_CLOEXEC, kAbove)) < 0) return errno;
  }
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || (null != STDIN_FILENO && ::dup2(null, STDIN_FILENO) < 0)) return errno;
  for (std::size_t i = 0; i < count; ++i) {
    if (::dup2(moved[i], files[i].first) < 0) return errno;
  }
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_IGN)
      (void)std::signal(signal, SIG_DFL);
  }
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  ::execve(arguments[0], arguments, environment);
  return errno;
}

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

std::string ChildOutcome::text() const {
  switch (end) {
    case End::kExit:
      return fmt::format("ended with exit code {}", number);
    case End::kSignal:
      return fmt::format("died: {} (signal {})", ::strsignal(number), number);
    default:
      return fmt::format("was ended after {:.0f} s", seconds);
  }
}

ChildProcess::ChildProcess(const ChildStart& start) {
  std::vector<std::string> command = start.command;
  std::vector<std::string> variables = environment_with(start.variables);
  const std::vector<char*> arguments = pointers_to(command);
  const std::vector<char*> environment = pointers_to(variables);
  const pid_t parent = ::getpid();
  int error = 0;
  id_ = start_group([&] {
    DescriptorPair fault(command.at(0), false);
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    const pid_t child = ::fork();
    if (child == 0) {
      // Above whatever become() makes of the others; closed by exec, and so read as nothing.
      const int report = ::fcntl(fault.theirs, F_DUPFD_CLOEXEC, 64);
      const int failed = become(parent, start.files, before, const_cast<char**>(arguments.data()),
                                const_cast<char**>(environment.data()));
      (void)!::write(report, &failed, sizeof(failed));
      ::_exit(127);
    }
    error = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (child < 0) cannot_start(command[0], error);
    ::setpgid(child, child);
    fault.close_theirs();
    error = 0;
    while (::read(fault.ours, &error, sizeof(error)) < 0 && errno == EINTR) {
    }
    return child;
  });
  if (error == 0) return;
  (void)kill();
  cannot_start(command[0], error);
}

ChildOutcome ChildProcess::wait() {
  if (id_ == 0) return outcome_;
  siginfo_t info;
  while (::waitid(P_PID, static_cast<id_t>(id_), &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
  }
  (void)::kill(-id_, SIGKILL);
  forget_group(id_);
  int status = 0;
  while (::waitpid(id_, &status, 0) < 0 && errno == EINTR) {
  }
  id_ = 0;
  outcome_.end = WIFSIGNALED(status) ? ChildOutcome::End::kSignal : ChildOutcome::End::kExit;
  outcome_.number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
  return outcome_;
}

ChildOutcome ChildProcess::kill() {
  if (id_ != 0) (void)::kill(-id_, SIGKILL);
  return wait();
}

LineReader::Got LineReader::next(std::string& line, double timeout_s, const std::function<bool()>& stop) {
  const auto begin = Clock::now();
  for (;;) {
    const std::size_t newline = pending_.find('\n');
    if (newline != std::string::npos || (ended_ && !pending_.empty())) {
      line = pending_.substr(0, newline);
      pending_.erase(0, newline == std::string::npos ? newline : newline + 1);
      return Got::kLine;
    }
    if (ended_) return Got::kEnd;
    const double left_ms = 1e3 * (timeout_s - seconds_since(begin));
    pollfd event{descriptor_, POLLIN, 0};
    if (::poll(&event, 1, static_cast<int>(std::clamp(left_ms, 0.0, stop ? kLookEveryMs : 1e3))) > 0) {
      char part[1 << 14];
      const ssize_t got = ::read(descriptor_, part, sizeof(part));
      if (got < 0 && errno == EINTR) continue;
      ended_ = got <= 0;
      if (!ended_) pending_.append(part, static_cast<std::size_t>(got));
    } else if (stop && stop()) {
      return Got::kStopped;
    } else if (left_ms <= 0.0) {
      return Got::kTimeout;
    }
  }
}

ChildDialog::ChildDialog(ChildStart start, const std::vector<int>& ends)
    : socket_(std::make_unique<DescriptorPair>(start.command.at(0), true)),
      process_([&] {
        for (const int end : ends) start.files.emplace_back(end, socket_->theirs);
        return std::move(start);
      }()),
      answers_(socket_->ours) {
  socket_->close_theirs();
}

ChildDialog::~ChildDialog() = default;

bool ChildDialog::send(std::string line) const {
  line += '\n';
  for (std::size_t sent = 0; sent < line.size();) {
    const ssize_t now = ::send(socket_->ours, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (now < 0 && errno == EINTR) continue;
    if (now <= 0) return false;
    sent += static_cast<std::size_t>(now);
  }
  return true;
}

ChildOutcome run_child(const std::vector<std::string>& command, const std::vector<std::string>& variables,
                       double timeout_s, const std::function<bool(const std::string&)>& on_line) {
  const auto begin = Clock::now();
  DescriptorPair output(command.at(0), false);
  ChildProcess child({command, variables, {{STDOUT_FILENO, output.theirs}, {STDERR_FILENO, output.theirs}}});
  output.close_theirs();
  LineReader lines(output.ours);
  std::string line;
  auto got = LineReader::Got::kLine;
  while (got == LineReader::Got::kLine) {
    got = lines.next(line, timeout_s - seconds_since(begin));
    if (got == LineReader::Got::kLine && on_line(line)) got = LineReader::Got::kStopped;
  }
  ChildOutcome outcome = got == LineReader::Got::kEnd ? child.wait() : child.kill();
  if (got == LineReader::Got::kTimeout) outcome.end = ChildOutcome::End::kTimeout;
  if (got == LineReader::Got::kStopped) outcome.end = ChildOutcome::End::kStopped;
  outcome.seconds = seconds_since(begin);
  return outcome;
}

std::string tool_output(const std::vector<std::string>& command) {
  DescriptorPair output(command.at(0), false);
  ChildProcess child({command, {}, {{STDOUT_FILENO, output.theirs}}});
  output.close_theirs();
  std::string text;
  char part[1 << 16];
  for (;;) {
    const ssize_t got = ::read(output.ours, part, sizeof(part));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(part, static_cast<std::size_t>(got));
  }
  const ChildOutcome outcome = child.wait();
  if (outcome.good()) return text;
  throw Error(failure(StatusCode::kNotFound, fmt::format("{} {}", fmt::join(command, " "), outcome.text())));
}

std::string find_tool(const std::vector<std::string>& paths, const std::string& name) {
  std::vector<std::string> candidates = paths;
  if (const char* path = std::getenv("PATH"); path != nullptr) {
    std::istringstream folders(path);
    for (std::string folder; std::getline(folders, folder, ':');) {
      // An empty or relative entry depends on where we stand.
      if (folder.starts_with('/')) candidates.push_back(folder + "/" + name);
    }
  }
  for (const std::string& candidate : candidates) {
    std::error_code error;
    if (std::filesystem::is_regular_file(candidate, error) && ::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return {};
}

}  // namespace hipforge::harness
