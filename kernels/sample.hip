#include "kernels/sample.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"
#include "kernels/device/order.h"
#include "kernels/device/reduce.h"
#include "kernels/device/scan.h"
#include "kernels/device/vector_io.h"

#include <rocrand/rocrand_philox4x32_10.h>

#include <algorithm>

namespace hipforge {
// Not an unnamed namespace: the kernels' names must be visible outside.
namespace sample_detail {

constexpr int kMaxBlock = 512;
constexpr int kPack = 4;            // elements that a thread takes at a time
constexpr int kPacksPerThread = 4;  // before a row gets another wave
constexpr std::int64_t kMaxVocab = 1 << 20;

// Sums of weights: exact, and the same in any order. kMaxVocab weights of 1 stay within 64 bits.
using Mass = unsigned long long;
constexpr float kUnit = 0x1p43f;
constexpr Mass kOne = 1ull << 43;

// A key of 32 bits is found in three steps, high digit first.
constexpr int kDigits = 3;
constexpr int kMaxBins = 2048;

struct SampleArgs {
  const void* logits;
  std::int32_t* ids;
  float* draws;  // may be null
  std::int64_t logits_stride;
  std::int64_t ids_stride;
  std::int64_t draws_stride;
  std::int64_t rows;
  std::int64_t vocab;
  std::int64_t top_k;  // 0: all
  unsigned long long seed;
  unsigned long long position;
  float temperature;
  float top_p;
  int vector_io;  // every row takes whole-pack accesses
};

struct SampleShared {
  Mass bins[kMaxBins];
  Mass scratch[kMaxBlock / kWave32];
  Mass found[3];
  float draw;
};

// What is left of a row: by falling key, then rising index, all up to the cut.
struct Cut {
  std::uint32_t key = 0;  // NaN's, so that every number is above it
  std::int64_t index = -1;
};

__device__ inline bool is_kept(const Cut& cut, std::uint32_t key, std::int64_t index) {
  return key > cut.key || (key == cut.key && index <= cut.index);
}

template <class T>
struct Row {
  const T* logits;
  std::int64_t vocab;
  bool vector_io;
  float max;
  float temperature;

  __device__ Mass weight(float logit) const {
    if (logit == max) return kOne;  // also where both are infinite
    return static_cast<Mass>(expf((logit - max) / temperature) * kUnit);
  }

