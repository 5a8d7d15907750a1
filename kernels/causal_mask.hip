#include "kernels/causal_mask.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"
#include "kernels/device/vector_io.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace hipforge {
// Not an unnamed namespace: the kernels' names must be visible outside.
namespace causal_mask_detail {

constexpr int kPack = 8;  // elements that a thread writes at a time
constexpr int kMaxBlock = 256;

struct CausalMaskArgs {
  void* mask;
  std::int64_t row_stride;
  std::int64_t q_len;
  std::int64_t kv_len;
  std::int64_t window;  // at least q_len + kv_len where there is none
  std::int64_t prefix_len;
  std::int64_t blocks_per_row;
  int vector_io;  // every row takes whole-pack accesses
};

template <class T, int kWave>
__device__ void causal_mask_kernel(const CausalMaskArgs& args) {
  const std::int64_t span = static_cast<std::int64_t>(blockDim.x) * kPack;
  for (std::int64_t part = blockIdx.x; part < args.q_len * args.blocks_per_row; part += gridDim.x) {
    const std::int64_t row = part / args.blocks_per_row;
    const std::int64_t first = (part - row * args.blocks_per_row) * span + threadIdx.x * kPack;
    if (first >= args.kv_len) continue;
    const std::int64_t last_seen = row + args.kv_len - args.q_len;
    float values[kPack];
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      const std::int64_t key = first + i;
      const bool seen = key < args.prefix_len || (key <= last_seen && key > last_seen - args.window);
      values[i] = seen ? 0.0f : -INFINITY;
    }
    T* mask = static_cast<T*>(args.mask) + row * args.row_stride + first;
    store_row(mask, args.kv_len - first, args.vector_io != 0, values);
  }
}

template <class T, int kWave>
inline constexpr KernelEntry kCausalMaskEntry{};

#define CAUSAL_MASK_KERNEL(T, WAVE)                                                                      \
  HIPFORGE_WAVE_KERNEL(WAVE, kCausalMaskEntry, (T, WAVE), causal_mask_##T##_w##WAVE, causal_mask_kernel, \
                       CausalMaskArgs, kMaxBlock)

HIPFORGE_FOR_EACH_FLOAT_AND_WAVE(CAUSAL_MASK_KERNEL)

}  // namespace causal_mask_detail

namespace {

using namespace causal_mask_detail;

constexpr const char* kOp = "causal_mask";
constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();

Status check_scalars(std::int64_t window, std::int64_t prefix_len) {
  HIPFORGE_TRY(check_range(kOp, "window", window, 0, kLargest));
  return check_range(kOp, "prefix_len", prefix_len, 0, kLargest);
}

Status check_params(const CausalMaskParams& params) {
  const Dim q_len{params.mask.shape[0], "q_len of mask"};
  const Dim kv_len{params.mask.shape[1], "kv_len of mask"};
  HIPFORGE_TRY(check_operands(kOp, params, {{"mask", {q_len, kv_len}, kFloats}}));
  return check_scalars(params.window, params.prefix_len);
}

std::int64_t blocks_per_row(std::int64_t kv_len, int threads) {
  return ceil_div(kv_len, std::int64_t{threads} * kPack);
}

CausalMaskArgs make_args(const CausalMaskParams& params, const LaunchPlan& plan) {
  CausalMaskArgs args{};
  args.mask = params.mask.data;
  args.row_stride = params.mask.strides[0];
  args.q_len = params.mask.shape[0];
  args.kv_len = params.mask.shape[1];
  // Clamped to where they stop making a difference, so that no difference with them overflows.
  const std::int64_t all = args.q_len + args.kv_len;
  args.window = params.window == 0 ? all : std::min(params.window, all);
  args.prefix_len = std::min(params.prefix_len, args.kv_len);
  args.blocks_per_row = blocks_per_row(args.kv_len, static_cast<int>(plan.block.x));
  args.vector_io = rows_are_aligned(params.mask, kPack);
  return args;
}

}  // namespace

Status causal_mask_plan(const CausalMaskParams& params, const Target& target, LaunchPlan& plan) {
  HIPFORGE_TRY(check_params(params));
  KernelEntry entry;
  HIPFORGE_TRY(dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_float(kOp, "mask", params.mask.dtype, [&]<class T>() -> Status {
      entry = kCausalMaskEntry<T, kWave>;
      return {};
    });
  }));
  const std::int64_t kv_len = params.mask.shape[1];
  const int threads = whole_waves(ceil_div(kv_len, kPack), target.wave, kMaxBlock);
  plan = make_plan(entry, params.mask.shape[0] * blocks_per_row(kv_len, threads), threads);
  return {};
}

Status causal_mask(const CausalMaskParams& params, hipStream_t stream, const Target& target) {
  return launch_op(params, stream, target, causal_mask_plan, make_args);
}

Status causal_mask_bytes(std::int64_t q_len, std::int64_t kv_len, DType dtype, std::size_t& bytes) {
  HIPFORGE_TRY(check_range(kOp, "q_len", q_len, 0, kLargest));
  HIPFORGE_TRY(check_range(kOp, "kv_len", kv_len, 0, kLargest));
  if (!dtype_is_float(dtype)) {
    return unsupported(kOp, ": mask has dtype ", dtype_name(dtype), ", supported: f32, f16, bf16");
  }
  std::int64_t product = 0;
  if (__builtin_mul_overflow(q_len, kv_len, &product) ||
      __builtin_mul_overflow(product, static_cast<std::int64_t>(dtype_size(dtype)), &product)) {
    return invalid_argument(kOp, ": a mask of ", q_len, " × ", kv_len, " elements of ", dtype_size(dtype),
                            " bytes has more bytes than 64 bits count");
  }
  bytes = static_cast<std::size_t>(product);
  return {};
}

Status make_causal_mask(std::int64_t q_len, std::int64_t kv_len, DType dtype, std::int64_t window,
                        std::int64_t prefix_len, hipStream_t stream, DeviceBuffer& buffer) {
  std::size_t bytes = 0;
  HIPFORGE_TRY(causal_mask_bytes(q_len, kv_len, dtype, bytes));
  HIPFORGE_TRY(check_scalars(window, prefix_len));
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  HIPFORGE_HIP_TRY(hipMemGetInfo(&free_bytes, &total_bytes));
  if (bytes > free_bytes) {
    return failure(StatusCode::kOutOfMemory, kOp, ": a ", dtype_name(dtype), " mask of ", q_len, " × ",
                   kv_len, " needs ", bytes, " bytes, the device has ", free_bytes,
                   " free; attention masks by index and needs none");
  }
  try {
    DeviceBuffer made(bytes);
    CausalMaskParams params;
    params.mask = made.view(dtype, {q_len, kv_len});
    params.window = window;
    params.prefix_len = prefix_len;
    HIPFORGE_TRY(causal_mask(params, stream));
    buffer = std::move(made);
    return {};
  } catch (const Error& error) {
    return error.status();
  }
}

}  // namespace hipforge
