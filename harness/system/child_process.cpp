#include "harness/system/child_process.h"

#include "kernels/runtime/status.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <mutex>
#include <set>
#include <sstream>
#include <string_view>
#include <thread>

extern char** environ;

namespace hipforge::harness {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kLookEveryMs = 5;
constexpr int kEndingSignals[] = {SIGINT, SIGTERM, SIGHUP};

struct Remains {
  std::mutex mutex;
  std::set<pid_t> groups;
  std::set<fs::path> folders;
  int signals[2] = {-1, -1};  // a pipe: handlers write, the watcher reads
};

// Never destroyed: the watcher outlives main().
Remains& remains() {
  static auto* const all = new Remains;
  return *all;
}

void on_signal(int signal) {
  const int error = errno;
  const auto byte = static_cast<char>(signal);
  (void)!::write(remains().signals[1], &byte, 1);
  errno = error;
}

// A thread of its own, because a handler may neither lock nor remove.
void watch() {
  Remains& all = remains();
  char byte = 0;
  while (::read(all.signals[0], &byte, 1) != 1) {
  }
  all.mutex.lock();  // for good: whoever would start or remove something waits for the end
  for (const pid_t leader : all.groups) (void)::kill(-leader, SIGKILL);
  for (const pid_t leader : all.groups) (void)::waitpid(leader, nullptr, 0);
  std::error_code ignored;
  for (const fs::path& folder : all.folders) {
    // Another thread of ours may still be writing there, which ends when its folder is gone.
    for (int i = 0; i < 100 && fs::exists(folder, ignored); ++i) fs::remove_all(folder, ignored);
  }
  (void)std::signal(byte, SIG_DFL);
  (void)::kill(::getpid(), byte);
  for (;;) (void)::pause();
}

// Of this thread, and what were blocked before.
sigset_t block_signals() {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  return before;
}

void start_watching() {
  if (::pipe2(remains().signals, O_CLOEXEC) != 0) return;
  const sigset_t before = block_signals();
  std::thread(watch).detach();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  for (const int signal : kEndingSignals) {
    struct sigaction action {};
    // One that is ignored (nohup) or handled stays so.
    if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    (void)::sigaction(signal, &action, nullptr);
  }
}

[[nodiscard]] std::unique_lock<std::mutex> lock() {
  static std::once_flag watching;
  std::call_once(watching, start_watching);
  return std::unique_lock(remains().mutex);
}

[[noreturn]] void cannot_start(const std::string& program, int error) {
  throw Error(failure(StatusCode::kNotFound, "cannot start ", program, ": ", std::strerror(error)));
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_with(const std::vector<std::string>& variables) {
  std::vector<std::string> all = variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string name(*entry, std::strcspn(*entry, "="));
    const auto replaces = [&](const std::string& variable) { return variable.starts_with(name + "="); };
    if (std::ranges::none_of(variables, replaces)) all.emplace_back(*entry);
  }
  return all;
}

// Between vfork and exec: only what a signal handler may call. Returns what failed.
int become(const ChildStart& start, pid_t parent, int theirs, const sigset_t& mask, char* const* arguments,
           char* const* environment) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) return ESRCH;
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || (null != STDIN_FILENO && ::dup2(null, STDIN_FILENO) < 0)) return errno;
  (void)::dup2(STDERR_FILENO, STDOUT_FILENO);
  if (!start.log.empty()) {
    const int log = ::open(start.log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (log < 0 || ::dup2(log, STDERR_FILENO) < 0) return errno;
  }
  for (const int end : start.ends) {
    if (::dup2(theirs, end) < 0) return errno;
  }
  for (const int signal : kEndingSignals) {
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

Lines::~Lines() {
  ::close(descriptor_);
}

void Lines::read_more() {
  char part[1 << 14];
  ssize_t got = 0;
  while ((got = ::read(descriptor_, part, sizeof(part))) < 0 && errno == EINTR) {
  }
  ended_ = got <= 0;
  if (!ended_) pending_.append(part, static_cast<std::size_t>(got));
}

Lines::Got Lines::next(std::string& line, double timeout_s, const std::function<bool()>& stop) {
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
      read_more();
    } else if (stop && stop()) {
      return Got::kStopped;
    } else if (left_ms <= 0.0) {
      return Got::kTimeout;
    }
  }
}

std::string Lines::rest() {
  while (!ended_) read_more();
  return std::exchange(pending_, {});
}

