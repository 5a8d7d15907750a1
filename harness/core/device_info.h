#pragma once

#include "kernels/runtime/status.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace hipforge::harness {

/// What ran, for reports and repro lines.
struct DeviceInfo {
  std::string platform;  ///< "cpu"
  std::string name;      ///< the device's own name
  std::string compiler;
};

/// Throws Error where there is no device.
[[nodiscard]] DeviceInfo device_info();

/// All that is known of a device without running anything on it.
struct DeviceDetails {
  DeviceInfo info;
  std::string architecture;  ///< "sm_90"
  int multiprocessors = 0;   ///< SMs or CUs
  int wave = 0;
  int core_clock_mhz = 0;  ///< the highest; 0 where it is not known
  int memory_clock_mhz = 0;
  std::int64_t cache_bytes = 0;  ///< the last level
  std::int64_t total_bytes = 0;
  std::int64_t free_bytes = 0;
  std::string driver;  ///< "13.0"
  std::string runtime;
};

/// Of the current device; throws Error where there is none.
[[nodiscard]] DeviceDetails device_details();

/// Wave sizes that a check runs unless told otherwise: both on the cpu platform, or the one that
/// HIPFORGE_CPU_WAVE names; elsewhere the device's.
[[nodiscard]] std::vector<int> default_waves();

/// The environment that repeats the current run on the cpu platform ("HIPFORGE_CPU_WAVE=64
/// HIPFORGE_CPU_SCHEDULE=7 HIPFORGE_CPU_WORKERS=1 "); empty elsewhere.
[[nodiscard]] std::string repro_environment(int wave);

/// What a kernel's fault said of itself, where the platform can tell; else empty.
[[nodiscard]] std::string fault_text();

/// Tells the race detector, where this build has one, that nobody wrote this memory.
void forget_contents(void* memory, std::size_t bytes);

/// Makes a device that a fault stopped usable again. All its memory is gone. False where that cannot be done.
[[nodiscard]] bool recover_device();

}  // namespace hipforge::harness
