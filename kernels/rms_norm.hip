#include "kernels/rms_norm.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"
#include "kernels/device/reduce.h"
#include "kernels/device/vector_io.h"

#include <algorithm>

namespace hipforge {
// Not an unnamed namespace: the kernels' names must be visible outside.
namespace rms_norm_detail {

constexpr int kMaxBlock = 256;
constexpr int kPack = 8;  // elements that a thread takes at a time

struct RmsNormArgs {
  const void* x;
  const void* residual;  // null without the fused add
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

// In: dtype of x. Stream: dtype of residual (In where there is none). W: weight. Out: y.
// One block per row. The row is read twice, the second time from cache; s is recomputed rather than read back
// from residual_out, because the norm takes it unrounded.
template <class In, class Stream, class W, class Out, int kWave>
__device__ void rms_norm_kernel(const RmsNormArgs& args) {
  HIP_DYNAMIC_SHARED(float, scratch)
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kPack;
  const std::int64_t first = static_cast<std::int64_t>(threadIdx.x) * kPack;
  const bool vector_io = args.vector_io != 0;
  for (std::int64_t row = blockIdx.x; row < args.rows; row += gridDim.x) {
    const In* x = static_cast<const In*>(args.x) + row * args.x_stride;
    const Stream* residual = args.residual == nullptr
                                 ? nullptr
                                 : static_cast<const Stream*>(args.residual) + row * args.residual_stride;
    const auto load_sum = [&](std::int64_t at, float(&values)[kPack]) {
      const std::int64_t left = args.hidden - at;
      load_row(x + at, left, vector_io, values);
      if (residual == nullptr) return;
      float added[kPack];
      load_row(residual + at, left, vector_io, added);
#pragma unroll
      for (int i = 0; i < kPack; ++i) values[i] = added[i] + values[i];
    };

    float squares = 0.0f;
    for (std::int64_t at = first; at < args.hidden; at += step) {
      float values[kPack];
      load_sum(at, values);
#pragma unroll
      for (int i = 0; i < kPack; ++i) squares = fmaf(values[i], values[i], squares);
    }
    // Barriers inside: every thread has read its part of residual before any writes residual_out over it.
    const float total = block_reduce<kWave>(squares, scratch, SumOp{});
    const float inverse = 1.0f / sqrtf(total / static_cast<float>(args.hidden) + args.eps);

    const W* weight = static_cast<const W*>(args.weight);
    Out* y = static_cast<Out*>(args.y) + row * args.y_stride;
    for (std::int64_t at = first; at < args.hidden; at += step) {
      const std::int64_t left = args.hidden - at;
      float values[kPack];
      load_sum(at, values);
      if (residual != nullptr) {
        Stream* sum = static_cast<Stream*>(args.residual_out) + row * args.residual_out_stride;
        store_row(sum + at, left, vector_io, values);
      }
      float scales[kPack];
      load_row(weight + at, left, vector_io, scales);
#pragma unroll
      for (int i = 0; i < kPack; ++i) values[i] = values[i] * inverse * scales[i];
      store_row(y + at, left, vector_io, values);
    }
  }
}

template <class In, class Stream, class W, class Out, int kWave>
inline constexpr KernelEntry kRmsNormEntry{};

#define RMS_NORM_WAVES(IN, STREAM, W, OUT)                                                         \
  HIPFORGE_WAVE_KERNEL(32, kRmsNormEntry, (IN, STREAM, W, OUT, 32),                                \
                       rms_norm_##IN##_##STREAM##_##W##_##OUT##_w32, rms_norm_kernel, RmsNormArgs, \
                       kMaxBlock)                                                                  \
  HIPFORGE_WAVE_KERNEL(64, kRmsNormEntry, (IN, STREAM, W, OUT, 64),                                \
                       rms_norm_##IN##_##STREAM##_##W##_##OUT##_w64, rms_norm_kernel, RmsNormArgs, \
                       kMaxBlock)
#define RMS_NORM_WEIGHTS(IN, STREAM, OUT) \
  RMS_NORM_WAVES(IN, STREAM, f32, OUT)    \
  RMS_NORM_WAVES(IN, STREAM, f16, OUT) RMS_NORM_WAVES(IN, STREAM, bf16, OUT)

RMS_NORM_WEIGHTS(f32, f32, f32)
RMS_NORM_WEIGHTS(f32, f32, f16)
RMS_NORM_WEIGHTS(f32, f32, bf16)
RMS_NORM_WEIGHTS(f16, f16, f16)
RMS_NORM_WEIGHTS(f16, f32, f16)
RMS_NORM_WEIGHTS(bf16, bf16, bf16)
RMS_NORM_WEIGHTS(bf16, f32, bf16)

}  // namespace rms_norm_detail

namespace {

using namespace rms_norm_detail;

Status check_params(const RmsNormParams& params) {
  constexpr const char* kOp = "rms_norm";
  const auto floats = {DType::kF32, DType::kF16, DType::kBF16};
  HIPFORGE_TRY(check_tensor(kOp, "x", params.x, 2));
  HIPFORGE_TRY(check_tensor(kOp, "y", params.y, 2));
  HIPFORGE_TRY(check_tensor(kOp, "weight", params.weight, 1));
  HIPFORGE_TRY(check_dtype(kOp, "x", params.x, floats));
  HIPFORGE_TRY(check_dtype(kOp, "weight", params.weight, floats));
  const std::int64_t rows = params.x.shape[0];
  const std::int64_t hidden = params.x.shape[1];
  if (hidden == 0) return invalid_argument(kOp, ": hidden is 0, needs 1 or more");
  HIPFORGE_TRY(check_dim(kOp, "y", params.y, 0, rows, "rows of x"));
  HIPFORGE_TRY(check_dim(kOp, "y", params.y, 1, hidden, "hidden of x"));
  HIPFORGE_TRY(check_dim(kOp, "weight", params.weight, 0, hidden, "hidden of x"));
  HIPFORGE_TRY(check_innermost_contiguous(kOp, "x", params.x));
  HIPFORGE_TRY(check_innermost_contiguous(kOp, "y", params.y));
  HIPFORGE_TRY(check_innermost_contiguous(kOp, "weight", params.weight));
  HIPFORGE_TRY(check_finite(kOp, "eps", static_cast<double>(params.eps)));
  if (params.eps < 0.0f) return invalid_argument(kOp, ": eps is ", params.eps, ", needs 0 or more");

  if (params.residual.present() != params.residual_out.present()) {
    return invalid_argument(kOp, ": residual and residual_out go together, got ",
                            params.residual.present() ? "residual" : "residual_out", " alone");
  }
  const bool fused = params.residual.present();
  if (!fused && params.x.dtype == DType::kF32) {
    HIPFORGE_TRY(check_dtype(kOp, "y", params.y, floats));
  } else {
    HIPFORGE_TRY(check_dtype(kOp, "y", params.y, {params.x.dtype}));
  }
  if (fused) {
    const auto stream_dtypes = {DType::kF32, params.x.dtype};
    HIPFORGE_TRY(check_tensor(kOp, "residual", params.residual, 2));
    HIPFORGE_TRY(check_tensor(kOp, "residual_out", params.residual_out, 2));
    HIPFORGE_TRY(check_dtype(kOp, "residual", params.residual, stream_dtypes));
    HIPFORGE_TRY(check_dtype(kOp, "residual_out", params.residual_out, {params.residual.dtype}));
    HIPFORGE_TRY(check_dim(kOp, "residual", params.residual, 0, rows, "rows of x"));
    HIPFORGE_TRY(check_dim(kOp, "residual", params.residual, 1, hidden, "hidden of x"));
    HIPFORGE_TRY(check_dim(kOp, "residual_out", params.residual_out, 0, rows, "rows of x"));
    HIPFORGE_TRY(check_dim(kOp, "residual_out", params.residual_out, 1, hidden, "hidden of x"));
    HIPFORGE_TRY(check_innermost_contiguous(kOp, "residual", params.residual));
    HIPFORGE_TRY(check_innermost_contiguous(kOp, "residual_out", params.residual_out));
    HIPFORGE_TRY(check_no_self_overlap(kOp, "residual_out", params.residual_out));
    HIPFORGE_TRY(
        check_no_overlap(kOp, "residual", params.residual, "residual_out", params.residual_out, true));
    HIPFORGE_TRY(check_no_overlap(kOp, "x", params.x, "residual_out", params.residual_out, false));
    HIPFORGE_TRY(check_no_overlap(kOp, "y", params.y, "residual_out", params.residual_out, false));
    HIPFORGE_TRY(check_no_overlap(kOp, "weight", params.weight, "residual_out", params.residual_out, false));
    HIPFORGE_TRY(check_no_overlap(kOp, "residual", params.residual, "y", params.y, false));
  }
  HIPFORGE_TRY(check_no_self_overlap(kOp, "y", params.y));
  HIPFORGE_TRY(check_no_overlap(kOp, "x", params.x, "y", params.y, true));
  HIPFORGE_TRY(check_no_overlap(kOp, "weight", params.weight, "y", params.y, false));
  return {};
}

// Threads of a block: whole waves, enough for one pack each, at most kMaxBlock.
int block_threads(std::int64_t hidden, int wave) {
  const std::int64_t packs = (hidden + kPack - 1) / kPack;
  const std::int64_t waves = std::clamp<std::int64_t>((packs + wave - 1) / wave, 1, kMaxBlock / wave);
  return static_cast<int>(waves) * wave;
}

}  // namespace

std::int64_t rms_norm_reduction_depth(std::int64_t hidden, const Target& target) {
  const std::int64_t threads = block_threads(hidden, target.wave);
  const std::int64_t packs = (hidden + kPack - 1) / kPack;
  const std::int64_t per_thread = (packs + threads - 1) / threads * kPack;
  std::int64_t depth = per_thread + threads / target.wave;
  for (int lanes = target.wave; lanes > 1; lanes /= 2) ++depth;
  return depth;
}

Status rms_norm_plan(const RmsNormParams& params, const Target& target, LaunchPlan& plan) {
  HIPFORGE_TRY(check_params(params));
  const DType stream = params.residual.present() ? params.residual.dtype : params.x.dtype;
  constexpr const char* kOp = "rms_norm";
  HIPFORGE_TRY(dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_float(kOp, "x", params.x.dtype, [&]<class In>() {
      return dispatch_float(kOp, "residual", stream, [&]<class Stream>() {
        return dispatch_float(kOp, "weight", params.weight.dtype, [&]<class W>() {
          return dispatch_float(kOp, "y", params.y.dtype, [&]<class Out>() -> Status {
            const KernelEntry entry = kRmsNormEntry<In, Stream, W, Out, kWave>;
            if (entry.function == nullptr) return unsupported(kOp, ": no kernel for these dtypes");
            plan.kernel = entry.name;
            plan.function = entry.function;
            return {};
          });
        });
      });
    });
  }));
  const std::int64_t rows = params.x.shape[0];
  const int threads = block_threads(params.x.shape[1], target.wave);
  plan.grid = dim3(static_cast<unsigned>(std::min<std::int64_t>(rows, kMaxGrid)), 1, 1);
  plan.block = dim3(static_cast<unsigned>(threads), 1, 1);
  plan.shared_bytes = static_cast<unsigned>(threads / target.wave) * sizeof(float);
  return {};
}

Status rms_norm(const RmsNormParams& params, hipStream_t stream) {
  Target target;
  HIPFORGE_TRY(current_target(target));
  LaunchPlan plan;
  HIPFORGE_TRY(rms_norm_plan(params, target, plan));
  if (plan.grid.x == 0) return {};
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
  args.vector_io = rows_are_aligned(params.x, kPack) && rows_are_aligned(params.weight, kPack) &&
                   rows_are_aligned(params.y, kPack) &&
                   (!params.residual.present() || (rows_are_aligned(params.residual, kPack) &&
                                                   rows_are_aligned(params.residual_out, kPack)));
  return launch(plan, args, stream);
}

}  // namespace hipforge
