#pragma once

#include <string>

namespace hipforge::harness {

struct DevicesOptions {
  std::string json_path;
  bool quick = false;  ///< a tenth of the time: to see that all works, not to be quoted
};

/// `hipforge devices`: what each device is, its memory, and what it was measured to reach: copy, read and
/// write bandwidth at several byte counts, and the matrix rates of f16 and bf16. On the cpu platform, where
/// such figures would say nothing, it measures none. Returns an exit code; throws Error where there is no
/// device.
[[nodiscard]] int run_devices(const DevicesOptions& options);

}  // namespace hipforge::harness
