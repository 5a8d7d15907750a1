#include "launch.h"

#include <dlfcn.h>

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config.h"
#include "elf_symbols.h"
#include "error.h"
#include "memory.h"
#include "race/race.h"
#include "stream.h"
#include "worker.h"

#include <hipforge_cpu.h>

namespace hipforge::cpu {
namespace {

constexpr uint64_t kMaxGridX = 2147483647;
constexpr uint64_t kMaxGridYZ = 65535;
constexpr unsigned kMaxBlockZ = 64;
// Allocations checked for writes outside them after each launch; a synchronisation checks more.
constexpr size_t kCanaryBudget = 32;

struct Kernels {
  std::mutex mutex;
  std::unordered_map<const void*, std::unique_ptr<KernelRecord>> records;
};

Kernels& kernels() {
  static Kernels& instance = *new Kernels;
  return instance;
}

struct Hook {
  std::mutex mutex;
  HipforgeCpuLaunchHook function = nullptr;
  void* user = nullptr;
};

Hook& hook() {
  static Hook& instance = *new Hook;
  return instance;
}

/// The pool that runs blocks, made anew when the number of workers changes.
class Pool {
 public:
  template <typename Body>
  void run(int workers, int slots, const Body& body) {
    if (workers != workers_) {
      arena_.reset();
      // oneTBB alone would never use more threads than there are processors.
      limit_ = std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                                     static_cast<size_t>(workers));
      arena_ = std::make_unique<tbb::task_arena>(workers);
      workers_ = workers;
    }
    arena_->execute([&] { tbb::parallel_for(0, slots, body, tbb::simple_partitioner()); });
  }

 private:
  int workers_ = 0;
  std::unique_ptr<tbb::global_control> limit_;
  std::unique_ptr<tbb::task_arena> arena_;
};

Pool& pool() {
  static Pool& instance = *new Pool;
  return instance;
}

std::string shape(const dim3& extents) {
  return "(" + std::to_string(extents.x) + "," + std::to_string(extents.y) + "," + std::to_string(extents.z) +
         ")";
}

hipError_t check(const LaunchRequest& request, const KernelRecord& record) {
  const dim3& grid = request.grid;
  const dim3& block = request.block;
  const char* name = record.name.c_str();
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (threads == 0) {
    return fail(hipErrorInvalidConfiguration, "kernel %s: block %s is empty", name, shape(block).c_str());
  }
  if (block.x > kMaxBlockThreads || block.y > kMaxBlockThreads || block.z > kMaxBlockZ ||
      threads > kMaxBlockThreads) {
    return fail(hipErrorInvalidConfiguration, "kernel %s: block %s has %llu threads; at most %u, and %u deep",
                name, shape(block).c_str(), static_cast<unsigned long long>(threads), kMaxBlockThreads,
                kMaxBlockZ);
  }
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) {
    return fail(hipErrorInvalidConfiguration, "kernel %s: grid %s is empty", name, shape(grid).c_str());
  }
  // AMD's dispatch packets count a dimension's threads, not its blocks, in 32 bits.
  if (grid.x > kMaxGridX || grid.y > kMaxGridYZ || grid.z > kMaxGridYZ ||
      uint64_t{grid.x} * block.x > UINT32_MAX || uint64_t{grid.y} * block.y > UINT32_MAX ||
      uint64_t{grid.z} * block.z > UINT32_MAX) {
    return fail(hipErrorInvalidConfiguration, "kernel %s: grid %s of blocks %s is too large", name,
                shape(grid).c_str(), shape(block).c_str());
  }
  const size_t limit = launch_shared_limit();
  if (request.shared_bytes > limit || record.static_shared_bytes > limit - request.shared_bytes) {
    return fail(hipErrorInvalidValue,
                "kernel %s: %zu bytes of dynamic and %zu of static shared memory; at most %zu", name,
                request.shared_bytes, record.static_shared_bytes, limit);
  }
  return hipSuccess;
}

}  // namespace

std::mutex& device_mutex() {
  static std::mutex& instance = *new std::mutex;
  return instance;
}

