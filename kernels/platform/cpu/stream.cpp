#include "stream.h"

#include <chrono>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "error.h"

struct ihipStream_t {
  unsigned flags = 0;
};

struct ihipEvent_t {
  unsigned flags = 0;
  bool recorded = false;
  std::chrono::steady_clock::time_point time;
};

namespace hipforge::cpu {
namespace {

/// The live handles of one kind.
template <typename Object>
class Handles {
 public:
  static Handles& instance() {
    static Handles& instance = *new Handles;
    return instance;
  }

  Object* create(unsigned flags) {
    auto object = std::make_unique<Object>();
    object->flags = flags;
    Object* handle = object.get();
    const std::lock_guard lock(mutex_);
    objects_[handle] = std::move(object);
    return handle;
  }

  bool destroy(Object* handle) {
    const std::lock_guard lock(mutex_);
    return objects_.erase(handle) == 1;
  }

  /// False if the handle is not live; else `use` sees the object.
  template <typename Use>
  bool with(Object* handle, const Use& use) {
    const std::lock_guard lock(mutex_);
    const auto entry = objects_.find(handle);
    if (entry == objects_.end()) return false;
    use(*entry->second);
    return true;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<Object*, std::unique_ptr<Object>> objects_;
};

using Streams = Handles<ihipStream_t>;
using Events = Handles<ihipEvent_t>;

hipError_t no_event(hipEvent_t event) {
  return fail(hipErrorInvalidHandle, "%p is no event, or was destroyed", static_cast<void*>(event));
}

hipError_t check_event(hipEvent_t event) {
  return Events::instance().with(event, [](ihipEvent_t&) {}) ? hipSuccess : no_event(event);
}

}  // namespace

hipError_t check_stream(hipStream_t stream) {
  if (stream == nullptr || Streams::instance().with(stream, [](ihipStream_t&) {})) return hipSuccess;
  return fail(hipErrorInvalidHandle, "%p is no stream, or was destroyed", static_cast<void*>(stream));
}

}  // namespace hipforge::cpu

using namespace hipforge::cpu;

extern "C" {

hipError_t hipStreamCreateWithFlags(hipStream_t* stream, unsigned int flags) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (stream == nullptr || flags > hipStreamNonBlocking)
    return fail(hipErrorInvalidValue, "null stream or bad flags");
  *stream = Streams::instance().create(flags);
  return hipSuccess;
}

hipError_t hipStreamCreate(hipStream_t* stream) {
  return hipStreamCreateWithFlags(stream, hipStreamDefault);
}

hipError_t hipStreamCreateWithPriority(hipStream_t* stream, unsigned int flags, int) {
  return hipStreamCreateWithFlags(stream, flags);
}

hipError_t hipStreamDestroy(hipStream_t stream) {
  if (stream != nullptr && Streams::instance().destroy(stream)) return hipSuccess;
  return fail(hipErrorInvalidHandle, "%p is no stream, or was destroyed", static_cast<void*>(stream));
}

hipError_t hipStreamSynchronize(hipStream_t stream) {
  if (const hipError_t error = check_stream(stream); error != hipSuccess) return error;
  return synchronize();
}

hipError_t hipStreamQuery(hipStream_t stream) {
  return hipStreamSynchronize(stream);
}

hipError_t hipStreamWaitEvent(hipStream_t stream, hipEvent_t event, unsigned int) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (const hipError_t error = check_stream(stream); error != hipSuccess) return error;
  return check_event(event);
}

hipError_t hipEventCreateWithFlags(hipEvent_t* event, unsigned int flags) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (event == nullptr) return fail(hipErrorInvalidValue, "null argument");
  *event = Events::instance().create(flags);
  return hipSuccess;
}

hipError_t hipEventCreate(hipEvent_t* event) {
  return hipEventCreateWithFlags(event, hipEventDefault);
}

hipError_t hipEventDestroy(hipEvent_t event) {
  return Events::instance().destroy(event) ? hipSuccess : no_event(event);
}

hipError_t hipEventRecord(hipEvent_t event, hipStream_t stream) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (const hipError_t error = check_stream(stream); error != hipSuccess) return error;
  const auto now = std::chrono::steady_clock::now();
  const bool live = Events::instance().with(event, [now](ihipEvent_t& object) {
    object.recorded = true;
    object.time = now;
  });
  return live ? hipSuccess : no_event(event);
}

hipError_t hipEventSynchronize(hipEvent_t event) {
  if (const hipError_t error = check_event(event); error != hipSuccess) return error;
  return synchronize();
}

hipError_t hipEventQuery(hipEvent_t event) {
  return hipEventSynchronize(event);
}

hipError_t hipEventElapsedTime(float* milliseconds, hipEvent_t start, hipEvent_t stop) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (milliseconds == nullptr) return fail(hipErrorInvalidValue, "null argument");
  ihipEvent_t events[2];
  for (int i = 0; i < 2; ++i) {
    const hipEvent_t event = i == 0 ? start : stop;
    if (!Events::instance().with(event, [&](ihipEvent_t& object) { events[i] = object; }))
      return no_event(event);
    if (!events[i].recorded) return fail(hipErrorInvalidHandle, "an event was never recorded");
    if ((events[i].flags & hipEventDisableTiming) != 0) {
      return fail(hipErrorInvalidHandle, "an event was made with hipEventDisableTiming");
    }
  }
  *milliseconds = std::chrono::duration<float, std::milli>(events[1].time - events[0].time).count();
  return hipSuccess;
}

}  // extern "C"
