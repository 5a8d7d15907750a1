#include "kernels/softmax.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"
#include "kernels/device/reduce.h"
#include "kernels/device/vector_io.h"

#include <algorithm>
#include <limits>

namespace hipforge {
// Not an unnamed namespace: the kernels' names must be visible outside.
namespace softmax_detail {

constexpr int kPack = 8;            // elements that a thread takes at a time
constexpr int kShortPacks = 1;      // packs of a lane, wave per row
constexpr int kMediumPacks = 4;     // packs of a lane, wave per row or block per row
constexpr int kWaveRowBlock = 128;  // threads of a block that takes a row per wave
constexpr int kMaxBlock = 512;      // threads of a block that takes a row

// A removed element's weight until the store: below every exponential, so that no NaN of its row reaches it.
constexpr float kRemoved = -1.0f;

struct SoftmaxArgs {
  const void* x;
  const void* mask;  // null without one
  void* y;
  std::int64_t x_strides[3];  // batch, heads, rows
  std::int64_t mask_strides[3];
  std::int64_t y_strides[3];
  std::int64_t heads;
  std::int64_t rows;
  std::int64_t row_count;  // batch · heads · rows
  std::int64_t cols;
  std::int64_t causal_offset;  // cols where nothing is hidden
  float scale;
  float empty_value;
  int mask_is_f32;
  int vector_x;  // every row takes whole-pack accesses
  int vector_mask;
  int vector_y;
};

template <class T>
struct Row {
  const T* x;
  const void* mask;
  T* y;
  std::int64_t visible;  // columns that causal leaves
};

__device__ inline std::int64_t row_offset(const std::int64_t (&strides)[3], std::int64_t batch,
                                          std::int64_t head, std::int64_t row) {
  return batch * strides[0] + head * strides[1] + row * strides[2];
}

template <class T>
__device__ inline Row<T> find_row(const SoftmaxArgs& args, std::int64_t index) {
  const std::int64_t plane = index / args.rows;
  const std::int64_t row = index - plane * args.rows;
  const std::int64_t batch = plane / args.heads;
  const std::int64_t head = plane - batch * args.heads;
  Row<T> found;
  found.x = static_cast<const T*>(args.x) + row_offset(args.x_strides, batch, head, row);
  found.y = static_cast<T*>(args.y) + row_offset(args.y_strides, batch, head, row);
  found.mask = nullptr;
  if (args.mask != nullptr) {
    const std::int64_t offset = row_offset(args.mask_strides, batch, head, row);
    found.mask = args.mask_is_f32 != 0
                     ? static_cast<const void*>(static_cast<const float*>(args.mask) + offset)
                     : static_cast<const void*>(static_cast<const T*>(args.mask) + offset);
  }
  const std::int64_t visible = row + args.causal_offset + 1;
  found.visible = visible < 0 ? 0 : (visible < args.cols ? visible : args.cols);
  return found;
}

// t of kPack elements from column `at` on; −inf where removed. Reads nothing that causal hides.
template <class T>
__device__ inline void load_scores(const SoftmaxArgs& args, const Row<T>& row, std::int64_t at,
                                   float (&scores)[kPack]) {
  const std::int64_t left = row.visible - at;
  if (left <= 0) {
#pragma unroll
    for (int i = 0; i < kPack; ++i) scores[i] = -INFINITY;
    return;
  }
  load_row(row.x + at, left, args.vector_x != 0, scores);
#pragma unroll
  for (int i = 0; i < kPack; ++i) scores[i] *= args.scale;
  if (row.mask != nullptr) {
    float added[kPack];
    if (args.mask_is_f32 != 0) {
      load_row(static_cast<const float*>(row.mask) + at, left, args.vector_mask != 0, added);
    } else {
      load_row(static_cast<const T*>(row.mask) + at, left, args.vector_mask != 0, added);
    }
#pragma unroll
    for (int i = 0; i < kPack; ++i) scores[i] = added[i] == -INFINITY ? -INFINITY : scores[i] + added[i];
  }
#pragma unroll
  for (int i = 0; i < kPack; ++i) scores[i] = i < left ? scores[i] : -INFINITY;
}

__device__ inline float pack_max(const float (&scores)[kPack]) {
  float largest = scores[0];
#pragma unroll
  for (int i = 1; i < kPack; ++i) largest = fmaxf(largest, scores[i]);
  return largest;
}

// What is subtracted from the scores: the maximum, or 0 where there is none (all removed, or only NaN beside
// them).
__device__ inline float shift_of(float largest) {
  return largest == -INFINITY ? 0.0f : largest;
}

__device__ inline float weight_of(float score, float shift) {
  return score == -INFINITY ? kRemoved : expf(score - shift);
}

// Turns scores into weights and returns their sum, added pairwise.
__device__ inline float take_weights(float (&scores)[kPack], float shift) {
  float sums[kPack];
#pragma unroll
  for (int i = 0; i < kPack; ++i) {
    scores[i] = weight_of(scores[i], shift);
    sums[i] = scores[i] < 0.0f ? 0.0f : scores[i];
  }
#pragma unroll
  for (int width = kPack / 2; width > 0; width /= 2) {
#pragma unroll
    for (int i = 0; i < width; ++i) sums[i] += sums[i + width];
  }
  return sums[0];
}

// Stores a pack of weights, normalised. The largest score weighs 1, so a sum of 0 is a row of removed
// elements.
template <class T>
__device__ inline void store_weights(const SoftmaxArgs& args, const Row<T>& row, std::int64_t at, float sum,
                                     float inverse, float (&weights)[kPack]) {
#pragma unroll
  for (int i = 0; i < kPack; ++i) {
    const float share = weights[i] < 0.0f ? 0.0f : weights[i] * inverse;
    weights[i] = sum == 0.0f ? args.empty_value : share;
  }
  store_row(row.y + at, args.cols - at, args.vector_y != 0, weights);
}

// One wave per row, the row in registers.
template <class T, int kWave, int kPacks>
__device__ void softmax_wave_kernel(const SoftmaxArgs& args) {
  const std::int64_t waves = static_cast<std::int64_t>(blockDim.x) / kWave;
  for (std::int64_t index = blockIdx.x * waves + wave_id<kWave>(); index < args.row_count;
       index += gridDim.x * waves) {
    const Row<T> row = find_row<T>(args, index);
    const std::int64_t first = static_cast<std::int64_t>(lane_id<kWave>()) * kPack;
    float values[kPacks][kPack];
    float largest = -INFINITY;
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      load_scores(args, row, first + p * kWave * kPack, values[p]);
      largest = fmaxf(largest, pack_max(values[p]));
    }
    const float shift = shift_of(wave_reduce<kWave>(largest, MaxOp{}));
    float sum = 0.0f;
#pragma unroll
    for (int p = 0; p < kPacks; ++p) sum += take_weights(values[p], shift);
    sum = wave_reduce<kWave>(sum, SumOp{});
    const float inverse = 1.0f / sum;
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const std::int64_t at = first + p * kWave * kPack;
      if (at < args.cols) store_weights(args, row, at, sum, inverse, values[p]);
    }
  }
}