const KernelRecord& kernel_record(const void* function, const char* fallback_name) {
  Kernels& table = kernels();
  const std::lock_guard lock(table.mutex);
  std::unique_ptr<KernelRecord>& record = table.records[function];
  if (record == nullptr) {
    record = std::make_unique<KernelRecord>();
    Dl_info info{};
    std::string symbol;
    // dladdr names the nearest dynamic symbol below, which for a hidden kernel is some other function.
    if (dladdr(function, &info) != 0 && info.dli_sname != nullptr && info.dli_saddr == function) {
      symbol = info.dli_sname;
    } else {
      symbol = function_symbol(function);
    }
    if (!symbol.empty()) {
      record->name = readable_name(symbol);
    } else if (fallback_name != nullptr) {
      record->name = fallback_name;
    } else {
      char text[32];
      std::snprintf(text, sizeof(text), "kernel@%p", function);
      record->name = text;
    }
    record->static_shared_bytes = static_shared_bytes(function, symbol);
  }
  return *record;
}

void forget_kernels() {
  const std::lock_guard lock(kernels().mutex);
  kernels().records.clear();
  forget_shared_arrays();
}

KernelInfo exported_kernel(void* library, const char* name) {
  const std::string symbol = std::string("hipforge_kernel_info_") + name;
  void* address = dlsym(library, symbol.c_str());
  if (address == nullptr) return KernelInfo{};
  return reinterpret_cast<KernelInfo (*)()>(address)();
}

hipError_t launch_packed(const KernelInfo& info, const char* name, dim3 grid, dim3 block, void** arguments,
                         size_t shared_bytes, hipStream_t stream) {
  if (arguments == nullptr && info.argument_count > 0) {
    return fail(hipErrorInvalidValue, "kernel %s takes %zu arguments, none given", name, info.argument_count);
  }
  std::vector<std::max_align_t> packed(info.argument_bytes / sizeof(std::max_align_t) + 1);
  auto* bytes = reinterpret_cast<std::byte*>(packed.data());
  for (size_t i = 0; i < info.argument_count; ++i) {
    if (arguments[i] == nullptr)
      return fail(hipErrorInvalidValue, "kernel %s: argument %zu is null", name, i);
    std::memcpy(bytes + info.offsets[i], arguments[i], info.sizes[i]);
  }
  return launch(LaunchRequest{name, info.function, info.invoke, bytes, info.argument_bytes, grid, block,
                              shared_bytes, stream});
}

hipError_t launch(const LaunchRequest& request) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (request.function == nullptr) return fail(hipErrorInvalidDeviceFunction, "launch of a null kernel");
  if (const hipError_t error = check_stream(request.stream); error != hipSuccess) return error;
  const KernelRecord& record = kernel_record(request.function, request.fallback_name);
  if (const hipError_t error = check(request, record); error != hipSuccess) return error;

  {
    const std::lock_guard lock(hook().mutex);
    if (hook().function != nullptr) {
      const HipforgeCpuLaunch seen{
          record.name.c_str(), request.function,       request.grid,  request.block,     request.shared_bytes,
          request.arguments,   request.argument_bytes, launch_wave(), config().schedule, request.stream};
      hook().function(&seen, hook().user);
    }
  }

  const std::lock_guard lock(device_mutex());
  if (device_faulted()) return hipSuccess;  // dropped; the next synchronisation tells why
  Launch launch;
  launch.function = request.function;
  launch.invoke = request.invoke;
  launch.arguments = request.arguments;
  launch.name = record.name.c_str();
  launch.grid = request.grid;
  launch.block = request.block;
  launch.threads = request.block.x * request.block.y * request.block.z;
  launch.wave = static_cast<unsigned>(launch_wave());
  launch.blocks = uint64_t{request.grid.x} * request.grid.y * request.grid.z;
  launch.shared_bytes = request.shared_bytes;
  launch.shared_limit_bytes = launch_shared_limit();
  launch.seed = config().schedule;

  const int workers = config().effective_workers();
  const auto slots = static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(workers), launch.blocks));
  launch.chunk = std::clamp<uint64_t>(launch.blocks / (static_cast<uint64_t>(workers) * 32), 1, 64);
  const auto run_slot = [&launch](int) {
    if (Worker* worker = Worker::current()) {
      const int host_wave = std::exchange(warpSize, static_cast<int>(launch.wave));
      worker->run(launch);
      warpSize = host_wave;
    } else {
      launch.cancelled = true;
      const std::lock_guard fault_lock(launch.fault_mutex);
      launch.fault_text = std::string("kernel ") + launch.name + ": no memory for a worker";
    }
  };
  if (race::is_on()) {
    launch.chunk = 1;
    launch.fault_text = race::begin_launch(launch);
    if (launch.fault_text.empty()) race::run_in_turns(launch, run_slot);
    // What went wrong otherwise tells more.
    if (launch.fault_text.empty()) launch.fault_text = race::end_launch(launch);
  } else if (slots == 1) {
    run_slot(0);
  } else {
    pool().run(workers, slots, run_slot);
  }

  if (!launch.fault_text.empty()) {
    record_fault(launch.fault_text);
    return hipSuccess;
  }
  if (const std::string broken = DeviceMemory::instance().check_canaries(kCanaryBudget); !broken.empty()) {
    record_fault("kernel " + record.name + " (or one before it): " + broken);
  }
  return hipSuccess;
}

}  // namespace hipforge::cpu