  // Elements [at, at + kPack) as keys, 0 past the end.
  __device__ void load(std::int64_t at, float (&values)[kPack], std::uint32_t (&keys)[kPack]) const {
    const std::int64_t left = vocab - at;
    if (left > 0) load_row(logits + at, left, vector_io, values);
#pragma unroll
    for (int i = 0; i < kPack; ++i) keys[i] = i < left ? order_key(values[i]) : 0;
  }
};

// The weight of all that is kept.
template <int kWave, class T>
__device__ Mass kept_mass(const Row<T>& row, const Cut& cut, SampleShared& shared) {
  Mass sum = 0;
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kPack;
  for (std::int64_t at = static_cast<std::int64_t>(threadIdx.x) * kPack; at < row.vocab; at += step) {
    float values[kPack];
    std::uint32_t keys[kPack];
    row.load(at, values, keys);
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      if (is_kept(cut, keys[i], at + i)) sum += row.weight(values[i]);
    }
  }
  return block_reduce<kWave>(sum, shared.scratch, SumOp{});
}

struct KeySearch {
  bool reached;       // whether the sum over all reaches the target
  std::uint32_t key;  // of the element that reaches it
  Mass rest;          // what the elements of that key must still give
  Mass of_key;        // what they give all together
};

// Sums amount(value) over kept elements by falling key until `target` is reached. Amount: the type that the
// bins count in, wide enough for the sum of all.
template <class Amount, int kWave, class T, class AmountOf>
__device__ KeySearch search_by_key(const Row<T>& row, const Cut& cut, Mass target, SampleShared& shared,
                                   AmountOf amount) {
  Amount* bins = reinterpret_cast<Amount*>(shared.bins);
  const int threads = static_cast<int>(blockDim.x);
  const int thread = static_cast<int>(threadIdx.x);
  const std::int64_t step = static_cast<std::int64_t>(threads) * kPack;
  KeySearch search{true, 0, target, 0};
  for (int digit = 0; digit < kDigits; ++digit) {
    const int bits = digit < 2 ? 11 : 10;
    const int shift = digit == 0 ? 21 : digit == 1 ? 10 : 0;
    const int count = 1 << bits;
    for (int bin = thread; bin < count; bin += threads) bins[bin] = 0;
    __syncthreads();
    for (std::int64_t at = static_cast<std::int64_t>(thread) * kPack; at < row.vocab; at += step) {
      float values[kPack];
      std::uint32_t keys[kPack];
      row.load(at, values, keys);
#pragma unroll
      for (int i = 0; i < kPack; ++i) {
        const bool candidate = digit == 0 || keys[i] >> (shift + bits) == search.key;
        if (candidate && is_kept(cut, keys[i], at + i)) {
          atomicAdd(&bins[(keys[i] >> shift) & static_cast<std::uint32_t>(count - 1)], amount(values[i]));
        }
      }
    }
    __syncthreads();
    // Each thread sums a run of bins, highest first.
    const int run = (count + threads - 1) / threads;
    const int first = thread * run;
    Mass mine = 0;
    for (int i = first; i < first + run && i < count; ++i) mine += bins[count - 1 - i];
    Mass total = 0;
    Mass before = block_exclusive_scan<kWave>(mine, shared.scratch, total);
    if (total < search.rest) {
      search.reached = false;
      return search;
    }
    if (before < search.rest && search.rest <= before + mine) {
      int i = first;
      while (before + bins[count - 1 - i] < search.rest) before += bins[count - 1 - i++];
      shared.found[0] = static_cast<Mass>(count - 1 - i);
      shared.found[1] = search.rest - before;
      shared.found[2] = bins[count - 1 - i];
    }
    __syncthreads();
    search.key = search.key << bits | static_cast<std::uint32_t>(shared.found[0]);
    search.rest = shared.found[1];
    search.of_key = shared.found[2];
  }
  return search;
}

// The first index at which the sum of amount(value, key, index), in index order, reaches `target`; −1 where
// it never does.
template <int kWave, class T, class AmountOf>
__device__ std::int64_t search_by_index(const Row<T>& row, Mass target, SampleShared& shared,
                                        AmountOf amount) {
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kPack;
  Mass sum = 0;
  for (std::int64_t base = 0; base < row.vocab; base += step) {
    const std::int64_t at = base + static_cast<std::int64_t>(threadIdx.x) * kPack;
    float values[kPack];
    std::uint32_t keys[kPack];
    row.load(at, values, keys);
    Mass amounts[kPack];
    Mass mine = 0;
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      amounts[i] = keys[i] == 0 ? 0 : amount(values[i], keys[i], at + i);
      mine += amounts[i];
    }
    Mass total = 0;
    Mass before = sum + block_exclusive_scan<kWave>(mine, shared.scratch, total);
    const bool here = sum + total >= target;
    if (here && before < target && target <= before + mine) {
      int found = 0;
      bool reached = false;
#pragma unroll
      for (int i = 0; i < kPack; ++i) {
        before += amounts[i];
        if (!reached && before >= target) {
          reached = true;
          found = i;
        }
      }
      shared.found[0] = static_cast<Mass>(at + found);
    }
    if (here) {
      __syncthreads();
      return static_cast<std::int64_t>(shared.found[0]);
    }
    sum += total;
  }
  return -1;
}

// Moves the cut to the element of `search.key` that completes the target; `each` is what one element of that
// key gives. Returns how many elements of that key are kept.
template <int kWave, class T>
__device__ Mass cut_at(const Row<T>& row, const KeySearch& search, Mass each, Cut& cut,
                       SampleShared& shared) {
  const Mass wanted = (search.rest + each - 1) / each;
  if (wanted * each < search.of_key) {
    const auto tied = [&](float, std::uint32_t key, std::int64_t) {
      return static_cast<Mass>(key == search.key);
    };
    cut.index = search_by_index<kWave>(row, wanted, shared, tied);
    __syncthreads();
  } else if (search.key != cut.key) {
    cut.index = row.vocab;  // all of them
  }
  cut.key = search.key;
  return wanted;
}

