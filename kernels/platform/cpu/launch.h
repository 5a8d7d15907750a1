// Kernels by name, and the device's one queue.
#pragma once

#include <mutex>
#include <string>

#include <hipforge_cpu/launch.h>

namespace hipforge::cpu {

struct KernelRecord {
  std::string name;
  size_t static_shared_bytes = 0;
};

/// Looked up once per function; the reference stays valid until forget_kernels().
const KernelRecord& kernel_record(const void* function, const char* fallback_name);

/// After a module was unloaded: its addresses may come back as other kernels.
void forget_kernels();

/// Held while the device works: calls from several host threads run one after another.
std::mutex& device_mutex();

/// The information of HIPFORGE_EXPORT_KERNEL, or an empty one (function null).
KernelInfo exported_kernel(void* library, const char* name);

/// Packs `arguments`, one pointer per parameter, and launches.
hipError_t launch_packed(const KernelInfo& info, const char* name, dim3 grid, dim3 block, void** arguments,
                         size_t shared_bytes, hipStream_t stream);

}  // namespace hipforge::cpu
