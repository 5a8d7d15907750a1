#include "kernels/rope.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/metamorphic.h"
#include "harness/sweep/op_cases.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/device_error.h"
#include "reference/not_finite.h"
#include "reference/rope.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace hipforge::harness {

constexpr const char* kRopeBound = R"(
With u = 2⁻²⁴ and m = magnitude · (|a cos φ| + |b sin φ|):
  sine and cosine 1.25u, their product with a magnitude that is not 1 another u, one product u: relative
  to m; the fused multiply-add u·|y|, then the store (in f32 it is the same rounding); the angle is off by
  less than 2π·position·2⁻⁶⁴, which moves y by that times magnitude · (|a| + |b|).
Elements that are copied must be exactly equal.)";

// y, within kRopeBound.
Oracle<RopeParams> expect;
Relations<RopeParams> rope_metamorphic_cases;

namespace {

enum class PositionKind {
  kZero,      // all 0
  kCounting,  // 0, 1, 2, ... from a small start
  kLong,      // around 131,072
  kLimit,     // around 2^24 and up to 2^31 − 1
  kGlm,       // a prefix that counts, then repeats of its last position
  kBad,       // some negative
};
constexpr const char* kPositionNames = "zero counting 131072 limit glm bad";

// Settings of models that exist: Llama 3.1's, and YaRN as Qwen 2.5 documents it.
struct Scaling {
  const char* name;
  RopeFrequencyParams params{};
};
const Scaling kScalings[] = {
    {"none"},
    {"linear", {.scaling = RopeScaling::kLinear, .factor = 2.5}},
    {"ntk", {.scaling = RopeScaling::kNtk, .factor = 4.0}},
    {"yarn", {.theta = 1e6, .scaling = RopeScaling::kYarn, .factor = 4.0, .original_context_length = 32768}},
    {"llama3",
     {.theta = 5e5, .scaling = RopeScaling::kLlama3, .factor = 8.0, .original_context_length = 8192}},
    {"factors", {.scaling = RopeScaling::kFactors}}};
constexpr std::int64_t kSampledTokens = 48;

struct Spec : SpecBase {
  Shape shape{1, 1, 1, 2};      // batch, seq, heads, head_dim
  std::int64_t rotary_dim = 0;  // 0: head_dim
  RopeStyle style = RopeStyle::kInterleaved;
  bool own_positions = false;
  PositionKind positions = PositionKind::kCounting;
  const Scaling* scaling = &kScalings[0];
  float magnitude = 0.0f;  // 0: what the scaling gives
  bool in_place = false;
  double scale = 1.0;
  bool special = false;  // NaN, infinities and zeros of both signs among the elements
  bool cancel = false;   // pairs that the rotation turns onto an axis
};

const char* style_name(RopeStyle style) {
  return style == RopeStyle::kInterleaved ? "interleaved" : "half_split";
}

// Of token `s` of sequence `b`.
double position(const Spec& spec, std::int64_t b, std::int64_t s) {
  const std::int64_t at = s + 5 * b;
  const std::int64_t half = spec.shape[1] / 2;
  const std::int64_t by_kind[] = {0,
                                  at,
                                  131072 - 2 + at,
                                  s % 2 == 0 ? 2147483647 - at : 16777216 - 1 + at,
                                  s < half ? at : half + b,
                                  (s + b) % 3 == 1 ? -1 - 1000000000 * (s % 2) : at};
  return static_cast<double>(by_kind[static_cast<std::size_t>(spec.positions)]);
}

// A NaN or an infinity in some pairs: it must not leave its pair, and at position 0 not even reach its
// partner.
constexpr double kSpecial[] = {1.0, -0.0, kInfinity, 2.0, 0.5, -3.0, kNaN, 0.0, -kInfinity, 1.5, -0.25};

// Pairs (sin φ, cos φ): one output of each is a difference of nearly equal products, the other nearly 1.
std::vector<double> cancelling_values(const Spec& spec, std::span<const double> positions,
                                      std::span<const float> inv_freq) {
  const std::int64_t pairs = spec.rotary_dim / 2;
  const bool interleaved = spec.style == RopeStyle::kInterleaved;
  return values_of(spec.shape, [&](std::int64_t i) {
    const std::int64_t at = i % spec.shape[3];
    if (at >= spec.rotary_dim) return 0.5;
    const auto token = static_cast<std::size_t>(i / spec.shape[3] / spec.shape[2]);
    const auto pair = static_cast<std::size_t>(interleaved ? at / 2 : at % pairs);
    const double angle = positions[token % positions.size()] * static_cast<double>(inv_freq[pair]);
    return (interleaved ? at % 2 : at / pairs) == 0 ? std::sin(angle) : std::cos(angle);
  });
}

RopeParams make(const Spec& spec, Rig& rig) {
  const std::int64_t pairs = spec.rotary_dim / 2;
  std::vector<float> factors;
  for (std::int64_t i = 0; i < pairs; ++i) factors.push_back(1.0f + 0.37f * static_cast<float>(i % 11));
  RopeFrequencyParams wanted = spec.scaling->params;
  wanted.rotary_dim = spec.rotary_dim;
  if (wanted.scaling == RopeScaling::kFactors) wanted.factors = factors;
  std::vector<float> inv_freq;
  RopeParams params;
  throw_if_error(rope_frequencies(wanted, inv_freq, params.magnitude));
  if (spec.magnitude != 0.0f) params.magnitude = spec.magnitude;
  params.style = spec.style;
  params.rotary_dim = spec.rotary_dim;
  const std::int64_t seq = spec.shape[1];
  const Shape position_shape = spec.own_positions ? Shape{spec.shape[0], seq} : Shape{seq};
  const auto positions =
      values_of(position_shape, [&](std::int64_t i) { return position(spec, i / seq, i % seq); });
  if (spec.cancel || spec.special) {
    const std::vector<double> values =
        spec.cancel ? cancelling_values(spec, positions, inv_freq) : repeated(spec.shape, kSpecial);
    params.x = rig.input_values("x", spec.dtype, spec.shape, values, spec.layout);
  } else {
    params.x = rig.input("x", spec.dtype, spec.shape, spec.family, spec.scale, spec.layout);
  }
  params.y = spec.in_place ? params.x : rig.output("y", spec.dtype, spec.shape, spec.layout);
  params.positions = rig.input_values("positions", DType::kI32, position_shape, positions, spec.layout);
  const std::vector<double> frequencies(inv_freq.begin(), inv_freq.end());
  params.inv_freq = rig.input_values("inv_freq", DType::kF32, {pairs}, frequencies, spec.layout);
  const bool bad = std::any_of(positions.begin(), positions.end(), [](double at) { return at < 0.0; });
  params.error_word = rig.error_word(bad ? std::uint32_t{kDeviceErrorPosition} : 0u);
  return params;
}

void declare(Fields<Spec>& made) {
  const auto axis = [](std::size_t at) {
    return [at](Spec& spec) -> std::int64_t& { return spec.shape[at]; };
  };
  const auto is_partial = [](const Spec& spec) { return spec.rotary_dim < spec.shape[3]; };
  const auto is_large = [](const Spec& spec) { return spec.scale != 1.0; };
  made.size("batch", axis(0)).size("seq", axis(1)).size("heads", axis(2));
  made.number("rotary_dim", &Spec::rotary_dim, 2, 2).size("head_dim", axis(3), 2);
  made.feature([](const Spec& spec) { return style_name(spec.style); });
  made.feature([](const Spec& spec) { return spec.own_positions ? "positions_batch_seq" : "positions_seq"; });
  made.feature([](const Spec& spec) {
    return "position_" + words_of(kPositionNames)[static_cast<std::size_t>(spec.positions)];
  });
  made.feature([](const Spec& spec) { return fmt::format("scaling_{}", spec.scaling->name); });
  made.feature("partial", is_partial);
  made.feature("magnitude", [](const Spec& spec) { return spec.magnitude != 0.0f; });
  made.feature("in_place", &Spec::in_place);
  made.layout().family("family", &Spec::family).scalar("scale", &Spec::scale, 1.0);
  made.feature("large", is_large).special({"large"}, is_large);
  std::vector<Value<const Scaling*>> scalings;
  for (const Scaling& one : kScalings) scalings.push_back({one.name, &one});
  made.choice("scaling", &Spec::scaling, scalings);
  made.choice("positions", &Spec::positions, kPositionNames, 2);
  made.choice<float>("magnitude", &Spec::magnitude, {{"own", 0.0f}, {"1.25", 1.25f}});
  made.choice("style", &Spec::style, "interleaved half_split", 0);
  made.flag("own_positions", &Spec::own_positions).flag("in_place", &Spec::in_place);
  made.flag("special", &Spec::special).says("special");
  made.special({"non_finite", "minus_infinity"}, &Spec::special);
  made.flag("cancel", &Spec::cancel).says("cancel").special({"cancel"}, &Spec::cancel);
  made.shape_text([is_partial](const Spec& spec) {
    return shape_name(spec.shape) + (is_partial(spec) ? fmt::format("of{}", spec.rotary_dim) : "");
  });
  // More than one block.
  made.over_tile([](const Spec& spec) { return spec.shape[0] * spec.shape[1] > 1; });
  made.require([](const Spec& spec) {
    return spec.rotary_dim <= spec.shape[3] &&
           (spec.rotary_dim > 2 || spec.scaling->params.scaling != RopeScaling::kNtk);
  });
}

Work work(const Spec& spec, const RopeParams&) {
  return {.flops = 6 * spec.shape[0] * spec.shape[1] * spec.shape[2] * (spec.rotary_dim / 2)};
}

std::vector<RopeParams> samples(const RopeParams& params, std::uint64_t seed) {
  const std::int64_t seq = params.x.shape[1];
  std::vector<RopeParams> parts;
  for (std::int64_t token : spread(params.x.shape[0] * seq, kSampledTokens, seed)) {
    RopeParams part = slice_operands(params, {"x", "y"}, 0, token / seq);
    part = slice_operands(part, {"x", "y"}, 1, token % seq);
    const bool own = part.positions.rank == 2;
    if (own) part.positions = slice_axis(part.positions, 0, token / seq, 1);
    part.positions = slice_axis(part.positions, own ? 1 : 0, token % seq, 1);
    parts.push_back(part);
  }
  return parts;
}

const OpCases<Spec, RopeParams> kCases{rope, declared<Spec, declare>, make, work, samples};

}  // namespace

