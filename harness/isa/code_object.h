#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace hipforge::harness {

/// What a kernel takes. Registers are those of a lane (VGPRs, AGPRs) and of a wave (SGPRs).
struct KernelNeeds {
  int vgprs = 0;  ///< all vector registers; with a unified file (gfx90a, gfx942) AGPRs are among them
  int agprs = 0;
  int sgprs = 0;
  int vgpr_spills = 0;
  int sgpr_spills = 0;    ///< to lanes of vector registers, or to scratch
  int lds_bytes = 0;      ///< static; what a launch adds is not in the file
  int scratch_bytes = 0;  ///< of a work-item

  friend bool operator==(const KernelNeeds&, const KernelNeeds&) = default;
};

/// What the metadata of an AMD code object says of one kernel.
struct KernelMetadata : KernelNeeds {
  std::string name;
  bool dynamic_stack = false;  ///< scratch beyond scratch_bytes, of a size that the compiler does not know
  int max_threads = 0;         ///< of a block
  int wave = 0;                ///< 32 or 64
  bool workgroup_processor_mode = false;  ///< RDNA: a block has the LDS and the SIMDs of two CUs
};

struct CodeObject {
  std::string architecture;  ///< "gfx90a", without features
  std::vector<KernelMetadata> kernels;
};

/// Reads an AMD code object (ELF, metadata as msgpack in a note; code object version 3 or newer). Nothing in
/// `bytes` is trusted. Throws Error{kInvalidArgument} that names `path` and what is wrong with the file.
/// Source: LLVM's "User Guide for AMDGPU Backend", sections ELF Code Object and Code Object Metadata.
[[nodiscard]] CodeObject parse_code_object(const std::string& path, std::string_view bytes);

/// What made the code objects of a folder, as its build noted it in toolchain.json, and what reads them here.
struct AmdToolchain {
  std::string name;     ///< compiler and device libraries; empty where the folder does not say
  std::string objdump;  ///< the path of an llvm-objdump; empty where there is none
};

/// Throws Error{kInvalidArgument} with what the folder's toolchain.json lacks.
[[nodiscard]] AmdToolchain read_amd_toolchain(const std::filesystem::path& folder);

}  // namespace hipforge::harness
