#pragma once

#include "kernels/runtime/dtype.h"
#include "kernels/runtime/status.h"

#include <hip/hip_runtime.h>

#include <cstdint>
#include <functional>
#include <string>

namespace hipforge::harness {

/// The vendor's matrix library, where it is installed: for the matrix rate that a device is held against. It
/// is opened at run time, so nothing that hipforge builds depends on it.
struct VendorMatmul {
  std::string name;  ///< "cuBLAS 13.0.2"; where there is none, what was looked for
  /// y[size, size] = x[size, size] · weight[size, size]ᵀ, row-major, f16 or bf16, accumulated in f32. Empty
  /// where there is none.
  std::function<Status(DType dtype, std::int64_t size, const void* x, const void* weight, void* y,
                       hipStream_t stream)>
      run;
};

/// HIPFORGE_CUBLAS names a file to try first.
[[nodiscard]] VendorMatmul open_vendor_matmul();

}  // namespace hipforge::harness
