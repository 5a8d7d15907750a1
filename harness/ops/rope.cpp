#include "harness/ops/rope.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/families.h"
#include "harness/sweep/variants.h"
#include "kernels/runtime/device_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

namespace hipforge::harness {
namespace {

enum class PositionKind {
  kCounting,  // 0, 1, 2, ... from a small start
  kZero,      // all 0
  kLong,      // around 131,072
  kLimit,     // around 2^24 and up to 2^31 − 1
  kGlm,       // a prefix that counts, then repeats of its last position
  kBad,       // some negative
};

struct Spec {
  Shape shape;  // batch, seq, heads, head_dim
  std::int64_t rotary_dim = 0;
  RopeStyle style = RopeStyle::kInterleaved;
  DType dtype = DType::kF32;
  Layout layout = Layout::kContiguous;
  bool own_positions = false;
  PositionKind positions = PositionKind::kCounting;
  RopeScaling scaling = RopeScaling::kNone;
  float magnitude = 0.0f;  // 0: what the scaling gives
  bool in_place = false;
  Family family = Family::kNormal;
  double scale = 1.0;
  bool special = false;  // NaN, infinities and zeros of both signs among the elements
  bool cancel = false;   // pairs that the rotation turns onto an axis
  bool quick = false;
};

const char* scaling_name(RopeScaling scaling) {
  switch (scaling) {
    case RopeScaling::kNone:
      return "scaling_none";
    case RopeScaling::kLinear:
      return "scaling_linear";
    case RopeScaling::kNtk:
      return "scaling_ntk";
    case RopeScaling::kYarn:
      return "scaling_yarn";
    case RopeScaling::kLlama3:
      return "scaling_llama3";
    case RopeScaling::kFactors:
      return "scaling_factors";
  }
  return "unknown";
}

const char* position_name(PositionKind kind) {
  switch (kind) {
    case PositionKind::kCounting:
      return "position_counting";
    case PositionKind::kZero:
      return "position_zero";
    case PositionKind::kLong:
      return "position_131072";
    case PositionKind::kLimit:
      return "position_limit";
    case PositionKind::kGlm:
      return "position_glm";
    case PositionKind::kBad:
      return "position_bad";
  }
  return "unknown";
}

std::vector<std::string> features_of(const Spec& spec) {
  std::vector<std::string> features{spec.style == RopeStyle::kInterleaved ? "interleaved" : "half_split"};
  features.emplace_back(spec.own_positions ? "positions_batch_seq" : "positions_seq");
  features.emplace_back(position_name(spec.positions));
  features.emplace_back(scaling_name(spec.scaling));
  if (spec.rotary_dim < spec.shape[3]) features.emplace_back("partial");
  if (spec.magnitude != 0.0f) features.emplace_back("magnitude");
  if (spec.in_place) features.emplace_back("in_place");
  if (spec.family != Family::kNormal) features.emplace_back(family_name(spec.family));
  if (spec.scale != 1.0) features.emplace_back("large");
  if (spec.special) features.emplace_back("special");
  if (spec.cancel) features.emplace_back("cancel");
  return features;
}

std::vector<std::string> families_of(const Spec& spec) {
  if (spec.special) return {"non_finite", "minus_infinity"};
  if (spec.cancel) return {"cancel"};
  return {spec.scale != 1.0 ? "large" : input_family(spec.family)};
}

std::vector<double> make_positions(const Spec& spec) {
  const std::int64_t seq = spec.shape[1];
  const std::int64_t rows = spec.own_positions ? spec.shape[0] : 1;
  std::vector<double> positions;
  for (std::int64_t b = 0; b < rows; ++b) {
    for (std::int64_t s = 0; s < seq; ++s) {
      const auto at = static_cast<double>(s + 5 * b);
      switch (spec.positions) {
        case PositionKind::kCounting:
          positions.push_back(at);
          break;
        case PositionKind::kZero:
          positions.push_back(0.0);
          break;
        case PositionKind::kLong:
          positions.push_back(131072.0 - 2.0 + at);
          break;
        case PositionKind::kLimit:
          positions.push_back(s % 2 == 0 ? 2147483647.0 - at : 16777216.0 - 1.0 + at);
          break;
        case PositionKind::kGlm:
          positions.push_back(s < seq / 2 ? at : static_cast<double>(seq / 2 + b));
          break;
        case PositionKind::kBad:
          positions.push_back((s + b) % 3 == 1 ? -1.0 - 1e9 * static_cast<double>(s % 2) : at);
      }
    }
  }
  return positions;
}

// A NaN or an infinity in some pairs: it must not leave its pair, and at position 0 not even reach its
// partner.
std::vector<double> special_values(const Shape& shape) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const double cycle[] = {1.0, -0.0, kInf, 2.0, 0.5, -3.0, std::nan(""), 0.0, -kInf, 1.5, -0.25};
  std::vector<double> values;
  for (std::int64_t i = 0; i < shape[0] * shape[1] * shape[2] * shape[3]; ++i) {
    values.push_back(cycle[static_cast<std::size_t>(i) % std::size(cycle)]);
  }
  return values;
}

// Pairs (sin φ, cos φ): one output of each is a difference of nearly equal products, the other nearly 1.
std::vector<double> cancelling_values(const Spec& spec, std::span<const double> positions,
                                      std::span<const float> inv_freq) {
  const std::int64_t tokens = spec.shape[0] * spec.shape[1];
  const std::int64_t pairs = spec.rotary_dim / 2;
  std::vector<double> values(static_cast<std::size_t>(tokens * spec.shape[2] * spec.shape[3]), 0.5);
  for (std::int64_t row = 0; row < tokens * spec.shape[2]; ++row) {
    const std::int64_t token = row / spec.shape[2];
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
      const double angle = positions[static_cast<std::size_t>(token) % positions.size()] *
                           static_cast<double>(inv_freq[static_cast<std::size_t>(pair)]);
      const bool interleaved = spec.style == RopeStyle::kInterleaved;
      const std::int64_t at = row * spec.shape[3];
      values[static_cast<std::size_t>(at + (interleaved ? 2 * pair : pair))] = std::sin(angle);
      values[static_cast<std::size_t>(at + (interleaved ? 2 * pair + 1 : pair + pairs))] = std::cos(angle);
    }
  }
  return values;
}

