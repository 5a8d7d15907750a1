#include "kernels/runtime/launch.h"

namespace hipforge {

LaunchObserver* set_launch_observer(LaunchObserver* observer) {
  return detail::launch_observer.exchange(observer);
}

namespace detail {

std::atomic<LaunchObserver*> launch_observer{nullptr};

namespace {

// Above this, devices want to be asked before a launch may use more.
constexpr unsigned kDefaultSharedBytes = 48 * 1024;

}  // namespace

Status prepare_launch(const LaunchPlan& plan) {
  if (plan.function == nullptr) {
    return failure(StatusCode::kNotFound, "kernel ", plan.kernel == nullptr ? "(unnamed)" : plan.kernel,
                   " has no address");
  }
  // What the kernel has of its own counts too; it is never more than that.
  constexpr unsigned kStaticSharedBytes = 4 * 1024;
  if (plan.shared_bytes + kStaticSharedBytes > kDefaultSharedBytes) {
    const hipError_t error = hipFuncSetAttribute(plan.function, hipFuncAttributeMaxDynamicSharedMemorySize,
                                                 static_cast<int>(plan.shared_bytes));
    if (error != hipSuccess) {
      (void)hipGetLastError();  // told here, not at the next launch
      return hip_status(error,
                        concat("kernel ", plan.kernel, ": ", plan.shared_bytes, " bytes of shared memory"));
    }
  }
  return {};
}

Status finish_launch(const LaunchPlan& plan) {
  const hipError_t error = hipGetLastError();
  if (error == hipSuccess) return {};
  return hip_status(error, concat("launch of ", plan.kernel, ", grid [", plan.grid.x, ", ", plan.grid.y, ", ",
                                  plan.grid.z, "], block [", plan.block.x, ", ", plan.block.y, ", ",
                                  plan.block.z, "], ", plan.shared_bytes, " bytes of shared memory"));
}

#if defined(HIPFORGE_PLATFORM_NVIDIA)

void launch_overlapping(const LaunchPlan& plan, const void* args, hipStream_t stream) {
  cudaLaunchAttribute overlap{};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = plan.grid;
  config.blockDim = plan.block;
  config.dynamicSmemBytes = plan.shared_bytes;
  config.stream = stream;
  config.attrs = &overlap;
  config.numAttrs = 1;
  void* arguments[] = {const_cast<void*>(args)};
  (void)cudaLaunchKernelExC(&config, plan.function, arguments);
}

#endif

}  // namespace detail
}  // namespace hipforge
