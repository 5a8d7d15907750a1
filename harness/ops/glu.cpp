#include "kernels/glu.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/metamorphic.h"
#include "harness/sweep/op_cases.h"
#include "reference/glu.h"
#include "reference/not_finite.h"

#include <cmath>
#include <numbers>

namespace hipforge::harness {

constexpr const char* kGluBound = R"(
With u = 2⁻²⁴ and e = exp(−|z|), z = g (silu) or 2·√(2/π)·(g + 0.044715·g³) (gelu):
  e is within 2 ulp (4u), and enters y with a weight of at most 1; the sum 1 + e, the product with g, the
  division and the product with up are one rounding each: 8u·|y|. Of gelu z is off by 7u·|z|, and so is the
  logarithm of e, whose weight in y is 1 for a negative g, else e / (1 + e). Where the exponential or a
  product is subnormal, each of these errs by an absolute amount instead: 2·2⁻¹⁴⁹ in e, times |g| ≤ 128;
  2⁻¹⁵⁰ in g·e, the quotient and y. Then the store.
kRelu2: the product rounds once, u·|y| + 2⁻¹⁵⁰, and not at all where f32 holds it.
Where f is 0 in f32, infinity · f is NaN. A gate of 0 or of at most −129 gives exactly 0; one of at
least 104 gate · up rounded once, exactly, where f32 holds the product.)";

// y, within kGluBound.
Oracle<GluParams> expect;

