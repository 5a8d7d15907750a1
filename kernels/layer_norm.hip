#include "kernels/layer_norm.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"
#include "kernels/device/reduce.h"
#include "kernels/device/vector_io.h"
#include "kernels/runtime/check.h"

#include <algorithm>
#include <type_traits>

namespace hipforge {
// Not an unnamed namespace: the kernels' names must be visible outside.
namespace layer_norm_detail {

constexpr int kMaxBlock = 512;
constexpr int kLaneElements = 32;  // that a lane holds in registers
constexpr int kWidestPack = 8;     // elements of one access, of the narrowest dtype

struct LayerNormArgs {
  const void* x;
  const void* residual;
  void* residual_out;
  const void* weight;
  const void* bias;
  void* y;
  std::int64_t x_stride;
  std::int64_t residual_stride;
  std::int64_t residual_out_stride;
  std::int64_t y_stride;
  std::int64_t rows;
  std::int64_t hidden;
  float eps;
  DType weight_dtype;  // of bias too: they come from cache, and no kernel is made for each dtype
  int vector_io;       // every row of every tensor takes whole-pack accesses
};

// One row as one thread sees it. In: dtype of x. Stream: dtype of residual, void without one. Out: y.
template <class In, class Stream, class Out, int kWave>
struct RowPart {
  static constexpr bool kFused = !std::is_void_v<Stream>;
  using Residual = std::conditional_t<kFused, Stream, In>;
  static constexpr int kPack = std::min({kVectorSize<In>, kVectorSize<Residual>, kVectorSize<Out>});
  static constexpr int kPacks = kLaneElements / kPack;
  static constexpr int kStep = kWave * kPack;

  const LayerNormArgs& args;
  std::int64_t row;

  // s, 0 past the end of the row.
  __device__ void load(std::int64_t at, float (&s)[kPacks][kPack]) const {
    const int left = elements_left(args.hidden, at);
    RawPack<In, kPack> packs[kPacks];
    take_packs<kStep>(static_cast<const In*>(args.x) + row * args.x_stride + at, left, args.vector_io != 0,
                      packs);
#pragma unroll
    for (int p = 0; p < kPacks; ++p) packs[p].widen_to(s[p]);
    if constexpr (kFused) {
      RawPack<Residual, kPack> added[kPacks];
      take_packs<kStep>(static_cast<const Residual*>(args.residual) + row * args.residual_stride + at, left,
                        args.vector_io != 0, added);
#pragma unroll
      for (int p = 0; p < kPacks; ++p) {
        float addend[kPack];
        added[p].widen_to(addend);
#pragma unroll
        for (int i = 0; i < kPack; ++i) s[p][i] += addend[i];
      }
    }
  }

  __device__ static float sum(const float (&s)[kPacks][kPack], float total) {
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
#pragma unroll
      for (int i = 0; i < kPack; ++i) total += s[p][i];
    }
    return total;
  }

  __device__ float squares(std::int64_t at, float mean, const float (&s)[kPacks][kPack], float total) const {
    const int left = elements_left(args.hidden, at);
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
#pragma unroll
      for (int i = 0; i < kPack; ++i) {
        // Past the end of the row there is no difference from the mean.
        const float apart = p * kStep + i < left ? s[p][i] - mean : 0.0f;
        total = fmaf(apart, apart, total);
      }
    }
    return total;
  }

  // A pack of weight or bias, 0 past the end.
  __device__ void load_vector(const void* vector, std::int64_t at, float (&values)[kPack]) const {
    const std::int64_t left = args.hidden - at;
    if (args.weight_dtype == DType::kF32) {
      load_row<kPack>(static_cast<const float*>(vector) + at, left, args.vector_io != 0, values);
    } else if (args.weight_dtype == DType::kF16) {
      load_row<kPack>(static_cast<const F16*>(vector) + at, left, args.vector_io != 0, values);
    } else {
      load_row<kPack>(static_cast<const BF16*>(vector) + at, left, args.vector_io != 0, values);
    }
  }

  __device__ void store(std::int64_t at, float mean, float inverse, const float (&s)[kPacks][kPack]) const {
    const int left = elements_left(args.hidden, at);
    if constexpr (kFused) {
      RawPack<Residual, kPack> sums[kPacks];
#pragma unroll
      for (int p = 0; p < kPacks; ++p) sums[p] = RawPack<Residual, kPack>::of(s[p]);
      put_packs<kStep>(static_cast<Residual*>(args.residual_out) + row * args.residual_out_stride + at, left,
                       args.vector_io != 0, sums);
    }
    Out* const y = static_cast<Out*>(args.y) + row * args.y_stride;
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const std::int64_t first = at + p * kStep;
      if (first >= args.hidden) continue;
      float scale[kPack];
      float shift[kPack] = {};
      load_vector(args.weight, first, scale);
      if (args.bias != nullptr) load_vector(args.bias, first, shift);
      float values[kPack];
#pragma unroll
      for (int i = 0; i < kPack; ++i) values[i] = (s[p][i] - mean) * inverse * scale[i] + shift[i];
      store_row<kPack>(y + first, args.hidden - first, args.vector_io != 0, values);
    }
  }
};

