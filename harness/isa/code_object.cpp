#include "harness/isa/code_object.h"

#include "harness/isa/json_member.h"
#include "harness/system/child_process.h"
#include "harness/system/file.h"

#include <elf.h>

#include <fmt/format.h>

#include <cstring>
#include <optional>

namespace hipforge::harness {
namespace {

constexpr std::uint32_t kMetadataNote = 32;  // NT_AMDGPU_METADATA
constexpr std::uint16_t kAmdgpuMachine = 224;
constexpr int kMaxNesting = 16;  // real metadata nests four deep

class Reader {
 public:
  Reader(const std::string& path, std::string_view bytes) : path_(path), bytes_(bytes) {}

  [[noreturn]] void fail(const std::string& what) const { throw Error(invalid_argument(path_, ": ", what)); }

  // The bytes [offset, offset + size).
  [[nodiscard]] std::string_view part(std::uint64_t offset, std::uint64_t size, const char* what) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) {
      fail(fmt::format("{} takes {} bytes at {}, the file has {}", what, size, offset, bytes_.size()));
    }
    return bytes_.substr(offset, size);
  }

  template <class T>
  [[nodiscard]] T object(std::uint64_t offset, const char* what) const {
    T value;
    std::memcpy(&value, part(offset, sizeof(T), what).data(), sizeof(T));
    return value;
  }

 private:
  const std::string& path_;
  std::string_view bytes_;
};

// The metadata among the notes of one segment or section, if it is there.
std::optional<std::string_view> find_metadata(const Reader& file, std::uint64_t offset, std::uint64_t size) {
  const auto padded = [](std::uint64_t bytes) { return (bytes + 3) / 4 * 4; };
  (void)file.part(offset, size, "a note segment");
  std::uint64_t at = 0;
  while (size - at >= sizeof(Elf64_Nhdr)) {
    const auto header = file.object<Elf64_Nhdr>(offset + at, "a note");
    at += sizeof(header);
    if (padded(header.n_namesz) > size - at) file.fail("a note's name reaches past its segment");
    const std::string_view name = file.part(offset + at, header.n_namesz, "a note's name");
    at += padded(header.n_namesz);
    if (header.n_descsz > size - at) file.fail("a note's text reaches past its segment");
    const std::string_view text = file.part(offset + at, header.n_descsz, "a note's text");
    if (header.n_type == kMetadataNote && name == std::string_view("AMDGPU\0", 7)) return text;
    at += std::min(padded(header.n_descsz), size - at);
  }
  return std::nullopt;
}

// nlohmann's reader recurses once a level: a hostile file must not choose the depth of our stack.
class NestingCheck : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool key(string_t&) override { return true; }
  bool start_object(std::size_t) override { return ++depth_ <= kMaxNesting; }
  bool end_object() override { return --depth_ >= 0; }
  bool start_array(std::size_t) override { return ++depth_ <= kMaxNesting; }
  bool end_array() override { return --depth_ >= 0; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) override {
    return false;
  }

 private:
  int depth_ = 0;
};

nlohmann::json parse_metadata(const Reader& file, std::string_view text) {
  NestingCheck check;
  try {
    if (nlohmann::json::sax_parse(text.begin(), text.end(), &check,
                                  nlohmann::json::input_format_t::msgpack)) {
      return nlohmann::json::from_msgpack(text.begin(), text.end());
    }
  } catch (const nlohmann::json::exception&) {
    // Said below: the library's words are about bytes that nobody wrote by hand.
  }
  file.fail("the kernels' metadata is not the msgpack that it should be");
}

KernelMetadata parse_kernel(const Reader& file, const nlohmann::json& kernel, const std::string& place) {
  if (!kernel.is_object()) file.fail("metadata: a kernel is no map");
  // 0 where older versions leave it out.
  const auto count = [&](const char* key, std::optional<int> absent = std::nullopt) {
    return count_member(kernel, key, place, absent);
  };
  KernelMetadata found;
  found.name = text_member(kernel, ".name", place);
  found.vgprs = count(".vgpr_count");
  found.agprs = count(".agpr_count", 0);
  found.sgprs = count(".sgpr_count");
  found.vgpr_spills = count(".vgpr_spill_count", 0);
  found.sgpr_spills = count(".sgpr_spill_count", 0);
  found.lds_bytes = count(".group_segment_fixed_size");
  found.scratch_bytes = count(".private_segment_fixed_size");
  const auto stack = kernel.find(".uses_dynamic_stack");
  found.dynamic_stack = stack != kernel.end() && *stack == true;
  found.max_threads = count(".max_flat_workgroup_size");
  found.wave = count(".wavefront_size");
  if (found.wave != 32 && found.wave != 64) {
    file.fail(fmt::format("metadata: {} has waves of {}, needs 32 or 64", found.name, found.wave));
  }
  found.workgroup_processor_mode = count(".workgroup_processor_mode", 0) != 0;
  return found;
}

}  // namespace

CodeObject parse_code_object(const std::string& path, std::string_view bytes) {
  const Reader file(path, bytes);
  if (bytes.substr(0, SELFMAG) != std::string_view(ELFMAG, SELFMAG)) file.fail("not an ELF file");
  const auto header = file.object<Elf64_Ehdr>(0, "the ELF header");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
    file.fail("not a 64-bit little-endian ELF file");
  }
  if (header.e_machine != kAmdgpuMachine) {
    file.fail(fmt::format("ELF machine {}, an AMD code object has {}", header.e_machine, kAmdgpuMachine));
  }

  std::optional<std::string_view> metadata;
  for (unsigned i = 0; i < header.e_phnum && !metadata; ++i) {
    // Read at its own size; a file that claims another size has other entries than we know.
    if (header.e_phentsize != sizeof(Elf64_Phdr)) file.fail("program headers of an unknown size");
    const std::uint64_t step = std::uint64_t{i} * sizeof(Elf64_Phdr);
    if (header.e_phoff > bytes.size()) file.fail("program headers past the end of the file");
    const auto segment = file.object<Elf64_Phdr>(header.e_phoff + step, "a program header");
    if (segment.p_type == PT_NOTE) metadata = find_metadata(file, segment.p_offset, segment.p_filesz);
  }
  if (!metadata) file.fail("no note with the kernels' metadata (NT_AMDGPU_METADATA)");

  const nlohmann::json root = parse_metadata(file, *metadata);
  if (!root.is_object()) file.fail("metadata: no map");
  CodeObject object;
  // "amdgcn-amd-amdhsa--gfx90a:sramecc+:xnack-"
  const std::string place = path + ": metadata";
  const std::string target = text_member(root, "amdhsa.target", place);
  const auto dashes = target.rfind("--");
  if (dashes == std::string::npos) file.fail(fmt::format("metadata: target {} has no architecture", target));
  object.architecture = target.substr(dashes + 2);
  object.architecture = object.architecture.substr(0, object.architecture.find(':'));
  const auto kernels = root.find("amdhsa.kernels");
  if (kernels == root.end() || !kernels->is_array()) file.fail("metadata: no list of kernels");
  for (const nlohmann::json& kernel : *kernels) object.kernels.push_back(parse_kernel(file, kernel, place));
  return object;
}

AmdToolchain read_amd_toolchain(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "toolchain.json";
  AmdToolchain toolchain;
  std::vector<std::string> tools;
  if (std::filesystem::exists(path)) {
    const nlohmann::json root = nlohmann::json::parse(read_file(path), nullptr, false);
    const auto text = [&](const char* key) { return text_member(root, key, path); };
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
