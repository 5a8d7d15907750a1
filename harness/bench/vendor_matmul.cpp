#include "harness/bench/vendor_matmul.h"

#include "kernels/runtime/check.h"

#if defined(HIPFORGE_PLATFORM_NVIDIA)
#include <dlfcn.h>
#include <fmt/format.h>
#include <library_types.h>

#include <cstdlib>
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

class Cublas final : public VendorMatmul {
 public:
  Cublas(const Library& library, Handle handle, int version)
      : library_(library), handle_(handle), version_(version) {}
  ~Cublas() override { (void)library_.destroy(handle_); }
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  [[nodiscard]] std::string name() const override {
    return fmt::format("cuBLAS {}.{}.{}", version_ / 10000, version_ / 100 % 100, version_ % 100);
  }

  Status run(DType dtype, std::int64_t size, const void* x, const void* weight, void* y,
             hipStream_t stream) override {
    if (dtype != DType::kF16 && dtype != DType::kBF16) {
      return unsupported("vendor matmul: dtype ", dtype_name(dtype), ", supported: f16, bf16");
    }
    const cudaDataType_t type = dtype == DType::kF16 ? CUDA_R_16F : CUDA_R_16BF;
    const float one = 1.0f;
    const float zero = 0.0f;
    const int n = static_cast<int>(size);
    if (const int code = library_.set_stream(handle_, stream); code != 0) return refused("SetStream", code);
    // Column-major: yᵀ = weight · xᵀ.
    const int code = library_.gemm(handle_, kOperationTranspose, kOperationNone, n, n, n, &one, weight, type,
                                   n, x, type, n, &zero, y, type, n, kComputeF32, kDefaultAlgorithm);
    return code == 0 ? Status{} : refused("GemmEx", code);
  }

 private:
  [[nodiscard]] Status refused(const char* call, int code) const {
    return failure(StatusCode::kHipError, name(), ": ", call, " gave status ", code);
  }

  Library library_;
  Handle handle_;
  int version_;
};

template <class Function>
bool find(void* library, const char* symbol, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, symbol));
  return function != nullptr;
}

}  // namespace

std::unique_ptr<VendorMatmul> open_vendor_matmul(std::string& why) {
  std::vector<std::string> files{"libcublas.so.13", "libcublas.so.12", "/usr/local/cuda/lib64/libcublas.so"};
  if (const char* named = std::getenv("HIPFORGE_CUBLAS"); named != nullptr)
    files.insert(files.begin(), named);
  void* opened = nullptr;
  for (const std::string& file : files) {
    opened = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (opened != nullptr) break;
  }
  if (opened == nullptr) {
    why = fmt::format("no cuBLAS: tried {} (HIPFORGE_CUBLAS names another file)", fmt::join(files, ", "));
    return nullptr;
  }
  Library library;
  if (!find(opened, "cublasCreate_v2", library.create) ||
      !find(opened, "cublasDestroy_v2", library.destroy) ||
      !find(opened, "cublasGetVersion_v2", library.get_version) ||
      !find(opened, "cublasSetStream_v2", library.set_stream) ||
      !find(opened, "cublasGemmEx", library.gemm)) {
    why = "the cuBLAS that was found lacks a function of cuBLAS 11's interface";
    return nullptr;
  }
  Handle handle = nullptr;
  if (const int code = library.create(&handle); code != 0) {
    why = fmt::format("cuBLAS cannot start: cublasCreate gave status {}", code);
    return nullptr;
  }
  int version = 0;
  (void)library.get_version(handle, &version);
  // cuBLAS 13 counts a major as 10,000, 12 and before did as well.
  return std::make_unique<Cublas>(library, handle, version);
}

#else

std::unique_ptr<VendorMatmul> open_vendor_matmul(std::string& why) {
  why = "this platform has no vendor library";
  return nullptr;
}

#endif

}  // namespace hipforge::harness
