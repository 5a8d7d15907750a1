#pragma once

#include "kernels/runtime/status.h"
#include "kernels/runtime/tensor.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

namespace hipforge {

/// Sole owner of device memory on the device that was current when it was made. Moves, never copies: to share
/// one, say so (std::shared_ptr<DeviceBuffer>). The destructor frees once and never throws.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  /// Throws Error{kOutOfMemory} with the bytes asked and free. 0 bytes own nothing and hold a null pointer.
  explicit DeviceBuffer(std::size_t bytes);
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  ~DeviceBuffer();

  [[nodiscard]] void* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

  /// Host to device from `offset` bytes on, complete on return. Throws Error{kInvalidArgument} that names
  /// both sizes where the range does not fit, before anything is copied.
  void upload(std::span<const std::byte> source, std::size_t offset = 0);
  /// Device to host, likewise.
  void download(std::span<std::byte> destination, std::size_t offset = 0) const;
  /// Sets every byte, ordered on `stream`.
  void fill(int byte_value, hipStream_t stream = nullptr);

  /// A contiguous view at the start; throws Error{kInvalidArgument} where the shape needs more than bytes().
  [[nodiscard]] TensorView view(DType dtype, std::initializer_list<std::int64_t> shape) const;

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// The memory of one live DeviceBuffer.
struct Allocation {
  std::uintptr_t address = 0;
  std::size_t bytes = 0;

  friend bool operator==(const Allocation&, const Allocation&) = default;
};

/// What all live DeviceBuffers of this process own, by rising address.
[[nodiscard]] std::vector<Allocation> live_allocations();

}  // namespace hipforge
