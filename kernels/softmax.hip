#include "kernels/softmax.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/index.h"
#include "kernels/device/kernel.h"
#include "kernels/device/reduce.h"
#include "kernels/device/vector_io.h"

#include <algorithm>
#include <limits>

namespace hipforge {
// Not an unnamed namespace: the kernels' names must be visible outside.
namespace softmax_detail {

constexpr int kShort = 8;           // elements that a lane holds of a short row
constexpr int kMedium = 32;         // and of any other
constexpr int kWidestPack = 8;      // elements of one access, of the narrowest dtype
constexpr int kWaveRowBlock = 128;  // threads of a block that takes a row per wave
constexpr int kMaxBlock = 512;      // threads of a block that takes a row

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
  const std::int64_t plane = divide_index(index, args.rows);
  const std::int64_t row = index - plane * args.rows;
  const std::int64_t batch = divide_index(plane, args.heads);
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

// What is subtracted from the scores: the maximum, or 0 where there is none (all removed, or only NaN beside
// them).
__device__ inline float shift_of(float largest) {
  return largest == -INFINITY ? 0.0f : largest;
}

// Whether the element at column `at`, which is not past the end, was removed.
template <class T>
__device__ inline bool is_removed(const SoftmaxArgs& args, const Row<T>& row, std::int64_t at) {
  if (at >= row.visible) return true;
  const float score = to_float(row.x[at]) * args.scale;
  if (row.mask == nullptr) return score == -INFINITY;
  const float added = args.mask_is_f32 != 0 ? static_cast<const float*>(row.mask)[at]
                                            : to_float(static_cast<const T*>(row.mask)[at]);
  return added == -INFINITY || score + added == -INFINITY;
}

// Added in halves, so that the depth is the logarithm of the count.
template <int kCount>
__device__ inline float pairwise_sum(const float (&values)[kCount]) {
  if constexpr (kCount == 1) {
    return values[0];
  } else {
    float halves[kCount / 2];
#pragma unroll
    for (int i = 0; i < kCount / 2; ++i) halves[i] = values[i] + values[i + kCount / 2];
    return pairwise_sum(halves);
  }
}

// A thread's share of a row: kElements of them, in packs of one access that stand kStep columns apart from
// column `first` on.
template <class T, int kWave, int kElements, bool kMasked>
struct Share {
  static constexpr int kPack = kVectorSize<T>;
  static constexpr int kPacks = kElements / kPack;
  static constexpr int kStep = kWave * kPack;

  float values[kPacks][kPack];

  // t; -inf where removed or past the end. Reads nothing that causal hides.
  __device__ void load_scores(const SoftmaxArgs& args, const Row<T>& row, std::int64_t first) {
    const int left = elements_left(row.visible, first);
    RawPack<T, kPack> packs[kPacks];
    take_packs<kStep>(row.x + first, left, args.vector_x != 0, packs);
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      packs[p].widen_to(values[p]);
#pragma unroll
      for (int i = 0; i < kPack; ++i) values[p][i] *= args.scale;
    }
    if constexpr (kMasked) {
      if (args.mask_is_f32 != 0) {
        add_mask(static_cast<const float*>(row.mask) + first, left, args.vector_mask != 0);
      } else {
        add_mask(static_cast<const T*>(row.mask) + first, left, args.vector_mask != 0);
      }
    }
    if (left >= (kPacks - 1) * kStep + kPack) return;
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
#pragma unroll
      for (int i = 0; i < kPack; ++i) values[p][i] = i < left - p * kStep ? values[p][i] : -INFINITY;
    }
  }

