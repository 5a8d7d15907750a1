#pragma once

// HIP's host API over the CUDA runtime: what hipforge uses of it, for machines whose HIP has no working
// NVIDIA headers. Names and numbers of errors are HIP's own.

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstring>

#define HIPFORGE_PLATFORM_NVIDIA 1
#define __HIP_PLATFORM_NVIDIA__ 1

enum hipError_t {
  hipSuccess = 0,
  hipErrorInvalidValue = 1,
  hipErrorOutOfMemory = 2,
  hipErrorNotInitialized = 3,
  hipErrorDeinitialized = 4,
  hipErrorInvalidConfiguration = 9,
  hipErrorInvalidMemcpyDirection = 21,
  hipErrorInsufficientDriver = 35,
  hipErrorInvalidDeviceFunction = 98,
  hipErrorNoDevice = 100,
  hipErrorInvalidDevice = 101,
  hipErrorInvalidImage = 200,
  hipErrorInvalidContext = 201,
  hipErrorNoBinaryForGpu = 209,
  hipErrorInvalidKernelFile = 218,
  hipErrorFileNotFound = 301,
  hipErrorInvalidHandle = 400,
  hipErrorNotFound = 500,
  hipErrorNotReady = 600,
  hipErrorIllegalAddress = 700,
  hipErrorLaunchOutOfResources = 701,
  hipErrorLaunchTimeOut = 702,
  hipErrorAssert = 710,
  hipErrorLaunchFailure = 719,
  hipErrorNotSupported = 801,
  hipErrorUnknown = 999,
};

namespace hipforge::nvidia {

struct ErrorRow {
  cudaError_t cuda;
  hipError_t hip;
  const char* name;
};

inline constexpr ErrorRow kErrors[] = {
    {cudaSuccess, hipSuccess, "hipSuccess"},
    {cudaErrorInvalidValue, hipErrorInvalidValue, "hipErrorInvalidValue"},
    {cudaErrorMemoryAllocation, hipErrorOutOfMemory, "hipErrorOutOfMemory"},
    {cudaErrorInitializationError, hipErrorNotInitialized, "hipErrorNotInitialized"},
    {cudaErrorCudartUnloading, hipErrorDeinitialized, "hipErrorDeinitialized"},
    {cudaErrorInvalidConfiguration, hipErrorInvalidConfiguration, "hipErrorInvalidConfiguration"},
    {cudaErrorInvalidMemcpyDirection, hipErrorInvalidMemcpyDirection, "hipErrorInvalidMemcpyDirection"},
    {cudaErrorInsufficientDriver, hipErrorInsufficientDriver, "hipErrorInsufficientDriver"},
    {cudaErrorInvalidDeviceFunction, hipErrorInvalidDeviceFunction, "hipErrorInvalidDeviceFunction"},
    {cudaErrorNoDevice, hipErrorNoDevice, "hipErrorNoDevice"},
    {cudaErrorInvalidDevice, hipErrorInvalidDevice, "hipErrorInvalidDevice"},
    {cudaErrorInvalidKernelImage, hipErrorInvalidImage, "hipErrorInvalidImage"},
    {cudaErrorDeviceUninitialized, hipErrorInvalidContext, "hipErrorInvalidContext"},
    {cudaErrorNoKernelImageForDevice, hipErrorNoBinaryForGpu, "hipErrorNoBinaryForGpu"},
    {cudaErrorInvalidPtx, hipErrorInvalidKernelFile, "hipErrorInvalidKernelFile"},
    {cudaErrorFileNotFound, hipErrorFileNotFound, "hipErrorFileNotFound"},
    {cudaErrorInvalidResourceHandle, hipErrorInvalidHandle, "hipErrorInvalidHandle"},
    {cudaErrorSymbolNotFound, hipErrorNotFound, "hipErrorNotFound"},
    {cudaErrorNotReady, hipErrorNotReady, "hipErrorNotReady"},
    {cudaErrorIllegalAddress, hipErrorIllegalAddress, "hipErrorIllegalAddress"},
    {cudaErrorLaunchOutOfResources, hipErrorLaunchOutOfResources, "hipErrorLaunchOutOfResources"},
    {cudaErrorLaunchTimeout, hipErrorLaunchTimeOut, "hipErrorLaunchTimeOut"},
    {cudaErrorAssert, hipErrorAssert, "hipErrorAssert"},
    {cudaErrorLaunchFailure, hipErrorLaunchFailure, "hipErrorLaunchFailure"},
    {cudaErrorNotSupported, hipErrorNotSupported, "hipErrorNotSupported"},
    {cudaErrorUnknown, hipErrorUnknown, "hipErrorUnknown"},
};

inline hipError_t to_hip(cudaError_t error) {
  for (const ErrorRow& row : kErrors) {
    if (row.cuda == error) return row.hip;
  }
  return hipErrorUnknown;
}

// The driver's codes are the runtime's but for a few names; the numbers agree.
inline hipError_t to_hip(CUresult result) {
  return to_hip(static_cast<cudaError_t>(result));
}

}  // namespace hipforge::nvidia

