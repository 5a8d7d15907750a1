#pragma once

#include <cstdint>
#include <fstream>
#include <limits>
#include <string>

namespace hipforge::harness {

/// Of this machine now, in MiB; as much as can be where it does not say.
struct HostMemory {
  std::int64_t total_mib = std::numeric_limits<std::int64_t>::max() / 4;
  std::int64_t available_mib = total_mib;  ///< to new processes
};

[[nodiscard]] inline HostMemory host_memory() {
  HostMemory memory;
  std::ifstream file("/proc/meminfo");
  std::int64_t kib = 0;
  for (std::string name, rest; file >> name >> kib; std::getline(file, rest)) {
    if (name == "MemTotal:") memory.total_mib = kib / 1024;
    if (name == "MemAvailable:") memory.available_mib = kib / 1024;
  }
  return memory;
}

}  // namespace hipforge::harness