// Settings of models that exist: Llama 3.1's, and YaRN as Qwen 2.5 documents it.
RopeFrequencyParams frequency_params(const Spec& spec, std::span<const float> factors) {
  RopeFrequencyParams params;
  params.rotary_dim = spec.rotary_dim;
  params.scaling = spec.scaling;
  switch (spec.scaling) {
    case RopeScaling::kNone:
      break;
    case RopeScaling::kLinear:
      params.factor = 2.5;
      break;
    case RopeScaling::kNtk:
      params.factor = 4.0;
      break;
    case RopeScaling::kYarn:
      params.theta = 1e6;
      params.factor = 4.0;
      params.original_context_length = 32768;
      break;
    case RopeScaling::kLlama3:
      params.theta = 5e5;
      params.factor = 8.0;
      params.original_context_length = 8192;
      break;
    case RopeScaling::kFactors:
      params.factors = factors;
      break;
  }
  return params;
}

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  const std::int64_t pairs = spec.rotary_dim / 2;
  std::vector<float> factors;
  for (std::int64_t i = 0; i < pairs; ++i) factors.push_back(1.0f + 0.37f * static_cast<float>(i % 11));
  std::vector<float> inv_freq;
  RopeParams params;
  throw_if_error(rope_frequencies(frequency_params(spec, factors), inv_freq, params.magnitude));
  if (spec.magnitude != 0.0f) params.magnitude = spec.magnitude;
  params.style = spec.style;
  params.rotary_dim = spec.rotary_dim;
  if (spec.cancel) {
    params.x = rig.input_values("x", spec.dtype, spec.shape,
                                cancelling_values(spec, make_positions(spec), inv_freq), spec.layout);
  } else if (spec.special) {
    params.x = rig.input_values("x", spec.dtype, spec.shape, special_values(spec.shape), spec.layout);
  } else {
    params.x = rig.input("x", spec.dtype, spec.shape, spec.family, spec.scale, spec.layout);
  }
  if (spec.in_place) {
    rig.make_inout("x");
    params.y = params.x;
  } else {
    params.y = rig.output("y", spec.dtype, spec.shape, spec.layout);
  }
  const Shape position_shape =
      spec.own_positions ? Shape{spec.shape[0], spec.shape[1]} : Shape{spec.shape[1]};
  const std::vector<double> positions = make_positions(spec);
  params.positions = rig.input_values("positions", DType::kI32, position_shape, positions, spec.layout);
  const std::vector<double> frequencies(inv_freq.begin(), inv_freq.end());
  params.inv_freq = rig.input_values("inv_freq", DType::kF32, {pairs}, frequencies, spec.layout);
  params.error_word = rig.error_word();
  if (std::any_of(positions.begin(), positions.end(), [](double position) { return position < 0.0; })) {
    rig.expect_error_word(kDeviceErrorPosition);
  }

  const std::int64_t tokens = spec.shape[0] * spec.shape[1];
  const auto size = static_cast<std::int64_t>(dtype_size(spec.dtype));
  prepared.bytes = 2 * tokens * spec.shape[2] * spec.shape[3] * size + 4 * (params.positions.numel() + pairs);
  prepared.flops = 6 * tokens * spec.shape[2] * pairs;
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return rope(params, stream, target);
  };
  prepared.expect = [spec, &rig, magnitude = params.magnitude, target = environment.target] {
    RopeInputs inputs;
    inputs.x = rig.values("x");
    inputs.positions = rig.values("positions");
    inputs.inv_freq = rig.values("inv_freq");
    inputs.sizes = {spec.shape[0], spec.shape[1], spec.shape[2], spec.shape[3], spec.rotary_dim};
    inputs.style = spec.style;
    inputs.magnitude = static_cast<double>(magnitude);
    inputs.dtype = spec.dtype;
    std::vector<OutputExpectation> outputs;
    outputs.push_back({spec.in_place ? "x" : "y", rope_expected(inputs, target)});
    return outputs;
  };
  return prepared;
}