  __device__ float largest() const {
    float found = values[0][0];
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
#pragma unroll
      for (int i = 0; i < kPack; ++i) found = fmaxf(found, values[p][i]);
    }
    return found;
  }

  // Turns scores into weights and returns their sum. A removed element weighs exp(-inf) = 0.
  __device__ float take_weights(float shift) {
    float sums[kPacks];
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
#pragma unroll
      for (int i = 0; i < kPack; ++i) values[p][i] = expf(values[p][i] - shift);
      sums[p] = pairwise_sum(values[p]);
    }
    return pairwise_sum(sums);
  }

  // Stores weights, normalised by the row's `sum`. The largest score weighs 1, so a sum of 0 is a row of
  // removed elements. NaN or infinity in the row makes the sum NaN, and then which elements were removed is
  // asked again.
  __device__ void store(const SoftmaxArgs& args, const Row<T>& row, std::int64_t first, float sum) {
    if (sum > 0.0f) {
      const float inverse = 1.0f / sum;
      RawPack<T, kPack> results[kPacks];
#pragma unroll
      for (int p = 0; p < kPacks; ++p) {
#pragma unroll
        for (int i = 0; i < kPack; ++i) values[p][i] *= inverse;
        results[p] = RawPack<T, kPack>::of(values[p]);
      }
      put_packs<kStep>(row.y + first, elements_left(args.cols, first), args.vector_y != 0, results);
      return;
    }
    const float remaining = sum == 0.0f ? args.empty_value : sum;
    const float removed = sum == 0.0f ? args.empty_value : 0.0f;
#pragma unroll 1
    for (int i = 0; i < kElements; ++i) {
      const std::int64_t at = first + i / kPack * kStep + i % kPack;
      if (at < args.cols) row.y[at] = from_float<T>(is_removed(args, row, at) ? removed : remaining);
    }
  }

 private:
  template <class M>
  __device__ void add_mask(const M* mask, int left, bool aligned) {
    // In parts, for want of registers.
    constexpr int kAtOnce = kPacks < 2 ? 1 : 2;
#pragma unroll
    for (int first = 0; first < kPacks; first += kAtOnce) {
      RawPack<M, kPack> packs[kAtOnce];
      take_packs<kStep>(mask + first * kStep, left - first * kStep, aligned, packs);
#pragma unroll
      for (int p = 0; p < kAtOnce; ++p) {
        float added[kPack];
        packs[p].widen_to(added);
#pragma unroll
        for (int i = 0; i < kPack; ++i) {
          float& value = values[first + p][i];
          value = added[i] == -INFINITY ? -INFINITY : value + added[i];
        }
      }
    }
  }
};

// One wave per row, the row in registers.
template <class T, int kWave, int kElements, bool kMasked>
__device__ void softmax_wave_kernel(const SoftmaxArgs& args) {
  using RowShare = Share<T, kWave, kElements, kMasked>;
  const std::int64_t waves = static_cast<std::int64_t>(blockDim.x) / kWave;
  const int first = lane_id<kWave>() * RowShare::kPack;
  for (std::int64_t index = blockIdx.x * waves + wave_id<kWave>(); index < args.row_count;
       index += gridDim.x * waves) {
    const Row<T> row = find_row<T>(args, index);
    RowShare share;
    share.load_scores(args, row, first);
    const float shift = shift_of(wave_reduce<kWave>(share.largest(), MaxOp{}));
    const float sum = wave_reduce<kWave>(share.take_weights(shift), SumOp{});
    share.store(args, row, first, sum);
  }
}

// One block per row, the row in registers.
template <class T, int kWave, int kElements, bool kMasked>
__device__ void softmax_block_kernel(const SoftmaxArgs& args) {
  HIP_DYNAMIC_SHARED(float, scratch)
  using RowShare = Share<T, kWave, kElements, kMasked>;
  const int first = first_element<kWave, kElements, RowShare::kPack>();
  for (std::int64_t index = blockIdx.x; index < args.row_count; index += gridDim.x) {
    const Row<T> row = find_row<T>(args, index);
    RowShare share;
    share.load_scores(args, row, first);
    const float shift = shift_of(block_reduce<kWave>(share.largest(), scratch, MaxOp{}));
    const float sum = block_reduce<kWave>(share.take_weights(shift), scratch, SumOp{});
    share.store(args, row, first, sum);
  }
}

