#include "kernels/runtime/stream.h"

#include "kernels/runtime/check.h"

#include <utility>

namespace hipforge {

Stream::Stream() {
  HIPFORGE_HIP_CHECK(hipStreamCreate(&stream_));
}
Stream::Stream(Stream&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
Stream& Stream::operator=(Stream&& other) noexcept {
  std::swap(stream_, other.stream_);
  return *this;
}
Stream::~Stream() {
  if (stream_ != nullptr) (void)hipStreamDestroy(stream_);
}

Status Stream::synchronize() const {
  HIPFORGE_HIP_TRY(hipStreamSynchronize(stream_));
  return {};
}

}  // namespace hipforge