namespace {

// Where y is written.
enum class Output { kApart, kInGate, kInUp, kBeside };
constexpr const char* kOutputs = "apart in_gate in_up beside";

// Where gate and up come from.
enum class Operands {
  kApart,
  kFused,   // the two halves of one [rows, 2·cols] matrix
  kSliced,  // columns of three matrices of different widths
  kShared,  // one view for both
  kMixed,   // up in the other layout than gate and y
  kExact,   // integers where silu is the identity or 0
  kSpecial  // values around the edges of exp and of the dtype, infinities and NaN
};

struct Spec : SpecBase {
  std::int64_t rows = 1;
  std::int64_t cols = 1;
  Operands operands = Operands::kApart;
  Output output = Output::kApart;
  Activation activation = Activation::kSilu;
  double scale = 3.0;
};

// Columns beside a slice: rows stay aligned, and the strides differ.
constexpr std::int64_t kGateGap = 8;
constexpr std::int64_t kUpGap = 24;
constexpr std::int64_t kYGap = 40;
constexpr std::int64_t kBlockElements = 256 * 8;  // what one block covers
constexpr std::int64_t kSampledRows = 24;         // of a large case

constexpr double kExactGates[] = {104.0, -200.0, 0.0, 128.0, -129.0, 256.0, 512.0};
constexpr double kSpecialGates[] = {kInfinity, -kInfinity, kNaN,  0.0,    -0.0,    88.0,
                                    -88.0,     89.5,       -89.5, -95.0,  -103.5,  -127.0,
                                    -128.0,    -129.0,     300.0, -300.0, 65504.0, -65504.0};

double exact_up(std::int64_t i) {
  return static_cast<double>(i / 7 % 9 - 4);
}

// Every kind of up with all of the gates.
double special_up(std::int64_t i) {
  constexpr double kUps[] = {1.0, -2.5, 0.0, kInfinity, -kInfinity, kNaN, 6e4};
  const auto at = static_cast<std::size_t>(i);
  const double up = kUps[at / std::size(kSpecialGates) % std::size(kUps)];
  // Whether silu is 0 in f32 at about −103.5 is the exponential's affair: no infinity there.
  return std::isinf(up) && kSpecialGates[at % std::size(kSpecialGates)] == -103.5 ? 1.0 : up;
}

GluParams make(const Spec& spec, Rig& rig) {
  const Shape shape{spec.rows, spec.cols};
  const bool sliced = spec.operands == Operands::kSliced;
  const auto part = [&](const TensorView& wide, std::int64_t first) {
    return slice_axis(wide, 1, first, spec.cols);
  };
  const auto input = [&](const char* name, std::int64_t cols, Layout layout) {
    return rig.input(name, spec.dtype, {spec.rows, cols}, spec.family, spec.scale, layout);
  };
  GluParams params;
  params.activation = spec.activation;
  const bool gated = spec.activation != Activation::kRelu2;
  if (spec.operands == Operands::kFused) {
    const TensorView wide = input("fused", spec.cols * (spec.output == Output::kBeside ? 3 : 2), spec.layout);
    params.gate = part(wide, 0);
    params.up = part(wide, spec.cols);
    if (spec.output == Output::kBeside) params.y = part(wide, 2 * spec.cols);
  } else if (spec.operands == Operands::kExact || spec.operands == Operands::kSpecial) {
    const bool exact = spec.operands == Operands::kExact;
    const std::span<const double> gates = exact ? std::span<const double>(kExactGates) : kSpecialGates;
    params.gate = rig.input_values("gate", spec.dtype, shape, repeated(shape, gates), spec.layout);
    if (gated) {
      params.up = rig.input_values("up", spec.dtype, shape, values_of(shape, exact ? exact_up : special_up),
                                   spec.layout);
    }
  } else {
    const Layout up_layout = spec.operands == Operands::kMixed ? other_layout(spec.layout) : spec.layout;
    params.gate = part(input("gate", spec.cols + (sliced ? kGateGap : 0), spec.layout), 0);
    if (spec.operands == Operands::kShared) params.up = params.gate;
    if (gated && spec.operands != Operands::kShared) {
      params.up = part(input("up", spec.cols + (sliced ? kUpGap : 0), up_layout), 0);
    }
  }
  if (spec.output == Output::kInGate) params.y = params.gate;
  if (spec.output == Output::kInUp) params.y = params.up;
  if (spec.output == Output::kApart) {
    const Shape wide{spec.rows, spec.cols + (sliced ? kYGap : 0)};
    params.y = part(rig.output("y", spec.dtype, wide, spec.layout), 0);
  }
  return params;
}

// What takes an up.
bool of_two_operands(const Spec& spec) {
  return spec.output == Output::kInUp || spec.operands == Operands::kFused ||
         spec.operands == Operands::kShared || spec.operands == Operands::kMixed;
}

void declare(Fields<Spec>& made) {
  const auto is = [](Operands operands) {
    return [operands](const Spec& spec) { return spec.operands == operands; };
  };
  made.size("rows", &Spec::rows).size("cols", &Spec::cols);
  made.layout();
  made.feature([](const Spec& spec) {
    constexpr const char* kNames[] = {"plain",           "fused_halves", "own_strides", "gate_is_up",
                                      "mixed_alignment", "integers",     "non_finite"};
    return kNames[static_cast<std::size_t>(spec.operands)];
  });
  made.feature([](const Spec& spec) {
    return spec.output == Output::kApart ? "" : words_of(kOutputs)[static_cast<std::size_t>(spec.output)];
  });
  made.family("family", &Spec::family).scalar("scale", &Spec::scale, 1.0);
  made.feature("huge", [](const Spec& spec) { return spec.scale > 1e3; });
  made.feature("large", [](const Spec& spec) { return spec.scale > 50.0; });
  made.choice<Activation>("activation", &Spec::activation,
                          {{"silu", Activation::kSilu},
                           {"gelu_tanh", Activation::kGeluTanh, "gelu_tanh"},
                           {"relu2", Activation::kRelu2, "relu2"}});
  made.choice("operands", &Spec::operands, "apart fused sliced shared mixed exact special");
  made.choice("output", &Spec::output, kOutputs);
  // y beside gate and up is a matter of one matrix.
  made.require([fused = is(Operands::kFused)](const Spec& spec) {
    return spec.output != Output::kBeside || fused(spec);
  });
  // Without a gate there is no other operand.
  made.require(
      [](const Spec& spec) { return spec.activation != Activation::kRelu2 || !of_two_operands(spec); });
  made.special({"non_finite", "minus_infinity"}, is(Operands::kSpecial));
  made.special({"integers"}, is(Operands::kExact));
  made.special({"large"}, [](const Spec& spec) { return spec.scale > 1e3; });
  made.over_tile([](const Spec& spec) { return spec.rows * ((spec.cols + 7) / 8 * 8) > kBlockElements; });
}

Work work(const Spec& spec, const GluParams& params) {
  const std::int64_t elements = spec.rows * spec.cols;
  constexpr std::int64_t kFlops[] = {5, 9, 2};
  Work made{.flops = kFlops[static_cast<std::size_t>(spec.activation)] * elements};
  // One view for two operands is read once.
  if (spec.operands == Operands::kShared) {
    made.bytes = 2 * elements * static_cast<std::int64_t>(dtype_size(params.y.dtype));
  }
  return made;
}

// z of kGluBound.
double gelu_argument(double gate) {
  return 2.0 * std::sqrt(2.0 / std::numbers::pi) * (gate + 0.044715 * gate * gate * gate);
}

std::vector<GluParams> samples(const GluParams& params, std::uint64_t seed) {
  return sample_rows(params, {"gate", "up", "y"}, params.y.shape[0], kSampledRows, seed);
}

const OpCases<Spec, GluParams> kCases{glu, declared<Spec, declare>, make, work, samples};

}  // namespace