inline const char* hipGetErrorName(hipError_t error) {
  for (const auto& row : hipforge::nvidia::kErrors) {
    if (row.hip == error) return row.name;
  }
  return "hipErrorUnknown";
}
inline const char* hipGetErrorString(hipError_t error) {
  for (const auto& row : hipforge::nvidia::kErrors) {
    if (row.hip == error) return cudaGetErrorString(row.cuda);
  }
  return "unknown error";
}
inline hipError_t hipGetLastError() {
  return hipforge::nvidia::to_hip(cudaGetLastError());
}
inline hipError_t hipPeekAtLastError() {
  return hipforge::nvidia::to_hip(cudaPeekAtLastError());
}

struct hipDeviceProp_t {
  char name[256];
  char gcnArchName[256];  ///< "sm_90"
  std::size_t totalGlobalMem;
  std::size_t sharedMemPerBlock;
  int warpSize;
  int maxThreadsPerBlock;
  int multiProcessorCount;
  int l2CacheSize;
  int major;
  int minor;
};

inline hipError_t hipGetDeviceCount(int* count) {
  return hipforge::nvidia::to_hip(cudaGetDeviceCount(count));
}
inline hipError_t hipSetDevice(int device) {
  return hipforge::nvidia::to_hip(cudaSetDevice(device));
}
inline hipError_t hipGetDevice(int* device) {
  return hipforge::nvidia::to_hip(cudaGetDevice(device));
}
inline hipError_t hipDeviceSynchronize() {
  return hipforge::nvidia::to_hip(cudaDeviceSynchronize());
}
inline hipError_t hipDeviceReset() {
  return hipforge::nvidia::to_hip(cudaDeviceReset());
}

inline hipError_t hipGetDeviceProperties(hipDeviceProp_t* properties, int device) {
  cudaDeviceProp found{};
  if (const cudaError_t error = cudaGetDeviceProperties(&found, device); error != cudaSuccess) {
    return hipforge::nvidia::to_hip(error);
  }
  *properties = hipDeviceProp_t{};
  static_assert(sizeof(properties->name) == sizeof(found.name));
  std::memcpy(properties->name, found.name, sizeof(found.name));
  char* architecture = properties->gcnArchName;
  std::memcpy(architecture, "sm_", 3);
  architecture += 3;
  if (found.major >= 10) *architecture++ = static_cast<char>('0' + found.major / 10);
  *architecture++ = static_cast<char>('0' + found.major % 10);
  *architecture = static_cast<char>('0' + found.minor);
  properties->totalGlobalMem = found.totalGlobalMem;
  properties->sharedMemPerBlock = found.sharedMemPerBlockOptin;
  properties->warpSize = found.warpSize;
  properties->maxThreadsPerBlock = found.maxThreadsPerBlock;
  properties->multiProcessorCount = found.multiProcessorCount;
  properties->l2CacheSize = found.l2CacheSize;
  properties->major = found.major;
  properties->minor = found.minor;
  return hipSuccess;
}

enum hipDeviceAttribute_t {
  hipDeviceAttributeClockRate = cudaDevAttrClockRate,
  hipDeviceAttributeComputeCapabilityMajor = cudaDevAttrComputeCapabilityMajor,
  hipDeviceAttributeComputeCapabilityMinor = cudaDevAttrComputeCapabilityMinor,
  hipDeviceAttributeL2CacheSize = cudaDevAttrL2CacheSize,
  hipDeviceAttributeMemoryBusWidth = cudaDevAttrGlobalMemoryBusWidth,
  hipDeviceAttributeMemoryClockRate = cudaDevAttrMemoryClockRate,
  hipDeviceAttributeMultiprocessorCount = cudaDevAttrMultiProcessorCount,
  hipDeviceAttributeWarpSize = cudaDevAttrWarpSize,
};
inline hipError_t hipDeviceGetAttribute(int* value, hipDeviceAttribute_t attribute, int device) {
  return hipforge::nvidia::to_hip(
      cudaDeviceGetAttribute(value, static_cast<cudaDeviceAttr>(attribute), device));
}
inline hipError_t hipDriverGetVersion(int* version) {
  return hipforge::nvidia::to_hip(cudaDriverGetVersion(version));
}
inline hipError_t hipRuntimeGetVersion(int* version) {
  return hipforge::nvidia::to_hip(cudaRuntimeGetVersion(version));
}

using hipStream_t = cudaStream_t;
using hipEvent_t = cudaEvent_t;

enum hipMemcpyKind {
  hipMemcpyHostToHost = cudaMemcpyHostToHost,
  hipMemcpyHostToDevice = cudaMemcpyHostToDevice,
  hipMemcpyDeviceToHost = cudaMemcpyDeviceToHost,
  hipMemcpyDeviceToDevice = cudaMemcpyDeviceToDevice,
  hipMemcpyDefault = cudaMemcpyDefault,
};

