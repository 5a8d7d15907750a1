#include "config.h"

#include <hipforge_cpu.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "error.h"
#include "watchdog.h"
#include "worker.h"

#include <hipforge_cpu/device.h>

namespace hipforge::cpu {
namespace {

/// Leaves `value` alone if the variable is not set; false if it is no number between the bounds.
bool read_number(Config& config, const char* variable, uint64_t low, uint64_t high, uint64_t& value) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return true;
  const char* end = text + std::strlen(text);
  uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text, end, number);
  if (error != std::errc{} || stop != end || number < low || number > high) {
    config.error = std::string(variable) + " is \"" + text + "\", not a number from " + std::to_string(low) +
                   " to " + std::to_string(high);
    return false;
  }
  value = number;
  return true;
}

size_t physical_bytes() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  return pages > 0 && page_bytes > 0 ? static_cast<size_t>(pages) * static_cast<size_t>(page_bytes) : 0;
}

Config read_environment() {
  Config config;
  uint64_t wave = 32;
  uint64_t workers = 0;
  uint64_t timeout_ms = static_cast<uint64_t>(config.timeout_ms);
  uint64_t memory_mib = std::max<size_t>(physical_bytes() / 8 * 7 >> 20, 64);
  const bool numbers =
      read_number(config, "HIPFORGE_CPU_WAVE", 32, 64, wave) &&
      read_number(config, "HIPFORGE_CPU_SCHEDULE", 0, UINT64_MAX, config.schedule) &&
      read_number(config, "HIPFORGE_CPU_WORKERS", 1, static_cast<uint64_t>(kMaxWorkers), workers) &&
      read_number(config, "HIPFORGE_CPU_TIMEOUT_MS", 1, 1000000000, timeout_ms) &&
      read_number(config, "HIPFORGE_CPU_MEMORY_MIB", 1, uint64_t{1} << 24, memory_mib);
  if (numbers && wave != 32 && wave != 64) {
    config.error = "HIPFORGE_CPU_WAVE is \"" + std::to_string(wave) + "\", not 32 or 64";
  }
  if (!config.error.empty()) {
    std::fprintf(stderr, "hipforge cpu: %s\n", config.error.c_str());
    return config;
  }
  config.wave = static_cast<int>(wave);
  config.workers = static_cast<int>(workers);
  config.timeout_ms = static_cast<int>(timeout_ms);
  config.memory_limit_bytes = memory_mib << 20;
  return config;
}

// What a thread's launches take in place of the device's own; 0 for nothing.
struct ThreadTarget {
  int wave = 0;
  size_t shared_bytes = 0;
};
constinit thread_local ThreadTarget thread_target;

bool is_wave(int wave) {
  return wave == 32 || wave == 64;
}

// Host code that asks for warpSize gets what its launches would.
[[maybe_unused]] const bool read_at_load = (warpSize = launch_wave(), true);

}  // namespace

int launch_wave() {
  return thread_target.wave != 0 ? thread_target.wave : config().wave;
}

size_t launch_shared_limit() {
  return thread_target.shared_bytes != 0 ? thread_target.shared_bytes : config().shared_limit_bytes;
}

int Config::effective_workers() const {
  if (workers > 0) return workers;
  if (schedule != 0) return 1;
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxWorkers);
}

Config& config() {
  // Never destroyed: kernels may still be launched by the destructors of the program's own statics.
  static Config& instance = *new Config(read_environment());
  return instance;
}

}  // namespace hipforge::cpu

constinit thread_local int warpSize = 32;

using hipforge::cpu::config;
using hipforge::cpu::fail;
using hipforge::cpu::is_wave;
using hipforge::cpu::kMaxSharedBytes;
using hipforge::cpu::launch_wave;
using hipforge::cpu::thread_target;

extern "C" {

int hipforge_cpu_wave() {
  return config().wave;
}

hipError_t hipforge_cpu_set_wave(int wave) {
  if (!is_wave(wave)) return fail(hipErrorInvalidValue, "a wave of %d threads: only 32 and 64", wave);
  config().wave = wave;
  warpSize = launch_wave();
  return hipSuccess;
}

size_t hipforge_cpu_shared_limit() {
  return config().shared_limit_bytes;
}

hipError_t hipforge_cpu_set_shared_limit(size_t bytes) {
  if (bytes == 0 || bytes > kMaxSharedBytes) {
    return fail(hipErrorInvalidValue, "%zu bytes of shared memory for a block: only 1 to %zu", bytes,
                kMaxSharedBytes);
  }
  config().shared_limit_bytes = bytes;
  return hipSuccess;
}

hipError_t hipforge_cpu_set_thread_target(int wave, size_t shared_bytes) {
  if (wave != 0 && !is_wave(wave)) {
    return fail(hipErrorInvalidValue, "a wave of %d threads: only 32 and 64", wave);
  }
  if (shared_bytes > kMaxSharedBytes) {
    return fail(hipErrorInvalidValue, "%zu bytes of shared memory for a block: at most %zu", shared_bytes,
                kMaxSharedBytes);
  }
  thread_target = {wave, shared_bytes};
  warpSize = launch_wave();
  return hipSuccess;
}

uint64_t hipforge_cpu_schedule() {
  return config().schedule;
}

hipError_t hipforge_cpu_set_schedule(uint64_t seed) {
  config().schedule = seed;
  return hipSuccess;
}

int hipforge_cpu_workers() {
  return config().effective_workers();
}

hipError_t hipforge_cpu_set_workers(int workers) {
  if (workers < 0 || workers > hipforge::cpu::kMaxWorkers) {
    return fail(hipErrorInvalidValue, "%d workers: only 0 to %d", workers, hipforge::cpu::kMaxWorkers);
  }
  config().workers = workers;
  return hipSuccess;
}

int hipforge_cpu_timeout_ms() {
  return config().timeout_ms;
}

hipError_t hipforge_cpu_set_timeout_ms(int milliseconds) {
  if (milliseconds <= 0) return fail(hipErrorInvalidValue, "a timeout of %d ms", milliseconds);
  config().timeout_ms = milliseconds;
  hipforge::cpu::watchdog_settings_changed();
  return hipSuccess;
}

}  // extern "C"
