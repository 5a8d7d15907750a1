#pragma once

#include "kernels/runtime/status.h"

#include <string>

namespace hipforge {

/// A loaded code object (a shared library on the cpu platform). Kernels found in it live as long as it does.
class Module {
 public:
  /// Throws Error{kNotFound or kHipError} that names the file.
  explicit Module(const std::string& path);
  Module(Module&& other) noexcept;
  Module& operator=(Module&& other) noexcept;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  ~Module();

  /// The kernel of that extern "C" name. Throws Error{kNotFound} that names module and kernel where it is
  /// missing, and also where the runtime reports success with a null function.
  [[nodiscard]] hipFunction_t function(const std::string& kernel) const;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  hipModule_t module_ = nullptr;
};

}  // namespace hipforge
