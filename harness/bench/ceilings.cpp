#include "harness/bench/ceilings.h"

#include "harness/core/case.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/device_buffer.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>

#if defined(HIPFORGE_PLATFORM_NVIDIA)
#include <dlfcn.h>
#include <library_types.h>

#include <cstdlib>
#endif

namespace hipforge::harness {
namespace {

constexpr std::int64_t kGranule = 4096;
constexpr int kMostRotations = 64;
constexpr int kMatrixSize = 8192;

// Byte counts that share a measurement: 1/256 of a power of two apart.
std::int64_t shared_bytes(std::int64_t bytes) {
  std::int64_t step = kGranule;
  while (step * 512 < bytes) step *= 2;
  return std::max((bytes + step / 2) / step, std::int64_t{1}) * step;
}

double rate_gbps(std::int64_t bytes, double milliseconds) {
  return static_cast<double>(bytes) * 1e-6 / milliseconds;
}

// The linear op's case of that size, free to sum in any order; a build may be without it.
Case matrix_case(DType dtype) {
  for (const OpSuite& suite : all_suites()) {
    if (suite.op != "linear") continue;
    for (Case& test : suite.large_cases(1)) {
      const bool is_square = test.shape == shape_name({kMatrixSize, kMatrixSize, kMatrixSize});
      if (test.dtype == dtype && is_square && test.id.ends_with("any_order")) return std::move(test);
    }
  }
  throw Error(unsupported("matrix rate: no linear case of 8192x8192x8192 in ", dtype_name(dtype)));
}

// The vendor's matrix library, where it is installed. It is opened at run time, so nothing that we build
// depends on it.
struct VendorMatmul {
  std::string name;  // "cuBLAS 13.0.2"; where there is none, what was looked for
  // y = x · weightᵀ, each kMatrixSize square and row-major, f16 or bf16, accumulated in f32, on the default
  // stream. Empty where there is none.
  std::function<Status(DType dtype, const void* x, const void* weight, void* y)> run;
};

#if defined(HIPFORGE_PLATFORM_NVIDIA)

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
  int (*gemm)(Handle, int, int, int, int, int, const void*, const void*, cudaDataType_t, int, const void*,
              cudaDataType_t, int, const void*, void*, cudaDataType_t, int, int, int) = nullptr;
};

template <class Function>
bool find(void* library, const char* symbol, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, symbol));
  return function != nullptr;
}

// HIPFORGE_CUBLAS names a file to try first.
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
  return {name, [=](DType dtype, const void* x, const void* weight, void* y) -> Status {
            if (dtype != DType::kF16 && dtype != DType::kBF16) {
              return unsupported("vendor matmul: dtype ", dtype_name(dtype), ", supported: f16, bf16");
            }
            const cudaDataType_t type = dtype == DType::kF16 ? CUDA_R_16F : CUDA_R_16BF;
            const float one = 1.0f;
            const float zero = 0.0f;
            constexpr int n = kMatrixSize;
            // Column-major: yᵀ = weight · xᵀ.
            const int code =
                library.gemm(handle.get(), kOperationTranspose, kOperationNone, n, n, n, &one, weight, type,
                             n, x, type, n, &zero, y, type, n, kComputeF32, kDefaultAlgorithm);
            return code == 0 ? Status{} : failure(StatusCode::kHipError, name, " gave status ", code);
          }};
}

#else

VendorMatmul open_vendor_matmul() {
  return {"this platform has no vendor library", {}};
}

#endif

}  // namespace

