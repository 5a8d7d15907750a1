// Launching a kernel: its arguments are packed once, and every thread of the grid unpacks its own copy.
#pragma once

#include <array>
#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include <string.h>

#include <hip/hip_runtime_api.h>

namespace hipforge::cpu {

/// Runs one thread of `function` on packed arguments.
using Invoke = void (*)(const void* function, const void* arguments);

/// What it takes to call a kernel whose type is not known at the call.
struct KernelInfo {
  const void* function;
  Invoke invoke;
  size_t argument_bytes;
  size_t argument_count;
  const size_t* offsets;
  const size_t* sizes;
};

struct LaunchRequest {
  const char* fallback_name;  // used where the dynamic symbol table does not know the function
  const void* function;
  Invoke invoke;
  const void* arguments;
  size_t argument_bytes;
  dim3 grid;
  dim3 block;
  size_t shared_bytes;
  hipStream_t stream;
};

/// Checks and runs the launch; a fault inside waits for the next synchronisation.
HIPFORGE_CPU_API hipError_t launch(const LaunchRequest& request);

/// The arguments as a device would see them: each at the next multiple of its alignment.
template <typename... Params>
struct PackedArguments {
  static_assert((std::is_trivially_copyable_v<Params> && ...), "kernel arguments are copied as bytes");
  static constexpr size_t kCount = sizeof...(Params);
  static constexpr std::array<size_t, kCount + 1> kSizes = {sizeof(Params)..., 0};
  static constexpr std::array<size_t, kCount + 1> kOffsets = [] {
    constexpr std::array<size_t, kCount + 1> alignments = {alignof(Params)..., 1};
    std::array<size_t, kCount + 1> offsets{};
    size_t end = 0;
    for (size_t i = 0; i <= kCount; ++i) {
      end = (end + alignments[i] - 1) / alignments[i] * alignments[i];
      offsets[i] = end;
      end += kSizes[i];
    }
    return offsets;
  }();
  static constexpr size_t kBytes = kOffsets[kCount];

  static void invoke(const void* function, const void* arguments) {
    invoke_with(function, static_cast<const std::byte*>(arguments), std::index_sequence_for<Params...>{});
  }

  template <size_t... I>
  static void invoke_with(const void* function, [[maybe_unused]] const std::byte* arguments,
                          std::index_sequence<I...>) {
    reinterpret_cast<void (*)(Params...)>(const_cast<void*>(function))(
        *std::launder(reinterpret_cast<const Params*>(arguments + kOffsets[I]))...);
  }

  template <size_t... I>
  static void pack([[maybe_unused]] std::byte* target, std::index_sequence<I...>, const Params&... values) {
    (memcpy(target + kOffsets[I], &values, sizeof(Params)), ...);
  }
};

template <typename... Params>
hipError_t launch_typed(const char* name, void (*kernel)(Params...), dim3 grid, dim3 block,
                        size_t shared_bytes, hipStream_t stream,
                        const std::type_identity_t<Params>&... values) {
  using Packed = PackedArguments<Params...>;
  alignas(64) std::byte arguments[Packed::kBytes + 1];
  Packed::pack(arguments, std::index_sequence_for<Params...>{}, values...);
  return launch(LaunchRequest{name, reinterpret_cast<const void*>(kernel), &Packed::invoke, arguments,
                              Packed::kBytes, grid, block, shared_bytes, stream});
}

template <typename... Params>
constexpr KernelInfo kernel_info(void (*kernel)(Params...)) {
  using Packed = PackedArguments<Params...>;
  return KernelInfo{reinterpret_cast<const void*>(kernel),
                    &Packed::invoke,
                    Packed::kBytes,
                    Packed::kCount,
                    Packed::kOffsets.data(),
                    Packed::kSizes.data()};
}

}  // namespace hipforge::cpu

#define HIP_KERNEL_NAME(...) __VA_ARGS__

/// hipLaunchKernelGGL(kernel, grid, block, shared_bytes, stream, arguments...); errors are those of
/// hipGetLastError(): hipErrorInvalidConfiguration for an empty or oversized grid or block,
/// hipErrorInvalidValue for more than 64 KiB of shared memory.
#define hipLaunchKernelGGL(kernel, grid, block, shared_bytes, stream, ...)                                \
  static_cast<void>(::hipforge::cpu::launch_typed(#kernel, kernel, dim3(grid), dim3(block), shared_bytes, \
                                                  stream __VA_OPT__(, ) __VA_ARGS__))

/// As hipLaunchKernel(), for a kernel whose type is known.
template <typename... Params>
hipError_t hipLaunchKernel(void (*kernel)(Params...), dim3 grid, dim3 block, void** arguments,
                           size_t shared_bytes, hipStream_t stream) {
  return [&]<size_t... I>(std::index_sequence<I...>) {
    return ::hipforge::cpu::launch_typed("kernel", kernel, grid, block, shared_bytes, stream,
                                         *static_cast<const Params*>(arguments[I])...);
  }
  (std::index_sequence_for<Params...>{});
}

/// Makes an extern "C" kernel callable without its type: by hipLaunchKernel(const void*, …) and, from a
/// module, with kernel parameters. Stands once, at namespace scope, after the kernel.
#define HIPFORGE_EXPORT_KERNEL(kernel)                                   \
  extern "C" __attribute__((visibility("default")))                      \
  hipforge::cpu::KernelInfo hipforge_kernel_info_##kernel();             \
  extern "C" hipforge::cpu::KernelInfo hipforge_kernel_info_##kernel() { \
    return hipforge::cpu::kernel_info(&kernel);                          \
  }                                                                      \
  static_assert(true)
