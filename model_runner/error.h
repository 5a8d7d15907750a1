// What a bad request or a bad file is reported with, and the exit codes of every command.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace hipforge::runner {

/// Exit codes of `model_runner`.
inline constexpr int kExitGood = 0;
inline constexpr int kExitCheckFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitCouldNotRun = 3;

/// Where bad input came from: the command line (exit code 2) or a file (exit code 3).
enum class InputFault { kUsage, kFile };

/// Bad input. `what()` is one line that names the thing and the numbers.
class InputError : public std::runtime_error {
 public:
  InputError(InputFault fault, const std::string& message) : std::runtime_error(message), fault_(fault) {}

  [[nodiscard]] InputFault fault() const noexcept { return fault_; }
  [[nodiscard]] int exit_code() const noexcept {
    return fault_ == InputFault::kUsage ? kExitUsage : kExitCouldNotRun;
  }

 private:
  InputFault fault_;
};

/// `text` fit for a one-line message: control bytes and bytes that are not UTF-8 are escaped as \xNN,
/// and what exceeds `limit` bytes is cut and marked with "...".
[[nodiscard]] std::string printable(std::string_view text, std::size_t limit = 100);

/// What `call` returns; an InputError about a file that it throws gets `file`'s name in front.
template <class Call>
auto naming(const std::string& file, Call&& call) {
  try {
    return call();
  } catch (const InputError& error) {
    if (error.fault() != InputFault::kFile) throw;
    throw InputError(InputFault::kFile, printable(file, 4096) + ": " + error.what());
  }
}

}  // namespace hipforge::runner
