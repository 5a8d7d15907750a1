// What a HIP call returns: the last error of each host thread, and the fault that stops the device.
#pragma once

#include <hip/hip_runtime_api.h>

#include <string>

namespace hipforge::cpu {

/// Sets this host thread's last error and its detail (printf style); returns `error`.
[[gnu::format(printf, 2, 3)]] hipError_t fail(hipError_t error, const char* format, ...);

/// What every call that uses the device does first: an error if the environment is unusable or a fault is
/// sticky. A kernel that gets here has faulted.
hipError_t enter_call();

/// Ends the block if a kernel is running on this OS thread.
void refuse_inside_kernel();

/// True if an earlier kernel faulted: work that follows is dropped.
bool device_faulted();

/// Records a kernel's fault, which the next synchronisation reports, and prints it on stderr.
void record_fault(const std::string& text);

/// What a synchronising call returns: a waiting fault becomes sticky.
hipError_t report_fault();

void clear_fault();

}  // namespace hipforge::cpu