using namespace hipforge::cpu;

extern "C" {

void hipforge_cpu_set_launch_hook(HipforgeCpuLaunchHook function, void* user) {
  const std::lock_guard lock(hook().mutex);
  hook().function = function;
  hook().user = user;
}

hipError_t hipLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared_bytes,
                           hipStream_t stream) {
  if (function == nullptr) return fail(hipErrorInvalidDeviceFunction, "launch of a null kernel");
  const KernelRecord& record = kernel_record(function, nullptr);
  const KernelInfo info = exported_kernel(RTLD_DEFAULT, record.name.c_str());
  if (info.function != function) {
    return fail(hipErrorInvalidDeviceFunction,
                "%s has no HIPFORGE_EXPORT_KERNEL, so its arguments are not known", record.name.c_str());
  }
  return launch_packed(info, record.name.c_str(), grid, block, arguments, shared_bytes, stream);
}

hipError_t hipFuncSetAttribute(const void* function, hipFuncAttribute attribute, int value) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (function == nullptr) return fail(hipErrorInvalidDeviceFunction, "attribute of a null kernel");
  if (attribute == hipFuncAttributeMaxDynamicSharedMemorySize &&
      (value < 0 || static_cast<size_t>(value) > launch_shared_limit())) {
    return fail(hipErrorInvalidValue, "%d bytes of dynamic shared memory; at most %zu", value,
                launch_shared_limit());
  }
  return hipSuccess;
}

hipError_t hipFuncGetAttributes(hipFuncAttributes* attributes, const void* function) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (attributes == nullptr || function == nullptr) return fail(hipErrorInvalidValue, "null argument");
  *attributes = hipFuncAttributes{};
  attributes->sharedSizeBytes = kernel_record(function, nullptr).static_shared_bytes;
  attributes->maxThreadsPerBlock = kMaxBlockThreads;
  attributes->maxDynamicSharedSizeBytes =
      static_cast<int>(launch_shared_limit() - attributes->sharedSizeBytes);
  return hipSuccess;
}

hipError_t hipOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function, int block_threads,
                                                        size_t shared_bytes) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (blocks == nullptr || function == nullptr) return fail(hipErrorInvalidValue, "null argument");
  if (block_threads < 1 || block_threads > static_cast<int>(kMaxBlockThreads)) {
    return fail(hipErrorInvalidValue, "a block of %d threads", block_threads);
  }
  // A processor of the host runs one block at a time.
  *blocks = shared_bytes <= launch_shared_limit() ? 1 : 0;
  return hipSuccess;
}

}  // extern "C"
