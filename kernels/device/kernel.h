#pragma once

#include "kernels/device/dtype.h"
#include "kernels/runtime/kernel_registry.h"
#include "kernels/runtime/launch.h"

#include <type_traits>

/// Kernels carry extern "C" names made of op, dtype, wave and tile, so that a code object, a profiler, a
/// recorded launch and a fault all call them the same. A .hip file writes a device template `body(const
/// Args&)` and, for each name, one HIPFORGE_KERNEL line, or a HIPFORGE_WAVE_KERNEL line where the kernel is
/// made for one wave size; `entry` is a variable template that maps template arguments to the name:
///
///   template <class T, int kWave> inline constexpr KernelEntry kSwigluEntry{};
///   HIPFORGE_WAVE_KERNEL(32, kSwigluEntry, (F16, 32), swiglu_f16_w32, swiglu_kernel, SwigluArgs, 256)

namespace hipforge {

/// Whether a kernel's name says that it is made for one wave size: `_w32` or `_w64`, as a word of its own.
[[nodiscard]] constexpr bool names_a_wave(const char* name) {
  for (const char* at = name; *at != 0; ++at) {
    if (at[0] != '_' || at[1] != 'w') continue;
    const bool size = (at[2] == '3' && at[3] == '2') || (at[2] == '6' && at[3] == '4');
    if (size && (at[4] == 0 || at[4] == '_')) return true;
  }
  return false;
}

/// The bound on the threads of a kernel whose blocks have up to `threads`, and which should keep to registers
/// that let two such blocks run side by side. NVIDIA's compiler takes what the bound leaves it; AMD's weighs
/// that itself, and would spill to scratch.
[[nodiscard]] constexpr int overlapping_threads(int threads) {
#if defined(__CUDACC__)
  return 2 * threads;
#else
  return threads;
#endif
}

/// A kernel's name and host address; both null where no kernel was built for the template arguments.
struct KernelEntry {
  const char* name = nullptr;
  const void* function = nullptr;
};

namespace detail {
struct NoRegistration {
  template <class... Ignored>
  explicit NoRegistration(const Ignored&...) {}
};
/// Registers a kernel that is built; makes nothing of one that is not.
template <bool kBuilt>
using KernelRegistration = std::conditional_t<kBuilt, RegisteredKernel, NoRegistration>;
}  // namespace detail

// Token forms of the C++ element types, for names: f16 -> F16.
using f32 = float;
using f16 = F16;
using bf16 = BF16;

}  // namespace hipforge

#define HIPFORGE_UNPACK(...) __VA_ARGS__