// One block per row, the row in registers.
template <class T, int kWave, int kPacks>
__device__ void softmax_block_kernel(const SoftmaxArgs& args) {
  HIP_DYNAMIC_SHARED(float, scratch)
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kPack;
  const std::int64_t first = static_cast<std::int64_t>(threadIdx.x) * kPack;
  for (std::int64_t index = blockIdx.x; index < args.row_count; index += gridDim.x) {
    const Row<T> row = find_row<T>(args, index);
    float values[kPacks][kPack];
    float largest = -INFINITY;
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      load_scores(args, row, first + p * step, values[p]);
      largest = fmaxf(largest, pack_max(values[p]));
    }
    const float shift = shift_of(block_reduce<kWave>(largest, scratch, MaxOp{}));
    float sum = 0.0f;
#pragma unroll
    for (int p = 0; p < kPacks; ++p) sum += take_weights(values[p], shift);
    sum = block_reduce<kWave>(sum, scratch, SumOp{});
    const float inverse = 1.0f / sum;
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const std::int64_t at = first + p * step;
      if (at < args.cols) store_weights(args, row, at, sum, inverse, values[p]);
    }
  }
}

// One block per row of any length: a first pass keeps a maximum and a sum per thread, rescaling the sum
// whenever a chunk of kPacks packs raises the maximum; a second pass reads the row again and writes it.
template <class T, int kWave, int kPacks>
__device__ void softmax_online_kernel(const SoftmaxArgs& args) {
  HIP_DYNAMIC_SHARED(float, scratch)
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kPack;
  const std::int64_t first = static_cast<std::int64_t>(threadIdx.x) * kPack;
  for (std::int64_t index = blockIdx.x; index < args.row_count; index += gridDim.x) {
    const Row<T> row = find_row<T>(args, index);
    float largest = -INFINITY;
    float sum = 0.0f;
    for (std::int64_t at = first; at < row.visible; at += kPacks * step) {
      float values[kPacks][kPack];
      float raised = largest;
#pragma unroll
      for (int p = 0; p < kPacks; ++p) {
        load_scores(args, row, at + p * step, values[p]);
        raised = fmaxf(raised, pack_max(values[p]));
      }
      // Before the first score the sum is 0, or NaN, which no factor takes away.
      sum *= largest == -INFINITY ? 0.0f : expf(largest - raised);
      largest = raised;
#pragma unroll
      for (int p = 0; p < kPacks; ++p) sum += take_weights(values[p], shift_of(largest));
    }
    // Barriers inside: every thread has read its part of x before any writes y over it.
    const float shift = shift_of(block_reduce<kWave>(largest, scratch, MaxOp{}));
    sum *= largest == -INFINITY ? 1.0f : expf(largest - shift);
    sum = block_reduce<kWave>(sum, scratch, SumOp{});
    const float inverse = 1.0f / sum;
    for (std::int64_t at = first; at < args.cols; at += step) {
      float values[kPack];
      load_scores(args, row, at, values);
#pragma unroll
      for (int i = 0; i < kPack; ++i) values[i] = weight_of(values[i], shift);
      store_weights(args, row, at, sum, inverse, values);
    }
  }
}

