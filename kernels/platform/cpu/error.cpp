#include "error.h"

#include <hipforge_cpu.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <mutex>

#include "config.h"

namespace hipforge::cpu {
namespace {

enum class FaultState { kNone, kWaiting, kSticky };

struct Fault {
  std::mutex mutex;
  std::string text;
  std::atomic<FaultState> state = FaultState::kNone;
};

Fault& fault() {
  static Fault& instance = *new Fault;
  return instance;
}

struct LastError {
  hipError_t error = hipSuccess;
  std::string detail;
  std::string fault_text;
};

LastError& last_error() {
  thread_local LastError instance;
  return instance;
}

}  // namespace

hipError_t fail(hipError_t error, const char* format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  last_error().error = error;
  last_error().detail = text;
  return error;
}

hipError_t enter_call() {
  refuse_inside_kernel();
  if (!config().error.empty()) return fail(hipErrorNotInitialized, "%s", config().error.c_str());
  if (fault().state == FaultState::kSticky) return report_fault();
  return hipSuccess;
}

bool device_faulted() {
  return fault().state != FaultState::kNone;
}

void record_fault(const std::string& text) {
  {
    const std::lock_guard lock(fault().mutex);
    // The first fault is the cause; what follows may be its effect.
    if (fault().state == FaultState::kNone) {
      fault().text = text;
      fault().state = FaultState::kWaiting;
    }
  }
  std::fprintf(stderr, "hipforge cpu: %s\n", text.c_str());
}

hipError_t report_fault() {
  std::string text;
  {
    const std::lock_guard lock(fault().mutex);
    if (fault().state == FaultState::kNone) return hipSuccess;
    fault().state = FaultState::kSticky;
    text = fault().text;
  }
  return fail(hipErrorLaunchFailure, "%s", text.c_str());
}

void clear_fault() {
  const std::lock_guard lock(fault().mutex);
  fault().text.clear();
  fault().state = FaultState::kNone;
  last_error().error = hipSuccess;
  last_error().detail.clear();
}

namespace {

struct ErrorText {
  hipError_t error;
  const char* name;
  const char* text;
};

constexpr ErrorText kErrorTexts[] = {
    {hipSuccess, "hipSuccess", "no error"},
    {hipErrorInvalidValue, "hipErrorInvalidValue", "invalid argument"},
    {hipErrorOutOfMemory, "hipErrorOutOfMemory", "out of memory"},
    {hipErrorNotInitialized, "hipErrorNotInitialized", "initialization error"},
    {hipErrorDeinitialized, "hipErrorDeinitialized", "driver shutting down"},
    {hipErrorInvalidConfiguration, "hipErrorInvalidConfiguration", "invalid configuration argument"},
    {hipErrorInvalidPitchValue, "hipErrorInvalidPitchValue", "invalid pitch argument"},
    {hipErrorInvalidSymbol, "hipErrorInvalidSymbol", "invalid device symbol"},
    {hipErrorInvalidDevicePointer, "hipErrorInvalidDevicePointer", "invalid device pointer"},
    {hipErrorInvalidMemcpyDirection, "hipErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"},
    {hipErrorInsufficientDriver, "hipErrorInsufficientDriver",
     "driver version is insufficient for runtime version"},
    {hipErrorMissingConfiguration, "hipErrorMissingConfiguration",
     "__global__ function call is not configured"},
    {hipErrorPriorLaunchFailure, "hipErrorPriorLaunchFailure", "unspecified launch failure in prior launch"},
    {hipErrorInvalidDeviceFunction, "hipErrorInvalidDeviceFunction", "invalid device function"},
    {hipErrorNoDevice, "hipErrorNoDevice", "no device is detected"},
    {hipErrorInvalidDevice, "hipErrorInvalidDevice", "invalid device ordinal"},
    {hipErrorInvalidImage, "hipErrorInvalidImage", "device kernel image is invalid"},
    {hipErrorInvalidContext, "hipErrorInvalidContext", "invalid device context"},
    {hipErrorInvalidSource, "hipErrorInvalidSource", "device kernel image is invalid"},
    {hipErrorFileNotFound, "hipErrorFileNotFound", "file not found"},
    {hipErrorSharedObjectSymbolNotFound, "hipErrorSharedObjectSymbolNotFound",
     "shared object symbol not found"},
    {hipErrorSharedObjectInitFailed, "hipErrorSharedObjectInitFailed", "shared object initialization failed"},
    {hipErrorOperatingSystem, "hipErrorOperatingSystem",
     "OS call failed or operation not supported on this OS"},
    {hipErrorInvalidHandle, "hipErrorInvalidHandle", "invalid resource handle"},
    {hipErrorIllegalState, "hipErrorIllegalState", "the operation cannot be performed in the present state"},
    {hipErrorNotFound, "hipErrorNotFound", "named symbol not found"},
    {hipErrorNotReady, "hipErrorNotReady", "device not ready"},
    {hipErrorIllegalAddress, "hipErrorIllegalAddress", "an illegal memory access was encountered"},
    {hipErrorLaunchOutOfResources, "hipErrorLaunchOutOfResources", "too many resources requested for launch"},
    {hipErrorLaunchTimeOut, "hipErrorLaunchTimeOut", "the launch timed out and was terminated"},
    {hipErrorPeerAccessAlreadyEnabled, "hipErrorPeerAccessAlreadyEnabled", "peer access is already enabled"},
    {hipErrorPeerAccessNotEnabled, "hipErrorPeerAccessNotEnabled", "peer access has not been enabled"},
    {hipErrorContextIsDestroyed, "hipErrorContextIsDestroyed", "context is destroyed"},
    {hipErrorAssert, "hipErrorAssert", "device-side assert triggered"},
    {hipErrorHostMemoryAlreadyRegistered, "hipErrorHostMemoryAlreadyRegistered",
     "part or all of the requested memory range is already mapped"},
    {hipErrorHostMemoryNotRegistered, "hipErrorHostMemoryNotRegistered",
     "pointer does not correspond to a registered memory region"},
    {hipErrorLaunchFailure, "hipErrorLaunchFailure", "unspecified launch failure"},
    {hipErrorCooperativeLaunchTooLarge, "hipErrorCooperativeLaunchTooLarge",
     "too many blocks in cooperative launch"},
    {hipErrorNotSupported, "hipErrorNotSupported", "operation not supported"},
    {hipErrorStreamCaptureUnsupported, "hipErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {hipErrorUnknown, "hipErrorUnknown", "unknown error"},
    {hipErrorRuntimeMemory, "hipErrorRuntimeMemory", "runtime memory call returned error"},
    {hipErrorRuntimeOther, "hipErrorRuntimeOther", "runtime call other than memory returned error"},
};

const ErrorText& error_text(hipError_t error) {
  const ErrorText* unknown = nullptr;
  for (const ErrorText& entry : kErrorTexts) {
    if (entry.error == error) return entry;
    if (entry.error == hipErrorUnknown) unknown = &entry;
  }
  return *unknown;
}

}  // namespace
}  // namespace hipforge::cpu

using namespace hipforge::cpu;

extern "C" {

hipError_t hipPeekAtLastError() {
  if (fault().state == FaultState::kSticky) return hipErrorLaunchFailure;
  return last_error().error;
}

hipError_t hipGetLastError() {
  const hipError_t error = hipPeekAtLastError();
  last_error().error = hipSuccess;
  return error;
}

const char* hipGetErrorName(hipError_t error) {
  return error_text(error).name;
}

const char* hipGetErrorString(hipError_t error) {
  return error_text(error).text;
}

const char* hipforge_cpu_last_fault() {
  const std::lock_guard lock(fault().mutex);
  last_error().fault_text = fault().text;
  return last_error().fault_text.c_str();
}

const char* hipforge_cpu_last_error_detail() {
  return last_error().detail.c_str();
}

void hipforge_cpu_clear_fault() {
  clear_fault();
}

}  // extern "C"