std::vector<OutputExpectation> expect(const RopeParams& part, const HostTensors& host, const Target&,
                                      const RopeParams&) {
  const auto& size = part.x.shape;
  const auto magnitude = static_cast<double>(part.magnitude);
  const reference::RopeResult oracle =
      reference::rope(host.values("x"), host.values("positions"), host.values("inv_freq"),
                      {size[0], size[1], size[2], size[3], part.rotary_dim},
                      part.style == RopeStyle::kInterleaved, magnitude);
  const double relative = (magnitude == 1.0 ? 2.25 : 3.25) * kF32Roundoff;
  constexpr double kAngleUnit = 2.0 * std::numbers::pi * 0x1p-64;
  const DType dtype = part.y.dtype;
  Expected y{dtype, shape_of(part.y), oracle.y, std::vector<double>(oracle.y.size())};
  for (std::size_t i = 0; i < oracle.y.size(); ++i) {
    if (oracle.angle_slope[i] == 0.0 && oracle.products[i] == 0.0) continue;  // copied
    double bound = relative * oracle.products[i] + kAngleUnit * oracle.angle_slope[i] + 0x1p-148;
    if (dtype != DType::kF32) bound += kF32Roundoff * std::fabs(oracle.y[i]);
    y.bound[i] = bound + store_rounding(dtype, oracle.y[i]);
  }
  return {{"y", std::move(y)}};
}

