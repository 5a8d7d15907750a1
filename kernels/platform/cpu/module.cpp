// Modules: shared libraries whose extern "C" functions are kernels.
#include <hip/hip_runtime_api.h>

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "error.h"
#include "launch.h"
#include "sanitizer.h"
#include "stream.h"

struct ihipModuleSymbol_t {
  std::string name;
  void* address = nullptr;
  hipforge::cpu::KernelInfo info{};  // empty without HIPFORGE_EXPORT_KERNEL
};

struct ihipModule_t {
  std::string path;
  void* library = nullptr;
  int image_file = -1;  // of a module from memory: its symbol table is read later
  std::unordered_map<std::string, std::unique_ptr<ihipModuleSymbol_t>> functions;
};

namespace hipforge::cpu {
namespace {

struct Modules {
  std::mutex mutex;
  std::unordered_map<hipModule_t, std::unique_ptr<ihipModule_t>> live;
  std::unordered_set<hipFunction_t> functions;
};

Modules& modules() {
  static Modules& instance = *new Modules;
  return instance;
}

hipError_t open_module(hipModule_t* module, const char* path, const char* shown_path, int image_file) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return fail(hipErrorInvalidImage, "module %s: %s", shown_path, dlerror());
  auto object = std::make_unique<ihipModule_t>();
  object->path = shown_path;
  object->library = library;
  object->image_file = image_file;
  *module = object.get();
  const std::lock_guard lock(modules().mutex);
  modules().live[object.get()] = std::move(object);
  return hipSuccess;
}

// A kernel of unknown type that takes one struct of over 16 bytes by value finds it where the ABI puts any
// such struct: on the stack (x86-64) or behind a pointer (aarch64). So it can be called as if it took a
// plain block of at least that many bytes.
template <size_t kBytes>
struct alignas(16) Block {
  std::byte bytes[kBytes];
};

template <size_t kBytes>
void invoke_block(const void* function, const void* arguments) {
  reinterpret_cast<void (*)(Block<kBytes>)>(const_cast<void*>(function))(
      *static_cast<const Block<kBytes>*>(arguments));
}

constexpr std::array<std::pair<size_t, Invoke>, 7> kBlockInvokes = {{{64, &invoke_block<64>},
                                                                     {128, &invoke_block<128>},
                                                                     {256, &invoke_block<256>},
                                                                     {512, &invoke_block<512>},
                                                                     {1024, &invoke_block<1024>},
                                                                     {2048, &invoke_block<2048>},
                                                                     {4096, &invoke_block<4096>}}};
constexpr size_t kMaxArgumentBytes = 4096;

/// The buffer that `extra` names; false if it is malformed.
bool parse_extra(void** extra, const void** buffer, size_t* bytes) {
  *buffer = nullptr;
  const size_t* size = nullptr;
  for (; *extra != HIP_LAUNCH_PARAM_END; extra += 2) {
    if (*extra == HIP_LAUNCH_PARAM_BUFFER_POINTER) {
      *buffer = extra[1];
    } else if (*extra == HIP_LAUNCH_PARAM_BUFFER_SIZE) {
      size = static_cast<const size_t*>(extra[1]);
    } else {
      return false;
    }
  }
  if (size == nullptr || *buffer == nullptr) return false;
  *bytes = *size;
  return true;
}

hipError_t launch_buffer(const ihipModuleSymbol_t& function, dim3 grid, dim3 block, void** extra,
                         size_t shared_bytes, hipStream_t stream) {
  const char* name = function.name.c_str();
  const void* buffer = nullptr;
  size_t bytes = 0;
  if (!parse_extra(extra, &buffer, &bytes)) {
    return fail(hipErrorInvalidValue, "kernel %s: `extra` names no argument buffer and size", name);
  }
  if (bytes > kMaxArgumentBytes) {
    return fail(hipErrorInvalidValue, "kernel %s: %zu bytes of arguments; at most %zu", name, bytes,
                kMaxArgumentBytes);
  }
  alignas(64) std::byte arguments[kMaxArgumentBytes] = {};
  std::memcpy(arguments, buffer, bytes);
  LaunchRequest request{name, function.address, nullptr, arguments, bytes, grid, block, shared_bytes, stream};
  if (function.info.function != nullptr) {
    if (bytes < function.info.argument_bytes) {
      return fail(hipErrorInvalidValue, "kernel %s takes %zu bytes of arguments, %zu given", name,
                  function.info.argument_bytes, bytes);
    }
    request.invoke = function.info.invoke;
    return launch(request);
  }
  if (bytes <= 16) {
    return fail(hipErrorInvalidDeviceFunction,
                "kernel %s takes its arguments in registers; that needs HIPFORGE_EXPORT_KERNEL", name);
  }
  for (const auto& [room, invoke] : kBlockInvokes) {
    if (bytes > room) continue;
    request.invoke = invoke;
    break;
  }
  return launch(request);
}

hipModule_t live_module(hipModule_t module) {
  const std::lock_guard lock(modules().mutex);
  return modules().live.count(module) == 1 ? module : nullptr;
}

hipError_t no_module() {
  return fail(hipErrorInvalidHandle, "not a module, or unloaded before");
}

}  // namespace
}  // namespace hipforge::cpu

using namespace hipforge::cpu;

