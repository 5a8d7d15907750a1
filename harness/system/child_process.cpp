#include "harness/system/child_process.h"

#include "kernels/runtime/status.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <optional>
#include <string_view>

extern char** environ;

namespace hipforge::harness {
namespace {

using Clock = std::chrono::steady_clock;

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

// Starts the command in its own group, with both outputs in a pipe of which `read_end` is ours.
pid_t start(const std::vector<std::string>& command, const std::vector<std::string>& variables,
            int& read_end) {
  const auto fail = [&](int error) {
    throw Error(failure(StatusCode::kNotFound, "cannot start ", command.at(0), ": ", std::strerror(error)));
  };
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail(errno);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::vector<std::string> arguments = command;
  std::vector<std::string> environment = environment_with(variables);
  pid_t child = 0;
  const int error = ::posix_spawn(&child, command.at(0).c_str(), &actions, &attributes,
                                  pointers_to(arguments).data(), pointers_to(environment).data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (error != 0) {
    ::close(ends[0]);
    fail(error);
  }
  read_end = ends[0];
  return child;
}

}  // namespace

ChildOutcome run_child(const std::vector<std::string>& command, const std::vector<std::string>& variables,
                       double timeout_s, const std::function<bool(const std::string&)>& on_line) {
  const auto begin = Clock::now();
  const auto deadline =
      begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(timeout_s));
  int output = -1;
  const pid_t child = start(command, variables, output);
  std::optional<ChildOutcome::End> ended;
  std::string pending;
  while (!ended) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) {
      ended = ChildOutcome::End::kTimeout;
      break;
    }
    pollfd event{output, POLLIN, 0};
    const int ready = ::poll(&event, 1, static_cast<int>(std::min<std::int64_t>(left, 1000)));
    if (ready <= 0) continue;
    char part[1 << 14];
    const ssize_t got = ::read(output, part, sizeof(part));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    pending.append(part, static_cast<std::size_t>(got));
    for (std::size_t newline; !ended && (newline = pending.find('\n')) != std::string::npos;) {
      if (on_line(pending.substr(0, newline))) ended = ChildOutcome::End::kStopped;
      pending.erase(0, newline + 1);
    }
  }
  if (!ended && !pending.empty() && on_line(pending)) ended = ChildOutcome::End::kStopped;
  ::close(output);
  if (ended) (void)::kill(-child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ChildOutcome outcome;
  outcome.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  if (ended) {
    outcome.end = *ended;
  } else if (WIFSIGNALED(status)) {
    outcome.end = ChildOutcome::End::kSignal;
    outcome.number = WTERMSIG(status);
  } else {
    outcome.number = WEXITSTATUS(status);
  }
  return outcome;
}

}  // namespace hipforge::harness
