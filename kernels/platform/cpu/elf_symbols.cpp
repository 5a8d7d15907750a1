#include "elf_symbols.h"

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace hipforge::cpu {
namespace {

/// Read-only view of a file on disk.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    struct stat status {};
    if (fstat(file, &status) == 0 && status.st_size > 0) {
      bytes_ = static_cast<size_t>(status.st_size);
      void* memory = mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, file, 0);
      if (memory != MAP_FAILED) data_ = static_cast<const unsigned char*>(memory);
    }
    close(file);
  }
  ~MappedFile() {
    if (data_ != nullptr) munmap(const_cast<unsigned char*>(data_), bytes_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  /// `count` objects at `offset`, or null if the file ends before.
  template <typename T>
  const T* at(uint64_t offset, uint64_t count = 1) const {
    if (data_ == nullptr || offset > bytes_ || count > (bytes_ - offset) / sizeof(T)) return nullptr;
    return reinterpret_cast<const T*>(data_ + offset);
  }

 private:
  const unsigned char* data_ = nullptr;
  size_t bytes_ = 0;
};

/// Calls `visit(name, symbol)` for each symbol of the full table; false if the file has none.
template <typename Visit>
bool visit_symbols(const std::string& path, const Visit& visit) {
  const MappedFile file(path);
  const auto* header = file.at<ElfW(Ehdr)>(0);
  if (header == nullptr || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return false;
  const auto* sections = file.at<ElfW(Shdr)>(header->e_shoff, header->e_shnum);
  if (sections == nullptr) return false;
  for (unsigned i = 0; i < header->e_shnum; ++i) {
    const ElfW(Shdr)& table = sections[i];
    if (table.sh_type != SHT_SYMTAB || table.sh_link >= header->e_shnum) continue;
    const ElfW(Shdr)& strings = sections[table.sh_link];
    const uint64_t count = table.sh_size / sizeof(ElfW(Sym));
    const auto* symbols = file.at<ElfW(Sym)>(table.sh_offset, count);
    const auto* names = file.at<char>(strings.sh_offset, strings.sh_size);
    if (symbols == nullptr || names == nullptr || strings.sh_size == 0) return false;
    if (names[strings.sh_size - 1] != '\0') return false;
    for (uint64_t s = 0; s < count; ++s) {
      if (symbols[s].st_name < strings.sh_size) visit(names + symbols[s].st_name, symbols[s]);
    }
    return true;
  }
  return false;
}

template <typename Wanted>
std::optional<LoadedObject> find_object(const Wanted& wanted) {
  struct Search {
    const Wanted& wanted;
    std::optional<LoadedObject> found;
  } search{wanted, std::nullopt};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* raw) {
        auto& state = *static_cast<Search*>(raw);
        LoadedObject object;
        // The program itself comes without a name.
        object.path =
            info->dlpi_name == nullptr || *info->dlpi_name == '\0' ? "/proc/self/exe" : info->dlpi_name;
        object.load_base = info->dlpi_addr;
        object.tls_begin = static_cast<unsigned char*>(info->dlpi_tls_data);
        for (unsigned i = 0; i < info->dlpi_phnum; ++i) {
          if (info->dlpi_phdr[i].p_type == PT_TLS) object.tls_bytes = info->dlpi_phdr[i].p_memsz;
        }
        if (!state.wanted(object, *info)) return 0;
        state.found = std::move(object);
        return 1;
      },
      &search);
  return search.found;
}

}  // namespace

std::optional<LoadedObject> object_of_code(const void* code) {
  const auto address = reinterpret_cast<uintptr_t>(code);
  return find_object([address](const LoadedObject& object, const dl_phdr_info& info) {
    for (unsigned i = 0; i < info.dlpi_phnum; ++i) {
      const auto& segment = info.dlpi_phdr[i];
      const uintptr_t begin = object.load_base + segment.p_vaddr;
      if (segment.p_type == PT_LOAD && address >= begin && address - begin < segment.p_memsz) return true;
    }
    return false;
  });
}

std::optional<LoadedObject> object_of_thread_local(const void* address) {
  return find_object([address](const LoadedObject& object, const dl_phdr_info&) {
    return object.tls_begin != nullptr && address >= object.tls_begin &&
           address < object.tls_begin + object.tls_bytes;
  });
}

std::optional<std::vector<ThreadLocalSymbol>> thread_local_symbols(const LoadedObject& object) {
  std::vector<ThreadLocalSymbol> found;
  const bool readable = visit_symbols(object.path, [&](const char* name, const ElfW(Sym) & symbol) {
    if (ELF64_ST_TYPE(symbol.st_info) != STT_TLS || symbol.st_shndx == SHN_UNDEF || symbol.st_size == 0)
      return;
    found.push_back(ThreadLocalSymbol{name, symbol.st_value, symbol.st_size});
  });
  if (!readable) return std::nullopt;
  std::sort(found.begin(), found.end(),
            [](const auto& left, const auto& right) { return left.offset < right.offset; });
  return found;
}

std::string function_symbol(const void* function) {
  const std::optional<LoadedObject> object = object_of_code(function);
  if (!object.has_value()) return "";
  const uintptr_t value = reinterpret_cast<uintptr_t>(function) - object->load_base;
  std::string found;
  visit_symbols(object->path, [&](const char* name, const ElfW(Sym) & symbol) {
    if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_shndx != SHN_UNDEF &&
        symbol.st_value == value && found.empty()) {
      found = name;
    }
  });
  return found;
}

std::string readable_name(const std::string& symbol) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> demangled(
      abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status), &std::free);
  if (status != 0 || demangled == nullptr) return symbol;
  std::string name = demangled.get();
  // Without the return type that templates have and without the parameters.
  if (name.rfind("void ", 0) == 0) name.erase(0, 5);
  int depth = 0;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '<') ++depth;
    if (name[i] == '>') --depth;
    if (name[i] == '(' && depth == 0 && name.compare(i, 11, "(anonymous ") != 0) {
      name.erase(i);
      break;
    }
  }
  return name;
}

}  // namespace hipforge::cpu