const SpecKnobs<Spec>& knobs() {
  static const SpecKnobs<Spec> all = [] {
    SpecKnobs<Spec> made;
    made.size("batch", [](Spec& spec) -> std::int64_t& { return spec.shape[0]; });
    made.size("seq", [](Spec& spec) -> std::int64_t& { return spec.shape[1]; });
    made.size("heads", [](Spec& spec) -> std::int64_t& { return spec.shape[2]; });
    made.size("rotary_dim", &Spec::rotary_dim, 2, 2);
    made.size(
        "head_dim", [](Spec& spec) -> std::int64_t& { return spec.shape[3]; }, 2);
    made.layout("layout", &Spec::layout).family("family", &Spec::family).scalar("scale", &Spec::scale, 1.0);
    made.choice("scaling", &Spec::scaling,
                std::vector<std::pair<std::string, RopeScaling>>{{"none", RopeScaling::kNone}});
    made.choice("positions", &Spec::positions,
                std::vector<std::pair<std::string, PositionKind>>{{"zero", PositionKind::kZero},
                                                                  {"counting", PositionKind::kCounting}});
    made.choice("magnitude", &Spec::magnitude, std::vector<std::pair<std::string, float>>{{"own", 0.0f}});
    made.flag("own_positions", &Spec::own_positions).flag("in_place", &Spec::in_place);
    made.flag("special", &Spec::special).flag("cancel", &Spec::cancel);
    made.require([](const Spec& spec) {
      return spec.rotary_dim <= spec.shape[3] && (spec.scaling != RopeScaling::kNtk || spec.rotary_dim > 2);
    });
    return made;
  }();
  return all;
}

Case make_case(const Spec& wanted) {
  Spec spec = wanted;
  if (spec.rotary_dim == 0) spec.rotary_dim = spec.shape[3];
  Case test;
  test.op = "rope";
  test.dtype = spec.dtype;
  test.layout = layout_name(spec.layout);
  test.features = features_of(spec);
  test.families = families_of(spec);
  set_sizes(test, {{"batch", spec.shape[0]},
                   {"seq", spec.shape[1]},
                   {"heads", spec.shape[2]},
                   {"head_dim", spec.shape[3]}});
  test.shape = shape_name(spec.shape);
  if (spec.rotary_dim != spec.shape[3]) test.shape += fmt::format("of{}", spec.rotary_dim);
  test.odd = any_odd(spec.shape);
  test.over_tile = spec.shape[0] * spec.shape[1] > 1;  // more than one block
  test.quick = spec.quick;
  test.id = fmt::format("rope/{}/{}/{}/{}", dtype_name(spec.dtype), test.layout, test.shape,
                        fmt::join(test.features, "."));
  test.prepare = [spec](const CaseEnvironment& environment) { return prepare(spec, environment); };
  test.variants = knobs().variants(spec, &make_case);
  return test;
}