// One block per row. A row of up to kLaneElements a thread stays in registers; a longer one is read three times. s is
// never read back from residual_out, because the norm takes it unrounded.
template <class In, class Stream, class Out, int kWave>
__device__ void layer_norm_kernel(const LayerNormArgs& args) {
  HIP_DYNAMIC_SHARED(float, scratch)
  using Part = RowPart<In, Stream, Out, kWave>;
  const int first = first_element<kWave, kLaneElements, Part::kPack>();
  const int chunk = static_cast<int>(blockDim.x) * kLaneElements;
  const auto count = static_cast<float>(args.hidden);
  for (std::int64_t row = blockIdx.x; row < args.rows; row += gridDim.x) {
    const Part part{args, row};
    float s[Part::kPacks][Part::kPack];
    float sum = 0.0f;
    for (std::int64_t at = first; at < args.hidden; at += chunk) {
      part.load(at, s);
      sum = Part::sum(s, sum);
    }
    const float mean = block_reduce<kWave>(sum, scratch, SumOp{}) / count;
    float squares = 0.0f;
    for (std::int64_t at = first; at < args.hidden; at += chunk) {
      if (args.hidden > chunk) part.load(at, s);
      squares = part.squares(at, mean, s, squares);
    }
    // Barriers inside: every thread has read its part of residual before any writes residual_out over it.
    const float inverse = 1.0f / sqrtf(block_reduce<kWave>(squares, scratch, SumOp{}) / count + args.eps);
    for (std::int64_t at = first; at < args.hidden; at += chunk) {
      if (args.hidden > chunk) part.load(at, s);
      part.store(at, mean, inverse, s);
    }
  }
}

template <class In, class Stream, class Out, int kWave>
inline constexpr KernelEntry kLayerNormEntry{};

#define LAYER_NORM_KERNELS(IN, STREAM, OUT, NAME)                                                 \
  HIPFORGE_WAVE_KERNEL(32, kLayerNormEntry, (IN, STREAM, OUT, 32), NAME##_w32, layer_norm_kernel, \
                       LayerNormArgs, kMaxBlock)                                                  \
  HIPFORGE_WAVE_KERNEL(64, kLayerNormEntry, (IN, STREAM, OUT, 64), NAME##_w64, layer_norm_kernel, \
                       LayerNormArgs, kMaxBlock)
#define LAYER_NORM(IN, OUT) LAYER_NORM_KERNELS(IN, void, OUT, layer_norm_##IN##_##OUT)
#define LAYER_NORM_FUSED(IN, STREAM) LAYER_NORM_KERNELS(IN, STREAM, IN, layer_norm_fused_##IN##_##STREAM)

LAYER_NORM(f32, f32)
LAYER_NORM(f32, f16)
LAYER_NORM(f32, bf16)
LAYER_NORM(f16, f16)
LAYER_NORM(bf16, bf16)
LAYER_NORM_FUSED(f32, f32)
LAYER_NORM_FUSED(f16, f16)
LAYER_NORM_FUSED(f16, f32)
LAYER_NORM_FUSED(bf16, bf16)
LAYER_NORM_FUSED(bf16, f32)

}  // namespace layer_norm_detail

namespace {

using namespace layer_norm_detail;

constexpr const char* kOp = "layer_norm";

Status check_params(const LayerNormParams& params) {
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
                               {"bias", {hidden}, {params.weight.dtype}},
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

LayerNormArgs make_args(const LayerNormParams& params, const LaunchPlan&) {
  LayerNormArgs args{};
  args.x = params.x.data;
  args.residual = params.residual.data;
  args.residual_out = params.residual_out.data;
  args.weight = params.weight.data;
  args.bias = params.bias.data;
  args.y = params.y.data;
  args.x_stride = params.x.strides[0];
  args.residual_stride = params.residual.strides[0];
  args.residual_out_stride = params.residual_out.strides[0];
  args.y_stride = params.y.strides[0];
  args.rows = params.x.shape[0];
  args.hidden = params.x.shape[1];
  args.eps = params.eps;
  args.weight_dtype = params.weight.dtype;
  args.vector_io = 1;
  for_each_operand(params, [&](const OperandRole&, const TensorView& tensor) {
    if (tensor.present() && !rows_are_aligned(tensor, kWidestPack)) args.vector_io = 0;
  });
  return args;
}

}  // namespace

std::int64_t layer_norm_reduction_depth(std::int64_t hidden, const Target& target) {
  const std::int64_t threads = block_threads(hidden, target.wave);
  const std::int64_t per_thread = ceil_div(ceil_div(hidden, kWidestPack), threads) * kWidestPack;
  std::int64_t depth = per_thread + threads / target.wave;
  for (int lanes = target.wave; lanes > 1; lanes /= 2) ++depth;
  return depth;
}

Status layer_norm_plan(const LayerNormParams& params, const Target& target, LaunchPlan& plan) {
  HIPFORGE_TRY(check_params(params));
  KernelEntry entry;
  HIPFORGE_TRY(dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_float(kOp, "x", params.x.dtype, [&]<class In>() {
      return dispatch_float(kOp, "y", params.y.dtype, [&]<class Out>() {
        const auto choose = [&]<class Stream>() -> Status {
          entry = kLayerNormEntry<In, Stream, Out, kWave>;
          if (entry.function == nullptr) return unsupported(kOp, ": no kernel for these dtypes");
          return {};
        };
        if (!params.residual.present()) return choose.template operator()<void>();
        return dispatch_float(kOp, "residual", params.residual.dtype, choose);
      });
    });
  }));
  const int threads = block_threads(params.x.shape[1], target.wave);
  plan = make_plan(entry, params.x.shape[0], threads,
                   static_cast<unsigned>(threads / target.wave) * sizeof(float));
  return {};
}

Status layer_norm(const LayerNormParams& params, hipStream_t stream, const Target& target) {
  return launch_op(params, stream, target, layer_norm_plan, make_args);
}

}  // namespace hipforge
