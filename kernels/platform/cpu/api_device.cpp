// hipGetDevice…, hipDevice…: one device, the processors of this machine.
#include <hip/hip_runtime_api.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "config.h"
#include "error.h"
#include "launch.h"
#include "memory.h"
#include "worker.h"

#include <hipforge_cpu/math.h>

namespace hipforge::cpu {
namespace {

constexpr int kVersion = HIP_VERSION;
// The canaries of so many allocations are checked at each synchronisation.
constexpr size_t kSynchronizeCanaryBudget = 4096;

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "host processor";
}

int positive(long value, int otherwise) {
  return value > 0 ? static_cast<int>(value) : otherwise;
}

hipDeviceProp_t make_properties() {
  hipDeviceProp_t properties{};
  std::snprintf(properties.name, sizeof(properties.name), "hipforge cpu: %s", processor_name().c_str());
  std::snprintf(properties.gcnArchName, sizeof(properties.gcnArchName), "cpu");
  properties.totalConstMem = size_t{64} << 10;
  properties.memPitch = 0x7fffffff;
  properties.textureAlignment = 256;
  properties.regsPerBlock = 65536;
  properties.regsPerMultiprocessor = 65536;
  properties.maxThreadsPerBlock = static_cast<int>(kMaxBlockThreads);
  properties.maxThreadsDim[0] = static_cast<int>(kMaxBlockThreads);
  properties.maxThreadsDim[1] = static_cast<int>(kMaxBlockThreads);
  properties.maxThreadsDim[2] = 64;
  properties.maxGridSize[0] = 2147483647;
  properties.maxGridSize[1] = 65535;
  properties.maxGridSize[2] = 65535;
  properties.clockInstructionRate = 1000000;
  properties.l2CacheSize =
      positive(std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), sysconf(_SC_LEVEL2_CACHE_SIZE)), 0);
  properties.maxThreadsPerMultiProcessor = static_cast<int>(kMaxBlockThreads);
  properties.maxBlocksPerMultiProcessor = 1;
  properties.canMapHostMemory = 1;
  properties.integrated = 1;
  properties.managedMemory = 1;
  properties.unifiedAddressing = 1;
  return properties;
}

hipError_t check_device(int device) {
  if (device == 0) return hipSuccess;
  return fail(hipErrorInvalidDevice, "device %d: the cpu platform has device 0 only", device);
}

}  // namespace

hipError_t synchronize() {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  const std::lock_guard lock(device_mutex());
  if (!device_faulted()) {
    const std::string broken = DeviceMemory::instance().check_canaries(kSynchronizeCanaryBudget);
    if (!broken.empty()) record_fault("a kernel since the last synchronisation: " + broken);
  }
  return report_fault();
}

long long device_clock() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace hipforge::cpu

using namespace hipforge::cpu;

extern "C" {

hipError_t hipInit(unsigned int flags) {
  if (flags != 0) return fail(hipErrorInvalidValue, "hipInit takes no flags");
  return enter_call();
}

hipError_t hipGetDeviceCount(int* count) {
  if (count == nullptr) return fail(hipErrorInvalidValue, "null argument");
  *count = 0;
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  *count = 1;
  return hipSuccess;
}

hipError_t hipGetDevice(int* device) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (device == nullptr) return fail(hipErrorInvalidValue, "null argument");
  *device = 0;
  return hipSuccess;
}

hipError_t hipSetDevice(int device) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  return check_device(device);
}

hipError_t hipGetDeviceProperties(hipDeviceProp_t* properties, int device) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (properties == nullptr) return fail(hipErrorInvalidValue, "null argument");
  if (const hipError_t error = check_device(device); error != hipSuccess) return error;
  static const hipDeviceProp_t fixed = make_properties();
  *properties = fixed;
  properties->sharedMemPerBlock = launch_shared_limit();
  properties->sharedMemPerMultiprocessor = launch_shared_limit();
  properties->maxSharedMemoryPerMultiProcessor = launch_shared_limit();
  properties->sharedMemPerBlockOptin = launch_shared_limit();
  size_t free_bytes = 0;
  DeviceMemory::instance().usage(&free_bytes, &properties->totalGlobalMem);
  properties->warpSize = launch_wave();
  properties->multiProcessorCount = config().effective_workers();
  return hipSuccess;
}

