#include "harness/replay/rerun.h"

#include "harness/core/device_info.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/device_buffer.h"
#include "kernels/runtime/kernel_registry.h"
#include "kernels/runtime/target.h"

#include <fmt/format.h>

#include <cstring>

namespace hipforge::harness {
namespace {

using enum Rerun::Outcome;

class DeviceRerunner final : public Rerunner {
 public:
  Rerun run(const RecordedLaunch& launch, BufferContents before) override {
    const RegisteredKernel* const kernel = find_kernel(launch.kernel);
    if (kernel == nullptr) return {kSkipped, fmt::format("kernel {} is not in this build", launch.kernel)};
    if (kernel->args_bytes() != launch.args.size()) {
      return {kSkipped, fmt::format("kernel {} takes {} bytes of arguments in this build, the record has {}",
                                    launch.kernel, kernel->args_bytes(), launch.args.size())};
    }
#if !defined(HIPFORGE_PLATFORM_CPU)
    Target device;
    throw_if_error(device_target(device));
    const int wave = launch.plan.target.wave;
    if (device.wave != wave)
      return {kSkipped, fmt::format("a launch for waves of {}, this device has {}", wave, device.wave)};
#endif
    std::vector<DeviceBuffer> buffers;
    for (const std::vector<std::byte>& bytes : before) {
      buffers.emplace_back(bytes.size()).upload(bytes);
    }
    std::vector<std::byte> args = launch.args;
    for (const RecordedPointer& pointer : launch.pointers) {
      const std::byte* const moved =
          static_cast<const std::byte*>(buffers[pointer.buffer].data()) + pointer.offset;
      std::memcpy(args.data() + pointer.args_offset, &moved, sizeof(moved));
    }
    Status status = kernel->launch(launch.plan, args, nullptr);
    if (status.ok()) status = hip_status(hipDeviceSynchronize(), fmt::format("kernel {}", launch.kernel));
    if (!status.ok()) {
      const std::string fault = fault_text();
      Rerun rerun{kFailed, fault.empty() ? status.message : fmt::format("{}: {}", status.message, fault)};
      if (!recover_device()) {
        throw Error(failure(StatusCode::kHipError, "the device cannot go on after the fault of launch ",
                            launch.index, ": ", rerun.reason));
      }
      return rerun;
    }
    Rerun rerun{kRan, {}, std::move(before)};
    for (std::size_t i = 0; i < buffers.size(); ++i) buffers[i].download(rerun.after[i]);
    return rerun;
  }
};

}  // namespace

std::unique_ptr<Rerunner> make_device_rerunner() {
  return std::make_unique<DeviceRerunner>();
}

}  // namespace hipforge::harness
