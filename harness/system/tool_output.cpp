#include "harness/system/tool_output.h"

#include "kernels/runtime/status.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>

extern char** environ;

namespace hipforge::harness {

std::string tool_output(const std::vector<std::string>& command) {
  const auto fail = [&](const std::string& what) {
    throw Error(failure(StatusCode::kNotFound, fmt::format("{}", fmt::join(command, " ")), ": ", what));
  };
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail(std::strerror(errno));
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  pid_t child = 0;
  const int error = ::posix_spawn(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  std::string output;
  if (error == 0) {
    char part[1 << 16];
    for (;;) {
      const ssize_t got = ::read(ends[0], part, sizeof(part));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      output.append(part, static_cast<std::size_t>(got));
    }
  }
  ::close(ends[0]);
  if (error != 0) fail(std::strerror(error));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) fail(fmt::format("ended by signal {}", WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0) fail(fmt::format("exit code {}", WEXITSTATUS(status)));
  return output;
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
