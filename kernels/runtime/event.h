#pragma once

#include "kernels/runtime/status.h"

namespace hipforge {

/// Sole owner of a HIP event.
class Event {
 public:
  Event();
  Event(Event&& other) noexcept;
  Event& operator=(Event&& other) noexcept;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event();

  [[nodiscard]] hipEvent_t get() const { return event_; }
  Status record(hipStream_t stream) const;
  Status synchronize() const;
  /// Milliseconds from `start` to this event, both recorded and complete.
  Status elapsed_ms(const Event& start, float& milliseconds) const;

 private:
  hipEvent_t event_ = nullptr;
};

}  // namespace hipforge
