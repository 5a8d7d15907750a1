#include "model_runner/output.h"

#include "model_runner/error.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>

namespace hipforge::runner {

void write_output(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EPIPE) {
      throw OutputClosed();
    } else if (errno != EINTR) {
      throw InputError(InputFault::kFile,
                       "cannot write to standard output: " + std::generic_category().message(errno));
    }
  }
}

void ignore_sigpipe() {
  std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace hipforge::runner
