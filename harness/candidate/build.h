#pragma once

#include <filesystem>
#include <string>

namespace hipforge::harness {

/// A new folder for temporary files; gone with its contents when this is. Throws Error where there can be
/// none.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Compiles a candidate's source with the compiler of this build's platform to a shared library in `folder`,
/// and returns its path. Throws Error{kInvalidArgument} with the compiler's first error.
[[nodiscard]] std::string compile_candidate(const std::string& source, const std::filesystem::path& folder);

}  // namespace hipforge::harness
