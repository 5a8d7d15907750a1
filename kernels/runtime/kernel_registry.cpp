#include "kernels/runtime/kernel_registry.h"

namespace hipforge {
namespace {

// Filled before main by initialisers in any order; constant-initialised, so that it is there before them.
constinit const RegisteredKernel* first_kernel = nullptr;

}  // namespace

RegisteredKernel::RegisteredKernel(const char* name, const void* function, std::size_t args_bytes,
                                   Launch from_bytes)
    : name_(name), function_(function), args_bytes_(args_bytes), launch_(from_bytes), next_(first_kernel) {
  first_kernel = this;
}

Status RegisteredKernel::launch(LaunchPlan plan, std::span<const std::byte> args, hipStream_t stream) const {
  if (args.size() != args_bytes_) {
    return invalid_argument("kernel ", name_, " takes ", args_bytes_, " bytes of arguments, got ",
                            args.size());
  }
  plan.kernel = name_;
  plan.function = function_;
  return launch_(plan, args.data(), stream);
}

const RegisteredKernel* find_kernel(std::string_view name) {
  for (const RegisteredKernel* kernel = first_kernel; kernel != nullptr; kernel = kernel->next_) {
    if (name == kernel->name_) return kernel;
  }
  return nullptr;
}

std::vector<const RegisteredKernel*> registered_kernels() {
  std::vector<const RegisteredKernel*> kernels;
  for (const RegisteredKernel* kernel = first_kernel; kernel != nullptr; kernel = kernel->next_) {
    kernels.push_back(kernel);
  }
  return kernels;
}

}  // namespace hipforge
