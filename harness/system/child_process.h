#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hipforge::harness {

/// What a process is started with.
struct ChildStart {
  std::vector<std::string> command;      ///< command[0] is a path: no shell, no search
  std::vector<std::string> variables{};  ///< "NAME=value", put over the environment
  /// Descriptors of its own, and of ours what each is. Of the standard ones that are not named its input is
  /// /dev/null, its outputs are ours.
  std::vector<std::pair<int, int>> files{};
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

/// A process in a group of its own, which is killed when this object goes, when a signal ends us
/// (harness/system/cleanup.h), and, the process itself, when we end in any other way.
class ChildProcess {
 public:
  /// Throws Error{kNotFound} where it cannot be started.
  explicit ChildProcess(const ChildStart& start);
  ~ChildProcess() { (void)kill(); }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// 0 once it was waited for.
  [[nodiscard]] pid_t id() const { return id_; }
  /// Waits for it to end by itself; what is left of its group is killed.
  ChildOutcome wait();
  /// Kills the group where it has not ended.
  ChildOutcome kill();

 private:
  pid_t id_ = 0;
  ChildOutcome outcome_;
};

/// Lines that come out of a descriptor, which it does not own.
class LineReader {
 public:
  enum class Got { kLine, kEnd, kTimeout, kStopped };
  explicit LineReader(int descriptor) : descriptor_(descriptor) {}
  /// The next line, without its newline; what stands before the end without one counts as a line. kTimeout
  /// after timeout_s, kStopped where `stop`, which is asked every few milliseconds, says so.
  [[nodiscard]] Got next(std::string& line, double timeout_s, const std::function<bool()>& stop = {});

 private:
  int descriptor_;
  bool ended_ = false;
  std::string pending_;
};

struct DescriptorPair;

/// A process that answers lines with lines, over a socket.
class ChildDialog {
 public:
  /// The socket is each of the process's descriptors in `ends`.
  ChildDialog(ChildStart start, const std::vector<int>& ends);
  ~ChildDialog();
  ChildDialog(const ChildDialog&) = delete;
  ChildDialog& operator=(const ChildDialog&) = delete;
  /// False where the process is gone.
  bool send(std::string line) const;
  [[nodiscard]] LineReader& answers() { return answers_; }
  [[nodiscard]] ChildProcess& process() { return process_; }

 private:
  std::unique_ptr<DescriptorPair> socket_;
  ChildProcess process_;
  LineReader answers_;
};

/// Runs a command to its end. `on_line` gets every line that it writes to stdout or stderr; where it returns
/// true the whole group is killed (kStopped), as it is after timeout_s (kTimeout). Threads may call it at once.
[[nodiscard]] ChildOutcome run_child(const std::vector<std::string>& command,
                                     const std::vector<std::string>& variables, double timeout_s,
                                     const std::function<bool(const std::string&)>& on_line);

/// The standard output of a command; its standard error is ours. Throws Error{kNotFound} with the command where
/// it cannot be run or does not end with exit code 0.
[[nodiscard]] std::string tool_output(const std::vector<std::string>& command);

/// The first executable file of `paths`, then of the PATH's folders under the name `name`; empty where none
/// is.
[[nodiscard]] std::string find_tool(const std::vector<std::string>& paths, const std::string& name);

}  // namespace hipforge::harness
