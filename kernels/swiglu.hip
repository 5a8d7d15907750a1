#include "kernels/swiglu.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/index.h"
#include "kernels/device/kernel.h"
#include "kernels/device/vector_io.h"

#include <algorithm>

namespace hipforge {
// Not an unnamed namespace: the kernels' names must be visible outside.
namespace swiglu_detail {

constexpr int kMaxBlock = 256;
constexpr int kPacks = 2;  // that a thread has under way together

struct SwigluArgs {
  const void* gate;
  const void* up;
  void* y;
  std::int64_t gate_stride;
  std::int64_t up_stride;
  std::int64_t y_stride;
  std::int64_t rows;
  std::int64_t cols;
  int vector_io;  // every row of every tensor takes whole-pack accesses
};

__device__ inline float silu(float gate) {
  // The exponential is of −|gate|, so it never overflows: for a negative gate, g·e / (1 + e) with e = exp(g)
  // is the same number as g / (1 + 1/e). Below −128, e is 0 in f32 and so is the result; standing at −128
  // keeps −∞ from becoming ∞·0. NaN fails both comparisons and passes through.
  const float bounded = gate < -128.0f ? -128.0f : gate;
  const float decay = expf(-fabsf(bounded));
  return bounded * (bounded < 0.0f ? decay : 1.0f) / (1.0f + decay);
}

// A thread takes kPacks packs of one access each, a block's packs side by side. gate and up are read whole
// before y is written, by the same thread: y may be either of them.
template <class T, int kWave>
__device__ void swiglu_kernel(const SwigluArgs& args) {
  constexpr int kPack = kVectorSize<T>;
  const std::int64_t packs_per_row = (args.cols + kPack - 1) / kPack;
  const std::int64_t packs = packs_per_row * args.rows;
  const bool vector_io = args.vector_io != 0;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x * kPacks;
  std::int64_t pack = static_cast<std::int64_t>(blockIdx.x) * blockDim.x * kPacks + threadIdx.x;
  for (; pack < packs; pack += step) {
    std::int64_t row[kPacks];
    std::int64_t col[kPacks];
    int left[kPacks];
    RawPack<T, kPack> gates[kPacks];
    RawPack<T, kPack> ups[kPacks];
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const std::int64_t at = pack + p * static_cast<std::int64_t>(blockDim.x);
      row[p] = divide_index(at, packs_per_row);
      col[p] = (at - row[p] * packs_per_row) * kPack;
      left[p] = at < packs ? elements_left(args.cols, col[p]) : 0;
      gates[p] = take_row<kPack>(static_cast<const T*>(args.gate) + row[p] * args.gate_stride + col[p],
                                 left[p], vector_io);
      ups[p] = take_row<kPack>(static_cast<const T*>(args.up) + row[p] * args.up_stride + col[p], left[p],
                               vector_io);
    }
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      if (left[p] <= 0) continue;
      float gate[kPack];
      float up[kPack];
      gates[p].widen_to(gate);
      ups[p].widen_to(up);
#pragma unroll
      for (int i = 0; i < kPack; ++i) gate[i] = silu(gate[i]) * up[i];
      put_row(static_cast<T*>(args.y) + row[p] * args.y_stride + col[p], left[p], vector_io,
              RawPack<T, kPack>::of(gate));
    }
  }
}

template <class T, int kWave>
inline constexpr KernelEntry kSwigluEntry{};

#define SWIGLU_KERNEL(T, WAVE)                                                                         \
  HIPFORGE_WAVE_KERNEL(WAVE, kSwigluEntry, (T, WAVE), swiglu_##T##_w##WAVE, swiglu_kernel, SwigluArgs, \
                       kMaxBlock)
HIPFORGE_FOR_EACH_FLOAT_AND_WAVE(SWIGLU_KERNEL)

}  // namespace swiglu_detail

namespace {

using namespace swiglu_detail;

constexpr const char* kOp = "swiglu";

// Elements of one access.
int pack_of(const SwigluParams& params) {
  return kVectorBytes / static_cast<int>(dtype_size(params.gate.dtype));
}

// Rows of two views that lie equally far apart and take different columns of one matrix, as the halves of a
// fused gate-and-up product do: their ranges interleave without sharing an element.
bool are_column_ranges_of_one_matrix(const TensorView& a, const TensorView& b) {
  if (a.dtype != b.dtype || a.strides[0] != b.strides[0] || a.strides[0] <= 0) return false;
  const auto size = static_cast<std::int64_t>(dtype_size(a.dtype));
  const std::int64_t bytes = static_cast<const char*>(b.data) - static_cast<const char*>(a.data);
  if (bytes % size != 0) return false;
  const std::int64_t stride = a.strides[0];
  const std::int64_t offset = (bytes / size % stride + stride) % stride;  // of b's columns against a's
  return offset >= a.shape[1] && offset + b.shape[1] <= stride;
}

Status check_params(const SwigluParams& params) {
  const Dim rows{params.gate.shape[0], "rows of gate"};
  const Dim cols{params.gate.shape[1], "cols of gate"};
  const DType dtype = params.gate.dtype;
  return check_operands(
      kOp, params,
      {{"gate", {rows, cols}, kFloats}, {"up", {rows, cols}, {dtype}}, {"y", {rows, cols}, {dtype}}},
      are_column_ranges_of_one_matrix);
}

SwigluArgs make_args(const SwigluParams& params, const LaunchPlan&) {
  SwigluArgs args{};
  args.gate = params.gate.data;
  args.up = params.up.data;
  args.y = params.y.data;
  args.gate_stride = params.gate.strides[0];
  args.up_stride = params.up.strides[0];
  args.y_stride = params.y.strides[0];
  args.rows = params.gate.shape[0];
  args.cols = params.gate.shape[1];
  const int pack = pack_of(params);
  args.vector_io = rows_are_aligned(params.gate, pack) && rows_are_aligned(params.up, pack) &&
                   rows_are_aligned(params.y, pack);
  return args;
}

}  // namespace

Status swiglu_plan(const SwigluParams& params, const Target& target, LaunchPlan& plan) {
  HIPFORGE_TRY(check_params(params));
  KernelEntry entry;
  HIPFORGE_TRY(dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_float(kOp, "gate", params.gate.dtype, [&]<class T>() -> Status {
      entry = kSwigluEntry<T, kWave>;
      return {};
    });
  }));
  const auto& shape = params.gate.shape;
  const std::int64_t shares = ceil_div(ceil_div(shape[1], pack_of(params)) * shape[0], kPacks);
  const int threads = whole_waves(shares, target.wave, kMaxBlock);
  plan = make_plan(entry, ceil_div(shares, threads), threads);
  return {};
}

Status swiglu(const SwigluParams& params, hipStream_t stream, const Target& target) {
  return launch_op(params, stream, target, swiglu_plan, make_args);
}

}  // namespace hipforge
