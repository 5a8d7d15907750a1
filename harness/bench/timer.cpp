#include "harness/bench/timer.h"

#include "harness/bench/bandwidth.h"
#include "harness/core/device_info.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/device_buffer.h"
#include "kernels/runtime/event.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <utility>

namespace hipforge::harness {
namespace {

// Enough to hide the host behind the device, few enough not to fill the queue of launches.
constexpr int kQueuedSamples = 16;
constexpr std::int64_t kCacheMultiple = 4;

// Of the last level of the current device; 0 where buffers need no rotation.
std::int64_t cache_bytes() {
  return kOnGpu ? device_details().cache_bytes : 0;
}

}  // namespace

int rotation_copies(std::int64_t footprint, int most) {
  const std::int64_t cache = cache_bytes();
  if (cache == 0) return 1;
  const std::int64_t wanted = (kCacheMultiple * cache + footprint - 1) / std::max<std::int64_t>(footprint, 1);
  return static_cast<int>(std::clamp<std::int64_t>(wanted, 2, most));
}

Launch cache_flush(std::int64_t footprint, int copies) {
  const std::int64_t cache = cache_bytes();
  if (footprint * copies >= 2 * cache) return {};
  // One for all that hold it, on each device its own: it is read only. It goes with the last of them, so that
  // none outlives a reset of its device.
  static std::map<int, std::weak_ptr<DeviceBuffer>> by_device;
  int device = 0;
  HIPFORGE_HIP_CHECK(hipGetDevice(&device));
  std::shared_ptr<DeviceBuffer> buffer = by_device[device].lock();
  if (buffer == nullptr) {
    by_device[device] = buffer = std::make_shared<DeviceBuffer>(static_cast<std::size_t>(2 * cache));
    buffer->fill(0x3c);
  }
  constexpr int kAnyVariant = 4;
  return [buffer](hipStream_t stream) {
    return move_bytes(Traffic::kRead, kAnyVariant, buffer->data(), buffer->data(), buffer->bytes(), stream);
  };
}

double percentile(std::vector<double> samples, double share) {
  if (samples.empty()) return 0.0;
  std::sort(samples.begin(), samples.end());
  const double at = share * static_cast<double>(samples.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, samples.size() - 1);
  return samples[low] + (samples[high] - samples[low]) * (at - std::floor(at));
}

Timing summarize(std::vector<double> samples) {
  return {percentile(samples, 0.5), percentile(samples, 0.1), percentile(samples, 0.9)};
}

std::vector<double> time_launches(std::span<const Launch> copies, const Launch& before,
                                  const TimerOptions& options) {
  if (copies.empty()) throw Error(invalid_argument("time_launches: nothing to launch"));
  std::vector<double> samples_ms;
  std::vector<std::pair<Event, Event>> intervals(kQueuedSamples);  // from, to
  const auto per_launch = static_cast<double>(copies.size());
  const auto run = [&](int count) {
    const auto queued = std::span(intervals).first(static_cast<std::size_t>(count));
    for (const auto& [start, stop] : queued) {
      if (before) throw_if_error(before(nullptr));
      throw_if_error(start.record(nullptr));
      for (const Launch& launch : copies) throw_if_error(launch(nullptr));
      throw_if_error(stop.record(nullptr));
    }
    throw_if_error(queued.back().second.synchronize());
    for (const auto& [start, stop] : queued) {
      float milliseconds = 0.0f;
      throw_if_error(stop.elapsed_ms(start, milliseconds));
      samples_ms.push_back(static_cast<double>(milliseconds) / per_launch);
    }
  };
  run(1);
  double warm_ms = 0.0;
  int warm_runs = 0;
  do {
    run(1);
    warm_ms += samples_ms.back() * per_launch;
  } while (++warm_runs < options.most_samples && warm_ms < options.warm_up_ms);
  const double sample_ms = std::max(warm_ms / warm_runs, 1e-4);
  const double fitting = std::min(options.measure_ms / sample_ms, 1e6);
  int left = std::clamp(static_cast<int>(fitting), options.least_samples, options.most_samples);
  samples_ms.clear();
  for (; left > 0; left -= kQueuedSamples) run(std::min(left, kQueuedSamples));
  return samples_ms;
}

}  // namespace hipforge::harness