/// A kernel that runs at any wave size.
#define HIPFORGE_KERNEL(ENTRY, TEMPLATE_ARGS, NAME, BODY, ARGS, MAX_THREADS)          \
  static_assert(!hipforge::names_a_wave(#NAME), #NAME " wants HIPFORGE_WAVE_KERNEL"); \
  HIPFORGE_DETAIL_KERNEL(true, ENTRY, TEMPLATE_ARGS, NAME, BODY, ARGS, MAX_THREADS)

/// A kernel for waves of WAVE lanes, written 32 or 64. Machine code is made where such waves exist: on AMD
/// the code object of an architecture lacks the kernels of the other size, on NVIDIA those are empty.
#define HIPFORGE_WAVE_KERNEL(WAVE, ENTRY, TEMPLATE_ARGS, NAME, BODY, ARGS, MAX_THREADS) \
  static_assert(hipforge::names_a_wave(#NAME), #NAME " wants HIPFORGE_KERNEL");         \
  HIPFORGE_DETAIL_WAVE_##WAVE(ENTRY, TEMPLATE_ARGS, NAME, BODY, ARGS, MAX_THREADS)

/// A HIPFORGE_WAVE_KERNEL that is launched only where there are matrix cores: AMD's code for RDNA 1 and 2
/// lacks it. Its launcher asks Target::matrix_unit first.
#if defined(__HIP_DEVICE_COMPILE__) && defined(__GFX10__)
#define HIPFORGE_MATRIX_UNIT_KERNEL(...)
#else
#define HIPFORGE_MATRIX_UNIT_KERNEL(...) HIPFORGE_WAVE_KERNEL(__VA_ARGS__)
#endif

/// A HIPFORGE_WAVE_KERNEL that needs more shared memory than a block has on any AMD GPU: absent there, in
/// host code too. Its launcher asks Target::shared_bytes first.
#if defined(__HIP__)
#define HIPFORGE_LARGE_SHARED_KERNEL(...)
#else
#define HIPFORGE_LARGE_SHARED_KERNEL(...) HIPFORGE_WAVE_KERNEL(__VA_ARGS__)
#endif

// A tensor map in the arguments is used where it stands, not a copy.
#if defined(__CUDACC__)
#define HIPFORGE_DETAIL_CONSTANT const __grid_constant__
#else
#define HIPFORGE_DETAIL_CONSTANT
#endif

#define HIPFORGE_DETAIL_KERNEL(BUILT, ENTRY, TEMPLATE_ARGS, NAME, BODY, ARGS, MAX_THREADS)             \
  extern "C" __global__ void __launch_bounds__(MAX_THREADS)                                            \
      NAME([[maybe_unused]] HIPFORGE_DETAIL_CONSTANT ARGS args) {                                      \
    if constexpr (BUILT) BODY<HIPFORGE_UNPACK TEMPLATE_ARGS>(args);                                    \
  }                                                                                                    \
  template <>                                                                                          \
  inline const KernelEntry ENTRY<HIPFORGE_UNPACK TEMPLATE_ARGS>{#NAME,                                 \
                                                                reinterpret_cast<const void*>(&NAME)}; \
  HIPFORGE_DETAIL_REGISTER(BUILT, NAME, ARGS)

#if defined(__HIP_DEVICE_COMPILE__)
#define HIPFORGE_DETAIL_REGISTER(BUILT, NAME, ARGS)
#else
#define HIPFORGE_DETAIL_REGISTER(BUILT, NAME, ARGS)                             \
  static const hipforge::detail::KernelRegistration<BUILT> NAME##_registration{ \
      #NAME, reinterpret_cast<const void*>(&NAME), sizeof(ARGS),                \
      &hipforge::detail::launch_from_bytes<ARGS>};
#endif

#if defined(__HIP_DEVICE_COMPILE__) && defined(__AMDGCN__)
// The pass that makes one AMD architecture's code: GCN and CDNA have waves of 64, RDNA is compiled for 32.
#if defined(__GFX9__)
#define HIPFORGE_DETAIL_WAVE_32(...)
#define HIPFORGE_DETAIL_WAVE_64(...) HIPFORGE_DETAIL_KERNEL(true, __VA_ARGS__)
#else
#define HIPFORGE_DETAIL_WAVE_32(...) HIPFORGE_DETAIL_KERNEL(true, __VA_ARGS__)
#define HIPFORGE_DETAIL_WAVE_64(...)
#endif
#elif defined(__CUDACC__)
// nvcc wants one list of kernels in its host and its device passes.
#define HIPFORGE_DETAIL_WAVE_32(...) HIPFORGE_DETAIL_KERNEL(true, __VA_ARGS__)
#define HIPFORGE_DETAIL_WAVE_64(...) HIPFORGE_DETAIL_KERNEL(false, __VA_ARGS__)
#else
#define HIPFORGE_DETAIL_WAVE_32(...) HIPFORGE_DETAIL_KERNEL(true, __VA_ARGS__)
#define HIPFORGE_DETAIL_WAVE_64(...) HIPFORGE_DETAIL_KERNEL(true, __VA_ARGS__)
#endif

/// LINE(T, WAVE) for every float dtype token and wave size.
#define HIPFORGE_FOR_EACH_FLOAT_AND_WAVE(LINE) \
  LINE(f32, 32) LINE(f32, 64) LINE(f16, 32) LINE(f16, 64) LINE(bf16, 32) LINE(bf16, 64)
