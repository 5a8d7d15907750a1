#include "harness/isa/amd_toolchain.h"

#include "harness/system/child_process.h"
#include "harness/system/file.h"
#include "kernels/runtime/status.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <vector>

namespace hipforge::harness {

AmdToolchain read_amd_toolchain(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "toolchain.json";
  AmdToolchain toolchain;
  std::vector<std::string> tools;
  if (std::filesystem::exists(path)) {
    const nlohmann::json root = nlohmann::json::parse(read_file(path), nullptr, false);
    const auto text = [&](const char* key) {
      if (!root.is_object() || !root.contains(key) || !root[key].is_string()) {
        throw Error(invalid_argument(path.string(), ": ", key, " is missing"));
      }
      return root[key].get<std::string>();
    };
    toolchain.name = text("compiler") + ", " + text("device_libraries");
    tools.push_back(text("objdump"));
  }
  // A disassembler knows the architectures of its time; the newest knows the most.
  for (int version = 30; version >= 17; --version) {
    tools.push_back(fmt::format("/usr/lib/llvm-{}/bin/llvm-objdump", version));
  }
  tools.emplace_back("/opt/rocm/llvm/bin/llvm-objdump");
  toolchain.objdump = find_tool(tools, "llvm-objdump");
  return toolchain;
}

}  // namespace hipforge::harness