hipError_t hipDeviceGetAttribute(int* value, hipDeviceAttribute_t attribute, int device) {
  if (value == nullptr) return fail(hipErrorInvalidValue, "null argument");
  hipDeviceProp_t properties;
  if (const hipError_t error = hipGetDeviceProperties(&properties, device); error != hipSuccess) return error;
  switch (attribute) {
    case hipDeviceAttributeClockRate:
      *value = properties.clockRate;
      return hipSuccess;
    case hipDeviceAttributeComputeCapabilityMajor:
      *value = properties.major;
      return hipSuccess;
    case hipDeviceAttributeComputeCapabilityMinor:
      *value = properties.minor;
      return hipSuccess;
    case hipDeviceAttributeL2CacheSize:
      *value = properties.l2CacheSize;
      return hipSuccess;
    case hipDeviceAttributeMaxBlockDimX:
      *value = properties.maxThreadsDim[0];
      return hipSuccess;
    case hipDeviceAttributeMaxBlockDimY:
      *value = properties.maxThreadsDim[1];
      return hipSuccess;
    case hipDeviceAttributeMaxBlockDimZ:
      *value = properties.maxThreadsDim[2];
      return hipSuccess;
    case hipDeviceAttributeMaxGridDimX:
      *value = properties.maxGridSize[0];
      return hipSuccess;
    case hipDeviceAttributeMaxGridDimY:
      *value = properties.maxGridSize[1];
      return hipSuccess;
    case hipDeviceAttributeMaxGridDimZ:
      *value = properties.maxGridSize[2];
      return hipSuccess;
    case hipDeviceAttributeMaxRegistersPerBlock:
      *value = properties.regsPerBlock;
      return hipSuccess;
    case hipDeviceAttributeMaxSharedMemoryPerBlock:
    case hipDeviceAttributeMaxSharedMemoryPerMultiprocessor:
      *value = static_cast<int>(properties.sharedMemPerBlock);
      return hipSuccess;
    case hipDeviceAttributeMaxThreadsPerBlock:
      *value = properties.maxThreadsPerBlock;
      return hipSuccess;
    case hipDeviceAttributeMaxThreadsPerMultiProcessor:
      *value = properties.maxThreadsPerMultiProcessor;
      return hipSuccess;
    case hipDeviceAttributeMemoryBusWidth:
      *value = properties.memoryBusWidth;
      return hipSuccess;
    case hipDeviceAttributeMemoryClockRate:
      *value = properties.memoryClockRate;
      return hipSuccess;
    case hipDeviceAttributeMultiprocessorCount:
      *value = properties.multiProcessorCount;
      return hipSuccess;
    case hipDeviceAttributeWarpSize:
      *value = properties.warpSize;
      return hipSuccess;
  }
  return fail(hipErrorInvalidValue, "device attribute %d is not known", static_cast<int>(attribute));
}

hipError_t hipDeviceSynchronize() {
  return synchronize();
}

hipError_t hipDeviceReset() {
  if (!config().error.empty()) return enter_call();
  const std::lock_guard lock(device_mutex());
  DeviceMemory::instance().release_all();
  clear_fault();
  return hipSuccess;
}

hipError_t hipDriverGetVersion(int* version) {
  if (version == nullptr) return fail(hipErrorInvalidValue, "null argument");
  *version = kVersion;
  return hipSuccess;
}

hipError_t hipRuntimeGetVersion(int* version) {
  return hipDriverGetVersion(version);
}

}  // extern "C"
