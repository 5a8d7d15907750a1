#include "kernels/glu.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/index.h"
#include "kernels/device/kernel.h"
#include "kernels/device/vector_io.h"

#include <algorithm>

namespace hipforge {
// Not an unnamed namespace: the kernels' names must be visible outside.
namespace glu_detail {

constexpr int kMaxBlock = 256;
constexpr int kPacks = 2;  // that a thread has under way together

struct GluArgs {
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

__device__ inline float gelu_tanh(float gate) {
  // Outside of ±128 it is 0 or the gate itself: there the cube stays finite, as the gate below does in silu.
  const float bounded = gate < -128.0f ? -128.0f : gate;
  const float inner = bounded > 128.0f ? 128.0f : bounded;
  constexpr float kTwiceRootOfTwoOverPi = 1.5957691216057308f;
  const float argument = kTwiceRootOfTwoOverPi * (inner + 0.044715f * inner * inner * inner);
  const float decay = expf(-fabsf(argument));
  return bounded * (bounded < 0.0f ? decay : 1.0f) / (1.0f + decay);
}

// A comparison keeps a NaN.
__device__ inline float relu2(float x) {
  const float kept = x < 0.0f ? 0.0f : x;
  return kept * kept;
}

template <Activation kActivation>
__device__ inline float activate(float gate, float up) {
  if constexpr (kActivation == Activation::kSilu) return silu(gate) * up;
  if constexpr (kActivation == Activation::kGeluTanh) return gelu_tanh(gate) * up;
  return relu2(gate);
}

// A thread takes kPacks packs of one access each, a block's packs side by side. gate and up are read whole
// before y is written, by the same thread: y may be either of them.
template <class T, Activation kActivation, int kWave>
__device__ void glu_kernel(const GluArgs& args) {
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
      if constexpr (kActivation == Activation::kRelu2) {
        ups[p] = gates[p];
      } else {
        ups[p] = take_row<kPack>(static_cast<const T*>(args.up) + row[p] * args.up_stride + col[p], left[p],
                                 vector_io);
      }
    }
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      if (left[p] <= 0) continue;
      float gate[kPack];
      float up[kPack];
      gates[p].widen_to(gate);
      ups[p].widen_to(up);
#pragma unroll
      for (int i = 0; i < kPack; ++i) gate[i] = activate<kActivation>(gate[i], up[i]);
      put_row(static_cast<T*>(args.y) + row[p] * args.y_stride + col[p], left[p], vector_io,
              RawPack<T, kPack>::of(gate));
    }
  }
}

template <class T, Activation kActivation, int kWave>
inline constexpr KernelEntry kGluEntry{};

#define GLU_KERNEL(T, WAVE, ACTIVATION, NAME)                                                          \
  HIPFORGE_WAVE_KERNEL(WAVE, kGluEntry, (T, Activation::ACTIVATION, WAVE), glu_##NAME##_##T##_w##WAVE, \
                       glu_kernel, GluArgs, kMaxBlock)
#define GLU_KERNELS(T, WAVE)                \
  GLU_KERNEL(T, WAVE, kSilu, silu)          \
  GLU_KERNEL(T, WAVE, kGeluTanh, gelu_tanh) \
  GLU_KERNEL(T, WAVE, kRelu2, relu2)
HIPFORGE_FOR_EACH_FLOAT_AND_WAVE(GLU_KERNELS)

}  // namespace glu_detail

namespace {

using namespace glu_detail;

constexpr const char* kOp = "glu";

// Elements of one access.
int pack_of(const GluParams& params) {
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

Status check_params(const GluParams& params) {
  const Dim rows{params.gate.shape[0], "rows of gate"};
  const Dim cols{params.gate.shape[1], "cols of gate"};
  const DType dtype = params.gate.dtype;
  const bool gated = params.activation != Activation::kRelu2;
  if (params.activation != Activation::kSilu && params.activation != Activation::kGeluTanh && gated) {
    return unsupported(kOp, ": activation is ", static_cast<int>(params.activation),
                       ", supported: kSilu (0), kGeluTanh (1), kRelu2 (2)");
  }
  if (params.up.present() != gated) {
    return invalid_argument(kOp,
                            gated ? ": up is absent, a gated activation needs it" : ": kRelu2 takes no up");
  }
  return check_operands(
      kOp, params,
      {{"gate", {rows, cols}, kFloats}, {"up", {rows, cols}, {dtype}}, {"y", {rows, cols}, {dtype}}},
      are_column_ranges_of_one_matrix);
}

GluArgs make_args(const GluParams& params, const LaunchPlan&) {
  GluArgs args{};
  args.gate = params.gate.data;
  args.up = params.up.data;
  args.y = params.y.data;
  args.gate_stride = params.gate.strides[0];
  args.up_stride = params.up.strides[0];
  args.y_stride = params.y.strides[0];
  args.rows = params.gate.shape[0];
  args.cols = params.gate.shape[1];
  const int pack = pack_of(params);
  args.vector_io = rows_are_aligned(params.gate, pack) && rows_are_aligned(params.y, pack) &&
                   (!params.up.present() || rows_are_aligned(params.up, pack));
  return args;
}

}  // namespace

Status glu_plan(const GluParams& params, const Target& target, LaunchPlan& plan) {
  HIPFORGE_TRY(check_params(params));
  KernelEntry entry;
  HIPFORGE_TRY(dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_float(kOp, "gate", params.gate.dtype, [&]<class T>() -> Status {
      switch (params.activation) {
        case Activation::kSilu:
          entry = kGluEntry<T, Activation::kSilu, kWave>;
          break;
        case Activation::kGeluTanh:
          entry = kGluEntry<T, Activation::kGeluTanh, kWave>;
          break;
        case Activation::kRelu2:
          entry = kGluEntry<T, Activation::kRelu2, kWave>;
          break;
      }
      return {};
    });
  }));
  const auto& shape = params.gate.shape;
  const std::int64_t shares = ceil_div(ceil_div(shape[1], pack_of(params)) * shape[0], kPacks);
  const int threads = whole_waves(shares, target.wave, kMaxBlock);
  plan = make_plan(entry, ceil_div(shares, threads), threads);
  return {};
}

Status glu(const GluParams& params, hipStream_t stream, const Target& target) {
  return launch_op(params, stream, target, glu_plan, make_args);
}

}  // namespace hipforge