// One block per row of any length: a first pass keeps a maximum and a sum per thread, rescaling the sum
// whenever a chunk raises the maximum; a second pass reads the row again and writes it.
template <class T, int kWave, int kElements, bool kMasked>
__device__ void softmax_online_kernel(const SoftmaxArgs& args) {
  HIP_DYNAMIC_SHARED(float, scratch)
  using RowShare = Share<T, kWave, kElements, kMasked>;
  const int first = first_element<kWave, kElements, RowShare::kPack>();
  const std::int64_t chunk = std::int64_t{blockDim.x} * kElements;
  for (std::int64_t index = blockIdx.x; index < args.row_count; index += gridDim.x) {
    const Row<T> row = find_row<T>(args, index);
    float largest = -INFINITY;
    float sum = 0.0f;
    for (std::int64_t at = first; at < row.visible; at += chunk) {
      RowShare share;
      share.load_scores(args, row, at);
      const float raised = fmaxf(largest, share.largest());
      // Before the first score the sum is 0, or NaN, which no factor takes away.
      sum *= largest == -INFINITY ? 0.0f : expf(largest - raised);
      largest = raised;
      sum += share.take_weights(shift_of(largest));
    }
    // Barriers inside: every thread has read its part of x before any writes y over it.
    const float shift = shift_of(block_reduce<kWave>(largest, scratch, MaxOp{}));
    sum *= largest == -INFINITY ? 1.0f : expf(largest - shift);
    sum = block_reduce<kWave>(sum, scratch, SumOp{});
    for (std::int64_t at = first; at < args.cols; at += chunk) {
      RowShare share;
      share.load_scores(args, row, at);
      share.take_weights(shift);
      share.store(args, row, at, sum);
    }
  }
}

template <class T, int kWave, int kElements, bool kMasked>
inline constexpr KernelEntry kWaveEntry{};
template <class T, int kWave, int kElements, bool kMasked>
inline constexpr KernelEntry kBlockEntry{};
template <class T, int kWave, int kElements, bool kMasked>
inline constexpr KernelEntry kOnlineEntry{};

// The numbers in the names are the elements that a lane holds. The bound on threads is twice what a block has
// where that keeps the compiler to registers that let blocks overlap; a mask wants them.
#define SOFTMAX_KERNELS(T, WAVE)                                                                             \
  HIPFORGE_WAVE_KERNEL(WAVE, kWaveEntry, (T, WAVE, kShort, false), softmax_##T##_w##WAVE##_wave_8,           \
                       softmax_wave_kernel, SoftmaxArgs, kMaxBlock)                                          \
  HIPFORGE_WAVE_KERNEL(WAVE, kWaveEntry, (T, WAVE, kMedium, false), softmax_##T##_w##WAVE##_wave_32,         \
                       softmax_wave_kernel, SoftmaxArgs, kMaxBlock)                                          \
  HIPFORGE_WAVE_KERNEL(WAVE, kBlockEntry, (T, WAVE, kMedium, false), softmax_##T##_w##WAVE##_block_32,       \
                       softmax_block_kernel, SoftmaxArgs, kMaxBlock)                                         \
  HIPFORGE_WAVE_KERNEL(WAVE, kOnlineEntry, (T, WAVE, kMedium, false), softmax_##T##_w##WAVE##_online_32,     \
                       softmax_online_kernel, SoftmaxArgs, kMaxBlock)                                        \
  HIPFORGE_WAVE_KERNEL(WAVE, kWaveEntry, (T, WAVE, kShort, true), softmax_masked_##T##_w##WAVE##_wave_8,     \
                       softmax_wave_kernel, SoftmaxArgs, kMaxBlock)                                          \
  HIPFORGE_WAVE_KERNEL(WAVE, kWaveEntry, (T, WAVE, kMedium, true), softmax_masked_##T##_w##WAVE##_wave_32,   \
                       softmax_wave_kernel, SoftmaxArgs, kMaxBlock)                                          \
  HIPFORGE_WAVE_KERNEL(WAVE, kBlockEntry, (T, WAVE, kMedium, true), softmax_masked_##T##_w##WAVE##_block_32, \
                       softmax_block_kernel, SoftmaxArgs, kMaxBlock)                                         \
  HIPFORGE_WAVE_KERNEL(WAVE, kOnlineEntry, (T, WAVE, kMedium, true),                                         \
                       softmax_masked_##T##_w##WAVE##_online_32, softmax_online_kernel, SoftmaxArgs,         \
                       kMaxBlock)

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
  const std::int64_t short_cols = std::int64_t{kShort} * wave;
  const std::int64_t medium_cols = std::int64_t{kMedium} * wave;
  if (cols <= short_cols) return {Shape::kShortWave, kWaveRowBlock};
  if (cols <= medium_cols) return {Shape::kMediumWave, kWaveRowBlock};
  const std::int64_t waves = ceil_div(cols, medium_cols);
  if (waves * wave <= kMaxBlock) return {Shape::kBlock, static_cast<int>(waves) * wave};
  return {Shape::kOnline, kMaxBlock};
}

