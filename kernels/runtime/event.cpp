#include "kernels/runtime/event.h"

#include "kernels/runtime/check.h"

#include <utility>

namespace hipforge {

Event::Event() {
  HIPFORGE_HIP_CHECK(hipEventCreate(&event_));
}
Event::Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
Event& Event::operator=(Event&& other) noexcept {
  std::swap(event_, other.event_);
  return *this;
}
Event::~Event() {
  if (event_ != nullptr) (void)hipEventDestroy(event_);
}

Status Event::record(hipStream_t stream) const {
  HIPFORGE_HIP_TRY(hipEventRecord(event_, stream));
  return {};
}

Status Event::synchronize() const {
  HIPFORGE_HIP_TRY(hipEventSynchronize(event_));
  return {};
}

Status Event::elapsed_ms(const Event& start, float& milliseconds) const {
  HIPFORGE_HIP_TRY(hipEventElapsedTime(&milliseconds, start.event_, event_));
  return {};
}

}  // namespace hipforge
