// Standard output, with its failures noticed.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace hipforge::runner {

/// Whoever read the output has gone (`| head`). Not a failure of this program: it stops quietly.
class OutputClosed : public std::runtime_error {
 public:
  OutputClosed() : std::runtime_error("the reader of the output has gone") {}
};

/// Writes `text` to standard output at once, unbuffered. Throws OutputClosed where the reader has gone (with
/// SIGPIPE ignored, as ignore_sigpipe() arranges), InputError (kFile) for any other failure, such as a full
/// disk.
void write_output(std::string_view text);

/// Lets a write to a closed pipe fail with an error rather than end the process by a signal.
void ignore_sigpipe();

}  // namespace hipforge::runner
