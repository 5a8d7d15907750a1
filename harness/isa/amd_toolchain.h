#pragma once

#include <filesystem>
#include <string>

namespace hipforge::harness {

/// What made the code objects of a folder, as its build noted it in toolchain.json, and what reads them here.
struct AmdToolchain {
  std::string name;     ///< compiler and device libraries; empty where the folder does not say
  std::string objdump;  ///< the path of an llvm-objdump; empty where there is none
};

/// Throws Error{kInvalidArgument} with what the folder's toolchain.json lacks.
[[nodiscard]] AmdToolchain read_amd_toolchain(const std::filesystem::path& folder);

}  // namespace hipforge::harness