// batch x seq x heads x head_dim
constexpr std::string_view kTable = R"(
  # Every size that matters, in both styles.
  $own_second = interleaved ; half_split own_positions
  $own_first = interleaved own_positions ; half_split
  1x1x1x2 1x3x2x16 1x7x4x64! 1x17x1x96 3x2x1x256 1x2x2x514 1x1030x5x16 : $own_second
  1x2x3x6 2x5x3x32 2x3x5x40 1x5x2x128 1x2x40x128 1x1100x1x4 1x1x2x8192 : $own_first
  2x3x2x64 : rotary_dim=32 own_positions {interleaved,half_split}
  1x5x3x80 : rotary_dim=20 {interleaved,half_split}
  2x2x2x33 : rotary_dim=2 own_positions {interleaved,half_split}
  1x4x9x128! : rotary_dim=64 {interleaved,half_split}
  2x0x3x16 0x3x1x34 1x1x0x128
  # Every option at three shapes; at integers at position 0 the identity: exact.
  $some = in_place,positions=zero,limit,bad,ntk 131072,llama3 131072,outliers,uniform,one_hot
  $more = integers positions=zero,cancel 131072,special
  $quick = magnitude=1.25,glm,yarn 131072,subnormal,integers,scale=large
  $rest = 131072,scaling=linear 131072,factors 131072,equal,cancel,special positions=zero
  1x3x2x16 : interleaved {$some,$more} ; half_split {$quick,$rest}
  2x5x3x34 : own_positions half_split {$some,$more} ; own_positions interleaved {$rest}
  2x5x3x34! : own_positions interleaved {$quick}
  2x4x5x128 : own_positions interleaved {$some,$more} ; own_positions half_split {$quick,$rest}
)";

