#pragma once

#include "kernels/device/hopper.h"

namespace hipforge {

/// A kernel that starts while the one before it in the stream still runs (programmatic dependent launch,
/// griddepcontrol, PTX ISA 8.0, section 9.7.12.13). Where a launch is an ordinary one both do nothing.

/// Waits until the kernel before has ended and its writes are seen. Before that a kernel reads what no kernel
/// of the stream writes, weights say, and writes nothing to device memory.
__device__ inline void wait_for_previous_kernel() {
#if HIPFORGE_DETAIL_HOPPER
  asm volatile("griddepcontrol.wait;\n" ::: "memory");
#endif
}

/// Lets the next kernel start once every block has called this or returned.
__device__ inline void let_next_kernel_start() {
#if HIPFORGE_DETAIL_HOPPER
  asm volatile("griddepcontrol.launch_dependents;\n" ::: "memory");
#endif
}

}  // namespace hipforge
