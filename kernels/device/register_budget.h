#pragma once

#include "kernels/device/hopper.h"

namespace hipforge {

/// Moves registers between the warpgroups of a block (setmaxnreg, PTX ISA 8.0, section 9.7.17.5): all four
/// warps of a warpgroup call it, once, at the head of their role's branch. The kernel must have a bound on its
/// registers at entry, and the block's warps may not hold more in all than it started with: take_registers
/// waits until enough are free.

/// Goes down to kRegisters a thread.
template <int kRegisters>
__device__ inline void give_registers() {
  static_assert(kRegisters >= 24 && kRegisters <= 256 && kRegisters % 8 == 0);
#if HIPFORGE_DETAIL_HOPPER
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;\n" ::"n"(kRegisters));
#endif
}

/// Goes up to kRegisters a thread.
template <int kRegisters>
__device__ inline void take_registers() {
  static_assert(kRegisters >= 24 && kRegisters <= 256 && kRegisters % 8 == 0);
#if HIPFORGE_DETAIL_HOPPER
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;\n" ::"n"(kRegisters));
#endif
}

/// Whether a block whose threads start with `at_entry` registers can share them out so.
[[nodiscard]] constexpr bool registers_suffice(int at_entry, int producers, int producer_registers,
                                               int consumers, int consumer_registers) {
  return producers * producer_registers + consumers * consumer_registers <=
         (producers + consumers) * at_entry;
}

}  // namespace hipforge
