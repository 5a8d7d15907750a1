#include "kernels/argmax.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"
#include "kernels/device/order.h"
#include "kernels/device/reduce.h"
#include "kernels/device/vector_io.h"

#include <algorithm>
#include <limits>

namespace hipforge {
// Not an unnamed namespace: the kernels' names must be visible outside.
namespace argmax_detail {

constexpr int kMaxBlock = 1024;
constexpr int kPack = 8;            // elements that a thread takes at a time
constexpr int kPacksPerThread = 4;  // before a row gets another wave

// A candidate as one integer: the value's order above, then the complement of its index, so that the largest
// is the lowest index of the largest value. 0 is no candidate.
using Candidate = unsigned long long;

struct LargerOp {
  __device__ Candidate operator()(Candidate a, Candidate b) const { return a > b ? a : b; }
};

struct ArgmaxArgs {
  const void* x;
  std::int32_t* ids;
  float* values;  // may be null
  std::int64_t x_stride;
  std::int64_t ids_stride;
  std::int64_t values_stride;
  std::int64_t rows;
  std::int64_t cols;
  int vector_io;  // every row takes whole-pack accesses
};

// One block per row.
template <class T, int kWave>
__device__ void argmax_kernel(const ArgmaxArgs& args) {
  HIP_DYNAMIC_SHARED(Candidate, argmax_scratch)
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kPack;
  for (std::int64_t row = blockIdx.x; row < args.rows; row += gridDim.x) {
    const T* x = static_cast<const T*>(args.x) + row * args.x_stride;
    float best = NAN;
    std::int64_t best_at = 0;
    for (std::int64_t at = static_cast<std::int64_t>(threadIdx.x) * kPack; at < args.cols; at += step) {
      const std::int64_t left = args.cols - at;
      float values[kPack];
      load_row(x + at, left, args.vector_io != 0, values);
#pragma unroll
      for (int i = 0; i < kPack; ++i) {
        // True against the NaN of the start as well; indices only grow, so a tie keeps the first.
        if (i < left && values[i] == values[i] && !(values[i] <= best)) {
          best = values[i];
          best_at = at + i;
        }
      }
    }
    const std::uint32_t key = order_key(best);
    Candidate candidate =
        key == 0 ? 0
                 : static_cast<Candidate>(key) << 32 | (0xffffffffu - static_cast<std::uint32_t>(best_at));
    candidate = block_reduce<kWave>(candidate, argmax_scratch, LargerOp{});
    if (threadIdx.x == 0) {
      const std::int64_t id = candidate == 0 ? 0 : 0xffffffffu - static_cast<std::uint32_t>(candidate);
      args.ids[row * args.ids_stride] = static_cast<std::int32_t>(id);
      if (args.values != nullptr) args.values[row * args.values_stride] = to_float(x[id]);
    }
  }
}

template <class T, int kWave>
inline constexpr KernelEntry kArgmaxEntry{};

#define ARGMAX_KERNEL(T, WAVE)                                                                         \
  HIPFORGE_WAVE_KERNEL(WAVE, kArgmaxEntry, (T, WAVE), argmax_##T##_w##WAVE, argmax_kernel, ArgmaxArgs, \
                       kMaxBlock)
HIPFORGE_FOR_EACH_FLOAT_AND_WAVE(ARGMAX_KERNEL)

}  // namespace argmax_detail

namespace {

using namespace argmax_detail;

constexpr const char* kOp = "argmax";

Status check_params(const ArgmaxParams& params) {
  const Dim rows{params.x.shape[0], "rows of x"};
  const Dim cols{params.x.shape[1], "cols of x"};
  HIPFORGE_TRY(check_operands(kOp, params,
                              {{"x", {rows, cols}, kFloats},
                               {"ids", {rows}, {DType::kI32}, LastAxis::kAnyStride},
                               {"values", {rows}, {DType::kF32}, LastAxis::kAnyStride}}));
  return check_range(kOp, "cols", cols.size, 1, std::numeric_limits<std::int32_t>::max());
}

ArgmaxArgs make_args(const ArgmaxParams& params, const LaunchPlan&) {
  ArgmaxArgs args{};
  args.x = params.x.data;
  args.ids = params.ids.as<std::int32_t>();
  args.values = params.values.as<float>();
  args.x_stride = params.x.strides[0];
  args.ids_stride = params.ids.strides[0];
  args.values_stride = params.values.strides[0];
  args.rows = params.x.shape[0];
  args.cols = params.x.shape[1];
  args.vector_io = rows_are_aligned(params.x, kPack) ? 1 : 0;
  return args;
}

}  // namespace

Status argmax_plan(const ArgmaxParams& params, const Target& target, LaunchPlan& plan) {
  HIPFORGE_TRY(check_params(params));
  KernelEntry entry;
  HIPFORGE_TRY(dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_float(kOp, "x", params.x.dtype, [&]<class T>() -> Status {
      entry = kArgmaxEntry<T, kWave>;
      return {};
    });
  }));
  const int threads =
      whole_waves(ceil_div(params.x.shape[1], kPack * kPacksPerThread), target.wave, kMaxBlock);
  plan = make_plan(entry, params.x.shape[0], threads,
                   static_cast<unsigned>(threads / target.wave) * sizeof(Candidate));
  return {};
}

Status argmax(const ArgmaxParams& params, hipStream_t stream, const Target& target) {
  return launch_op(params, stream, target, argmax_plan, make_args);
}

}  // namespace hipforge
