#pragma once

#include "kernels/runtime/status.h"

#include <cstddef>
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
  std::size_t shared_bytes = std::size_t{64} << 10;  ///< of a block, static and dynamic, at most

  friend bool operator==(const Target&, const Target&) = default;
};

/// The architectures that target_from_name knows.
[[nodiscard]] std::vector<std::string> known_targets();

/// The target of an architecture's name; "cpu" takes `cpu_wave` lanes. kUnsupported names the known ones.
Status target_from_name(const std::string& name, int cpu_wave, Target& target);

/// Stands for the current device's own target, whichever device that is when a launcher is called; wave 0.
inline const Target kCurrentDevice{"", 0, MatrixUnit::kNone, 0};

/// The current device's own. kHipError without a device.
Status device_target(Target& target);

/// While it lives, launches of this thread that were planned for no target (a candidate's) run as `target`
/// would run them: the cpu platform takes its wave and shared memory. launch() makes one for each launch that
/// was planned.
class TargetScope {
 public:
  /// kCurrentDevice changes nothing.
  explicit TargetScope(const Target& target);
  ~TargetScope();
  TargetScope(const TargetScope&) = delete;
  TargetScope& operator=(const TargetScope&) = delete;

  /// kUnsupported where the device cannot launch for the target: a GPU whose waves are others.
  [[nodiscard]] const Status& status() const { return status_; }
  /// The target of this thread's innermost scope; kCurrentDevice without one.
  [[nodiscard]] static const Target& innermost();

 private:
  void take(const Target& target);

  Target target_;
  const TargetScope* outer_;
  Status status_;
};

}  // namespace hipforge
