// The platform's settings: environment variables first, setters later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace hipforge::cpu {

struct Config {
  int wave = 32;
  uint64_t schedule = 0;
  int workers = 0;  // 0: the default for the schedule
  int timeout_ms = 120000;
  size_t memory_limit_bytes = 0;
  size_t shared_limit_bytes = size_t{64} << 10;  // of a block; by default as on AMD
  std::string error;                             // why the environment is unusable; empty if it is not

  int effective_workers() const;
};

/// Read from the environment at the first call.
Config& config();

/// What the calling thread's launches get: what it asked for (hipforge_cpu_set_thread_target), else the
/// device's own.
int launch_wave();
size_t launch_shared_limit();

inline constexpr int kMaxWorkers = 1024;

}  // namespace hipforge::cpu
