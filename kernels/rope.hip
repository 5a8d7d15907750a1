#include "kernels/rope.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/index.h"
#include "kernels/device/kernel.h"
#include "kernels/device/rotation.h"
#include "kernels/device/vector_io.h"
#include "kernels/runtime/device_error.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace hipforge {
// Not an unnamed namespace: the kernels' names must be visible outside.
namespace rope_detail {

constexpr int kMaxBlock = 256;
constexpr int kBatch = 4;                         // heads whose elements a thread has under way together
constexpr std::int64_t kMaxHeadsPerThread = 16;   // that share a thread's sines and cosines
constexpr std::int64_t kWantedThreads = 1 << 17;  // enough to fill a device before threads take several heads
constexpr std::int64_t kMaxRotaryDim = 8192;

struct RopeArgs {
  const void* x;
  void* y;
  const std::int32_t* positions;
  const float* inv_freq;
  std::int64_t x_strides[3];  // batch, seq, head
  std::int64_t y_strides[3];
  std::int64_t position_strides[2];  // batch (0 where the batch shares them), seq
  std::int64_t seq;
  std::int64_t heads;
  std::int64_t groups;  // of heads that share a thread
  std::int64_t steps;   // threads along a row of head_dim elements
  std::int64_t items;   // batch · seq · groups · steps
  int rotary_dim;
  float magnitude;
  std::uint32_t* error_word;
};

// A thread takes one step along the rows of several heads of one token: kPairs pairs that turn, or kPack
// elements past rotary_dim. Its first accesses are on their way while it makes their sines and cosines, which
// all of its heads share. kPack: elements of one access, 1 where rows are not aligned for more.
template <class T, RopeStyle kStyle, int kPack, int kWave>
__device__ void rope_kernel(const RopeArgs& args) {
  // Interleaved packs hold both elements of their pairs; else the other elements are a part apart.
  constexpr bool kTogether = kStyle == RopeStyle::kInterleaved && kPack > 1;
  constexpr int kPairs = kTogether ? kPack / 2 : kPack;
  constexpr int kParts = kTogether ? 1 : 2;
  using Part = Pack<T, kPack>;
  const int pairs = args.rotary_dim / 2;
  const int turning = pairs / kPairs;  // steps along a row that turn pairs; the ones after them copy
  const std::int64_t threads = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  std::int64_t item = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; item < args.items; item += threads) {
    const std::int64_t unit = divide_index(item, args.steps);
    const std::int64_t step = item - unit * args.steps;
    const std::int64_t token = divide_index(unit, args.groups);
    const std::int64_t group = unit - token * args.groups;
    const std::int64_t b = divide_index(token, args.seq);
    const std::int64_t s = token - b * args.seq;
    // Every args.groups-th head, so that the threads beside it are at the heads beside it.
    const std::int64_t heads = divide_index(args.heads - group + args.groups - 1, args.groups);
    const bool turns = step < turning;
    const int pair = turns ? static_cast<int>(step) * kPairs : 0;
    std::int64_t at = kStyle == RopeStyle::kInterleaved ? 2 * pair : pair;
    if (!turns) at = args.rotary_dim + (step - turning) * kPack;
    const int apart = kStyle == RopeStyle::kInterleaved ? 1 : pairs;  // of the parts
    const T* x = static_cast<const T*>(args.x) + b * args.x_strides[0] + s * args.x_strides[1] +
                 group * args.x_strides[2] + at;
    T* y = static_cast<T*>(args.y) + b * args.y_strides[0] + s * args.y_strides[1] +
           group * args.y_strides[2] + at;
    const std::int32_t position = args.positions[b * args.position_strides[0] + s * args.position_strides[1]];

    Part batch[kBatch][kParts] = {};
    const auto load_batch = [&](std::int64_t first) {
#pragma unroll
      for (int k = 0; k < kBatch; ++k) {
        if (first + k >= heads) continue;
        const T* row = x + (first + k) * args.groups * args.x_strides[2];
        batch[k][0] = *reinterpret_cast<const Part*>(row);
        if constexpr (!kTogether) {
          if (turns) batch[k][1] = *reinterpret_cast<const Part*>(row + apart);
        }
      }
    };
    load_batch(0);

    const bool invalid = position < 0;
    const bool rotates = turns && !invalid && !(position == 0 && args.magnitude == 1.0f);
    if (invalid && args.error_word != nullptr && step == 0 && group == 0) {
      atomicOr(args.error_word, static_cast<std::uint32_t>(kDeviceErrorPosition));
    }
    float cosines[kPairs] = {};
    float sines[kPairs] = {};
    if (rotates) {
#pragma unroll
      for (int i = 0; i < kPairs; ++i) {
        bool valid = false;
        const std::uint64_t unit_angle = turns_per_position(args.inv_freq[pair + i], valid);
        sincos_turns(unit_angle * static_cast<std::uint64_t>(position), sines[i], cosines[i]);
        cosines[i] = valid ? cosines[i] * args.magnitude : NAN;
        sines[i] = valid ? sines[i] * args.magnitude : NAN;
      }
    }

    for (std::int64_t first = 0; first < heads; first += kBatch) {
      if (first > 0) load_batch(first);
#pragma unroll
      for (int k = 0; k < kBatch; ++k) {
        if (first + k >= heads) continue;
        auto& parts = batch[k];
        if (rotates) {
          float values[kParts][kPack];
#pragma unroll
          for (int j = 0; j < kParts; ++j) widen(parts[j].values, values[j]);
#pragma unroll
          for (int i = 0; i < kPairs; ++i) {
            float& left = values[0][kTogether ? 2 * i : i];
            float& right = values[kParts - 1][kTogether ? 2 * i + 1 : i];
            const float one = left;
            const float other = right;
            left = fmaf(one, cosines[i], -(other * sines[i]));
            right = fmaf(one, sines[i], other * cosines[i]);
          }
#pragma unroll
          for (int j = 0; j < kParts; ++j) narrow(values[j], parts[j].values);
        } else if (invalid) {
#pragma unroll
          for (int j = 0; j < kParts; ++j) {
#pragma unroll
            for (int i = 0; i < kPack; ++i) parts[j].values[i] = from_float<T>(NAN);
          }
        }
        T* row = y + (first + k) * args.groups * args.y_strides[2];
        *reinterpret_cast<Part*>(row) = parts[0];
        if constexpr (!kTogether) {
          if (turns) *reinterpret_cast<Part*>(row + apart) = parts[1];
        }
      }
    }
  }
}