template <class T, int kWave, int kPacks>
inline constexpr KernelEntry kWaveEntry{};
template <class T, int kWave, int kPacks>
inline constexpr KernelEntry kBlockEntry{};
template <class T, int kWave, int kPacks>
inline constexpr KernelEntry kOnlineEntry{};

// The numbers in the names are the elements that a lane holds.
#define SOFTMAX_KERNELS(T, WAVE)                                                                       \
  HIPFORGE_WAVE_KERNEL(WAVE, kWaveEntry, (T, WAVE, kShortPacks), softmax_##T##_w##WAVE##_wave_8,       \
                       softmax_wave_kernel, SoftmaxArgs, kWaveRowBlock)                                \
  HIPFORGE_WAVE_KERNEL(WAVE, kWaveEntry, (T, WAVE, kMediumPacks), softmax_##T##_w##WAVE##_wave_32,     \
                       softmax_wave_kernel, SoftmaxArgs, kWaveRowBlock)                                \
  HIPFORGE_WAVE_KERNEL(WAVE, kBlockEntry, (T, WAVE, kMediumPacks), softmax_##T##_w##WAVE##_block_32,   \
                       softmax_block_kernel, SoftmaxArgs, kMaxBlock)                                   \
  HIPFORGE_WAVE_KERNEL(WAVE, kOnlineEntry, (T, WAVE, kMediumPacks), softmax_##T##_w##WAVE##_online_32, \
                       softmax_online_kernel, SoftmaxArgs, kMaxBlock)