std::vector<OutputExpectation> expect(const GluParams& part, const HostTensors& host, const Target&,
                                      const GluParams&) {
  const auto gates = host.values("gate");
  const auto ups = host.values("up");
  const DType dtype = part.y.dtype;
  const auto activation = static_cast<reference::GluActivation>(part.activation);
  Expected y{dtype, shape_of(part.y), reference::glu(gates, ups, activation).y, {}};
  for (std::size_t i = 0; i < y.value.size(); ++i) {
    const double gate = gates[i];
    const double oracle = y.value[i];
    if (part.activation == Activation::kRelu2) {
      const bool exact = round_to_dtype(DType::kF32, oracle) == oracle;
      const double stored = dtype == DType::kF32 ? 0.0 : store_rounding(dtype, oracle);
      if (exact) y.value[i] = round_to_dtype(dtype, oracle);
      y.bound.push_back(exact ? 0.0 : kF32Roundoff * oracle + 0x1p-150 + stored);
      continue;
    }
    const double up = std::fabs(ups[i]);
    const double argument = part.activation == Activation::kSilu ? gate : gelu_argument(gate);
    const bool vanished = std::exp(argument) < 0x1p-150;  // the exponential is 0 in f32, and so is f
    if (std::isinf(up) && vanished) y.value[i] = kNaN;
    if (std::isfinite(up) && (gate == 0.0 || (gate <= -129.0 && up < 0x1p30))) {
      y.value[i] = 0.0;
      y.bound.push_back(0.0);
      continue;
    }
    const double product = gate * ups[i];
    if (gate >= 104.0 && round_to_dtype(DType::kF32, product) == product) {
      y.value[i] = round_to_dtype(dtype, product);
      y.bound.push_back(0.0);
      continue;
    }
    const double underflow =
        (2.0 * std::fmin(std::fabs(gate), 128.0) * 0x1p-149 + 2.0 * 0x1p-150) * up + 0x1p-150;
    const double stored = dtype == DType::kF32 ? 0.0 : store_rounding(dtype, oracle);
    double roundings = 8.0;
    if (part.activation == Activation::kGeluTanh) {
      const double decay = std::exp(-std::fabs(argument));
      roundings += 7.0 * std::fabs(argument) * (gate < 0.0 ? 1.0 : decay / (1.0 + decay));
    }
    y.bound.push_back(roundings * kF32Roundoff * std::fabs(oracle) + underflow + stored);
  }
  return {{"y", std::move(y)}};
}

// rows x cols
constexpr std::string_view kTable = R"(
  # Around packs, waves and blocks.
  0x8 0x2049 3x0 1x1 1x7 5x8 9x31 2x256 3x257! 4x512 1x2047 1x2049 3x688 6x1021
  $one = in_gate,sliced,special,scale=100,scale=large,exact
  $two = in_up,fused,fused in_gate,fused in_up,fused beside,mixed,shared
  $family = integers,subnormal,equal,uniform,one_hot
  $each = {,gelu_tanh,relu2}
  1x24 13x173! 3x1032 : $each {$one,outliers} ; $each scale=1 {$family} ; {,gelu_tanh} {$two}
  2x0 1x1 9x31 3x257 2x2056 : {gelu_tanh,relu2}
)";

// 336 MiB in and out.
constexpr std::string_view kLarge = R"(
  $both = what=plain ; what=fused_halves fused
  [f16 bf16] scale=1 share=0.85 shrink=rows
  4096x14336 : $both
  [f32] scale=1 share=0.85 shrink=rows
  2048x14336 : $both
)";

OpSuite glu_suite() {
  auto suite = make_suite<GluParams>(kGluBound);
  suite.features = words_of(
      "plain fused_halves in_gate in_up beside gate_is_up own_strides mixed_alignment large outliers "
      "non_finite integers subnormal equal huge gelu_tanh relu2");
  exclude_families(suite, {"cancel"}, "the only sum is 1 + exp(-|gate|), of positive terms");
  exclude_families(suite, {"masked_rows", "nan_behind_mask"}, "there is no mask");
  // A pack, a wave's lanes, what a wave and what a block takes.
  for (std::int64_t at : {8, 32, 64, 256, 512, 2048}) suite.edges.push_back({"cols", at});

  fill_suite(
      suite, kCases,
      {.cases = kTable, .edge = "3x1", .bench = "1x688 32x1024 64x4096 \n 32x4096 : fused", .large = kLarge});
  return suite;
}

}  // namespace hipforge::harness