template <class T, RopeStyle kStyle, int kPack, int kWave>
inline constexpr KernelEntry kRopeEntry{};

#define ROPE_KERNELS(T, WAVE, PACK)                                                                \
  HIPFORGE_WAVE_KERNEL(WAVE, kRopeEntry, (T, RopeStyle::kInterleaved, PACK, WAVE),                 \
                       rope_interleaved_##T##_w##WAVE##_v##PACK, rope_kernel, RopeArgs, kMaxBlock) \
  HIPFORGE_WAVE_KERNEL(WAVE, kRopeEntry, (T, RopeStyle::kHalfSplit, PACK, WAVE),                   \
                       rope_half_split_##T##_w##WAVE##_v##PACK, rope_kernel, RopeArgs, kMaxBlock)
#define ROPE_SCALAR(T, WAVE) ROPE_KERNELS(T, WAVE, 1)

HIPFORGE_FOR_EACH_FLOAT_AND_WAVE(ROPE_SCALAR)
ROPE_KERNELS(f32, 32, 4)
ROPE_KERNELS(f32, 64, 4)
ROPE_KERNELS(f16, 32, 8)
ROPE_KERNELS(f16, 64, 8)
ROPE_KERNELS(bf16, 32, 8)
ROPE_KERNELS(bf16, 64, 8)

}  // namespace rope_detail

namespace {

using namespace rope_detail;

constexpr const char* kOp = "rope";

// What no table says. A wrong rank of x is left to check_operands.
Status check_positions_and_rotary_dim(const RopeParams& params) {
  if (params.x.rank != 4) return {};
  const TensorView& positions = params.positions;
  const std::int64_t batch = params.x.shape[0];
  const std::int64_t seq = params.x.shape[1];
  const bool shared = positions.rank == 1 && positions.shape[0] == seq;
  const bool own = positions.rank == 2 && positions.shape[0] == batch && positions.shape[1] == seq;
  if (!shared && !own) {
    return invalid_argument(kOp, ": positions has shape ", positions.shape_text(), ", needs [seq] = [", seq,
                            "] or [batch, seq] = [", batch, ", ", seq,
                            "]: a token's heads share its position, so [batch × heads × seq] is not taken");
  }
  const std::int64_t head_dim = params.x.shape[3];
  const std::int64_t largest = std::min(head_dim, kMaxRotaryDim);
  if (params.rotary_dim < 2 || params.rotary_dim % 2 != 0 || params.rotary_dim > largest) {
    return invalid_argument(kOp, ": rotary_dim is ", params.rotary_dim, ", needs an even number from 2 to ",
                            largest, " (head_dim is ", head_dim, ", the limit ", kMaxRotaryDim, ")");
  }
  return {};
}

Status check_params(const RopeParams& params) {
  HIPFORGE_TRY(check_positions_and_rotary_dim(params));
  const Dim batch{params.x.shape[0], "batch of x"};
  const Dim seq{params.x.shape[1], "seq of x"};
  const Dim heads{params.x.shape[2], "heads of x"};
  const Dim head_dim{params.x.shape[3], "head_dim of x"};
  const bool own = params.positions.rank == 2;
  HIPFORGE_TRY(
      check_operands(kOp, params,
                     {{"x", {batch, seq, heads, head_dim}, kFloats},
                      {"y", {batch, seq, heads, head_dim}, {params.x.dtype}},
                      {"positions", own ? Dims{batch, seq} : Dims{seq}, {DType::kI32}, LastAxis::kAnyStride},
                      {"inv_freq", {{params.rotary_dim / 2, "rotary_dim / 2"}}, {DType::kF32}}}));
  HIPFORGE_TRY(check_finite(kOp, "magnitude", static_cast<double>(params.magnitude)));
  if (!(params.magnitude > 0.0f))
    return invalid_argument(kOp, ": magnitude is ", params.magnitude, ", needs > 0");
  return {};
}

struct Geometry {
  int pack = 1;
  std::int64_t groups = 0;
  std::int64_t steps = 0;
  std::int64_t items = 0;
};

Geometry choose_geometry(const RopeParams& params) {
  const std::int64_t heads = params.x.shape[2];
  const std::int64_t head_dim = params.x.shape[3];
  const std::int64_t pairs = params.rotary_dim / 2;
  const std::int64_t tokens = params.x.shape[0] * params.x.shape[1];
  const int full_pack = kVectorBytes / static_cast<int>(dtype_size(params.x.dtype));
  const std::int64_t turned = params.style == RopeStyle::kInterleaved ? params.rotary_dim : pairs;
  Geometry geometry;
  if (head_dim % full_pack == 0 && turned % full_pack == 0 && rows_are_aligned(params.x, full_pack) &&
      rows_are_aligned(params.y, full_pack)) {
    geometry.pack = full_pack;
  }
  const std::int64_t pairs_at_once =
      params.style == RopeStyle::kInterleaved ? std::max(geometry.pack / 2, 1) : geometry.pack;
  geometry.steps = pairs / pairs_at_once + (head_dim - params.rotary_dim) / geometry.pack;
  if (tokens * heads == 0) return geometry;
  const std::int64_t most = std::clamp<std::int64_t>(tokens * heads * geometry.steps / kWantedThreads, 1,
                                                     std::min(heads, kMaxHeadsPerThread));
  geometry.groups = ceil_div(heads, most);
  geometry.items = tokens * geometry.groups * geometry.steps;
  return geometry;
}

RopeArgs make_args(const RopeParams& params, const LaunchPlan&) {
  const Geometry geometry = choose_geometry(params);
  RopeArgs args{};
  args.x = params.x.data;
  args.y = params.y.data;
  args.positions = params.positions.as<const std::int32_t>();
  args.inv_freq = params.inv_freq.as<const float>();
  for (std::size_t axis = 0; axis < 3; ++axis) {
    args.x_strides[axis] = params.x.strides[axis];
    args.y_strides[axis] = params.y.strides[axis];
  }
  const bool own = params.positions.rank == 2;
  args.position_strides[0] = own ? params.positions.strides[0] : 0;
  args.position_strides[1] = params.positions.strides[own ? 1 : 0];
  args.seq = params.x.shape[1];
  args.heads = params.x.shape[2];
  args.groups = geometry.groups;
  args.steps = geometry.steps;
  args.items = geometry.items;
  args.rotary_dim = static_cast<int>(params.rotary_dim);
  args.magnitude = params.magnitude;
  args.error_word = params.error_word;
  return args;
}

double default_magnitude(const RopeFrequencyParams& params) {
  if (params.scaling == RopeScaling::kYarn && params.factor > 1.0) return 0.1 * std::log(params.factor) + 1.0;
  return 1.0;
}

Status check_positive(const char* name, double value) {
  if (std::isfinite(value) && value > 0.0) return {};
  return invalid_argument("rope_frequencies: ", name, " is ", value, ", needs a finite number over 0");
}

Status check_frequency_params(const RopeFrequencyParams& params) {
  constexpr const char* kFrequencies = "rope_frequencies";
  const std::int64_t least = params.scaling == RopeScaling::kNtk ? 4 : 2;
  if (params.rotary_dim < least || params.rotary_dim % 2 != 0) {
    return invalid_argument(kFrequencies, ": rotary_dim is ", params.rotary_dim,
                            ", needs an even number from ", least);
  }
  HIPFORGE_TRY(check_positive("theta", params.theta));
  HIPFORGE_TRY(check_positive("factor", params.factor));
  if (params.attention_factor != 0.0)
    HIPFORGE_TRY(check_positive("attention_factor", params.attention_factor));
  const bool needs_context = params.scaling == RopeScaling::kYarn || params.scaling == RopeScaling::kLlama3;
  if (needs_context && params.original_context_length < 1) {
    return invalid_argument(kFrequencies, ": original_context_length is ", params.original_context_length,
                            ", needs 1 or more");
  }
  if (params.scaling == RopeScaling::kYarn) {
    if (!(params.theta > 1.0))
      return invalid_argument(kFrequencies, ": theta is ", params.theta, ", YaRN needs > 1");
    HIPFORGE_TRY(check_positive("beta_fast", params.beta_fast));
    HIPFORGE_TRY(check_positive("beta_slow", params.beta_slow));
    if (params.beta_fast < params.beta_slow) {
      return invalid_argument(kFrequencies, ": beta_fast is ", params.beta_fast,
                              ", needs at least beta_slow, ", params.beta_slow);
    }
  }
  if (params.scaling == RopeScaling::kLlama3) {
    HIPFORGE_TRY(check_positive("low_freq_factor", params.low_freq_factor));
    HIPFORGE_TRY(check_positive("high_freq_factor", params.high_freq_factor));
    if (params.high_freq_factor <= params.low_freq_factor) {
      return invalid_argument(kFrequencies, ": high_freq_factor is ", params.high_freq_factor,
                              ", needs more than low_freq_factor, ", params.low_freq_factor);
    }
  }
  if (params.scaling == RopeScaling::kFactors) {
    if (static_cast<std::int64_t>(params.factors.size()) != params.rotary_dim / 2) {
      return invalid_argument(kFrequencies, ": factors holds ", params.factors.size(),
                              " numbers, rotary_dim ", params.rotary_dim, " needs ", params.rotary_dim / 2);
    }
    for (float divisor : params.factors)
      HIPFORGE_TRY(check_positive("factors", static_cast<double>(divisor)));
  }
  return {};
}

}  // namespace

Status rope_plan(const RopeParams& params, const Target& target, LaunchPlan& plan) {
  HIPFORGE_TRY(check_params(params));
  const Geometry geometry = choose_geometry(params);
  KernelEntry entry;
  HIPFORGE_TRY(dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_float(kOp, "x", params.x.dtype, [&]<class T>() -> Status {
      const auto choose = [&]<RopeStyle kStyle>() {
        return geometry.pack == 1 ? kRopeEntry<T, kStyle, 1, kWave>
                                  : kRopeEntry<T, kStyle, kVectorSize<T>, kWave>;
      };
      switch (params.style) {
        case RopeStyle::kInterleaved:
          entry = choose.template operator()<RopeStyle::kInterleaved>();
          return {};
        case RopeStyle::kHalfSplit:
          entry = choose.template operator()<RopeStyle::kHalfSplit>();
          return {};
        default:
          return unsupported(kOp, ": style ", static_cast<int>(params.style),
                             " is not known, supported: interleaved, half-split");
      }
    });
  }));
  const int threads = whole_waves(geometry.items, target.wave, kMaxBlock);
  plan = make_plan(entry, ceil_div(geometry.items, threads), threads);
  return {};
}

