// Looks at processes by their ids.
#pragma once

#include "harness/system/file.h"
#include "kernels/runtime/status.h"

#include <sys/types.h>

#include <chrono>
#include <string>
#include <thread>

namespace hipforge::harness::testing {

/// Whether a process ends within some seconds. One that nobody waits for yet has ended.
inline bool dies(pid_t id) {
  for (int look = 0; look < 500; ++look) {
    try {
      if (read_file("/proc/" + std::to_string(id) + "/stat").find(") Z ") != std::string::npos) return true;
    } catch (const Error&) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace hipforge::harness::testing