// One block per row.
template <class T, int kWave>
__device__ void sample_kernel(const SampleArgs& args) {
  HIP_DYNAMIC_SHARED(Mass, sample_shared)
  SampleShared& shared = *reinterpret_cast<SampleShared*>(sample_shared);
  for (std::int64_t r = blockIdx.x; r < args.rows; r += gridDim.x) {
    if (threadIdx.x == 0) {
      rocrand_device::philox4x32_10_engine engine(args.seed,
                                                  args.position + static_cast<unsigned long long>(r), 0);
      shared.draw = fmaf(static_cast<float>(engine()), 0x1p-32f, 0x1p-32f);
    }
    Row<T> row{static_cast<const T*>(args.logits) + r * args.logits_stride, args.vocab, args.vector_io != 0,
               -INFINITY, args.temperature};
    const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kPack;
    float largest = -INFINITY;
    for (std::int64_t at = static_cast<std::int64_t>(threadIdx.x) * kPack; at < row.vocab; at += step) {
      float values[kPack];
      std::uint32_t keys[kPack];
      row.load(at, values, keys);
#pragma unroll
      for (int i = 0; i < kPack; ++i) {
        if (keys[i] != 0) largest = fmaxf(largest, values[i]);
      }
    }
    row.max = block_reduce<kWave>(largest, reinterpret_cast<float*>(shared.scratch), MaxOp{});
    __syncthreads();

    std::int64_t id = -1;
    if (row.max > -INFINITY) {
      Cut cut;
      if (args.top_k > 0) {
        const KeySearch search = search_by_key<unsigned, kWave>(row, cut, static_cast<Mass>(args.top_k),
                                                                shared, [](float) { return 1u; });
        if (search.reached) cut_at<kWave>(row, search, 1, cut, shared);
      }
      Mass total = kept_mass<kWave>(row, cut, shared);
      if (args.top_p < 1.0f) {
        // Exact to 2^-53 of the total, far below a weight's own rounding.
        const double share = ceil(static_cast<double>(args.top_p) * static_cast<double>(total));
        const Mass target = share < 1.0 ? 1 : static_cast<Mass>(share);
        const KeySearch search = search_by_key<Mass, kWave>(row, cut, target, shared,
                                                            [&](float value) { return row.weight(value); });
        if (search.reached) {
          const Mass each = row.weight(order_value(search.key));
          total = target - search.rest + each * cut_at<kWave>(row, search, each, cut, shared);
        }
      }
      const double share = ceil(static_cast<double>(shared.draw) * static_cast<double>(total));
      const Mass target = share < 1.0                        ? 1
                          : static_cast<Mass>(share) > total ? total
                                                             : static_cast<Mass>(share);
      id = search_by_index<kWave>(row, target, shared,
                                  [&](float value, std::uint32_t key, std::int64_t index) {
                                    return is_kept(cut, key, index) ? row.weight(value) : 0;
                                  });
    }
    if (threadIdx.x == 0) {
      args.ids[r * args.ids_stride] = static_cast<std::int32_t>(id);
      if (args.draws != nullptr) args.draws[r * args.draws_stride] = shared.draw;
    }
    __syncthreads();
  }
}

template <class T, int kWave>
inline constexpr KernelEntry kSampleEntry{};

#define SAMPLE_KERNEL(T, WAVE)                                                                         \
  HIPFORGE_WAVE_KERNEL(WAVE, kSampleEntry, (T, WAVE), sample_##T##_w##WAVE, sample_kernel, SampleArgs, \
                       kMaxBlock)
HIPFORGE_FOR_EACH_FLOAT_AND_WAVE(SAMPLE_KERNEL)

}  // namespace sample_detail

namespace {

using namespace sample_detail;

constexpr const char* kOp = "sample";

Status check_params(const SampleParams& params) {
  const Dim rows{params.logits.shape[0], "rows of logits"};
  const Dim vocab{params.logits.shape[1], "vocab of logits"};
  HIPFORGE_TRY(check_operands(kOp, params,
                              {{"logits", {rows, vocab}, kFloats},
                               {"ids", {rows}, {DType::kI32}, LastAxis::kAnyStride},
                               {"draws", {rows}, {DType::kF32}, LastAxis::kAnyStride}}));
  HIPFORGE_TRY(check_range(kOp, "vocab", vocab.size, 1, kMaxVocab));
  HIPFORGE_TRY(check_finite(kOp, "temperature", static_cast<double>(params.temperature)));
  if (!(params.temperature > 0.0f)) {
    return invalid_argument(kOp, ": temperature is ", params.temperature, ", needs > 0 (0 is argmax's work)");
  }
  if (params.top_k < 0) return invalid_argument(kOp, ": top_k is ", params.top_k, ", needs 0 (all) or more");
  if (!(params.top_p > 0.0f && params.top_p <= 1.0f)) {
    return invalid_argument(kOp, ": top_p is ", params.top_p, ", needs over 0, at most 1");
  }
  return {};
}

SampleArgs make_args(const SampleParams& params, const LaunchPlan&) {
  SampleArgs args{};
  args.logits = params.logits.data;
  args.ids = params.ids.as<std::int32_t>();
  args.draws = params.draws.as<float>();
  args.logits_stride = params.logits.strides[0];
  args.ids_stride = params.ids.strides[0];
  args.draws_stride = params.draws.strides[0];
  args.rows = params.logits.shape[0];
  args.vocab = params.logits.shape[1];
  args.top_k = params.top_k;
  args.seed = params.seed;
  args.position = params.position;
  args.temperature = params.temperature;
  args.top_p = params.top_p;
  args.vector_io = rows_are_aligned(params.logits, kPack) ? 1 : 0;
  return args;
}

}  // namespace

Status sample_plan(const SampleParams& params, const Target& target, LaunchPlan& plan) {
  HIPFORGE_TRY(check_params(params));
  KernelEntry entry;
  HIPFORGE_TRY(dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_float(kOp, "logits", params.logits.dtype, [&]<class T>() -> Status {
      entry = kSampleEntry<T, kWave>;
      return {};
    });
  }));
  const int threads =
      whole_waves(ceil_div(params.logits.shape[1], kPack * kPacksPerThread), target.wave, kMaxBlock);
  plan = make_plan(entry, params.logits.shape[0], threads, sizeof(SampleShared));
  return {};
}

Status sample(const SampleParams& params, hipStream_t stream, const Target& target) {
  return launch_op(params, stream, target, sample_plan, make_args);
}

}  // namespace hipforge
