#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hipforge::harness {

// None of these processes and folders outlasts us, be we ended by Ctrl-C, SIGTERM or SIGHUP: then process
// groups are killed and folders removed, nothing is started any more, and the signal does what it does by
// default.

/// What a process is started with.
struct ChildStart {
  std::vector<std::string> command;      ///< command[0] is a path: no shell, no search
  std::vector<std::string> variables{};  ///< "NAME=value", put over the environment
  /// Which of its descriptors lead to us. Of the standard ones that do not, its input is /dev/null, its
  /// output our standard error.
  std::vector<int> ends{};
  std::string log{};  ///< a file for its standard error; empty: it is ours
};

/// How a process that was started ended.
struct ChildOutcome {
  enum class End { kExit, kSignal, kTimeout, kStopped };
  End end = End::kExit;
  int number = 0;  ///< exit code, or signal
  double seconds = 0.0;

  [[nodiscard]] bool good() const { return end == End::kExit && number == 0; }
  /// "ended with exit code 3", "died: Killed (signal 9)".
  [[nodiscard]] std::string text() const;
};

/// Lines that come and go through a descriptor, which it closes.
class Lines {
 public:
  enum class Got { kLine, kEnd, kTimeout, kStopped };
  explicit Lines(int descriptor) : descriptor_(descriptor) {}
  ~Lines();
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  /// The next line, without its newline; what stands before the end without one counts as a line. kTimeout
  /// after timeout_s, kStopped where `stop`, which is asked every few milliseconds, says so.
  [[nodiscard]] Got next(std::string& line, double timeout_s, const std::function<bool()>& stop = {});
  /// All that comes until the end.
  [[nodiscard]] std::string rest();
  /// False where nobody is left at the other end, which must be a socket's.
  bool send(std::string line) const;

 private:
  void read_more();

  int descriptor_;
  bool ended_ = false;
  std::string pending_;
};

/// A process in a group of its own, which is killed when this object goes, when a signal ends us, and, the
/// process itself, when we end in any other way.
class ChildProcess {
 public:
  /// Throws Error{kNotFound} where it cannot be started.
  explicit ChildProcess(const ChildStart& start);
  ~ChildProcess() { (void)kill(); }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// 0 once it was waited for.
  [[nodiscard]] pid_t id() const { return id_; }
  /// What comes from its ends, and goes to those that it reads.
  [[nodiscard]] Lines& lines() { return *lines_; }
  /// Sends a request, where it is not empty, and waits for a line as Lines::next() does. Where none comes
  /// the process is ended, and the answer is how it ended (ChildOutcome::text()).
  Lines::Got ask(const std::string& request, std::string& answer, double timeout_s,
                 const std::function<bool()>& stop = {});
  /// Waits for it to end by itself; what is left of its group is killed.
  ChildOutcome wait();
  /// Kills the group where it has not ended.
  ChildOutcome kill();

 private:
  std::optional<Lines> lines_;
  pid_t id_ = 0;
  ChildOutcome outcome_;
};

/// Runs a command to its end. `on_line` gets every line that it writes to stdout or stderr; where it returns
/// true the whole group is killed (kStopped), as it is after timeout_s (kTimeout). Threads may call it at
/// once.
[[nodiscard]] ChildOutcome run_child(const std::vector<std::string>& command,
                                     const std::vector<std::string>& variables, double timeout_s,
                                     const std::function<bool(const std::string&)>& on_line);

/// The standard output of a command; its standard error is ours. Throws Error{kNotFound} with the command
/// where it cannot be run or does not end with exit code 0.
[[nodiscard]] std::string tool_output(const std::vector<std::string>& command);

/// The first executable file of `paths`, then of the PATH's folders under the name `name`; empty where none
/// is.
[[nodiscard]] std::string find_tool(const std::vector<std::string>& paths, const std::string& name);

/// A new folder for temporary files; gone with its contents when this is. Throws Error{kNotFound} where there
/// can be none.
class TemporaryFolder {
 public:
  TemporaryFolder();
  /// The one that `make` makes and returns: no signal ends us before it is known.
  explicit TemporaryFolder(const std::function<std::filesystem::path()>& make);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace hipforge::harness