extern "C" {

hipError_t hipModuleLoad(hipModule_t* module, const char* path) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (module == nullptr || path == nullptr) return fail(hipErrorInvalidValue, "null argument");
  *module = nullptr;
  if (access(path, R_OK) != 0) return fail(hipErrorFileNotFound, "module %s: no such file", path);
  // Without a slash dlopen would search the library path instead of the directory.
  const std::string shown = path;
  const std::string name = shown.find('/') == std::string::npos ? "./" + shown : shown;
  return open_module(module, name.c_str(), path, -1);
}

hipError_t hipModuleLoadData(hipModule_t* module, const void* image) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (module == nullptr || image == nullptr) return fail(hipErrorInvalidValue, "null argument");
  *module = nullptr;
  ElfW(Ehdr) header;
  std::memcpy(&header, image, sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return fail(hipErrorInvalidImage, "the image is no shared library");
  }
  // The section table comes last in what linkers write.
  const size_t bytes = header.e_shoff + size_t{header.e_shnum} * header.e_shentsize;
  const int file = memfd_create("hipforge_module", MFD_CLOEXEC);
  if (file < 0) return fail(hipErrorOutOfMemory, "no memory for the module's image");
  const auto* from = static_cast<const unsigned char*>(image);
  for (size_t done = 0; done < bytes;) {
    const ssize_t written = write(file, from + done, bytes - done);
    if (written <= 0) {
      close(file);
      return fail(hipErrorOutOfMemory, "no memory for the module's image");
    }
    done += static_cast<size_t>(written);
  }
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  const hipError_t error = open_module(module, path.c_str(), "(image in memory)", file);
  if (error != hipSuccess) close(file);
  return error;
}

hipError_t hipModuleUnload(hipModule_t module) {
  if (live_module(module) == nullptr) return no_module();
  const std::lock_guard device_lock(device_mutex());
  const std::lock_guard lock(modules().mutex);
  for (const auto& [name, function] : module->functions) modules().functions.erase(function.get());
#if !defined(HIPFORGE_CPU_ASAN)
  // AddressSanitizer's reports still look at the variables of libraries that are gone, and crash.
  dlclose(module->library);
#endif
  if (module->image_file >= 0) close(module->image_file);
  modules().live.erase(module);
  forget_kernels();
  return hipSuccess;
}

hipError_t hipModuleGetFunction(hipFunction_t* function, hipModule_t module, const char* name) {
  if (function != nullptr) *function = nullptr;
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (function == nullptr || name == nullptr) return fail(hipErrorInvalidValue, "null argument");
  if (live_module(module) == nullptr) return no_module();
  void* address = dlsym(module->library, name);
  if (address == nullptr) {
    return fail(hipErrorNotFound, "module %s has no kernel %s", module->path.c_str(), name);
  }
  const std::lock_guard lock(modules().mutex);
  std::unique_ptr<ihipModuleSymbol_t>& entry = module->functions[name];
  if (entry == nullptr) {
    entry = std::make_unique<ihipModuleSymbol_t>();
    entry->name = name;
    entry->address = address;
    entry->info = exported_kernel(module->library, name);
    modules().functions.insert(entry.get());
  }
  *function = entry.get();
  return hipSuccess;
}

hipError_t hipModuleGetGlobal(hipDeviceptr_t* pointer, size_t* bytes, hipModule_t module, const char* name) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (name == nullptr) return fail(hipErrorInvalidValue, "null argument");
  if (live_module(module) == nullptr) return no_module();
  void* address = dlsym(module->library, name);
  Dl_info info{};
  const ElfW(Sym)* symbol = nullptr;
  if (address == nullptr ||
      dladdr1(address, &info, const_cast<void**>(reinterpret_cast<const void**>(&symbol)), RTLD_DL_SYMENT) ==
          0) {
    return fail(hipErrorNotFound, "module %s has no variable %s", module->path.c_str(), name);
  }
  if (pointer != nullptr) *pointer = address;
  if (bytes != nullptr) *bytes = symbol != nullptr ? symbol->st_size : 0;
  return hipSuccess;
}

hipError_t hipModuleLaunchKernel(hipFunction_t function, unsigned int grid_x, unsigned int grid_y,
                                 unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                                 unsigned int block_z, unsigned int shared_bytes, hipStream_t stream,
                                 void** kernel_params, void** extra) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  {
    const std::lock_guard lock(modules().mutex);
    if (modules().functions.count(function) == 0) {
      return fail(hipErrorInvalidHandle, "launch of a null kernel, or of one whose module was unloaded");
    }
  }
  if (const hipError_t error = check_stream(stream); error != hipSuccess) return error;
  const dim3 grid(grid_x, grid_y, grid_z);
  const dim3 block(block_x, block_y, block_z);
  const char* name = function->name.c_str();
  if (kernel_params != nullptr && extra != nullptr) {
    return fail(hipErrorInvalidValue, "kernel %s: both kernel parameters and an argument buffer", name);
  }
  if (extra != nullptr) return launch_buffer(*function, grid, block, extra, shared_bytes, stream);
  if (function->info.function == nullptr) {
    return fail(hipErrorInvalidDeviceFunction,
                "kernel %s has no HIPFORGE_EXPORT_KERNEL, so its parameters are not known: pass a buffer",
                name);
  }
  return launch_packed(function->info, name, grid, block, kernel_params, shared_bytes, stream);
}

}  // extern "C"