HIPFORGE_FOR_EACH_FLOAT_AND_WAVE(SOFTMAX_KERNELS)

}  // namespace softmax_detail

namespace {

using namespace softmax_detail;

constexpr const char* kOp = "softmax";

enum class Shape { kShortWave, kMediumWave, kBlock, kOnline };

// Which kernel takes rows of that length, and with how many threads.
struct Tile {
  Shape shape;
  int threads;
};

Tile tile_for(std::int64_t cols, int wave) {
  const std::int64_t short_cols = std::int64_t{kShortPacks} * kPack * wave;
  const std::int64_t medium_cols = std::int64_t{kMediumPacks} * kPack * wave;
  if (cols <= short_cols) return {Shape::kShortWave, kWaveRowBlock};
  if (cols <= medium_cols) return {Shape::kMediumWave, kWaveRowBlock};
  const std::int64_t waves = (cols + medium_cols - 1) / medium_cols;
  if (waves * wave <= kMaxBlock) return {Shape::kBlock, static_cast<int>(waves) * wave};
  return {Shape::kOnline, kMaxBlock};
}

Status check_params(const SoftmaxParams& params) {
  constexpr const char* kAxes[] = {"batch of x", "heads of x", "rows of x", "cols of x"};
  HIPFORGE_TRY(check_tensor(kOp, "x", params.x, 4));
  HIPFORGE_TRY(check_tensor(kOp, "y", params.y, 4));
  HIPFORGE_TRY(check_dtype(kOp, "x", params.x, {DType::kF32, DType::kF16, DType::kBF16}));
  HIPFORGE_TRY(check_dtype(kOp, "y", params.y, {params.x.dtype}));
  for (int axis = 0; axis < 4; ++axis) {
    HIPFORGE_TRY(
        check_dim(kOp, "y", params.y, axis, params.x.shape[static_cast<std::size_t>(axis)], kAxes[axis]));
  }
  HIPFORGE_TRY(check_innermost_contiguous(kOp, "x", params.x));
  HIPFORGE_TRY(check_innermost_contiguous(kOp, "y", params.y));
  HIPFORGE_TRY(check_no_self_overlap(kOp, "y", params.y));
  HIPFORGE_TRY(check_no_overlap(kOp, "x", params.x, "y", params.y, true));
  HIPFORGE_TRY(check_finite(kOp, "scale", static_cast<double>(params.scale)));
  if (!params.mask.present()) return {};

  HIPFORGE_TRY(check_tensor(kOp, "mask", params.mask, 4));
  HIPFORGE_TRY(check_dtype(kOp, "mask", params.mask, {DType::kF32, params.x.dtype}));
  for (int axis = 0; axis < 4; ++axis) {
    const bool broadcast = axis < 3 && params.mask.shape[static_cast<std::size_t>(axis)] == 1;
    if (broadcast) continue;
    HIPFORGE_TRY(check_dim(kOp, "mask", params.mask, axis, params.x.shape[static_cast<std::size_t>(axis)],
                           kAxes[axis]));
  }
  HIPFORGE_TRY(check_innermost_contiguous(kOp, "mask", params.mask));
  return check_no_overlap(kOp, "mask", params.mask, "y", params.y, false);
}

float empty_value(EmptyRow policy, std::int64_t cols) {
  switch (policy) {
    case EmptyRow::kZero:
      return 0.0f;
    case EmptyRow::kUniform:
      return 1.0f / static_cast<float>(cols);
    case EmptyRow::kNaN:
      break;
  }
  return std::numeric_limits<float>::quiet_NaN();
}

}  // namespace

