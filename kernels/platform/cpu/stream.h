// Streams and events: handles that are checked, over a device that works in the caller's order.
#pragma once

#include <hip/hip_runtime_api.h>

namespace hipforge::cpu {

/// hipErrorInvalidHandle for a stream that does not exist; the null stream always does.
hipError_t check_stream(hipStream_t stream);

/// Waits for the device: any fault of an earlier kernel, and a look at the canaries of the allocations.
hipError_t synchronize();

}  // namespace hipforge::cpu
