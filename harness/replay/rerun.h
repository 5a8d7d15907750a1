#pragma once

#include "harness/replay/recording.h"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace hipforge::harness {

/// The bytes of a launch's buffers, in the order of RecordedLaunch::buffers.
using BufferContents = std::vector<std::vector<std::byte>>;

/// What became of a recorded launch that was made again.
struct Rerun {
  enum class Outcome {
    kRan,
    kFailed,   ///< the launch or its kernel
    kSkipped,  ///< it cannot be made here, `reason` says why
  };
  Outcome outcome = Outcome::kSkipped;
  std::string reason{};
  BufferContents after{};  ///< where it ran
};

/// Makes recorded launches again, somewhere.
class Rerunner {
 public:
  virtual ~Rerunner() = default;
  /// With the buffers as given, at new addresses. Throws Error only where nothing can run any more.
  [[nodiscard]] virtual Rerun run(const RecordedLaunch& launch, BufferContents before) = 0;
};

/// On the current device, with this build's kernel of the recorded name. On the cpu platform waves are as
/// wide as they were; elsewhere a launch for another wave size is skipped.
[[nodiscard]] std::unique_ptr<Rerunner> make_device_rerunner();

/// What runs an AMD architecture's code objects without its hardware: tinygrad's emulator of the instruction
/// set (test/mockgpu/amd/emu.py), from the checkout that HIPFORGE_TINYGRAD names, behind
/// harness/replay/emulate.py.
struct Emulation {
  std::vector<std::string> command;  ///< python3, the script, the architecture and its code objects
  std::string objdump;               ///< names their instructions; empty where there is none
};

/// Looks for all that an emulation needs: a checkout, python3, and `<code>/<architecture>/*.co`. Throws
/// Error{kNotFound} in one line that says what is missing and how to get it.
[[nodiscard]] Emulation find_emulation(const std::string& architecture, const std::filesystem::path& code);

/// One emulator, in a process of its own, which is started again where a launch ends it. An instruction that
/// it lacks skips the launch with "not emulated: NAME"; a kernel that no code object has fails it.
/// Throws Error{kNotFound} where it does not start.
[[nodiscard]] std::unique_ptr<Rerunner> make_emulator(const Emulation& emulation);

}  // namespace hipforge::harness
