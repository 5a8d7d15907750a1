// The host API of HIP on the cpu platform. Names, values and meanings are HIP's own; where a machine
// without a GPU allows a choice, the comment of the function says which one was made.
//
// Order of execution: a launch or a copy runs in the calling thread before the call returns, whatever the
// stream; the host sees its errors only where a GPU would show them. Calls from several host threads are
// serialised.
//
// Errors: after a fault inside a kernel, work that follows is dropped, the next synchronising call returns
// hipErrorLaunchFailure, and every later call but the releasing ones (hipFree, the Destroy functions) does
// too, until hipDeviceReset(). hipforge_cpu.h tells what happened.
#pragma once

#include <stddef.h>

#include <hip/hip_vector_types.h>

#define HIPFORGE_PLATFORM_CPU 1

#define HIPFORGE_CPU_API __attribute__((visibility("default")))

#define HIP_VERSION_MAJOR 6
#define HIP_VERSION_MINOR 0
#define HIP_VERSION_PATCH 0
#define HIP_VERSION (HIP_VERSION_MAJOR * 10000000 + HIP_VERSION_MINOR * 100000 + HIP_VERSION_PATCH)

#define HIP_LAUNCH_PARAM_BUFFER_POINTER (reinterpret_cast<void*>(0x01))
#define HIP_LAUNCH_PARAM_BUFFER_SIZE (reinterpret_cast<void*>(0x02))
#define HIP_LAUNCH_PARAM_END (reinterpret_cast<void*>(0x03))

typedef enum hipError_t {
  hipSuccess = 0,
  hipErrorInvalidValue = 1,
  hipErrorOutOfMemory = 2,
  hipErrorMemoryAllocation = 2,
  hipErrorNotInitialized = 3,
  hipErrorInitializationError = 3,
  hipErrorDeinitialized = 4,
  hipErrorInvalidConfiguration = 9,
  hipErrorInvalidPitchValue = 12,
  hipErrorInvalidSymbol = 13,
  hipErrorInvalidDevicePointer = 17,
  hipErrorInvalidMemcpyDirection = 21,
  hipErrorInsufficientDriver = 35,
  hipErrorMissingConfiguration = 52,
  hipErrorPriorLaunchFailure = 53,
  hipErrorInvalidDeviceFunction = 98,
  hipErrorNoDevice = 100,
  hipErrorInvalidDevice = 101,
  hipErrorInvalidImage = 200,
  hipErrorInvalidContext = 201,
  hipErrorInvalidSource = 300,
  hipErrorFileNotFound = 301,
  hipErrorSharedObjectSymbolNotFound = 302,
  hipErrorSharedObjectInitFailed = 303,
  hipErrorOperatingSystem = 304,
  hipErrorInvalidHandle = 400,
  hipErrorInvalidResourceHandle = 400,
  hipErrorIllegalState = 401,
  hipErrorNotFound = 500,
  hipErrorNotReady = 600,
  hipErrorIllegalAddress = 700,
  hipErrorLaunchOutOfResources = 701,
  hipErrorLaunchTimeOut = 702,
  hipErrorPeerAccessAlreadyEnabled = 704,
  hipErrorPeerAccessNotEnabled = 705,
  hipErrorContextIsDestroyed = 709,
  hipErrorAssert = 710,
  hipErrorHostMemoryAlreadyRegistered = 712,
  hipErrorHostMemoryNotRegistered = 713,
  hipErrorLaunchFailure = 719,
  hipErrorCooperativeLaunchTooLarge = 720,
  hipErrorNotSupported = 801,
  hipErrorStreamCaptureUnsupported = 900,
  hipErrorUnknown = 999,
  hipErrorRuntimeMemory = 1052,
  hipErrorRuntimeOther = 1053,
} hipError_t;

typedef enum hipMemcpyKind {
  hipMemcpyHostToHost = 0,
  hipMemcpyHostToDevice = 1,
  hipMemcpyDeviceToHost = 2,
  hipMemcpyDeviceToDevice = 3,
  hipMemcpyDefault = 4,
} hipMemcpyKind;

