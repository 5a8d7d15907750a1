#pragma once

#include "kernels/runtime/status.h"

#include <hip/hip_runtime.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace hipforge::harness {

#if defined(HIPFORGE_PLATFORM_CPU)
inline constexpr bool kOnGpu = false;
#else
inline constexpr bool kOnGpu = true;
#endif

using Launch = std::function<Status(hipStream_t)>;

/// What is said of samples, in their unit.
struct Timing {
  double median = 0.0;
  double low = 0.0;   ///< the 10th percentile
  double high = 0.0;  ///< the 90th percentile
  /// The one meaning of "spread": how far the 10th and the 90th percentile of all samples lie apart, as a
  /// share of their median. Samples of several blocks count together, so what changes between blocks counts.
  [[nodiscard]] double spread() const { return median > 0.0 ? (high - low) / median : 0.0; }
};
[[nodiscard]] Timing summarize(std::vector<double> samples);

struct TimerOptions {
  double warm_up_ms = 30.0;   ///< of launches that are not counted
  double measure_ms = 200.0;  ///< of launches that are
  int least_samples = 11;
  int most_samples = 400;
};

/// Times launches with events on the device. `copies` are the same launch over buffers of their own: one
/// sample runs each of them once, back to back, so that none finds its operands in the last-level cache, and
/// counts as their mean. `before`, where given, runs before each sample and is not timed: it empties the
/// cache where the copies together do not. Samples are queued ahead, the host is never in between.
/// Returns milliseconds per launch, in the order they were taken; throws Error.
[[nodiscard]] std::vector<double> time_launches(std::span<const Launch> copies, const Launch& before,
                                                const TimerOptions& options);

/// How many sets of buffers of `footprint` bytes exceed the last-level cache several times; at least 2, at
/// most `most`. 1 where buffers need no rotation (the cpu platform).
[[nodiscard]] int rotation_copies(std::int64_t footprint, int most);

/// What to run before each sample of `copies` sets of `footprint` bytes: empty where they exceed the cache by
/// themselves, else a read of twice its size, which leaves nothing to write back. Throws Error.
[[nodiscard]] Launch cache_flush(std::int64_t footprint, int copies);

/// The value that `share` of the samples lie at or below, interpolated.
[[nodiscard]] double percentile(std::vector<double> samples, double share);

}  // namespace hipforge::harness
