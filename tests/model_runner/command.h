// The model_runner command, run as a user runs it.
#pragma once

#include "tests/model_runner/gguf_builder.h"
#include "tests/model_runner/process.h"

#include <filesystem>
#include <string>
#include <vector>

namespace hipforge::runner::testing {

/// Runs the built executable.
[[nodiscard]] ProcessResult model_runner(std::vector<std::string> arguments,
                                         const ProcessOptions& options = {});

/// Expects the exit code, nothing on standard output, and one line on standard error that holds `part`.
void expect_error(const ProcessResult& result, int exit_code, const std::string& part);

/// A file with the image's bytes, which goes away with the object.
class ScratchFile {
 public:
  explicit ScratchFile(const Image& image);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace hipforge::runner::testing
