#pragma once

#include "kernels/runtime/status.h"

namespace hipforge {

/// Sole owner of a HIP stream of the current device.
class Stream {
 public:
  Stream();
  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&& other) noexcept;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();

  [[nodiscard]] hipStream_t get() const { return stream_; }
  /// Waits for all work; a fault of a kernel surfaces here.
  Status synchronize() const;

 private:
  hipStream_t stream_ = nullptr;
};

}  // namespace hipforge
