// The same for the host's compiler.
#include <hip/hip_runtime.h>

hipError_t probe_host(hipDeviceProp_t& properties);
hipError_t probe_host(hipDeviceProp_t& properties) {
  return hipGetDeviceProperties(&properties, properties.multiProcessorCount);
}