bool Lines::send(std::string line) const {
  line += '\n';
  for (std::size_t sent = 0; sent < line.size();) {
    const ssize_t now = ::send(descriptor_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (now < 0 && errno == EINTR) continue;
    if (now <= 0) return false;
    sent += static_cast<std::size_t>(now);
  }
  return true;
}

ChildProcess::ChildProcess(const ChildStart& start) {
  std::vector<std::string> command = start.command;
  std::vector<std::string> variables = environment_with(start.variables);
  const std::vector<char*> arguments = pointers_to(command);
  const std::vector<char*> environment = pointers_to(variables);
  // Where it only writes a pipe will do; a socket cannot be opened again as /dev/stderr.
  const bool reads =
      std::ranges::any_of(start.ends, [](int end) { return end != STDOUT_FILENO && end != STDERR_FILENO; });
  int both[2];
  if ((reads ? ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) : ::pipe2(both, O_CLOEXEC)) != 0)
    cannot_start(command.at(0), errno);
  lines_.emplace(both[0]);
  // None of the ends can be made of it by chance, to be closed by exec.
  constexpr int kAboveEnds = 16;
  const int theirs = ::fcntl(both[1], F_DUPFD_CLOEXEC, kAboveEnds);
  ::close(both[1]);
  const pid_t parent = ::getpid();
  pid_t child = 0;
  volatile int error = 0;
  {
    const auto held = lock();
    const sigset_t before = block_signals();
    // It has our memory, and we wait, until it is another program.
    child = ::vfork();
    if (child == 0) {
      error = become(start, parent, theirs, before, arguments.data(), environment.data());
      ::_exit(127);
    }
    if (child < 0) error = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::close(theirs);
    if (error == 0) remains().groups.insert(id_ = child);
  }
  if (error == 0) return;
  if (child > 0) ::waitpid(child, nullptr, 0);
  cannot_start(command[0], error);
}

Lines::Got ChildProcess::ask(const std::string& request, std::string& answer, double timeout_s,
                             const std::function<bool()>& stop) {
  if (!request.empty()) (void)lines_->send(request);  // one that is gone shows below
  const auto got = lines_->next(answer, timeout_s, stop);
  if (got != Lines::Got::kLine) answer = (got == Lines::Got::kEnd ? wait() : kill()).text();
  return got;
}

ChildOutcome ChildProcess::wait() {
  if (id_ == 0) return outcome_;
  siginfo_t info;
  while (::waitid(P_PID, static_cast<id_t>(id_), &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
  }
  (void)::kill(-id_, SIGKILL);
  {
    const auto held = lock();
    remains().groups.erase(id_);  // once it was waited for its id may be another's
  }
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

ChildOutcome run_child(const std::vector<std::string>& command, const std::vector<std::string>& variables,
                       double timeout_s, const std::function<bool(const std::string&)>& on_line) {
  const auto begin = Clock::now();
  ChildProcess child({command, variables, {STDOUT_FILENO, STDERR_FILENO}});
  std::string line;
  Lines::Got got;
  do {
    got = child.ask({}, line, timeout_s - seconds_since(begin));
  } while (got == Lines::Got::kLine && !on_line(line));
  ChildOutcome outcome = child.kill();
  if (got == Lines::Got::kTimeout) outcome.end = ChildOutcome::End::kTimeout;
  if (got == Lines::Got::kLine) outcome.end = ChildOutcome::End::kStopped;
  outcome.seconds = seconds_since(begin);
  return outcome;
}

std::string tool_output(const std::vector<std::string>& command) {
  ChildProcess child({command, {}, {STDOUT_FILENO}});
  std::string text = child.lines().rest();
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
    if (fs::is_regular_file(candidate, error) && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

TemporaryFolder::TemporaryFolder() {
  const auto held = lock();
  std::string name = fs::temp_directory_path() / "hipforge-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) {
    throw Error(failure(StatusCode::kNotFound, "no temporary folder can be made at ", name, ": ",
                        std::strerror(errno)));
  }
  path_ = name;
  remains().folders.insert(path_);
}

TemporaryFolder::TemporaryFolder(const std::function<fs::path()>& make) {
  const auto held = lock();
  path_ = make();
  remains().folders.insert(path_);
}

TemporaryFolder::~TemporaryFolder() {
  const auto held = lock();
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  remains().folders.erase(path_);
}

}  // namespace hipforge::harness
