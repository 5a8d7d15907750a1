#include "harness/core/scan.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"
#include "kernels/runtime/device_buffer.h"

#include <algorithm>

namespace hipforge::harness {
namespace scan_detail {

constexpr int kBlock = 256;
constexpr std::int64_t kMaxBlocks = 4096;

struct ScanArgs {
  const void* data;
  const std::int64_t* offsets;
  void* out;
  std::int64_t count;
};

__device__ inline std::int64_t first_index() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__device__ inline std::int64_t index_step() {
  return static_cast<std::int64_t>(gridDim.x) * blockDim.x;
}

template <class T>
__device__ void checksum_kernel(const ScanArgs& args) {
  unsigned long long sum = 0;
  for (std::int64_t i = first_index(); i < args.count; i += index_step()) {
    const auto weight = 2ull * static_cast<unsigned long long>(i) + 1ull;
    sum += weight * (static_cast<const T*>(args.data)[i] + 1ull);
  }
  atomicAdd(static_cast<unsigned long long*>(args.out), sum);
}

template <class T>
__device__ void count_not_finite_kernel(const ScanArgs& args) {
  unsigned long long found = 0;
  for (std::int64_t i = first_index(); i < args.count; i += index_step()) {
    const float value = to_float(static_cast<const T*>(args.data)[i]);
    if (!(fabsf(value) <= 3.402823466e38f)) ++found;
  }
  if (found != 0) atomicAdd(static_cast<unsigned long long*>(args.out), found);
}

template <class T>
__device__ void gather_kernel(const ScanArgs& args) {
  for (std::int64_t i = first_index(); i < args.count; i += index_step()) {
    static_cast<T*>(args.out)[i] = static_cast<const T*>(args.data)[args.offsets[i]];
  }
}

template <class T>
inline constexpr KernelEntry kChecksumEntry{};
template <class T>
inline constexpr KernelEntry kNotFiniteEntry{};
template <class T>
inline constexpr KernelEntry kGatherEntry{};
HIPFORGE_KERNEL(kChecksumEntry, (std::uint32_t), checksum_u32, checksum_kernel, ScanArgs, kBlock)
HIPFORGE_KERNEL(kNotFiniteEntry, (f32), count_not_finite_f32, count_not_finite_kernel, ScanArgs, kBlock)
HIPFORGE_KERNEL(kNotFiniteEntry, (f16), count_not_finite_f16, count_not_finite_kernel, ScanArgs, kBlock)
HIPFORGE_KERNEL(kNotFiniteEntry, (bf16), count_not_finite_bf16, count_not_finite_kernel, ScanArgs, kBlock)
HIPFORGE_KERNEL(kGatherEntry, (f32), gather_f32, gather_kernel, ScanArgs, kBlock)
HIPFORGE_KERNEL(kGatherEntry, (f16), gather_f16, gather_kernel, ScanArgs, kBlock)
HIPFORGE_KERNEL(kGatherEntry, (bf16), gather_bf16, gather_kernel, ScanArgs, kBlock)

void run(const KernelEntry& entry, const ScanArgs& args, hipStream_t stream) {
  if (args.count != 0) {
    const std::int64_t blocks = std::min(ceil_div(args.count, kBlock), kMaxBlocks);
    throw_if_error(launch(make_plan(entry, blocks, kBlock), args, stream));
  }
  HIPFORGE_HIP_CHECK(hipStreamSynchronize(stream));
}

std::uint64_t run_sum(const KernelEntry& entry, ScanArgs args, hipStream_t stream) {
  DeviceBuffer sum(sizeof(std::uint64_t));
  sum.fill(0, stream);
  args.out = sum.data();
  run(entry, args, stream);
  std::uint64_t result = 0;
  sum.download(std::as_writable_bytes(std::span(&result, 1)));
  return result;
}

}  // namespace scan_detail

using namespace scan_detail;

std::uint64_t checksum(const void* data, std::size_t bytes, hipStream_t stream) {
  if (bytes % sizeof(std::uint32_t) != 0) {
    throw Error(invalid_argument("checksum: ", bytes, " bytes are no whole number of 32-bit words"));
  }
  const auto words = static_cast<std::int64_t>(bytes / sizeof(std::uint32_t));
  return run_sum(kChecksumEntry<std::uint32_t>, {data, nullptr, nullptr, words}, stream);
}

std::uint64_t count_not_finite(const TensorView& tensor, hipStream_t stream) {
  if (tensor.extent() != tensor.numel()) {
    throw Error(invalid_argument("count_not_finite: shape ", tensor.shape_text(), " is not contiguous"));
  }
  KernelEntry entry;
  throw_if_error(dispatch_float("count_not_finite", "tensor", tensor.dtype, [&]<class T>() -> Status {
    entry = kNotFiniteEntry<T>;
    return {};
  }));
  return run_sum(entry, {tensor.data, nullptr, nullptr, tensor.numel()}, stream);
}

std::vector<std::byte> gather_elements(const TensorView& tensor, std::span<const std::int64_t> offsets,
                                       hipStream_t stream) {
  std::vector<std::byte> result(offsets.size() * dtype_size(tensor.dtype));
  if (offsets.empty()) return result;
  const std::int64_t reach = tensor.extent();
  for (std::int64_t offset : offsets) {
    if (offset < 0 || offset >= reach) {
      throw Error(
          invalid_argument("gather_elements: offset ", offset, " of a tensor of ", reach, " elements"));
    }
  }
  KernelEntry entry;
  throw_if_error(dispatch_float("gather_elements", "tensor", tensor.dtype, [&]<class T>() -> Status {
    entry = kGatherEntry<T>;
    return {};
  }));
  DeviceBuffer where(offsets.size_bytes());
  where.upload(std::as_bytes(offsets));
  DeviceBuffer out(result.size());
  run(entry,
      {tensor.data, static_cast<const std::int64_t*>(where.data()), out.data(),
       static_cast<std::int64_t>(offsets.size())},
      stream);
  out.download(result);
  return result;
}

}  // namespace hipforge::harness
