#include "harness/device_info.h"

#include "kernels/runtime/check.h"
#include "kernels/runtime/target.h"

#include <hip/hip_runtime.h>

#include <fmt/format.h>

#include <cstdlib>

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

}  // namespace

DeviceInfo device_info() {
  int device = 0;
  HIPFORGE_HIP_CHECK(hipGetDevice(&device));
  hipDeviceProp_t properties{};
  HIPFORGE_HIP_CHECK(hipGetDeviceProperties(&properties, device));
#if defined(HIPFORGE_PLATFORM_CPU)
  const char* platform = "cpu";
#elif defined(HIPFORGE_PLATFORM_NVIDIA)
  const char* platform = "nvidia";
#else
#error "no platform"
#endif
  return {platform, properties.name, compiler_name()};
}

std::vector<int> default_waves() {
#if defined(HIPFORGE_PLATFORM_CPU)
  if (std::getenv("HIPFORGE_CPU_WAVE") == nullptr) return {32, 64};
#endif
  Target target;
  throw_if_error(current_target(target));
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
