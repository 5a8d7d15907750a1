#pragma once

#include "harness/replay/recording.h"

#include <cstddef>
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
  double seconds = 0.0;
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

}  // namespace hipforge::harness
