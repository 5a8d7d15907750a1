#include "kernels/rms_norm.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"
#include "kernels/device/reduce.h"
#include "kernels/device/vector_io.h"

#include <algorithm>
#include <type_traits>

namespace hipforge {
// Not an unnamed namespace: the kernels' names must be visible outside.
namespace rms_norm_detail {

constexpr int kMaxBlock = 512;
constexpr int kLaneElements = 32;  // that a lane holds in registers
constexpr int kWidestPack = 8;     // elements of one access, of the narrowest dtype

struct RmsNormArgs {
  const void* x;
  const void* residual;
  void* residual_out;
  const void* weight;
  void* y;
  std::int64_t x_stride;
  std::int64_t residual_stride;
  std::int64_t residual_out_stride;
  std::int64_t y_stride;
  std::int64_t rows;
  std::int64_t hidden;
  float eps;
  int vector_io;  // every row of every tensor takes whole-pack accesses
};

// Elements that a thread takes from each tensor at a time: one full access of the widest of them. Weights,
// read again and again, come from cache.
template <class... Tensors>
inline constexpr int kPackOf = std::min({kVectorSize<Tensors>...});

// One row as one thread sees it. In: dtype of x. Stream: dtype of residual, void without one. W: weight. Out:
// y.
template <class In, class Stream, class W, class Out, int kWave>
struct RowPart {
  static constexpr bool kFused = !std::is_void_v<Stream>;
  using Residual = std::conditional_t<kFused, Stream, In>;
  static constexpr int kPack = kPackOf<In, Residual, Out>;
  static constexpr int kPacks = kLaneElements / kPack;
  static constexpr int kHalf = kPacks / 2;
  static constexpr int kWeightPacks = 2;  // under way together: they come from cache
  static constexpr int kStep = kWave * kPack;

  const In* x;
  const Residual* residual;
  Residual* residual_out;
  const W* weight;
  Out* y;
  std::int64_t hidden;
  bool vector_io;

  // What is kept of this thread's part of a chunk, 0 past the end: s, or x as it came, in half the registers.
  using Held = std::conditional_t<kFused, float[kPacks][kPack], RawPack<In, kPack>[kPacks]>;

  __device__ void load(std::int64_t at, Held& held) const {
    const int left = elements_left(hidden, at);
    if constexpr (!kFused) {
      take_packs<kStep>(x + at, left, vector_io, held);
    } else {
      RawPack<In, kPack> packs[kPacks];
      take_packs<kStep>(x + at, left, vector_io, packs);
#pragma unroll
      for (int p = 0; p < kPacks; ++p) packs[p].widen_to(held[p]);
        // In two halves, for want of registers.
#pragma unroll
      for (int half = 0; half < kPacks; half += kHalf) {
        RawPack<Residual, kPack> added[kHalf];
        take_packs<kStep>(residual + at + half * kStep, left - half * kStep, vector_io, added);
#pragma unroll
        for (int p = 0; p < kHalf; ++p) {
          float addend[kPack];
          added[p].widen_to(addend);
#pragma unroll
          for (int i = 0; i < kPack; ++i) held[half + p][i] += addend[i];
        }
      }
    }
  }

  __device__ static void values_of(const Held& held, int p, float (&values)[kPack]) {
    if constexpr (kFused) {
#pragma unroll
      for (int i = 0; i < kPack; ++i) values[i] = held[p][i];
    } else {
      held[p].widen_to(values);
    }
  }

  __device__ static void add_squares(const Held& held, float& squares) {
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      float values[kPack];
      values_of(held, p, values);
#pragma unroll
      for (int i = 0; i < kPack; ++i) squares = fmaf(values[i], values[i], squares);
    }
  }

