#include "tests/model_runner/command.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace hipforge::runner::testing {

ProcessResult model_runner(std::vector<std::string> arguments, const ProcessOptions& options) {
  arguments.insert(arguments.begin(), MODEL_RUNNER_EXECUTABLE);
  return run_process(arguments, options);
}

void expect_error(const ProcessResult& result, int exit_code, const std::string& part) {
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_TRUE(result.err.starts_with("model_runner: ")) << result.err;
  EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
}

ScratchFile::ScratchFile(const Image& image) {
  static int count = 0;
  path_ = std::filesystem::path(::testing::TempDir()) /
          ("hipforge-" + std::to_string(::getpid()) + "-" + std::to_string(++count) + ".gguf");
  std::ofstream(path_, std::ios::binary)
      .write(reinterpret_cast<const char*>(image.data()), static_cast<std::streamsize>(image.size()));
}

ScratchFile::~ScratchFile() {
  std::filesystem::remove(path_);
}

}  // namespace hipforge::runner::testing