const Bandwidth& Ceilings::bandwidth(Traffic traffic, std::int64_t bytes) {
  bytes = shared_bytes(bytes);
  const auto key = std::make_pair(traffic, bytes);
  if (const auto found = bandwidths_.find(key); found != bandwidths_.end()) return found->second;

  const auto size = static_cast<std::size_t>(bytes);
  const std::size_t half = traffic == Traffic::kCopy ? size / 2 : size;
  const int copies = rotation_copies(bytes, kMostRotations);
  std::vector<std::pair<DeviceBuffer, DeviceBuffer>> buffers;
  for (int i = 0; i < copies; ++i) {
    auto& [source, destination] =
        buffers.emplace_back(traffic == Traffic::kWrite ? 0 : half, traffic == Traffic::kRead ? 16 : half);
    if (source.bytes() > 0) source.fill(0x3c);
    destination.fill(0);
  }
  const Launch flush = cache_flush(bytes, copies);
  const auto time_way = [&](int way, const TimerOptions& options) {
    std::vector<Launch> launches;
    for (const auto& pair : buffers) {
      launches.emplace_back([=, from = pair.first.data(), to = pair.second.data()](hipStream_t stream) {
        return way < kBandwidthVariants
                   ? move_bytes(traffic, way, from, to, size, stream)
                   : hip_status(hipMemcpyAsync(to, from, half, hipMemcpyDeviceToDevice, stream),
                                "hipMemcpyAsync");
      });
    }
    return summarize(time_launches(launches, flush, options));
  };
  // The runtime's own copy is one more way to copy.
  const int ways = kBandwidthVariants + (traffic == Traffic::kCopy ? 1 : 0);
  std::vector<std::pair<double, int>> tried;
  for (int way = 0; way < ways; ++way) {
    const TimerOptions brief{.warm_up_ms = 1.0, .measure_ms = quick_ ? 0.5 : 4.0, .least_samples = 5};
    tried.emplace_back(time_way(way, brief).median, way);
  }
  std::sort(tried.begin(), tried.end());
  Bandwidth best{.bytes = bytes};
  constexpr std::size_t kFinalists = 2;
  for (const auto& [brief_ms, way] : std::span(tried).first(kFinalists)) {
    const Timing ms = time_way(way, {.warm_up_ms = quick_ ? 1.0 : 10.0, .measure_ms = quick_ ? 2.0 : 80.0});
    const double gbps = rate_gbps(bytes, ms.median);
    if (gbps <= best.gbps) continue;
    best = {bytes, gbps, rate_gbps(bytes, ms.high), rate_gbps(bytes, ms.low),
            way < kBandwidthVariants ? fmt::format("own kernel, variant {}", way) : "hipMemcpyAsync"};
  }
  return bandwidths_.emplace(key, best).first->second;
}

const MatrixRate& Ceilings::matrix(DType dtype) {
  if (const auto found = matrix_rates_.find(dtype); found != matrix_rates_.end()) return found->second;
  CaseEnvironment environment;
  throw_if_error(device_target(environment.target));
  PreparedCase prepared = matrix_case(dtype).prepare(environment);
  const TimerOptions options{
      .warm_up_ms = quick_ ? 10.0 : 100.0, .measure_ms = quick_ ? 200.0 : 2000.0, .most_samples = 100000};
  // Times a product that the op's own check accepts; returns why it does not.
  const auto measure = [&](const Launch& run, double& tflops) -> std::string {
    throw_if_error(prepared.rig->reset());
    throw_if_error(run(nullptr));
    if (const CaseResult result = check_case(prepared); !result.passed) return "wrong: " + result.message;
    tflops =
        static_cast<double>(prepared.flops) * 1e-9 / summarize(time_launches({&run, 1}, {}, options)).median;
    return "";
  };
  MatrixRate rate;
  rate.own_note = measure(prepared.launch, rate.own_tflops);
  const VendorMatmul vendor = open_vendor_matmul();
  rate.vendor_name = vendor.name;
  if (vendor.run) {
    const Launch run = [&](hipStream_t) {
      return vendor.run(dtype, prepared.rig->view("x").data, prepared.rig->view("weight").data,
                        prepared.rig->view("y").data);
    };
    const std::string fault = measure(run, rate.vendor_tflops);
    if (!fault.empty()) rate.vendor_name += ", " + fault;
  }
  if (rate.tflops() == 0.0) {
    throw Error(
        unsupported("matrix rate in ", dtype_name(dtype), ": ", rate.own_note, "; ", rate.vendor_name));
  }
  return matrix_rates_.emplace(dtype, rate).first->second;
}

}  // namespace hipforge::harness