Status check_params(const SoftmaxParams& params) {
  const Dim batch{params.x.shape[0], "batch of x"};
  const Dim heads{params.x.shape[1], "heads of x"};
  const Dim rows{params.x.shape[2], "rows of x"};
  const Dim cols{params.x.shape[3], "cols of x"};
  const DType dtype = params.x.dtype;
  HIPFORGE_TRY(
      check_operands(kOp, params,
                     {{"x", {batch, heads, rows, cols}, kFloats},
                      {"y", {batch, heads, rows, cols}, {dtype}},
                      {"mask", {one_or(batch), one_or(heads), one_or(rows), cols}, {DType::kF32, dtype}}}));
  return check_finite(kOp, "scale", static_cast<double>(params.scale));
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

SoftmaxArgs make_args(const SoftmaxParams& params, const LaunchPlan&) {
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
  args.vector_x = rows_are_aligned(params.x, kWidestPack);
  args.vector_mask = masked && rows_are_aligned(params.mask, kWidestPack);
  args.vector_y = rows_are_aligned(params.y, kWidestPack);
  return args;
}

}  // namespace

std::int64_t softmax_reduction_depth(std::int64_t cols, const Target& target) {
  const Tile tile = tile_for(cols, target.wave);
  std::int64_t depth = 0;
  for (int width = tile.shape == Shape::kShortWave ? kShort : kMedium; width > 1; width /= 2) ++depth;
  for (int lanes = target.wave; lanes > 1; lanes /= 2) ++depth;
  if (tile.shape == Shape::kBlock || tile.shape == Shape::kOnline) depth += tile.threads / target.wave - 1;
  if (tile.shape == Shape::kOnline) {
    const std::int64_t chunk = std::int64_t{tile.threads} * kMedium;
    const std::int64_t chunks = ceil_div(cols, chunk);
    depth += (chunks - 1) * 5 + 4;
  }
  return depth;
}

Status softmax_plan(const SoftmaxParams& params, const Target& target, LaunchPlan& plan) {
  HIPFORGE_TRY(check_params(params));
  const std::int64_t cols = params.x.shape[3];
  const std::int64_t row_count = cols == 0 ? 0 : params.x.numel() / cols;
  const Tile tile = tile_for(cols, target.wave);
  KernelEntry entry;
  HIPFORGE_TRY(dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_float(kOp, "x", params.x.dtype, [&]<class T>() {
      const auto choose = [&]<bool kMasked>() -> Status {
        entry = tile.shape == Shape::kShortWave    ? kWaveEntry<T, kWave, kShort, kMasked>
                : tile.shape == Shape::kMediumWave ? kWaveEntry<T, kWave, kMedium, kMasked>
                : tile.shape == Shape::kBlock      ? kBlockEntry<T, kWave, kMedium, kMasked>
                                                   : kOnlineEntry<T, kWave, kMedium, kMasked>;
        return {};
      };
      return params.mask.present() ? choose.template operator()<true>() : choose.template operator()<false>();
    });
  }));
  const bool wave_per_row = tile.shape == Shape::kShortWave || tile.shape == Shape::kMediumWave;
  const int waves = tile.threads / target.wave;
  plan = make_plan(entry, ceil_div(row_count, wave_per_row ? waves : 1), tile.threads,
                   wave_per_row ? 0 : static_cast<unsigned>(waves) * sizeof(float));
  return {};
}

Status softmax(const SoftmaxParams& params, hipStream_t stream, const Target& target) {
  return launch_op(params, stream, target, softmax_plan, make_args);
}

}  // namespace hipforge
