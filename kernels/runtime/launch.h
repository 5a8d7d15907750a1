#pragma once

#include "kernels/runtime/status.h"
#include "kernels/runtime/target.h"

#include <hip/hip_runtime.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <span>
#include <type_traits>

namespace hipforge {

/// One kernel launch, decided but not made. A pure function of an op's params and a Target makes it.
struct LaunchPlan {
  const char* kernel = nullptr;    ///< extern "C" name: op, dtype, wave and tile
  const void* function = nullptr;  ///< its address on the host
  dim3 grid{1, 1, 1};              ///< blocks
  dim3 block{1, 1, 1};             ///< threads
  unsigned shared_bytes = 0;       ///< dynamic shared memory
  Target target = kCurrentDevice;  ///< what it was planned for; kCurrentDevice: any will do
  /// May start while the kernel before it in the stream ends (kernels/device/dependent_launch.h), where a device
  /// can do that.
  bool overlaps = false;
};

/// Stands around every launch of the process while it is installed.
class LaunchObserver {
 public:
  virtual ~LaunchObserver() = default;
  /// Makes the launch by calling `run`, or does not; returns what launch() is to return. `args` are the
  /// bytes of the kernel's one argument.
  virtual Status observe(const LaunchPlan& plan, std::span<const std::byte> args, hipStream_t stream,
                         const std::function<Status()>& run) = 0;
};

/// Installs an observer and returns the one before; null for none. While launches are under way on other
/// threads an observer must stay alive.
LaunchObserver* set_launch_observer(LaunchObserver* observer);

namespace detail {
extern std::atomic<LaunchObserver*> launch_observer;

/// What must be arranged before a launch (more shared memory than the default limit).
Status prepare_launch(const LaunchPlan& plan);
/// hipGetLastError after a launch, with the plan's numbers in the message.
Status finish_launch(const LaunchPlan& plan);
#if defined(HIPFORGE_PLATFORM_NVIDIA)
/// A launch that overlaps; what goes wrong is left to hipGetLastError.
void launch_overlapping(const LaunchPlan& plan, const void* args, hipStream_t stream);
#endif
}  // namespace detail

/// Launches a kernel that takes one trivially copyable struct by value: the only form that hipforge's kernels
/// have, so that a launch can be recorded as a name, a geometry and the raw bytes of `args`. The observer
/// costs a launch one relaxed load where there is none.
template <class Args>
Status launch(const LaunchPlan& plan, const Args& args, hipStream_t stream) {
  static_assert(std::is_trivially_copyable_v<Args>);
  const auto run = [&]() -> Status {
    const TargetScope scope(plan.target);
    if (!scope.status().ok()) return scope.status();
    if (Status status = detail::prepare_launch(plan); !status.ok()) return status;
#if defined(__HIP_PLATFORM_AMD__)
    // HIP's own hipLaunchKernelGGL is for the compiler of its kernels alone; this one is a plain function.
    void* arguments[] = {const_cast<Args*>(&args)};
    (void)hipLaunchKernel(plan.function, plan.grid, plan.block, arguments, plan.shared_bytes, stream);
#else
#if defined(HIPFORGE_PLATFORM_NVIDIA)
    if (plan.overlaps) {
      detail::launch_overlapping(plan, &args, stream);
      return detail::finish_launch(plan);
    }
#endif
    auto function = reinterpret_cast<void (*)(Args)>(const_cast<void*>(plan.function));
    hipLaunchKernelGGL(function, plan.grid, plan.block, plan.shared_bytes, stream, args);
#endif
    return detail::finish_launch(plan);
  };
  LaunchObserver* const observer = detail::launch_observer.load(std::memory_order_relaxed);
  if (observer == nullptr) return run();
  return observer->observe(plan, std::as_bytes(std::span(&args, 1)), stream, run);
}

}  // namespace hipforge
