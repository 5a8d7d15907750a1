#pragma once

#include "kernels/runtime/device_buffer.h"
#include "kernels/runtime/launch.h"

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
  bool made_inputs = false;                                     ///< not the op, but its inputs
  std::vector<std::pair<std::string, std::size_t>> operands{};  ///< name, buffer; of those that were reached
};

struct RecordedLaunch {
  std::size_t index = 0;
  std::string kernel;
  /// Grid, block, shared bytes and target; of an unknown architecture its name and wave alone.
  LaunchPlan plan;
  std::vector<std::byte> args;
  std::vector<RecordedPointer> pointers;
  std::vector<RecordedBuffer> buffers;
  std::string error;  ///< of the launch as it was recorded; empty where it went well
  std::optional<RecordedOrigin> origin;
};

/// A folder that Recorder wrote (kernels/runtime/recorder.h has the format). Nothing in it is trusted: every
/// number is checked, and no file outside of the folder's data/ is ever opened. What a kernel does with
/// recorded arguments is up to the kernel.
struct Recording {
  /// Reads and checks all but the contents. Throws Error{kNotFound} where there is no record, and
  /// Error{kInvalidArgument} with file, line and fault where it is corrupt.
  explicit Recording(std::filesystem::path record);

  /// The bytes of that name. Throws Error{kInvalidArgument} where they are not `bytes` many or do not have
  /// the hash that the name says.
  [[nodiscard]] std::vector<std::byte> contents(const std::string& name, std::size_t bytes) const;

  std::filesystem::path folder;
  std::string platform;
  std::string device;
  std::string architecture;
  std::vector<RecordedLaunch> launches;
};

}  // namespace hipforge::harness