Status rope(const RopeParams& params, hipStream_t stream, const Target& target) {
  return launch_op(params, stream, target, rope_plan, make_args);
}

Status rope_frequencies(const RopeFrequencyParams& params, std::vector<float>& inv_freq, float& magnitude) {
  HIPFORGE_TRY(check_frequency_params(params));
  constexpr double kTurn = 2.0 * std::numbers::pi;
  const auto dim = static_cast<double>(params.rotary_dim);
  const auto context = static_cast<double>(params.original_context_length);
  double theta = params.theta;
  if (params.scaling == RopeScaling::kNtk) theta *= std::pow(params.factor, dim / (dim - 2.0));

  // YaRN: the pair number whose frequency makes `turns` turns within the original context.
  const auto pair_of = [&](double turns) {
    return dim * std::log(context / (turns * kTurn)) / (2.0 * std::log(theta));
  };
  double low = 0.0;
  double high = 0.0;
  if (params.scaling == RopeScaling::kYarn) {
    low = std::max(std::floor(pair_of(params.beta_fast)), 0.0);
    high = std::min(std::ceil(pair_of(params.beta_slow)), dim - 1.0);
  }

  std::vector<float> result;
  for (std::int64_t i = 0; i < params.rotary_dim / 2; ++i) {
    const double frequency = std::pow(theta, -2.0 * static_cast<double>(i) / dim);
    double scaled = frequency;
    switch (params.scaling) {
      case RopeScaling::kNone:
      case RopeScaling::kNtk:
        break;
      case RopeScaling::kLinear:
        scaled = frequency / params.factor;
        break;
      case RopeScaling::kYarn: {
        const double ramp = (static_cast<double>(i) - low) / std::max(high - low, 0.001);
        const double share = std::clamp(ramp, 0.0, 1.0);
        scaled = frequency * (1.0 - share) + frequency / params.factor * share;
        break;
      }
      case RopeScaling::kLlama3: {
        const double turns = context * frequency / kTurn;  // within the original context
        const double share = std::clamp(
            (turns - params.low_freq_factor) / (params.high_freq_factor - params.low_freq_factor), 0.0, 1.0);
        scaled = frequency * share + frequency / params.factor * (1.0 - share);
        break;
      }
      case RopeScaling::kFactors:
        scaled = frequency / static_cast<double>(params.factors[static_cast<std::size_t>(i)]) / params.factor;
        break;
    }
    result.push_back(static_cast<float>(scaled));
  }
  inv_freq = std::move(result);
  magnitude =
      static_cast<float>(params.attention_factor > 0.0 ? params.attention_factor : default_magnitude(params));
  return {};
}

}  // namespace hipforge
