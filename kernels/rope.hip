#include "kernels/rope.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"
#include "kernels/device/rotation.h"
#include "kernels/device/vector_io.h"
#include "kernels/runtime/device_error.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

namespace hipforge {
// Not an unnamed namespace: the kernels' names must be visible outside.
namespace rope_detail {

constexpr int kMaxBlock = 256;
constexpr int kRowsPerThread = 4;            // whole accesses that a thread of a full block makes
constexpr std::int64_t kWantedBlocks = 512;  // enough to fill a device before blocks take several tokens
constexpr std::int64_t kMaxTokensPerBlock = 256;
constexpr std::int64_t kSharedBudget = 32 * 1024;
constexpr std::int64_t kMaxRotaryDim = 8192;  // one token's table of sines and cosines is then the budget

struct RopeArgs {
  const void* x;
  void* y;
  const std::int32_t* positions;
  const float* inv_freq;
  std::int64_t x_strides[3];  // batch, seq, head
  std::int64_t y_strides[3];
  std::int64_t position_strides[2];  // batch (0 where the batch shares them), seq
  std::int64_t tokens;               // batch · seq
  std::int64_t seq;
  std::int64_t heads;
  std::int64_t head_dim;
  int rotary_dim;
  int tokens_per_block;
  int lanes_per_row;  // a power of two up to the block
  float magnitude;
  std::uint32_t* error_word;
};

enum TokenMode : int { kRotate, kCopy, kInvalid };

// What a block knows of one of its tokens.
struct Token {
  std::int64_t x_offset;
  std::int64_t y_offset;
  std::int32_t position;
  std::int32_t mode;
};

struct Turn {
  float cosine;  // times magnitude
  float sine;
};

// The block's tokens, then their tables of rotary_dim / 2 turns each.
inline std::int64_t shared_bytes(std::int64_t tokens, std::int64_t pairs) {
  return tokens * static_cast<std::int64_t>(sizeof(Token) + static_cast<std::size_t>(pairs) * sizeof(Turn));
}

// A block takes tokens_per_block tokens with all their heads. Sines and cosines are made once for a token and
// shared by its heads; then lanes_per_row threads walk along each row of head_dim elements. kPack: elements
// of one access, 1 where rows are not aligned for more.
template <class T, RopeStyle kStyle, int kPack, int kWave>
__device__ void rope_kernel(const RopeArgs& args) {
  constexpr bool kInterleaved = kStyle == RopeStyle::kInterleaved;
  constexpr int kPairs =
      kInterleaved && kPack > 1 ? kPack / 2 : kPack;  // pairs that a thread turns at a time
  HIP_DYNAMIC_SHARED(std::int64_t, rope_shared)
  Token* tokens = reinterpret_cast<Token*>(rope_shared);
  Turn* turns = reinterpret_cast<Turn*>(tokens + args.tokens_per_block);
  const int threads = static_cast<int>(blockDim.x);
  const int thread = static_cast<int>(threadIdx.x);
  const int pairs = args.rotary_dim / 2;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * args.tokens_per_block;
  const std::int64_t left = args.tokens - first;
  const int count = left < args.tokens_per_block ? static_cast<int>(left) : args.tokens_per_block;

  for (int t = thread; t < count; t += threads) {
    const std::int64_t b = (first + t) / args.seq;
    const std::int64_t s = (first + t) % args.seq;
    Token token;
    token.x_offset = b * args.x_strides[0] + s * args.x_strides[1];
    token.y_offset = b * args.y_strides[0] + s * args.y_strides[1];
    token.position = args.positions[b * args.position_strides[0] + s * args.position_strides[1]];
    token.mode = token.position < 0                              ? kInvalid
                 : token.position == 0 && args.magnitude == 1.0f ? kCopy
                                                                 : kRotate;
    if (token.mode == kInvalid && args.error_word != nullptr) {
      atomicOr(args.error_word, static_cast<std::uint32_t>(kDeviceErrorPosition));
    }
    tokens[t] = token;
  }
  __syncthreads();
  for (int i = thread; i < count * pairs; i += threads) {
    const Token& token = tokens[i / pairs];
    if (token.mode != kRotate) continue;
    bool valid = false;
    const std::uint64_t unit = turns_per_position(args.inv_freq[i % pairs], valid);
    Turn turn{NAN, NAN};
    if (valid) {
      sincos_turns(unit * static_cast<std::uint64_t>(token.position), turn.sine, turn.cosine);
      turn.cosine *= args.magnitude;
      turn.sine *= args.magnitude;
    }
    turns[i] = turn;
  }
  __syncthreads();

  const int lane = thread & (args.lanes_per_row - 1);
  const int rows_at_once = threads / args.lanes_per_row;
  const int turning = pairs / kPairs;  // steps along a row that turn pairs; the ones after them copy
  const std::int64_t steps = turning + (args.head_dim - args.rotary_dim) / kPack;
  const int first_row = thread / args.lanes_per_row;
  const std::int64_t token_step = rows_at_once / args.heads;
  const std::int64_t head_step = rows_at_once % args.heads;
  std::int64_t t = first_row / args.heads;
  std::int64_t head = first_row % args.heads;
  while (t < count) {
    const Token token = tokens[t];
    const T* x = static_cast<const T*>(args.x) + token.x_offset + head * args.x_strides[2];
    T* y = static_cast<T*>(args.y) + token.y_offset + head * args.y_strides[2];
    if (token.mode == kRotate) {
      const Turn* table = turns + t * pairs;
      for (std::int64_t step = lane; step < steps; step += args.lanes_per_row) {
        if (step >= turning) {
          const std::int64_t at = args.rotary_dim + (step - turning) * kPack;
          *reinterpret_cast<Pack<T, kPack>*>(y + at) = *reinterpret_cast<const Pack<T, kPack>*>(x + at);
          continue;
        }
        const std::int64_t pair = step * kPairs;
        float a[kPairs];
        float b[kPairs];
        if constexpr (kInterleaved) {
          float both[2 * kPairs];
          load_row(x + 2 * pair, 2 * kPairs, kPack > 1, both);
#pragma unroll
          for (int i = 0; i < kPairs; ++i) {
            a[i] = both[2 * i];
            b[i] = both[2 * i + 1];
          }
        } else {
          load_pack<kPairs>(x + pair, a);
          load_pack<kPairs>(x + pairs + pair, b);
        }
#pragma unroll
        for (int i = 0; i < kPairs; ++i) {
          const Turn turn = table[pair + i];
          const float turned = fmaf(a[i], turn.cosine, -(b[i] * turn.sine));
          b[i] = fmaf(a[i], turn.sine, b[i] * turn.cosine);
          a[i] = turned;
        }
        if constexpr (kInterleaved) {
          float both[2 * kPairs];
#pragma unroll
          for (int i = 0; i < kPairs; ++i) {
            both[2 * i] = a[i];
            both[2 * i + 1] = b[i];
          }
          store_row(y + 2 * pair, 2 * kPairs, kPack > 1, both);
        } else {
          store_pack<kPairs>(y + pair, a);
          store_pack<kPairs>(y + pairs + pair, b);
        }
      }
    } else {
      Pack<T, kPack> pack;
#pragma unroll
      for (int i = 0; i < kPack; ++i) pack.values[i] = from_float<T>(NAN);
      for (std::int64_t at = static_cast<std::int64_t>(lane) * kPack; at < args.head_dim;
           at += static_cast<std::int64_t>(args.lanes_per_row) * kPack) {
        if (token.mode == kCopy) pack = *reinterpret_cast<const Pack<T, kPack>*>(x + at);
        *reinterpret_cast<Pack<T, kPack>*>(y + at) = pack;
      }
    }
    t += token_step;
    head += head_step;
    if (head >= args.heads) {
      head -= args.heads;
      ++t;
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

Status check_positions(const RopeParams& params) {
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
  HIPFORGE_TRY(check_tensor(kOp, "positions", positions, positions.rank));
  return check_dtype(kOp, "positions", positions, {DType::kI32});
}

Status check_params(const RopeParams& params) {
  const TensorView& x = params.x;
  HIPFORGE_TRY(check_tensor(kOp, "x", x, 4));
  HIPFORGE_TRY(check_tensor(kOp, "y", params.y, 4));
  HIPFORGE_TRY(check_tensor(kOp, "inv_freq", params.inv_freq, 1));
  HIPFORGE_TRY(check_dtype(kOp, "x", x, {DType::kF32, DType::kF16, DType::kBF16}));
  HIPFORGE_TRY(check_dtype(kOp, "y", params.y, {x.dtype}));
  HIPFORGE_TRY(check_dtype(kOp, "inv_freq", params.inv_freq, {DType::kF32}));
  constexpr const char* kAxes[] = {"batch of x", "seq of x", "heads of x", "head_dim of x"};
  for (int axis = 0; axis < 4; ++axis) {
    HIPFORGE_TRY(check_dim(kOp, "y", params.y, axis, x.shape[static_cast<std::size_t>(axis)], kAxes[axis]));
  }
  HIPFORGE_TRY(check_positions(params));
  const std::int64_t largest = std::min(x.shape[3], kMaxRotaryDim);
  if (params.rotary_dim < 2 || params.rotary_dim % 2 != 0 || params.rotary_dim > largest) {
    return invalid_argument(kOp, ": rotary_dim is ", params.rotary_dim, ", needs an even number from 2 to ",
                            largest, " (head_dim is ", x.shape[3], ", the limit ", kMaxRotaryDim, ")");
  }
  HIPFORGE_TRY(check_dim(kOp, "inv_freq", params.inv_freq, 0, params.rotary_dim / 2, "rotary_dim / 2"));
  HIPFORGE_TRY(check_innermost_contiguous(kOp, "x", x));
  HIPFORGE_TRY(check_innermost_contiguous(kOp, "y", params.y));
  HIPFORGE_TRY(check_innermost_contiguous(kOp, "inv_freq", params.inv_freq));
  HIPFORGE_TRY(check_finite(kOp, "magnitude", static_cast<double>(params.magnitude)));
  if (!(params.magnitude > 0.0f))
    return invalid_argument(kOp, ": magnitude is ", params.magnitude, ", needs > 0");
  HIPFORGE_TRY(check_no_self_overlap(kOp, "y", params.y));
  HIPFORGE_TRY(check_no_overlap(kOp, "x", x, "y", params.y, true));
  HIPFORGE_TRY(check_no_overlap(kOp, "positions", params.positions, "y", params.y, false));
  return check_no_overlap(kOp, "inv_freq", params.inv_freq, "y", params.y, false);
}

struct Geometry {
  int pack = 1;
  int lanes_per_row = 1;
  int threads = 1;
  std::int64_t tokens_per_block = 1;
};

Geometry choose_geometry(const RopeParams& params, int wave) {
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
  const std::int64_t steps = pairs / pairs_at_once + (head_dim - params.rotary_dim) / geometry.pack;
  const auto row_lanes = std::bit_ceil(static_cast<std::uint64_t>(steps));
  geometry.lanes_per_row = static_cast<int>(std::min<std::uint64_t>(row_lanes, kMaxBlock));

  // As many tokens as keep a full block busy, but no more than leave enough blocks and fit the tables.
  const std::int64_t threads_per_token = heads * geometry.lanes_per_row;
  std::int64_t count = kMaxBlock * kRowsPerThread / std::max<std::int64_t>(threads_per_token, 1);
  count =
      std::min({count, tokens / kWantedBlocks, kMaxTokensPerBlock, kSharedBudget / shared_bytes(1, pairs)});
  geometry.tokens_per_block = std::max<std::int64_t>({count, 1, (tokens + kMaxGrid - 1) / kMaxGrid});
  const std::int64_t busy = geometry.tokens_per_block * threads_per_token / kRowsPerThread;
  const auto threads =
      std::bit_ceil(static_cast<std::uint64_t>(std::clamp<std::int64_t>(busy, wave, kMaxBlock)));
  geometry.threads = std::max(static_cast<int>(threads), geometry.lanes_per_row);
  return geometry;
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
  const Geometry geometry = choose_geometry(params, target.wave);
  HIPFORGE_TRY(dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_float(kOp, "x", params.x.dtype, [&]<class T>() -> Status {
      const auto choose = [&]<RopeStyle kStyle>() {
        return geometry.pack == 1 ? kRopeEntry<T, kStyle, 1, kWave>
                                  : kRopeEntry<T, kStyle, kVectorSize<T>, kWave>;
      };
      KernelEntry entry;
      switch (params.style) {
        case RopeStyle::kInterleaved:
          entry = choose.template operator()<RopeStyle::kInterleaved>();
          break;
        case RopeStyle::kHalfSplit:
          entry = choose.template operator()<RopeStyle::kHalfSplit>();
          break;
        default:
          return unsupported(kOp, ": style ", static_cast<int>(params.style),
                             " is not known, supported: interleaved, half-split");
      }
      plan.kernel = entry.name;
      plan.function = entry.function;
      return {};
    });
  }));
  const std::int64_t tokens = params.x.shape[2] == 0 ? 0 : params.x.shape[0] * params.x.shape[1];
  const std::int64_t blocks = (tokens + geometry.tokens_per_block - 1) / geometry.tokens_per_block;
  plan.grid = dim3(static_cast<unsigned>(blocks), 1, 1);
  plan.block = dim3(static_cast<unsigned>(geometry.threads), 1, 1);
  plan.shared_bytes = static_cast<unsigned>(shared_bytes(geometry.tokens_per_block, params.rotary_dim / 2));
  return {};
}

Status rope(const RopeParams& params, hipStream_t stream) {
  Target target;
  HIPFORGE_TRY(current_target(target));
  LaunchPlan plan;
  HIPFORGE_TRY(rope_plan(params, target, plan));
  if (plan.grid.x == 0) return {};
  const Geometry geometry = choose_geometry(params, target.wave);
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
  args.tokens = params.x.shape[0] * params.x.shape[1];
  args.seq = params.x.shape[1];
  args.heads = params.x.shape[2];
  args.head_dim = params.x.shape[3];
  args.rotary_dim = static_cast<int>(params.rotary_dim);
  args.tokens_per_block = static_cast<int>(geometry.tokens_per_block);
  args.lanes_per_row = geometry.lanes_per_row;
  args.magnitude = params.magnitude;
  args.error_word = params.error_word;
  return launch(plan, args, stream);
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
