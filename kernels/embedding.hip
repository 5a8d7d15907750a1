#include "kernels/embedding.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"
#include "kernels/device/vector_io.h"
#include "kernels/runtime/device_error.h"

#include <algorithm>
#include <cmath>

namespace hipforge {
// Not an unnamed namespace: the kernels' names must be visible outside.
namespace embedding_detail {

constexpr int kPack = 8;  // elements that a thread takes at a time
constexpr int kMaxBlock = 256;

struct EmbeddingArgs {
  const void* table;
  const std::int32_t* ids;
  void* y;
  std::uint32_t* error_word;  // may be null
  std::int64_t table_stride;
  std::int64_t ids_stride;
  std::int64_t y_stride;
  std::int64_t tokens;
  std::int64_t vocab;
  std::int64_t hidden;
  float scale;
  int vector_io;  // every row of table and y takes whole-pack accesses
};

// One block per token.
template <class In, class Out, int kWave>
__device__ void embedding_kernel(const EmbeddingArgs& args) {
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kPack;
  const std::int64_t first = static_cast<std::int64_t>(threadIdx.x) * kPack;
  const bool vector_io = args.vector_io != 0;
  for (std::int64_t token = blockIdx.x; token < args.tokens; token += gridDim.x) {
    const std::int64_t id = args.ids[token * args.ids_stride];
    const bool valid = id >= 0 && id < args.vocab;
    if (!valid && threadIdx.x == 0 && args.error_word != nullptr) {
      atomicOr(args.error_word, static_cast<unsigned>(kDeviceErrorToken));
    }
    // The row of an id that is not valid has no address; it is never formed.
    const In* row = static_cast<const In*>(args.table) + (valid ? id * args.table_stride : 0);
    Out* y = static_cast<Out*>(args.y) + token * args.y_stride;
    for (std::int64_t at = first; at < args.hidden; at += step) {
      const std::int64_t left = args.hidden - at;
      float values[kPack];
      if (valid) {
        load_row(row + at, left, vector_io, values);
#pragma unroll
        for (int i = 0; i < kPack; ++i) values[i] *= args.scale;
      } else {
#pragma unroll
        for (int i = 0; i < kPack; ++i) values[i] = NAN;
      }
      store_row(y + at, left, vector_io, values);
    }
  }
}

template <class In, class Out, int kWave>
inline constexpr KernelEntry kEmbeddingEntry{};

#define EMBEDDING_KERNEL(IN, OUT, WAVE)                                                          \
  HIPFORGE_WAVE_KERNEL(WAVE, kEmbeddingEntry, (IN, OUT, WAVE), embedding_##IN##_##OUT##_w##WAVE, \
                       embedding_kernel, EmbeddingArgs, kMaxBlock)
#define EMBEDDING_KERNELS(IN)    \
  EMBEDDING_KERNEL(IN, f32, 32)  \
  EMBEDDING_KERNEL(IN, f16, 32)  \
  EMBEDDING_KERNEL(IN, bf16, 32) \
  EMBEDDING_KERNEL(IN, f32, 64) EMBEDDING_KERNEL(IN, f16, 64) EMBEDDING_KERNEL(IN, bf16, 64)
EMBEDDING_KERNELS(f32)
EMBEDDING_KERNELS(f16)
EMBEDDING_KERNELS(bf16)

}  // namespace embedding_detail

namespace {

using namespace embedding_detail;

constexpr const char* kOp = "embedding";

Status check_params(const EmbeddingParams& params) {
  const Dim vocab{params.table.shape[0], "vocab of table"};
  const Dim hidden{params.table.shape[1], "hidden of table"};
  const Dim tokens{params.ids.shape[0], "tokens of ids"};
  HIPFORGE_TRY(check_operands(kOp, params,
                              {{"table", {vocab, hidden}, kFloats},
                               {"ids", {tokens}, {DType::kI32}, LastAxis::kAnyStride},
                               {"y", {tokens, hidden}, kFloats}}));
  return check_finite(kOp, "scale", static_cast<double>(params.scale));
}

EmbeddingArgs make_args(const EmbeddingParams& params, const LaunchPlan&) {
  EmbeddingArgs args{};
  args.table = params.table.data;
  args.ids = params.ids.as<const std::int32_t>();
  args.y = params.y.data;
  args.error_word = params.error_word;
  args.table_stride = params.table.strides[0];
  args.ids_stride = params.ids.strides[0];
  args.y_stride = params.y.strides[0];
  args.tokens = params.ids.shape[0];
  args.vocab = params.table.shape[0];
  args.hidden = params.table.shape[1];
  args.scale = params.scale;
  args.vector_io = rows_are_aligned(params.table, kPack) && rows_are_aligned(params.y, kPack);
  return args;
}

}  // namespace

Status embedding_plan(const EmbeddingParams& params, const Target& target, LaunchPlan& plan) {
  HIPFORGE_TRY(check_params(params));
  KernelEntry entry;
  HIPFORGE_TRY(dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_float(kOp, "table", params.table.dtype, [&]<class In>() {
      return dispatch_float(kOp, "y", params.y.dtype, [&]<class Out>() -> Status {
        entry = kEmbeddingEntry<In, Out, kWave>;
        return {};
      });
    });
  }));
  const std::int64_t hidden = params.table.shape[1];
  const std::int64_t tokens = hidden == 0 ? 0 : params.ids.shape[0];
  plan = make_plan(entry, tokens, whole_waves(ceil_div(hidden, kPack), target.wave, kMaxBlock));
  return {};
}

Status embedding(const EmbeddingParams& params, hipStream_t stream, const Target& target) {
  return launch_op(params, stream, target, embedding_plan, make_args);
}

}  // namespace hipforge