std::int64_t softmax_reduction_depth(std::int64_t cols, const Target& target) {
  const Tile tile = tile_for(cols, target.wave);
  const int packs = tile.shape == Shape::kShortWave ? kShortPacks : kMediumPacks;
  std::int64_t depth = packs - 1;  // the first addition, to 0, is exact
  for (int width = kPack; width > 1; width /= 2) ++depth;
  for (int lanes = target.wave; lanes > 1; lanes /= 2) ++depth;
  if (tile.shape == Shape::kBlock || tile.shape == Shape::kOnline) depth += tile.threads / target.wave - 1;
  if (tile.shape == Shape::kOnline) {
    const std::int64_t chunk = std::int64_t{tile.threads} * kPack * kMediumPacks;
    const std::int64_t chunks = (cols + chunk - 1) / chunk;
    depth += (chunks - 1) * (packs + 4) + 4;
  }
  return depth;
}

Status softmax_plan(const SoftmaxParams& params, const Target& target, LaunchPlan& plan) {
  HIPFORGE_TRY(check_params(params));
  const std::int64_t cols = params.x.shape[3];
  const std::int64_t row_count = cols == 0 ? 0 : params.x.numel() / cols;
  const Tile tile = tile_for(cols, target.wave);
  HIPFORGE_TRY(dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_float(kOp, "x", params.x.dtype, [&]<class T>() -> Status {
      const KernelEntry entry = tile.shape == Shape::kShortWave    ? kWaveEntry<T, kWave, kShortPacks>
                                : tile.shape == Shape::kMediumWave ? kWaveEntry<T, kWave, kMediumPacks>
                                : tile.shape == Shape::kBlock      ? kBlockEntry<T, kWave, kMediumPacks>
                                                                   : kOnlineEntry<T, kWave, kMediumPacks>;
      plan.kernel = entry.name;
      plan.function = entry.function;
      return {};
    });
  }));
  const bool wave_per_row = tile.shape == Shape::kShortWave || tile.shape == Shape::kMediumWave;
  const std::int64_t rows_per_block = wave_per_row ? tile.threads / target.wave : 1;
  const std::int64_t blocks = (row_count + rows_per_block - 1) / rows_per_block;
  plan.grid = dim3(static_cast<unsigned>(std::min<std::int64_t>(blocks, kMaxGrid)), 1, 1);
  plan.block = dim3(static_cast<unsigned>(tile.threads), 1, 1);
  plan.shared_bytes =
      wave_per_row ? 0
                   : static_cast<unsigned>(tile.threads / target.wave) * static_cast<unsigned>(sizeof(float));
  return {};
}

Status softmax(const SoftmaxParams& params, hipStream_t stream) {
  Target target;
  HIPFORGE_TRY(current_target(target));
  LaunchPlan plan;
  HIPFORGE_TRY(softmax_plan(params, target, plan));
  if (plan.grid.x == 0) return {};
  const bool masked = params.mask.present();
  SoftmaxArgs args{};
  args.x = params.x.data;
  args.mask = params.mask.data;
  args.y = params.y.data;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    args.x_strides[axis] = params.x.strides[axis];
    args.y_strides[axis] = params.y.strides[axis];
    args.mask_strides[axis] = masked && params.mask.shape[axis] != 1 ? params.mask.strides[axis] : 0;
  }
  args.heads = params.x.shape[1];
  args.rows = params.x.shape[2];
  args.cols = params.x.shape[3];
  args.row_count = params.x.numel() / args.cols;
  // Clamped to where it stops making a difference, so that no row's sum with it overflows.
  args.causal_offset =
      params.causal ? std::clamp<std::int64_t>(params.causal_offset, -args.rows, args.cols) : args.cols;
  args.scale = params.scale;
  args.empty_value = empty_value(params.empty_row, args.cols);
  args.mask_is_f32 = masked && params.mask.dtype == DType::kF32;
  args.vector_x = rows_are_aligned(params.x, kPack);
  args.vector_mask = masked && rows_are_aligned(params.mask, kPack);
  args.vector_y = rows_are_aligned(params.y, kPack);
  return launch(plan, args, stream);
}

}  // namespace hipforge