typedef enum hipMemoryType {
  hipMemoryTypeUnregistered = 0,
  hipMemoryTypeHost = 1,
  hipMemoryTypeDevice = 2,
  hipMemoryTypeManaged = 3,
} hipMemoryType;

typedef enum hipFuncAttribute {
  hipFuncAttributeMaxDynamicSharedMemorySize = 8,
  hipFuncAttributePreferredSharedMemoryCarveout = 9,
} hipFuncAttribute;

typedef enum hipDeviceAttribute_t {
  hipDeviceAttributeClockRate,
  hipDeviceAttributeComputeCapabilityMajor,
  hipDeviceAttributeComputeCapabilityMinor,
  hipDeviceAttributeL2CacheSize,
  hipDeviceAttributeMaxBlockDimX,
  hipDeviceAttributeMaxBlockDimY,
  hipDeviceAttributeMaxBlockDimZ,
  hipDeviceAttributeMaxGridDimX,
  hipDeviceAttributeMaxGridDimY,
  hipDeviceAttributeMaxGridDimZ,
  hipDeviceAttributeMaxRegistersPerBlock,
  hipDeviceAttributeMaxSharedMemoryPerBlock,
  hipDeviceAttributeMaxSharedMemoryPerMultiprocessor,
  hipDeviceAttributeMaxThreadsPerBlock,
  hipDeviceAttributeMaxThreadsPerMultiProcessor,
  hipDeviceAttributeMemoryBusWidth,
  hipDeviceAttributeMemoryClockRate,
  hipDeviceAttributeMultiprocessorCount,
  hipDeviceAttributeWarpSize,
} hipDeviceAttribute_t;

#define hipHostMallocDefault 0x0u
#define hipHostMallocPortable 0x1u
#define hipHostMallocMapped 0x2u
#define hipHostMallocWriteCombined 0x4u

#define hipStreamDefault 0x0u
#define hipStreamNonBlocking 0x1u

#define hipEventDefault 0x0u
#define hipEventBlockingSync 0x1u
#define hipEventDisableTiming 0x2u

#define hipMemAttachGlobal 0x1u

typedef struct ihipStream_t* hipStream_t;
typedef struct ihipEvent_t* hipEvent_t;
typedef struct ihipModule_t* hipModule_t;
typedef struct ihipModuleSymbol_t* hipFunction_t;
typedef void* hipDeviceptr_t;
typedef int hipDevice_t;

typedef struct hipDeviceProp_t {
  char name[256];
  char gcnArchName[256];
  size_t totalGlobalMem;
  size_t sharedMemPerBlock;
  size_t sharedMemPerMultiprocessor;
  size_t maxSharedMemoryPerMultiProcessor;
  size_t sharedMemPerBlockOptin;
  size_t totalConstMem;
  size_t memPitch;
  size_t textureAlignment;
  int regsPerBlock;
  int regsPerMultiprocessor;
  int warpSize;
  int maxThreadsPerBlock;
  int maxThreadsDim[3];
  int maxGridSize[3];
  int clockRate;             // kHz
  int clockInstructionRate;  // kHz, of clock64() and wall_clock64()
  int memoryClockRate;       // kHz
  int memoryBusWidth;        // bits
  int major;
  int minor;
  int multiProcessorCount;
  int l2CacheSize;
  int maxThreadsPerMultiProcessor;
  int maxBlocksPerMultiProcessor;
  int computeMode;
  int concurrentKernels;
  int pciDomainID;
  int pciBusID;
  int pciDeviceID;
  int isMultiGpuBoard;
  int canMapHostMemory;
  int integrated;
  int cooperativeLaunch;
  int managedMemory;
  int unifiedAddressing;
  int ECCEnabled;
} hipDeviceProp_t;

typedef struct hipPointerAttribute_t {
  hipMemoryType type;
  int device;
  void* devicePointer;
  void* hostPointer;
  int isManaged;
  unsigned allocationFlags;
} hipPointerAttribute_t;

typedef struct hipFuncAttributes {
  size_t constSizeBytes;
  size_t localSizeBytes;
  size_t sharedSizeBytes;
  int maxThreadsPerBlock;
  int maxDynamicSharedSizeBytes;
  int numRegs;
} hipFuncAttributes;