constexpr std::string_view kBench =
    "1x512x32x128 16x1x32x128 : {interleaved,half_split} 131072 rotary_dim=128 \n"
    "1x256x8x64 : {interleaved,half_split} 131072";

// 256 MiB in and out.
constexpr std::string_view kLarge = R"(
  $styles = {what=interleaved,what=half_split half_split}
  [f16 bf16] share=0.85 shrink=seq
  8x4096x32x64 : rotary_dim=64 $styles
  4x4096x32x128 : rotary_dim=128 $styles
  [f32] share=0.85 shrink=seq
  4x4096x32x64 : rotary_dim=64 $styles
  2x4096x32x128 : rotary_dim=128 $styles
)";

// Where the whole vector is turned, and where a tail is copied as well.
void settle(Spec& spec) {
  const std::int64_t head_dim = spec.shape[3];
  const bool tail = head_dim == 128 && spec.positions != PositionKind::kCounting;
  if (spec.rotary_dim == 0) spec.rotary_dim = tail ? 96 : head_dim / 2 * 2;
}

OpSuite rope_suite() {
  auto suite = make_suite<RopeParams>(kRopeBound);
  suite.features = words_of(
      "interleaved half_split partial positions_seq in_place magnitude position_zero positions_batch_seq "
      "position_131072 position_limit position_glm position_bad scaling_none scaling_linear scaling_ntk "
      "scaling_yarn scaling_llama3 scaling_factors outliers subnormal large position_counting special");
  exclude_families(suite, {"masked_rows", "nan_behind_mask"}, "there is no mask");
  // A pack, half a wave's and a wave's lanes in pairs, and the heads that a thread takes together.
  for (std::int64_t at : {8, 32, 64, 128, 512}) suite.edges.push_back({"head_dim", at});
  for (std::int64_t at : {4, 16}) suite.edges.push_back({"heads", at});
  fill_suite(suite, kCases, {kTable, "1x3x2x10", kBench, settle, {}, kLarge, rope_metamorphic_cases});
  return suite;
}

}  // namespace hipforge::harness
