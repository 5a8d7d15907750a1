#pragma once

#include "kernels/runtime/launch.h"

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace hipforge {

/// A kernel of this build that can be launched by name. HIPFORGE_KERNEL makes one for each; they live as long
/// as the process, in a list that needs no allocation.
class RegisteredKernel {
 public:
  using Launch = Status (*)(const LaunchPlan& plan, const std::byte* args, hipStream_t stream);

  RegisteredKernel(const char* name, const void* function, std::size_t args_bytes, Launch from_bytes);
  RegisteredKernel(const RegisteredKernel&) = delete;
  RegisteredKernel& operator=(const RegisteredKernel&) = delete;

  [[nodiscard]] const char* name() const { return name_; }
  /// sizeof of the kernel's one argument.
  [[nodiscard]] std::size_t args_bytes() const { return args_bytes_; }
  /// Launches with the geometry of `plan` (its name and function are this kernel's) and raw argument bytes.
  /// kInvalidArgument with both numbers where there are not args_bytes() of them.
  [[nodiscard]] Status launch(LaunchPlan plan, std::span<const std::byte> args, hipStream_t stream) const;

 private:
  friend const RegisteredKernel* find_kernel(std::string_view name);
  friend std::vector<const RegisteredKernel*> registered_kernels();

  const char* name_;
  const void* function_;
  std::size_t args_bytes_;
  Launch launch_;
  const RegisteredKernel* next_;
};

/// The kernel of that name; null where this build has no machine code for one.
[[nodiscard]] const RegisteredKernel* find_kernel(std::string_view name);

/// All of them, in no order.
[[nodiscard]] std::vector<const RegisteredKernel*> registered_kernels();

namespace detail {
template <class Args>
Status launch_from_bytes(const LaunchPlan& plan, const std::byte* bytes, hipStream_t stream) {
  Args args;
  std::memcpy(&args, bytes, sizeof(Args));
  return hipforge::launch(plan, args, stream);
}
}  // namespace detail

}  // namespace hipforge
