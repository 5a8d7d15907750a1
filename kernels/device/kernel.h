#pragma once

#include "kernels/device/dtype.h"
#include "kernels/runtime/launch.h"

/// Kernels carry extern "C" names made of op, dtype, wave and tile, so that a code object, a profiler, a
/// recorded launch and a fault all call them the same. A .hip file writes a device template `body(const
/// Args&)` and, for each name, one HIPFORGE_KERNEL line; `entry` is a variable template that maps template
/// arguments to the name:
///
///   template <class T, int kWave> inline constexpr KernelEntry kSwigluEntry{};
///   HIPFORGE_KERNEL(kSwigluEntry, (F16, 32), swiglu_f16_w32, swiglu_kernel, SwigluArgs, 256)

namespace hipforge {

/// Whether this build has machine code for a kernel of that name. Devices with one wave size get no kernels
/// of the other: they could not run.
[[nodiscard]] constexpr bool kernel_is_built([[maybe_unused]] const char* name) {
#if defined(__CUDACC__)
  for (const char* at = name; *at != 0; ++at) {
    if (at[0] == '_' && at[1] == 'w' && at[2] == '6' && at[3] == '4' && (at[4] == 0 || at[4] == '_'))
      return false;
  }
#endif
  return true;
}

/// A kernel's name and host address; both null where no kernel was built for the template arguments.
struct KernelEntry {
  const char* name = nullptr;
  const void* function = nullptr;
};

// Token forms of the C++ element types, for names: f16 -> F16.
using f32 = float;
using f16 = F16;
using bf16 = BF16;

}  // namespace hipforge

#define HIPFORGE_UNPACK(...) __VA_ARGS__

#define HIPFORGE_KERNEL(ENTRY, TEMPLATE_ARGS, NAME, BODY, ARGS, MAX_THREADS)                   \
  extern "C" __global__ void __launch_bounds__(MAX_THREADS) NAME([[maybe_unused]] ARGS args) { \
    if constexpr (hipforge::kernel_is_built(#NAME)) BODY<HIPFORGE_UNPACK TEMPLATE_ARGS>(args); \
  }                                                                                            \
  template <>                                                                                  \
  inline const KernelEntry ENTRY<HIPFORGE_UNPACK TEMPLATE_ARGS>{#NAME,                         \
                                                                reinterpret_cast<const void*>(&NAME)};

/// LINE(T, WAVE) for every float dtype token and wave size.
#define HIPFORGE_FOR_EACH_FLOAT_AND_WAVE(LINE) \
  LINE(f32, 32) LINE(f32, 64) LINE(f16, 32) LINE(f16, 64) LINE(bf16, 32) LINE(bf16, 64)
