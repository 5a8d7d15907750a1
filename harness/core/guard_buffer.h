#pragma once

#include "kernels/runtime/device_buffer.h"

#include <cstddef>
#include <string>
#include <vector>

namespace hipforge::harness {

/// Device memory between two guard bands that hold a pattern: a write before the start or past the end is
/// found by check(), on any platform.
class GuardBuffer {
 public:
  static constexpr std::size_t kBandBytes = 4096;

  GuardBuffer() = default;
  explicit GuardBuffer(std::size_t bytes);

  /// Start of the payload, 256-byte aligned; poisoned with 0xff.
  [[nodiscard]] void* data() const;
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

  /// The whole allocation, bands included.
  [[nodiscard]] const DeviceBuffer& allocation() const { return buffer_; }
  /// Replaces the whole allocation, bands included. Throws Error{kInvalidArgument} for another size.
  void restore(std::span<const std::byte> image);

  void upload(std::span<const std::byte> source);
  [[nodiscard]] std::vector<std::byte> download() const;
  void poison(hipStream_t stream);

  /// Empty, or "12 bytes before the start" / "past the end, first at byte +4".
  [[nodiscard]] std::string check() const;

 private:
  DeviceBuffer buffer_;
  std::size_t bytes_ = 0;
};

}  // namespace hipforge::harness
