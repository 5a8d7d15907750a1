#include "source_line.h"

#include <link.h>

#if defined(HIPFORGE_CPU_BACKTRACE)
#include <backtrace.h>
#endif

#include <cstdio>
#include <optional>
#include <vector>

namespace hipforge::cpu::race {
namespace {

struct Code {
  uintptr_t address = 0;
  uintptr_t base = 0;
  std::string module;
};

struct Search {
  uint32_t low;
  std::optional<Code> found;
  unsigned long long loads = 0;  // how often a library came or went
};

int look_in(dl_phdr_info* info, size_t, void* data) {
  auto& search = *static_cast<Search*>(data);
  search.loads = info->dlpi_adds + info->dlpi_subs;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = info->dlpi_phdr[i];
    if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0) continue;
    const uintptr_t begin = info->dlpi_addr + part.p_vaddr;
    const uint32_t into = search.low - static_cast<uint32_t>(begin);
    if (into >= part.p_memsz) continue;
    const std::string path = info->dlpi_name;
    search.found = Code{begin + into, info->dlpi_addr, path.empty() ? "program" : path};
    return 1;
  }
  return 0;
}

#if defined(HIPFORGE_CPU_BACKTRACE)

// The part of a path that a reader knows: from the folder of the sources on.
std::string shortened(const std::string& path) {
  size_t at = std::string::npos;
  for (const char* folder : {"/kernels/", "/harness/", "/tests/", "/model_runner/"}) {
    const size_t found = path.find(folder);
    if (found != std::string::npos && (at == std::string::npos || found < at)) at = found;
  }
  return at == std::string::npos ? path : path.substr(at + 1);
}

void ignore_error(void*, const char*, int) {}

int add_frame(void* data, uintptr_t, const char* file, int line, const char*) {
  if (file != nullptr) {
    static_cast<std::vector<std::string>*>(data)->push_back(shortened(file) + ":" + std::to_string(line));
  }
  return 0;
}

/// The lines of an address, innermost first. All of the process are read once; anew where libraries came or
/// went.
std::vector<std::string> frames_of(uintptr_t address, unsigned long long loads) {
  static backtrace_state* state = nullptr;
  static unsigned long long loads_then = 0;
  if (state == nullptr || loads_then != loads) {
    state = backtrace_create_state(nullptr, /*threaded=*/0, &ignore_error, nullptr);
    loads_then = loads;
  }
  std::vector<std::string> frames;
  if (state != nullptr) backtrace_pcinfo(state, address, &add_frame, &ignore_error, &frames);
  return frames;
}

#else

std::vector<std::string> frames_of(uintptr_t, unsigned long long) {
  return {};
}

#endif

}  // namespace

std::string source_line(uint32_t pc) {
  // The call itself stands before the address that it returns to.
  Search search{pc - 1, std::nullopt, 0};
  dl_iterate_phdr(&look_in, &search);
  if (!search.found.has_value()) return "an unknown line";
  const std::vector<std::string> frames = frames_of(search.found->address, search.loads);
  if (frames.empty()) {
    char offset[32];
    std::snprintf(offset, sizeof(offset), "+0x%zx", search.found->address - search.found->base);
    return search.found->module.substr(search.found->module.rfind('/') + 1) + offset;
  }
  // Innermost first. The kernel's own line tells more than that of the helper it calls.
  std::string text = frames.front();
  std::string last = frames.front();
  size_t told = 1;
  for (size_t i = 1; i < frames.size() && told < 4; ++i) {
    if (frames[i] == last) continue;
    last = frames[i];
    text += " < " + last;
    ++told;
  }
  return text;
}

}  // namespace hipforge::cpu::race
