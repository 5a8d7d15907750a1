#pragma once

#include "kernels/runtime/dtype.h"
#include "kernels/runtime/status.h"

#include <hip/hip_runtime.h>

#include <cstdint>
#include <memory>
#include <string>

namespace hipforge::harness {

/// The vendor's matrix library, where it is installed: for the matrix rate that a device is held against. It
/// is opened at run time, so nothing that hipforge builds depends on it.
class VendorMatmul {
 public:
  virtual ~VendorMatmul() = default;
  /// "cuBLAS 13.0.2".
  [[nodiscard]] virtual std::string name() const = 0;
  /// y[size, size] = x[size, size] · weight[size, size]ᵀ, row-major, f16 or bf16, accumulated in f32.
  virtual Status run(DType dtype, std::int64_t size, const void* x, const void* weight, void* y,
                     hipStream_t stream) = 0;
};

/// Null where there is none; `why` then says what was looked for. HIPFORGE_CUBLAS names a file to try first.
[[nodiscard]] std::unique_ptr<VendorMatmul> open_vendor_matmul(std::string& why);

}  // namespace hipforge::harness