// Every size that matters, in both styles.
void add_shapes(OpSuite& suite, DType dtype, Layout layout) {
  const std::vector<Shape> shapes{
      {1, 1, 1, 2},   {1, 2, 3, 6},    {1, 3, 2, 16},    {2, 5, 3, 32},   {1, 7, 4, 64},
      {2, 3, 5, 40},  {1, 17, 1, 96},  {1, 5, 2, 128},   {3, 2, 1, 256},  {1, 2, 40, 128},
      {1, 2, 2, 514}, {1, 1100, 1, 4}, {1, 1030, 5, 16}, {1, 1, 2, 8192},
  };
  bool own = false;
  for (const Shape& shape : shapes) {
    for (RopeStyle style : {RopeStyle::kInterleaved, RopeStyle::kHalfSplit}) {
      Spec spec{.shape = shape, .style = style, .dtype = dtype, .layout = layout};
      spec.own_positions = own;
      spec.quick = shape[3] == 64;
      suite.cases.push_back(make_case(spec));
      own = !own;
    }
    own = !own;
  }
  const std::vector<std::pair<Shape, std::int64_t>> partials{
      {{2, 3, 2, 64}, 32}, {{1, 5, 3, 80}, 20}, {{2, 2, 2, 33}, 2}, {{1, 4, 9, 128}, 64}};
  for (const auto& [shape, rotary_dim] : partials) {
    for (RopeStyle style : {RopeStyle::kInterleaved, RopeStyle::kHalfSplit}) {
      Spec spec{.shape = shape, .rotary_dim = rotary_dim, .style = style, .dtype = dtype, .layout = layout};
      spec.own_positions = shape[0] > 1;
      spec.quick = rotary_dim == 64;
      suite.cases.push_back(make_case(spec));
    }
  }
  for (const Shape& shape : {Shape{2, 0, 3, 16}, Shape{0, 3, 1, 34}, Shape{1, 1, 0, 128}}) {
    Spec empty{.shape = shape, .dtype = dtype, .layout = layout};
    suite.cases.push_back(make_case(empty));
  }
}

// Every option at three shapes.
void add_options(OpSuite& suite, DType dtype, Layout layout) {
  std::vector<Spec> options;
  const Spec plain{.shape = {}, .dtype = dtype, .layout = layout};
  const auto option = [&]() -> Spec& { return options.emplace_back(plain); };
  option().in_place = true;
  option().magnitude = 1.25f;
  for (PositionKind kind : {PositionKind::kZero, PositionKind::kLong, PositionKind::kLimit,
                            PositionKind::kGlm, PositionKind::kBad}) {
    option().positions = kind;
  }
  for (RopeScaling scaling : {RopeScaling::kLinear, RopeScaling::kNtk, RopeScaling::kYarn,
                              RopeScaling::kLlama3, RopeScaling::kFactors}) {
    Spec& spec = option();
    spec.scaling = scaling;
    spec.positions = PositionKind::kLong;
  }
  for (Family family : {Family::kOutliers, Family::kSubnormal, Family::kUniform, Family::kEqual,
                        Family::kOneHot, Family::kIntegers}) {
    option().family = family;
  }
  // The identity: exact.
  Spec& integers_at_zero = option();
  integers_at_zero.family = Family::kIntegers;
  integers_at_zero.positions = PositionKind::kZero;
  for (PositionKind kind : {PositionKind::kCounting, PositionKind::kLong}) {
    Spec& cancel = option();
    cancel.cancel = true;
    cancel.positions = kind;
  }
  option().scale = dtype == DType::kF16 ? 1e4 : 1e30;
  option().special = true;
  Spec& special_at_zero = option();
  special_at_zero.special = true;
  special_at_zero.positions = PositionKind::kZero;

  std::size_t turn = 0;
  for (const Spec& base : options) {
    for (const Shape& shape : {Shape{1, 3, 2, 16}, Shape{2, 5, 3, 34}, Shape{2, 4, 5, 128}}) {
      Spec spec = base;
      spec.shape = shape;
      spec.style = turn % 2 == 0 ? RopeStyle::kInterleaved : RopeStyle::kHalfSplit;
      spec.own_positions = turn % 3 != 0;
      // Where the whole vector is turned, and where a tail is copied as well.
      if (shape[3] == 128 && base.positions != PositionKind::kCounting) spec.rotary_dim = 96;
      spec.quick = shape[3] == (turn % 4 == 0 ? 34 : 0);
      suite.cases.push_back(make_case(spec));
      ++turn;
    }
  }
}

}  // namespace

