#include "kernels/runtime/module.h"

#include <utility>

namespace hipforge {

Module::Module(const std::string& path) : path_(path) {
  const hipError_t error = hipModuleLoad(&module_, path.c_str());
  if (error == hipSuccess && module_ != nullptr) return;
  (void)hipGetLastError();
  if (error == hipSuccess) {
    throw Error(failure(StatusCode::kNotFound, "module ", path, ": loaded with a null handle"));
  }
  Status status = hip_status(error, detail::concat("module ", path));
  if (error == hipErrorFileNotFound) status.code = StatusCode::kNotFound;
  throw Error(std::move(status));
}

Module::Module(Module&& other) noexcept
    : path_(std::move(other.path_)), module_(std::exchange(other.module_, nullptr)) {}

Module& Module::operator=(Module&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(module_, other.module_);
  return *this;
}

Module::~Module() {
  if (module_ != nullptr) (void)hipModuleUnload(module_);
}

hipFunction_t Module::function(const std::string& kernel) const {
  hipFunction_t function = nullptr;
  const hipError_t error = hipModuleGetFunction(&function, module_, kernel.c_str());
  if (error != hipSuccess) {
    (void)hipGetLastError();
    Status status = hip_status(error, detail::concat("kernel ", kernel, " in module ", path_));
    status.code = StatusCode::kNotFound;
    throw Error(std::move(status));
  }
  if (function == nullptr) {
    throw Error(failure(StatusCode::kNotFound, "kernel ", kernel, " in module ", path_,
                        ": the runtime reported success with a null function"));
  }
  return function;
}

}  // namespace hipforge
