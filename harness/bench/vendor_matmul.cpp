#include "harness/bench/vendor_matmul.h"

#if defined(HIPFORGE_PLATFORM_NVIDIA)
#include <dlfcn.h>
#include <fmt/format.h>
#include <library_types.h>

#include <cstdlib>
#include <memory>
#include <vector>
#endif

namespace hipforge::harness {

#if defined(HIPFORGE_PLATFORM_NVIDIA)

namespace {

// The part of cuBLAS's C interface that is used, as its manual has it; unchanged since cuBLAS 11.
using Handle = void*;
constexpr int kOperationNone = 0;       // CUBLAS_OP_N
constexpr int kOperationTranspose = 1;  // CUBLAS_OP_T
constexpr int kComputeF32 = 68;         // CUBLAS_COMPUTE_32F
constexpr int kDefaultAlgorithm = -1;   // CUBLAS_GEMM_DEFAULT

struct Library {
  int (*create)(Handle*) = nullptr;
  int (*destroy)(Handle) = nullptr;
  int (*get_version)(Handle, int*) = nullptr;
  int (*set_stream)(Handle, cudaStream_t) = nullptr;
  int (*gemm)(Handle, int, int, int, int, int, const void*, const void*, cudaDataType_t, int, const void*,
              cudaDataType_t, int, const void*, void*, cudaDataType_t, int, int, int) = nullptr;
};

template <class Function>
bool find(void* library, const char* symbol, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, symbol));
  return function != nullptr;
}

}  // namespace

VendorMatmul open_vendor_matmul() {
  std::vector<std::string> files{"libcublas.so.13", "libcublas.so.12", "/usr/local/cuda/lib64/libcublas.so"};
  if (const char* named = std::getenv("HIPFORGE_CUBLAS"); named != nullptr)
    files.insert(files.begin(), named);
  void* opened = nullptr;
  for (const std::string& file : files) {
    opened = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (opened != nullptr) break;
  }
  if (opened == nullptr) {
    return {fmt::format("no cuBLAS: tried {} (HIPFORGE_CUBLAS names another file)", fmt::join(files, ", ")),
            {}};
  }
  Library library;
  if (!find(opened, "cublasCreate_v2", library.create) ||
      !find(opened, "cublasDestroy_v2", library.destroy) ||
      !find(opened, "cublasGetVersion_v2", library.get_version) ||
      !find(opened, "cublasSetStream_v2", library.set_stream) ||
      !find(opened, "cublasGemmEx", library.gemm)) {
    return {"the cuBLAS that was found lacks a function of cuBLAS 11's interface", {}};
  }
  Handle made = nullptr;
  if (const int code = library.create(&made); code != 0) {
    return {fmt::format("cuBLAS cannot start: cublasCreate gave status {}", code), {}};
  }
  const std::shared_ptr<void> handle(made, [library](Handle owned) { (void)library.destroy(owned); });
  int version = 0;
  (void)library.get_version(made, &version);
  // cuBLAS 13 counts a major as 10,000, 12 and before did as well.
  const std::string name =
      fmt::format("cuBLAS {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
  return {name,
          [=](DType dtype, std::int64_t size, const void* x, const void* weight, void* y,
              hipStream_t stream) -> Status {
            if (dtype != DType::kF16 && dtype != DType::kBF16) {
              return unsupported("vendor matmul: dtype ", dtype_name(dtype), ", supported: f16, bf16");
            }
            const cudaDataType_t type = dtype == DType::kF16 ? CUDA_R_16F : CUDA_R_16BF;
            const float one = 1.0f;
            const float zero = 0.0f;
            const int n = static_cast<int>(size);
            int code = library.set_stream(handle.get(), stream);
            // Column-major: yᵀ = weight · xᵀ.
            if (code == 0) {
              code = library.gemm(handle.get(), kOperationTranspose, kOperationNone, n, n, n, &one, weight,
                                  type, n, x, type, n, &zero, y, type, n, kComputeF32, kDefaultAlgorithm);
            }
            return code == 0 ? Status{} : failure(StatusCode::kHipError, name, " gave status ", code);
          }};
}

#else

VendorMatmul open_vendor_matmul() {
  return {"this platform has no vendor library", {}};
}

#endif

}  // namespace hipforge::harness
