#pragma once

#include "kernels/runtime/device_buffer.h"
#include "kernels/runtime/target.h"

#include <hip/hip_runtime.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hipforge::harness {

/// An allocation that a launch reached, with the names of its contents.
struct RecordedBuffer {
  Allocation allocation;
  std::string before;
  std::string after;  ///< empty where the launch failed
};

/// A word of the args that points into a buffer.
struct RecordedPointer {
  std::size_t args_offset = 0;  ///< bytes, a multiple of 8
  std::size_t buffer = 0;       ///< counts in RecordedLaunch::buffers
  std::size_t offset = 0;       ///< bytes from the start of the buffer, below its size
};

/// Which case of which suite made a launch.
struct RecordedOrigin {
  std::size_t run = 0;
  std::string id;
  std::string op;
  std::string dtype;
  std::uint64_t seed = 0;
  bool made_inputs = false;                                   ///< not the op, but its inputs
  std::vector<std::pair<std::string, std::size_t>> operands;  ///< name, buffer; of those that were reached
};

struct RecordedLaunch {
  std::size_t index = 0;
  std::string kernel;
  dim3 grid;
  dim3 block;
  unsigned shared_bytes = 0;
  std::vector<std::byte> args;
  std::string architecture;  ///< of the target
  int wave = 0;
  std::vector<RecordedPointer> pointers;
  std::vector<RecordedBuffer> buffers;
  std::string error;  ///< of the launch as it was recorded; empty where it went well
  std::optional<RecordedOrigin> origin;
};

/// What it was planned for; of an architecture that is not known here, the wave alone.
[[nodiscard]] Target recorded_target(const RecordedLaunch& launch);

/// A folder that Recorder wrote (kernels/runtime/recorder.h has the format). Nothing in it is trusted: every
/// number is checked, and no file outside of the folder's data/ is ever opened. What a kernel does with
/// recorded arguments is up to the kernel.
class Recording {
 public:
  /// Reads and checks all but the contents. Throws Error{kNotFound} where there is no record, and
  /// Error{kInvalidArgument} with file, line and fault where it is corrupt.
  explicit Recording(std::filesystem::path folder);

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] const std::string& platform() const { return platform_; }
  [[nodiscard]] const std::string& device() const { return device_; }
  [[nodiscard]] const std::string& architecture() const { return architecture_; }
  [[nodiscard]] const std::vector<RecordedLaunch>& launches() const { return launches_; }

  /// The bytes of that name. Throws Error{kInvalidArgument} where they are not `bytes` many or do not have
  /// the hash that the name says.
  [[nodiscard]] std::vector<std::byte> contents(const std::string& name, std::size_t bytes) const;

 private:
  [[nodiscard]] std::filesystem::path content_path(const std::string& name, std::size_t bytes) const;
  void read_line(const std::string& text, std::size_t line);

  std::filesystem::path folder_;
  std::string platform_;
  std::string device_;
  std::string architecture_;
  std::vector<std::vector<Allocation>> tables_;
  std::vector<RecordedLaunch> launches_;
  bool ended_ = false;
};

}  // namespace hipforge::harness
