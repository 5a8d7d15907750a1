#include "harness/core/device_info.h"

#include "kernels/runtime/check.h"
#include "kernels/runtime/device.h"
#include "kernels/runtime/target.h"

#include <hip/hip_runtime.h>

#include <fmt/format.h>

#include <cstdlib>
#include <utility>

#if defined(HIPFORGE_PLATFORM_CPU)
#include <hipforge_cpu.h>
#endif

namespace hipforge::harness {
namespace {

std::string compiler_name() {
#if defined(__clang__)
  return fmt::format("clang {}", __clang_version__);
#else
  return fmt::format("g++ {}", __VERSION__);
#endif
}

// CUDA counts a major version as 1,000, HIP as 10,000,000.
std::string version_text(int version) {
  if (version >= 10000000) {
    return fmt::format("{}.{}.{}", version / 10000000, version / 100000 % 100, version % 100000);
  }
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::pair<int, hipDeviceProp_t> current_device() {
  int devices = 0;
  throw_if_error(usable_devices(devices));
  std::pair<int, hipDeviceProp_t> current{};
  HIPFORGE_HIP_CHECK(hipGetDevice(&current.first));
  HIPFORGE_HIP_CHECK(hipGetDeviceProperties(&current.second, current.first));
  return current;
}

}  // namespace

DeviceInfo device_info() {
#if defined(HIPFORGE_PLATFORM_CPU)
  const char* platform = "cpu";
#elif defined(HIPFORGE_PLATFORM_NVIDIA)
  const char* platform = "nvidia";
#elif defined(HIPFORGE_PLATFORM_AMD)
  const char* platform = "amd";
#else
#error "no platform"
#endif
  return {platform, current_device().second.name, compiler_name()};
}

DeviceDetails device_details() {
  DeviceDetails details;
  details.info = device_info();
  const auto& [device, properties] = current_device();
  details.architecture = properties.gcnArchName;
  details.multiprocessors = properties.multiProcessorCount;
  details.wave = properties.warpSize;
  details.cache_bytes = properties.l2CacheSize;
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  HIPFORGE_HIP_CHECK(hipMemGetInfo(&free_bytes, &total_bytes));
  details.free_bytes = static_cast<std::int64_t>(free_bytes);
  details.total_bytes = static_cast<std::int64_t>(total_bytes);
  // In kHz; a device that does not tell its clocks is no error.
  const auto megahertz = [on = device](hipDeviceAttribute_t attribute) {
    int kilohertz = 0;
    return hipDeviceGetAttribute(&kilohertz, attribute, on) == hipSuccess ? kilohertz / 1000 : 0;
  };
  details.core_clock_mhz = megahertz(hipDeviceAttributeClockRate);
  details.memory_clock_mhz = megahertz(hipDeviceAttributeMemoryClockRate);
  (void)hipGetLastError();
  int version = 0;
  HIPFORGE_HIP_CHECK(hipDriverGetVersion(&version));
  details.driver = version_text(version);
  HIPFORGE_HIP_CHECK(hipRuntimeGetVersion(&version));
  details.runtime = version_text(version);
  return details;
}

std::vector<int> default_waves() {
#if defined(HIPFORGE_PLATFORM_CPU)
  if (std::getenv("HIPFORGE_CPU_WAVE") == nullptr) return {32, 64};
#endif
  Target target;
  throw_if_error(device_target(target));
  return {target.wave};
}

std::string repro_environment([[maybe_unused]] int wave) {
#if defined(HIPFORGE_PLATFORM_CPU)
  return fmt::format("HIPFORGE_CPU_WAVE={} HIPFORGE_CPU_SCHEDULE={} HIPFORGE_CPU_WORKERS={} ", wave,
                     hipforge_cpu_schedule(), hipforge_cpu_workers());
#else
  return {};
#endif
}

void forget_contents([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) {
#if defined(HIPFORGE_PLATFORM_CPU)
  HIPFORGE_HIP_CHECK(hipforge_cpu_forget(memory, bytes));
#endif
}

std::string fault_text() {
#if defined(HIPFORGE_PLATFORM_CPU)
  return hipforge_cpu_last_fault();
#else
  return {};
#endif
}

bool recover_device() {
  if (hipDeviceSynchronize() == hipSuccess) return true;
  (void)hipGetLastError();
  return hipDeviceReset() == hipSuccess && hipDeviceSynchronize() == hipSuccess;
}

}  // namespace hipforge::harness
