#include "kernels/runtime/device.h"

namespace hipforge {

Status usable_devices(int& count) {
  count = 0;
  hipError_t error = hipGetDeviceCount(&count);
  if (error == hipSuccess && count > 0) return {};
  (void)hipGetLastError();
  // Some runtimes report success and a count of zero.
  if (error == hipSuccess) error = hipErrorNoDevice;
  Status status = hip_status(error, "no usable device");
  status.code = StatusCode::kNotFound;
  return status;
}

}  // namespace hipforge