Expected rope_expected(const RopeInputs& inputs, const Target&) {
  const bool interleaved = inputs.style == RopeStyle::kInterleaved;
  const reference::RopeResult oracle = reference::rope(inputs.x, inputs.positions, inputs.inv_freq,
                                                       inputs.sizes, interleaved, inputs.magnitude);
  const double relative = (inputs.magnitude == 1.0 ? 2.25 : 3.25) * kF32Roundoff;
  constexpr double kAngleUnit = 2.0 * std::numbers::pi * 0x1p-64;
  Expected expected;
  expected.dtype = inputs.dtype;
  expected.shape = {inputs.sizes.batch, inputs.sizes.seq, inputs.sizes.heads, inputs.sizes.head_dim};
  expected.value = oracle.y;
  expected.bound.assign(oracle.y.size(), 0.0);
  for (std::size_t i = 0; i < oracle.y.size(); ++i) {
    if (oracle.angle_slope[i] == 0.0 && oracle.products[i] == 0.0) continue;  // copied
    double bound = relative * oracle.products[i] + kAngleUnit * oracle.angle_slope[i] + 0x1p-148;
    if (inputs.dtype != DType::kF32) bound += kF32Roundoff * std::fabs(oracle.y[i]);
    expected.bound[i] = bound + store_rounding(inputs.dtype, oracle.y[i]);
  }
  return expected;
}

OpSuite rope_suite() {
  OpSuite suite;
  suite.op = "rope";
  suite.bound = kRopeBound;
  suite.dtypes = {DType::kF32, DType::kF16, DType::kBF16};
  suite.layouts = {"contiguous", "strided"};
  suite.features = {"interleaved",     "half_split",        "partial",       "positions_seq",
                    "in_place",        "magnitude",         "position_zero", "positions_batch_seq",
                    "position_131072", "position_limit",    "position_glm",  "position_bad",
                    "scaling_none",    "scaling_linear",    "scaling_ntk",   "scaling_yarn",
                    "scaling_llama3",  "scaling_factors",   "outliers",      "subnormal",
                    "large",           "position_counting", "special"};
  exclude_families(suite, {"masked_rows", "nan_behind_mask"}, "there is no mask");
  // A pack, half a wave's and a wave's lanes in pairs, and the heads that a thread takes together.
  for (std::int64_t at : {8, 32, 64, 128, 512}) suite.edges.push_back({"head_dim", at});
  for (std::int64_t at : {4, 16}) suite.edges.push_back({"heads", at});
  for (DType dtype : suite.dtypes) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      add_shapes(suite, dtype, layout);
      add_options(suite, dtype, layout);
      fill_edges(suite, dtype, layout_name(layout), [&](const std::string& dimension, std::int64_t size) {
        Spec spec{.shape = {1, 3, 2, 10}, .dtype = dtype, .layout = layout};
        spec.shape[dimension == "heads" ? 2 : 3] = size;
        spec.rotary_dim = spec.shape[3] / 2 * 2;
        return make_case(spec);
      });
    }
    for (RopeStyle style : {RopeStyle::kInterleaved, RopeStyle::kHalfSplit}) {
      for (const Shape& shape : {Shape{1, 512, 32, 128}, Shape{16, 1, 32, 128}, Shape{1, 256, 8, 64}}) {
        Spec spec{.shape = shape, .style = style, .dtype = dtype};
        spec.positions = PositionKind::kLong;
        suite.bench_cases.push_back(make_case(spec));
      }
    }
  }
  add_metamorphic(suite, rope_metamorphic_cases());
  suite.large_cases = rope_large_cases;
  return suite;
}

}  // namespace hipforge::harness
