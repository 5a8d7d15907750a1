// What the cpu platform offers beyond HIP: settings, the text of a fault, a look at memory and launches.
#pragma once

#include <hip/hip_runtime_api.h>

#include <stdint.h>

extern "C" {

/// The text of the last fault inside a kernel ("kernel NAME block (x,y,z) thread (x,y,z): …"), or "" if
/// there was none since the last reset. Stays valid until the calling thread asks again.
HIPFORGE_CPU_API const char* hipforge_cpu_last_fault(void);
/// Why this host thread's last failing HIP call failed, with the numbers; "" if none did.
HIPFORGE_CPU_API const char* hipforge_cpu_last_error_detail(void);
/// Forgets a fault and its sticky error, and frees nothing (hipDeviceReset() frees all memory).
HIPFORGE_CPU_API void hipforge_cpu_clear_fault(void);

/// Threads in a wave of the device, 32 or 64; first HIPFORGE_CPU_WAVE, else 32.
HIPFORGE_CPU_API int hipforge_cpu_wave(void);
/// For the launches that follow. hipErrorInvalidValue: neither 32 nor 64.
HIPFORGE_CPU_API hipError_t hipforge_cpu_set_wave(int wave);

/// Bytes of shared memory that a block of the device may have; first 65,536, as on AMD.
HIPFORGE_CPU_API size_t hipforge_cpu_shared_limit(void);
/// For the launches that follow. hipErrorInvalidValue: 0, or over 262,144.
HIPFORGE_CPU_API hipError_t hipforge_cpu_set_shared_limit(size_t bytes);

/// The wave and the shared memory of a block for the launches and queries of the calling thread that follow,
/// whatever the device's own are; 0 for either takes the device's. hipErrorInvalidValue as above.
HIPFORGE_CPU_API hipError_t hipforge_cpu_set_thread_target(int wave, size_t shared_bytes);

/// The seed for the order of threads and blocks; first HIPFORGE_CPU_SCHEDULE, else 0: in order.
HIPFORGE_CPU_API uint64_t hipforge_cpu_schedule(void);
/// For the launches that follow. The order depends on the seed, the launch's shape and nothing else.
HIPFORGE_CPU_API hipError_t hipforge_cpu_set_schedule(uint64_t seed);

/// Threads of the host that run blocks: HIPFORGE_CPU_WORKERS, else one for a schedule that is not 0, else
/// as many as there are processors.
HIPFORGE_CPU_API int hipforge_cpu_workers(void);
/// 0 returns to the default. hipErrorInvalidValue: negative, or over 1024.
HIPFORGE_CPU_API hipError_t hipforge_cpu_set_workers(int workers);

/// How long a block may run before it counts as hung; first HIPFORGE_CPU_TIMEOUT_MS, else 120,000.
HIPFORGE_CPU_API int hipforge_cpu_timeout_ms(void);
/// hipErrorInvalidValue: not positive.
HIPFORGE_CPU_API hipError_t hipforge_cpu_set_timeout_ms(int milliseconds);

/// 1 if this build's kernels tell every access they make (preset cpu-race), else 0.
HIPFORGE_CPU_API int hipforge_cpu_race_built(void);
/// For the launches that follow: whether accesses that nothing orders, and reads of memory that nobody wrote,
/// are faults. Blocks then take turns on few host threads. First off. hipErrorNotSupported: no such build.
HIPFORGE_CPU_API hipError_t hipforge_cpu_set_race(int on);
/// Accesses to shared and device memory that were checked so far.
HIPFORGE_CPU_API uint64_t hipforge_cpu_race_accesses(void);
/// Atomics, fences, arrivals at mbarriers and volatile accesses so far. A launch that makes none of them and
/// has no race does the same under every schedule.
HIPFORGE_CPU_API uint64_t hipforge_cpu_race_choices(void);
/// Says that the contents of device memory no longer count: for the race detector nobody wrote them.
/// hipErrorInvalidValue: not within one allocation.
HIPFORGE_CPU_API hipError_t hipforge_cpu_forget(void* pointer, size_t bytes);

typedef struct HipforgeCpuAllocation {
  void* address;
  size_t bytes;
  hipMemoryType type;
} HipforgeCpuAllocation;

/// Writes up to `capacity` live allocations in the order of their addresses; returns how many there are.
HIPFORGE_CPU_API size_t hipforge_cpu_allocations(HipforgeCpuAllocation* allocations, size_t capacity);

typedef struct HipforgeCpuLaunch {
  const char* name;
  const void* function;
  dim3 grid;
  dim3 block;
  size_t shared_bytes;
  const void* arguments;  // packed, each at its natural alignment; valid during the call alone
  size_t argument_bytes;
  int wave;
  uint64_t schedule;
  hipStream_t stream;
} HipforgeCpuLaunch;

typedef void (*HipforgeCpuLaunchHook)(const HipforgeCpuLaunch* launch, void* user);
/// `hook` sees every launch that passed the checks, before it runs; null ends that.
HIPFORGE_CPU_API void hipforge_cpu_set_launch_hook(HipforgeCpuLaunchHook hook, void* user);

}  // extern "C"