inline hipError_t hipMalloc(void** pointer, std::size_t bytes) {
  return hipforge::nvidia::to_hip(cudaMalloc(pointer, bytes));
}
template <class T>
hipError_t hipMalloc(T** pointer, std::size_t bytes) {
  return hipMalloc(reinterpret_cast<void**>(pointer), bytes);
}
inline hipError_t hipFree(void* pointer) {
  return hipforge::nvidia::to_hip(cudaFree(pointer));
}
inline hipError_t hipMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  return hipforge::nvidia::to_hip(cudaMemGetInfo(free_bytes, total_bytes));
}
inline hipError_t hipMemcpy(void* destination, const void* source, std::size_t bytes, hipMemcpyKind kind) {
  return hipforge::nvidia::to_hip(cudaMemcpy(destination, source, bytes, static_cast<cudaMemcpyKind>(kind)));
}
inline hipError_t hipMemcpyAsync(void* destination, const void* source, std::size_t bytes, hipMemcpyKind kind,
                                 hipStream_t stream = nullptr) {
  return hipforge::nvidia::to_hip(
      cudaMemcpyAsync(destination, source, bytes, static_cast<cudaMemcpyKind>(kind), stream));
}
inline hipError_t hipMemset(void* pointer, int value, std::size_t bytes) {
  return hipforge::nvidia::to_hip(cudaMemset(pointer, value, bytes));
}
inline hipError_t hipMemsetAsync(void* pointer, int value, std::size_t bytes, hipStream_t stream = nullptr) {
  return hipforge::nvidia::to_hip(cudaMemsetAsync(pointer, value, bytes, stream));
}

inline hipError_t hipStreamCreate(hipStream_t* stream) {
  return hipforge::nvidia::to_hip(cudaStreamCreate(stream));
}
inline hipError_t hipStreamDestroy(hipStream_t stream) {
  return hipforge::nvidia::to_hip(cudaStreamDestroy(stream));
}
inline hipError_t hipStreamSynchronize(hipStream_t stream) {
  return hipforge::nvidia::to_hip(cudaStreamSynchronize(stream));
}
inline hipError_t hipEventCreate(hipEvent_t* event) {
  return hipforge::nvidia::to_hip(cudaEventCreate(event));
}
inline hipError_t hipEventDestroy(hipEvent_t event) {
  return hipforge::nvidia::to_hip(cudaEventDestroy(event));
}
inline hipError_t hipEventRecord(hipEvent_t event, hipStream_t stream = nullptr) {
  return hipforge::nvidia::to_hip(cudaEventRecord(event, stream));
}
inline hipError_t hipEventSynchronize(hipEvent_t event) {
  return hipforge::nvidia::to_hip(cudaEventSynchronize(event));
}
inline hipError_t hipEventElapsedTime(float* milliseconds, hipEvent_t start, hipEvent_t stop) {
  return hipforge::nvidia::to_hip(cudaEventElapsedTime(milliseconds, start, stop));
}

enum hipFuncAttribute {
  hipFuncAttributeMaxDynamicSharedMemorySize = cudaFuncAttributeMaxDynamicSharedMemorySize,
};
inline hipError_t hipFuncSetAttribute(const void* function, hipFuncAttribute attribute, int value) {
  return hipforge::nvidia::to_hip(
      cudaFuncSetAttribute(function, static_cast<cudaFuncAttribute>(attribute), value));
}

using hipModule_t = CUmodule;
using hipFunction_t = CUfunction;

namespace hipforge::nvidia {
// The driver's entry points come through the runtime, which makes the context and spares a link to libcuda.
template <class Function>
Function driver_function(const char* name) {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found{};
#if CUDART_VERSION >= 13000
  const cudaError_t error = cudaGetDriverEntryPointByVersion(name, &entry, 12000, cudaEnableDefault, &found);
#else
  const cudaError_t error = cudaGetDriverEntryPoint(name, &entry, cudaEnableDefault, &found);
#endif
  return error == cudaSuccess ? reinterpret_cast<Function>(entry) : nullptr;
}
}  // namespace hipforge::nvidia

inline hipError_t hipModuleLoad(hipModule_t* module, const char* path) {
  if (const hipError_t error = hipforge::nvidia::to_hip(cudaFree(nullptr)); error != hipSuccess) return error;
  const auto load = hipforge::nvidia::driver_function<CUresult (*)(CUmodule*, const char*)>("cuModuleLoad");
  return load == nullptr ? hipErrorNotSupported : hipforge::nvidia::to_hip(load(module, path));
}
inline hipError_t hipModuleGetFunction(hipFunction_t* function, hipModule_t module, const char* kernel) {
  const auto get = hipforge::nvidia::driver_function<CUresult (*)(CUfunction*, CUmodule, const char*)>(
      "cuModuleGetFunction");
  return get == nullptr ? hipErrorNotSupported : hipforge::nvidia::to_hip(get(function, module, kernel));
}
inline hipError_t hipModuleUnload(hipModule_t module) {
  const auto unload = hipforge::nvidia::driver_function<CUresult (*)(CUmodule)>("cuModuleUnload");
  return unload == nullptr ? hipErrorNotSupported : hipforge::nvidia::to_hip(unload(module));
}