extern "C" {

// ---- Errors ----

/// The error of this host thread's last failing call, and hipSuccess from then on; a sticky error stays.
HIPFORGE_CPU_API hipError_t hipGetLastError(void);
/// As hipGetLastError(), but forgets nothing.
HIPFORGE_CPU_API hipError_t hipPeekAtLastError(void);
/// The enumerator's name; "hipErrorUnknown" for a value that is none.
HIPFORGE_CPU_API const char* hipGetErrorName(hipError_t error);
/// One phrase that explains the error.
HIPFORGE_CPU_API const char* hipGetErrorString(hipError_t error);

// ---- Device ----

/// hipErrorNotInitialized if a HIPFORGE_CPU_* variable holds a bad value (one line on stderr names it).
HIPFORGE_CPU_API hipError_t hipInit(unsigned int flags);
/// There is one device, number 0.
HIPFORGE_CPU_API hipError_t hipGetDeviceCount(int* count);
HIPFORGE_CPU_API hipError_t hipGetDevice(int* device);
/// hipErrorInvalidDevice for any number but 0.
HIPFORGE_CPU_API hipError_t hipSetDevice(int device);
HIPFORGE_CPU_API hipError_t hipGetDeviceProperties(hipDeviceProp_t* properties, int device);
HIPFORGE_CPU_API hipError_t hipDeviceGetAttribute(int* value, hipDeviceAttribute_t attribute, int device);
/// Returns the fault of an earlier kernel, if there is one, and checks the canaries of all allocations.
HIPFORGE_CPU_API hipError_t hipDeviceSynchronize(void);
/// Frees all device and pinned memory and clears a sticky error; streams, events and modules stay.
HIPFORGE_CPU_API hipError_t hipDeviceReset(void);
HIPFORGE_CPU_API hipError_t hipDriverGetVersion(int* version);
HIPFORGE_CPU_API hipError_t hipRuntimeGetVersion(int* version);

// ---- Memory ----

/// 256-byte aligned memory filled with 0xFF (NaN in every floating type). Zero bytes give a null pointer.
/// hipErrorInvalidValue: `pointer` is null. hipErrorOutOfMemory: over the platform's limit.
HIPFORGE_CPU_API hipError_t hipMalloc(void** pointer, size_t bytes);
HIPFORGE_CPU_API hipError_t hipMallocAsync(void** pointer, size_t bytes, hipStream_t stream);
HIPFORGE_CPU_API hipError_t hipMallocManaged(void** pointer, size_t bytes, unsigned int flags);
HIPFORGE_CPU_API hipError_t hipHostMalloc(void** pointer, size_t bytes, unsigned int flags);
/// Null is allowed. hipErrorInvalidValue: not a live allocation's base (unknown, inside one, or freed
/// before). hipErrorLaunchFailure: something was written outside the allocation; it is freed all the same.
HIPFORGE_CPU_API hipError_t hipFree(void* pointer);
HIPFORGE_CPU_API hipError_t hipFreeAsync(void* pointer, hipStream_t stream);
HIPFORGE_CPU_API hipError_t hipHostFree(void* pointer);

/// hipErrorInvalidValue: a null or freed pointer, or more bytes than the allocation holds from there.
/// hipErrorInvalidMemcpyDirection: a pointer is on the other side than `kind` says.
HIPFORGE_CPU_API hipError_t hipMemcpy(void* target, const void* source, size_t bytes, hipMemcpyKind kind);
HIPFORGE_CPU_API hipError_t hipMemcpyAsync(void* target, const void* source, size_t bytes, hipMemcpyKind kind,
                                           hipStream_t stream);
HIPFORGE_CPU_API hipError_t hipMemcpyHtoD(hipDeviceptr_t target, void* source, size_t bytes);
HIPFORGE_CPU_API hipError_t hipMemcpyDtoH(void* target, hipDeviceptr_t source, size_t bytes);
HIPFORGE_CPU_API hipError_t hipMemcpyDtoD(hipDeviceptr_t target, hipDeviceptr_t source, size_t bytes);
/// Pitches are bytes per row; hipErrorInvalidPitchValue if one is below `width`.
HIPFORGE_CPU_API hipError_t hipMemcpy2D(void* target, size_t target_pitch, const void* source,
                                        size_t source_pitch, size_t width, size_t height, hipMemcpyKind kind);
HIPFORGE_CPU_API hipError_t hipMemcpy2DAsync(void* target, size_t target_pitch, const void* source,
                                             size_t source_pitch, size_t width, size_t height,
                                             hipMemcpyKind kind, hipStream_t stream);
HIPFORGE_CPU_API hipError_t hipMemset(void* target, int value, size_t bytes);
HIPFORGE_CPU_API hipError_t hipMemsetAsync(void* target, int value, size_t bytes, hipStream_t stream);
HIPFORGE_CPU_API hipError_t hipMemsetD8(hipDeviceptr_t target, unsigned char value, size_t count);
HIPFORGE_CPU_API hipError_t hipMemsetD16(hipDeviceptr_t target, unsigned short value, size_t count);
HIPFORGE_CPU_API hipError_t hipMemsetD32(hipDeviceptr_t target, int value, size_t count);
HIPFORGE_CPU_API hipError_t hipMemGetInfo(size_t* free_bytes, size_t* total_bytes);
/// Memory that the platform did not allocate is hipMemoryTypeUnregistered.
HIPFORGE_CPU_API hipError_t hipPointerGetAttributes(hipPointerAttribute_t* attributes, const void* pointer);
HIPFORGE_CPU_API hipError_t hipMemGetAddressRange(hipDeviceptr_t* base, size_t* bytes,
                                                  hipDeviceptr_t pointer);

// ---- Streams and events ----

HIPFORGE_CPU_API hipError_t hipStreamCreate(hipStream_t* stream);
HIPFORGE_CPU_API hipError_t hipStreamCreateWithFlags(hipStream_t* stream, unsigned int flags);
HIPFORGE_CPU_API hipError_t hipStreamCreateWithPriority(hipStream_t* stream, unsigned int flags,
                                                        int priority);
/// hipErrorInvalidHandle: not a stream, or destroyed before.
HIPFORGE_CPU_API hipError_t hipStreamDestroy(hipStream_t stream);
HIPFORGE_CPU_API hipError_t hipStreamSynchronize(hipStream_t stream);
HIPFORGE_CPU_API hipError_t hipStreamQuery(hipStream_t stream);
HIPFORGE_CPU_API hipError_t hipStreamWaitEvent(hipStream_t stream, hipEvent_t event, unsigned int flags);

HIPFORGE_CPU_API hipError_t hipEventCreate(hipEvent_t* event);
HIPFORGE_CPU_API hipError_t hipEventCreateWithFlags(hipEvent_t* event, unsigned int flags);
HIPFORGE_CPU_API hipError_t hipEventDestroy(hipEvent_t event);
HIPFORGE_CPU_API hipError_t hipEventRecord(hipEvent_t event, hipStream_t stream);
HIPFORGE_CPU_API hipError_t hipEventSynchronize(hipEvent_t event);
HIPFORGE_CPU_API hipError_t hipEventQuery(hipEvent_t event);
/// hipErrorInvalidHandle: an event was never recorded, or holds no time (hipEventDisableTiming).
HIPFORGE_CPU_API hipError_t hipEventElapsedTime(float* milliseconds, hipEvent_t start, hipEvent_t stop);

// ---- Modules: a module is a shared library whose kernels are extern "C" functions ----
//
// It is linked against the platform's library, not a copy of it. Compiled by g++ it needs -fno-gnu-unique, or
// unloading leaves it in the process.

/// hipErrorFileNotFound: no such file. hipErrorInvalidImage: not a library that can be loaded.
HIPFORGE_CPU_API hipError_t hipModuleLoad(hipModule_t* module, const char* path);
/// `image` is a whole shared library in memory.
HIPFORGE_CPU_API hipError_t hipModuleLoadData(hipModule_t* module, const void* image);
HIPFORGE_CPU_API hipError_t hipModuleUnload(hipModule_t module);
/// hipErrorNotFound: the module has no such kernel; *function is then null.
HIPFORGE_CPU_API hipError_t hipModuleGetFunction(hipFunction_t* function, hipModule_t module,
                                                 const char* name);
HIPFORGE_CPU_API hipError_t hipModuleGetGlobal(hipDeviceptr_t* pointer, size_t* bytes, hipModule_t module,
                                               const char* name);
/// The kernel's arguments come either as `kernel_params`, which needs HIPFORGE_EXPORT_KERNEL in the module
/// (hipErrorInvalidDeviceFunction without it), or as the packed buffer of `extra`
/// (HIP_LAUNCH_PARAM_BUFFER_POINTER, …_SIZE, …_END); without HIPFORGE_EXPORT_KERNEL the buffer must be the
/// one trivially copyable struct, over 16 bytes, that the kernel takes by value.
HIPFORGE_CPU_API hipError_t hipModuleLaunchKernel(hipFunction_t function, unsigned int grid_x,
                                                  unsigned int grid_y, unsigned int grid_z,
                                                  unsigned int block_x, unsigned int block_y,
                                                  unsigned int block_z, unsigned int shared_bytes,
                                                  hipStream_t stream, void** kernel_params, void** extra);

// ---- Launch and kernel attributes ----

/// Launches a kernel known by its address alone: one marked by HIPFORGE_EXPORT_KERNEL.
/// hipErrorInvalidDeviceFunction: any other. (A typed kernel pointer takes the overload of
/// hip_runtime.h, which needs no mark.)
HIPFORGE_CPU_API hipError_t hipLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                                            size_t shared_bytes, hipStream_t stream);
/// hipErrorInvalidValue: more dynamic shared memory than a block can have.
HIPFORGE_CPU_API hipError_t hipFuncSetAttribute(const void* function, hipFuncAttribute attribute, int value);
HIPFORGE_CPU_API hipError_t hipFuncGetAttributes(hipFuncAttributes* attributes, const void* function);
HIPFORGE_CPU_API hipError_t hipOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function,
                                                                         int block_threads,
                                                                         size_t shared_bytes);

}  // extern "C"

