#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>

namespace hipforge::harness {

// What must not outlast this process, be it ended by Ctrl-C, SIGTERM or SIGHUP: then process groups are killed
// and folders removed, nothing is started any more, and the signal does what it does by default.

/// Runs `start`, which starts a process that leads a group of its own, and returns its id.
[[nodiscard]] pid_t start_group(const std::function<pid_t()>& start);
/// To be called once the leader is dead, before it is waited for: later its id may be another's.
void forget_group(pid_t leader);

/// A new folder for temporary files; gone with its contents when this is. Throws Error{kNotFound} where there
/// can be none.
class TemporaryFolder {
 public:
  TemporaryFolder();
  /// One that is there already.
  explicit TemporaryFolder(std::filesystem::path made);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace hipforge::harness
