#pragma once

#include <filesystem>
#include <string>

namespace hipforge::harness {

/// Compiles a candidate's source with the compiler of this build's platform to a shared library in `folder`,
/// and returns its path. Throws Error{kInvalidArgument} with the compiler's first error.
[[nodiscard]] std::string compile_candidate(const std::string& source, const std::filesystem::path& folder);

}  // namespace hipforge::harness