  __device__ void store(std::int64_t at, float inverse, const Held& held) const {
    const int left = elements_left(hidden, at);
    if constexpr (kFused) {
      RawPack<Residual, kPack> sums[kPacks];
#pragma unroll
      for (int p = 0; p < kPacks; ++p) sums[p] = RawPack<Residual, kPack>::of(held[p]);
      put_packs<kStep>(residual_out + at, left, vector_io, sums);
    }
    RawPack<Out, kPack> results[kPacks];
#pragma unroll
    for (int first = 0; first < kPacks; first += kWeightPacks) {
      RawPack<W, kPack> scales[kWeightPacks];
      take_packs<kStep>(weight + at + first * kStep, left - first * kStep, vector_io, scales);
#pragma unroll
      for (int p = 0; p < kWeightPacks; ++p) {
        float values[kPack];
        float scale[kPack];
        values_of(held, first + p, values);
        scales[p].widen_to(scale);
#pragma unroll
        for (int i = 0; i < kPack; ++i) values[i] = values[i] * inverse * scale[i];
        results[first + p] = RawPack<Out, kPack>::of(values);
      }
    }
    put_packs<kStep>(y + at, left, vector_io, results);
  }
};

// One block per row. A row of up to kLaneElements a thread stays in registers; a longer one is read twice. s
// is never read back from residual_out, because the norm takes it unrounded.
template <class In, class Stream, class W, class Out, int kWave>
__device__ void rms_norm_kernel(const RmsNormArgs& args) {
  HIP_DYNAMIC_SHARED(float, scratch)
  using Part = RowPart<In, Stream, W, Out, kWave>;
  using Residual = typename Part::Residual;
  const int first = first_element<kWave, kLaneElements, Part::kPack>();
  const int chunk = static_cast<int>(blockDim.x) * kLaneElements;
  for (std::int64_t row = blockIdx.x; row < args.rows; row += gridDim.x) {
    Part part{};
    part.x = static_cast<const In*>(args.x) + row * args.x_stride;
    if constexpr (Part::kFused) {
      part.residual = static_cast<const Residual*>(args.residual) + row * args.residual_stride;
      part.residual_out = static_cast<Residual*>(args.residual_out) + row * args.residual_out_stride;
    }
    part.weight = static_cast<const W*>(args.weight);
    part.y = static_cast<Out*>(args.y) + row * args.y_stride;
    part.hidden = args.hidden;
    part.vector_io = args.vector_io != 0;

    typename Part::Held held;
    float squares = 0.0f;
    for (std::int64_t at = first; at < args.hidden; at += chunk) {
      part.load(at, held);
      Part::add_squares(held, squares);
    }
    // Barriers inside: every thread has read its part of residual before any writes residual_out over it.
    const float total = block_reduce<kWave>(squares, scratch, SumOp{});
    const float inverse = 1.0f / sqrtf(total / static_cast<float>(args.hidden) + args.eps);
    for (std::int64_t at = first; at < args.hidden; at += chunk) {
      if (args.hidden > chunk) part.load(at, held);
      part.store(at, inverse, held);
    }
  }
}

template <class In, class Stream, class W, class Out, int kWave>
inline constexpr KernelEntry kRmsNormEntry{};

// In 32-bit types a row takes more registers than that.
template <class In, class W>
inline constexpr int kRegisterBound = sizeof(In) == 2 && sizeof(W) == 2 ? overlapping_threads(kMaxBlock)
                                                                        : kMaxBlock;

#define RMS_NORM_KERNELS(IN, STREAM, W, OUT, WAVE, NAME, BOUND)                                             \
  HIPFORGE_WAVE_KERNEL(WAVE, kRmsNormEntry, (IN, STREAM, W, OUT, WAVE), NAME, rms_norm_kernel, RmsNormArgs, \
                       BOUND)
#define RMS_NORM_WEIGHT(IN, W, OUT)                                                                  \
  RMS_NORM_KERNELS(IN, void, W, OUT, 32, rms_norm_##IN##_##W##_##OUT##_w32, (kRegisterBound<IN, W>)) \
  RMS_NORM_KERNELS(IN, void, W, OUT, 64, rms_norm_##IN##_##W##_##OUT##_w64, (kRegisterBound<IN, W>))
#define RMS_NORM_FUSED_WEIGHT(IN, STREAM, W)                                                            \
  RMS_NORM_KERNELS(IN, STREAM, W, IN, 32, rms_norm_fused_##IN##_##STREAM##_##W##_##IN##_w32, kMaxBlock) \
  RMS_NORM_KERNELS(IN, STREAM, W, IN, 64, rms_norm_fused_##IN##_##STREAM##_##W##_##IN##_w64, kMaxBlock)
#define RMS_NORM(IN, OUT)       \
  RMS_NORM_WEIGHT(IN, f32, OUT) \
  RMS_NORM_WEIGHT(IN, f16, OUT) RMS_NORM_WEIGHT(IN, bf16, OUT)
#define RMS_NORM_FUSED(IN, STREAM)       \
  RMS_NORM_FUSED_WEIGHT(IN, STREAM, f32) \
  RMS_NORM_FUSED_WEIGHT(IN, STREAM, f16) RMS_NORM_FUSED_WEIGHT(IN, STREAM, bf16)

RMS_NORM(f32, f32)
RMS_NORM(f32, f16)
RMS_NORM(f32, bf16)
RMS_NORM(f16, f16)
RMS_NORM(bf16, bf16)
RMS_NORM_FUSED(f32, f32)
RMS_NORM_FUSED(f16, f16)
RMS_NORM_FUSED(f16, f32)
RMS_NORM_FUSED(bf16, bf16)
RMS_NORM_FUSED(bf16, f32)

}  // namespace rms_norm_detail

namespace {

using namespace rms_norm_detail;

constexpr const char* kOp = "rms_norm";

Status check_params(const RmsNormParams& params) {
  const Dim rows{params.x.shape[0], "rows of x"};
  const Dim hidden{params.x.shape[1], "hidden of x"};
  if (params.residual.present() != params.residual_out.present()) {
    return invalid_argument(kOp, ": residual and residual_out go together, got ",
                            params.residual.present() ? "residual" : "residual_out", " alone");
  }
  const DType dtype = params.x.dtype;
  const bool any_result = dtype == DType::kF32 && !params.residual.present();
  HIPFORGE_TRY(check_operands(kOp, params,
                              {{"x", {rows, hidden}, kFloats},
                               {"residual", {rows, hidden}, {DType::kF32, dtype}},
                               {"residual_out", {rows, hidden}, {params.residual.dtype}},
                               {"weight", {hidden}, kFloats},
                               {"y", {rows, hidden}, any_result ? kFloats : DTypes{dtype}}}));
  if (hidden.size == 0) return invalid_argument(kOp, ": hidden is 0, needs 1 or more");
  HIPFORGE_TRY(check_finite(kOp, "eps", static_cast<double>(params.eps)));
  if (params.eps < 0.0f) return invalid_argument(kOp, ": eps is ", params.eps, ", needs 0 or more");
  return {};
}

// Threads of a block: as many as hold the row.
int block_threads(std::int64_t hidden, int wave) {
  return whole_waves(ceil_div(hidden, kLaneElements), wave, kMaxBlock);
}

RmsNormArgs make_args(const RmsNormParams& params, const LaunchPlan&) {
  RmsNormArgs args{};
  args.x = params.x.data;
  args.residual = params.residual.data;
  args.residual_out = params.residual_out.data;
  args.weight = params.weight.data;
  args.y = params.y.data;
  args.x_stride = params.x.strides[0];
  args.residual_stride = params.residual.strides[0];
  args.residual_out_stride = params.residual_out.strides[0];
  args.y_stride = params.y.strides[0];
  args.rows = params.x.shape[0];
  args.hidden = params.x.shape[1];
  args.eps = params.eps;
  args.vector_io = rows_are_aligned(params.x, kWidestPack) && rows_are_aligned(params.weight, kWidestPack) &&
                   rows_are_aligned(params.y, kWidestPack) &&
                   (!params.residual.present() || (rows_are_aligned(params.residual, kWidestPack) &&
                                                   rows_are_aligned(params.residual_out, kWidestPack)));
  return args;
}

}  // namespace

std::int64_t rms_norm_reduction_depth(std::int64_t hidden, const Target& target) {
  const std::int64_t threads = block_threads(hidden, target.wave);
  const std::int64_t per_thread = ceil_div(ceil_div(hidden, kWidestPack), threads) * kWidestPack;
  std::int64_t depth = per_thread + threads / target.wave;
  for (int lanes = target.wave; lanes > 1; lanes /= 2) ++depth;
  return depth;
}

Status rms_norm_plan(const RmsNormParams& params, const Target& target, LaunchPlan& plan) {
  HIPFORGE_TRY(check_params(params));
  KernelEntry entry;
  HIPFORGE_TRY(dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_float(kOp, "x", params.x.dtype, [&]<class In>() {
      return dispatch_float(kOp, "weight", params.weight.dtype, [&]<class W>() {
        return dispatch_float(kOp, "y", params.y.dtype, [&]<class Out>() {
          const auto choose = [&]<class Stream>() -> Status {
            entry = kRmsNormEntry<In, Stream, W, Out, kWave>;
            if (entry.function == nullptr) return unsupported(kOp, ": no kernel for these dtypes");
            return {};
          };
          if (!params.residual.present()) return choose.template operator()<void>();
          return dispatch_float(kOp, "residual", params.residual.dtype, choose);
        });
      });
    });
  }));
  const int threads = block_threads(params.x.shape[1], target.wave);
  plan = make_plan(entry, params.x.shape[0], threads,
                   static_cast<unsigned>(threads / target.wave) * sizeof(float));
  return {};
}

Status rms_norm(const RmsNormParams& params, hipStream_t stream, const Target& target) {
  return launch_op(params, stream, target, rms_norm_plan, make_args);
}

}  // namespace hipforge
