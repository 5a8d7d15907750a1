#pragma once

#include "kernels/runtime/status.h"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace hipforge {

/// Which matrix instructions a wave can issue; kWgmma also those of kMma.
enum class MatrixUnit { kNone, kMma, kWgmma, kMfma, kWmma };

/// All that a launch depends on besides its params: what is launched (kernel, tile, grid, block, shared
/// bytes) is a pure function of the two, so that `--target gfx942` shows anywhere what an MI300 would get.
struct Target {
  std::string architecture = "cpu";  ///< "cpu", "gfx942", "sm_90", ...
  int wave = 32;                     ///< lanes of a wave: 32 or 64
  MatrixUnit matrix_unit = MatrixUnit::kNone;
  std::size_t shared_bytes = std::size_t{64}
                             << 10;  ///< shared memory of a block, static and dynamic, at most

  friend bool operator==(const Target&, const Target&) = default;
};

/// The architectures that target_from_name knows.
[[nodiscard]] std::vector<std::string> known_targets();

/// The target of an architecture's name; "cpu" takes `cpu_wave` lanes. kUnsupported names the known ones.
Status target_from_name(const std::string& name, int cpu_wave, Target& target);

/// The current device's own, whatever launchers plan for. kHipError without a device.
Status device_target(Target& target);

/// What launchers plan for: the override where one is set, else the current device. kHipError without a
/// device.
Status current_target(Target& target);

/// Makes every later launch of this process plan for `target`; nullopt goes back to the device. On a device
/// whose wave differs from the target's, launches fail with kUnsupported (the cpu platform follows the
/// target's wave and shared memory).
Status set_target_override(const std::optional<Target>& target);

}  // namespace hipforge
