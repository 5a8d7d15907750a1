// AMD code objects made by hand: an ELF header, one program header and one note.
#pragma once

#include <elf.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <cstring>
#include <string>

namespace hipforge::harness::testing {

struct KernelSpec {
  std::string name;
  int vgprs = 32;
  int sgprs = 32;
  int scratch_bytes = 0;
  int lds_bytes = 0;
  int wave = 64;
};

inline nlohmann::json kernel_metadata(const KernelSpec& kernel) {
  return {{".name", kernel.name},
          {".symbol", kernel.name + ".kd"},
          {".vgpr_count", kernel.vgprs},
          {".sgpr_count", kernel.sgprs},
          {".vgpr_spill_count", 0},
          {".sgpr_spill_count", 0},
          {".group_segment_fixed_size", kernel.lds_bytes},
          {".private_segment_fixed_size", kernel.scratch_bytes},
          {".max_flat_workgroup_size", 256},
          {".wavefront_size", kernel.wave}};
}

inline nlohmann::json metadata(const std::string& architecture, const std::vector<KernelSpec>& kernels) {
  nlohmann::json list = nlohmann::json::array();
  for (const KernelSpec& kernel : kernels) list.push_back(kernel_metadata(kernel));
  return {{"amdhsa.target", "amdgcn-amd-amdhsa--" + architecture}, {"amdhsa.kernels", list}};
}

template <class T>
std::string bytes_of(const T& value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

// A code object whose metadata note holds these bytes.
inline std::string code_object_of(const std::string& note_text) {
  Elf64_Nhdr note{};
  note.n_namesz = 7;  // "AMDGPU" and its end
  note.n_descsz = static_cast<Elf64_Word>(note_text.size());
  note.n_type = 32;
  std::string notes = bytes_of(note);
  notes.append("AMDGPU\0\0", 8);
  notes += note_text;
  notes.resize((notes.size() + 3) / 4 * 4);
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_machine = 224;
  header.e_phoff = sizeof(Elf64_Ehdr);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  Elf64_Phdr segment{};
  segment.p_type = PT_NOTE;
  segment.p_offset = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
  segment.p_filesz = notes.size();
  return bytes_of(header) + bytes_of(segment) + notes;
}

inline std::string code_object_of(const nlohmann::json& metadata) {
  const std::vector<std::uint8_t> packed = nlohmann::json::to_msgpack(metadata);
  return code_object_of(std::string(packed.begin(), packed.end()));
}

}  // namespace hipforge::harness::testing