template <typename T>
hipError_t hipMalloc(T** pointer, size_t bytes) {
  void* raw = nullptr;
  const hipError_t error = hipMalloc(pointer == nullptr ? nullptr : &raw, bytes);
  if (pointer != nullptr) *pointer = static_cast<T*>(raw);
  return error;
}

template <typename T>
hipError_t hipMallocAsync(T** pointer, size_t bytes, hipStream_t stream) {
  void* raw = nullptr;
  const hipError_t error = hipMallocAsync(pointer == nullptr ? nullptr : &raw, bytes, stream);
  if (pointer != nullptr) *pointer = static_cast<T*>(raw);
  return error;
}

template <typename T>
hipError_t hipMallocManaged(T** pointer, size_t bytes, unsigned int flags = hipMemAttachGlobal) {
  void* raw = nullptr;
  const hipError_t error = hipMallocManaged(pointer == nullptr ? nullptr : &raw, bytes, flags);
  if (pointer != nullptr) *pointer = static_cast<T*>(raw);
  return error;
}

template <typename T>
hipError_t hipHostMalloc(T** pointer, size_t bytes, unsigned int flags = hipHostMallocDefault) {
  void* raw = nullptr;
  const hipError_t error = hipHostMalloc(pointer == nullptr ? nullptr : &raw, bytes, flags);
  if (pointer != nullptr) *pointer = static_cast<T*>(raw);
  return error;
}

inline hipError_t hipStreamWaitEvent(hipStream_t stream, hipEvent_t event) {
  return hipStreamWaitEvent(stream, event, 0);
}

inline hipError_t hipEventRecord(hipEvent_t event) {
  return hipEventRecord(event, nullptr);
}

template <typename Function>
requires(!__is_same(Function, void)) hipError_t
    hipOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Function* function, int block_threads,
                                                 size_t shared_bytes) {
  return hipOccupancyMaxActiveBlocksPerMultiprocessor(blocks, reinterpret_cast<const void*>(function),
                                                      block_threads, shared_bytes);
}
