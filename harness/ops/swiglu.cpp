#include "harness/ops/swiglu.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/op_cases.h"
#include "reference/swiglu.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hipforge::harness {
namespace {

// Where y is written.
enum class Output { kApart, kInGate, kInUp, kBeside };

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

struct Spec {
  std::int64_t rows;
  std::int64_t cols;
  DType dtype = DType::kF32;
  Layout layout = Layout::kContiguous;
  Operands operands = Operands::kApart;
  Output output = Output::kApart;
  Family family = Family::kNormal;
  double scale = 3.0;
  bool quick = false;
};

// Columns beside a slice: rows stay aligned, and the strides differ.
constexpr std::int64_t kGateGap = 8;
constexpr std::int64_t kUpGap = 24;
constexpr std::int64_t kYGap = 40;
constexpr std::int64_t kBlockElements = 256 * 8;  // what one block covers
constexpr std::int64_t kSampledRows = 24;         // of a large case

void exact_values(std::int64_t count, std::vector<double>& gate, std::vector<double>& up) {
  const double gates[] = {104.0, -200.0, 0.0, 128.0, -129.0, 256.0, 512.0};
  for (std::int64_t i = 0; i < count; ++i) {
    gate.push_back(gates[static_cast<std::size_t>(i) % std::size(gates)]);
    up.push_back(static_cast<double>(i / 7 % 9 - 4));
  }
}

// Gates in turn with every kind of up.
void special_values(std::int64_t count, std::vector<double>& gate, std::vector<double>& up) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const double gates[] = {kInf,  -kInf,  std::nan(""), 0.0,    -0.0,   88.0,  -88.0,  89.5,    -89.5,
                          -95.0, -103.5, -127.0,       -128.0, -129.0, 300.0, -300.0, 65504.0, -65504.0};
  const double ups[] = {1.0, -2.5, 0.0, kInf, -kInf, std::nan(""), 6e4};
  for (std::int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i);
    gate.push_back(gates[at % std::size(gates)]);
    up.push_back(ups[at / std::size(gates) % std::size(ups)]);
    // Whether silu is 0 in f32 at about −103.5 is the exponential's affair: no infinity there.
    if (gate.back() == -103.5 && std::isinf(up.back())) up.back() = 1.0;
  }
}

SwigluParams make(const Spec& spec, Rig& rig) {
  const Shape shape{spec.rows, spec.cols};
  const bool sliced = spec.operands == Operands::kSliced;
  const auto part = [&](const TensorView& wide, std::int64_t first) {
    return slice_axis(wide, 1, first, spec.cols);
  };
  const auto input = [&](const char* name, std::int64_t cols, Layout layout) {
    return rig.input(name, spec.dtype, {spec.rows, cols}, spec.family, spec.scale, layout);
  };
  SwigluParams params;
  if (spec.operands == Operands::kFused) {
    const TensorView wide = input("fused", spec.cols * (spec.output == Output::kBeside ? 3 : 2), spec.layout);
    params.gate = part(wide, 0);
    params.up = part(wide, spec.cols);
    if (spec.output == Output::kBeside) params.y = part(wide, 2 * spec.cols);
  } else if (spec.operands == Operands::kExact || spec.operands == Operands::kSpecial) {
    std::vector<double> gate;
    std::vector<double> up;
    (spec.operands == Operands::kExact ? exact_values : special_values)(spec.rows * spec.cols, gate, up);
    params.gate = rig.input_values("gate", spec.dtype, shape, gate, spec.layout);
    params.up = rig.input_values("up", spec.dtype, shape, up, spec.layout);
  } else {
    const Layout up_layout = spec.operands == Operands::kMixed ? other_layout(spec.layout) : spec.layout;
    params.gate = part(input("gate", spec.cols + (sliced ? kGateGap : 0), spec.layout), 0);
    params.up = spec.operands == Operands::kShared
                    ? params.gate
                    : part(input("up", spec.cols + (sliced ? kUpGap : 0), up_layout), 0);
  }
  if (spec.output == Output::kInGate) params.y = params.gate;
  if (spec.output == Output::kInUp) params.y = params.up;
  if (spec.output == Output::kApart) {
    const Shape wide{spec.rows, spec.cols + (sliced ? kYGap : 0)};
    params.y = part(rig.output("y", spec.dtype, wide, spec.layout), 0);
  }
  return params;
}

const Fields<Spec>& fields() {
  static const auto all = [] {
    const auto is = [](Operands operands) {
      return [operands](const Spec& spec) { return spec.operands == operands; };
    };
    Fields<Spec> made;
    made.dtype(&Spec::dtype).size("rows", &Spec::rows).size("cols", &Spec::cols);
    made.layout("layout", &Spec::layout);
    made.feature([](const Spec& spec) -> std::string {
      constexpr const char* kNames[] = {"plain",           "fused_halves", "own_strides", "gate_is_up",
                                        "mixed_alignment", "integers",     "non_finite"};
      return kNames[static_cast<std::size_t>(spec.operands)];
    });
    made.feature([](const Spec& spec) -> std::string {
      constexpr const char* kNames[] = {"", "in_gate", "in_up", "beside"};
      return kNames[static_cast<std::size_t>(spec.output)];
    });
    made.family("family", &Spec::family).scalar("scale", &Spec::scale, 1.0);
    made.feature("huge", [](const Spec& spec) { return spec.scale > 1e3; });
    made.feature("large", [](const Spec& spec) { return spec.scale > 50.0; });
    made.choice<Operands>("operands", &Spec::operands, {{"apart", Operands::kApart}});
    made.choice<Output>("output", &Spec::output, {{"apart", Output::kApart}});
    // y beside gate and up is a matter of one matrix.
    made.require([fused = is(Operands::kFused)](const Spec& spec) {
      return spec.output != Output::kBeside || fused(spec);
    });
    made.special({"non_finite", "minus_infinity"}, is(Operands::kSpecial));
    made.special({"integers"}, is(Operands::kExact));
    made.special({"large"}, [](const Spec& spec) {
      return spec.scale > 1e3 && spec.operands != Operands::kSpecial && spec.operands != Operands::kExact;
    });
    made.over_tile([](const Spec& spec) { return spec.rows * ((spec.cols + 7) / 8 * 8) > kBlockElements; });
    return made;
  }();
  return all;
}

Work work(const Spec& spec, const SwigluParams& params) {
  const std::int64_t elements = spec.rows * spec.cols;
  Work made{.flops = 5 * elements};
  // One view for two operands is read once.
  if (spec.operands == Operands::kShared) {
    made.bytes = 2 * elements * static_cast<std::int64_t>(dtype_size(params.y.dtype));
  }
  return made;
}

std::vector<SwigluParams> samples(const SwigluParams& params, std::uint64_t seed) {
  return sample_rows(params, {"gate", "up", "y"}, params.y.shape[0], kSampledRows, seed);
}

const OpCases<Spec, SwigluParams> kCases{swiglu, fields, make, expect, work, samples};

std::vector<Case> large_cases(std::int64_t shrink) {
  std::vector<Case> cases;
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    for (bool fused : {false, true}) {
      // 336 MiB in and out.
      Spec spec{.rows = (dtype == DType::kF32 ? 2048 : 4096) / shrink, .cols = 14336, .dtype = dtype};
      spec.operands = fused ? Operands::kFused : Operands::kApart;
      spec.scale = 1.0;
      const char* const what = fused ? "fused_halves" : "plain";
      cases.push_back(make_large_case(kCases, spec, what, {spec.rows, spec.cols}));
      cases.back().floor_share = 0.85;
    }
  }
  return cases;
}

}  // namespace

std::vector<OutputExpectation> expect(const SwigluParams& part, const HostTensors& host, const Target&,
                                      const SwigluParams&) {
  const auto gates = host.values("gate");
  const auto ups = host.values("up");
  const DType dtype = part.y.dtype;
  Expected y{dtype, shape_of(part.y), reference::swiglu(gates, ups).y, {}};
  for (std::size_t i = 0; i < y.value.size(); ++i) {
    const double gate = gates[i];
    const double up = std::fabs(ups[i]);
    const double oracle = y.value[i];
    const bool vanished = std::exp(gate) < 0x1p-150;  // the exponential is 0 in f32, and so is silu
    if (std::isinf(up) && vanished) y.value[i] = std::numeric_limits<double>::quiet_NaN();
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
    y.bound.push_back(8.0 * kF32Roundoff * std::fabs(oracle) + underflow + stored);
  }
  return {{"y", std::move(y)}};
}

OpSuite swiglu_suite() {
  auto suite = make_suite<SwigluParams>(kSwigluBound);
  suite.dtypes = {DType::kF32, DType::kF16, DType::kBF16};
  suite.layouts = {"contiguous", "strided"};
  suite.features = {"plain",      "fused_halves", "in_gate",         "in_up", "beside",
                    "gate_is_up", "own_strides",  "mixed_alignment", "large", "outliers",
                    "non_finite", "integers",     "subnormal",       "equal", "huge"};
  exclude_families(suite, {"cancel"}, "the only sum is 1 + exp(-|gate|), of positive terms");
  exclude_families(suite, {"masked_rows", "nan_behind_mask"}, "there is no mask");
  // A pack, a wave's lanes, what a wave and what a block takes.
  for (std::int64_t at : {8, 32, 64, 256, 512, 2048}) suite.edges.push_back({"cols", at});

  for (DType dtype : suite.dtypes) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      const auto add = [&](Spec spec) {
        spec.dtype = dtype;
        spec.layout = layout;
        suite.cases.push_back(make_case(kCases, spec));
      };
      // Around packs, waves and blocks.
      for (Shape shape : {Shape{0, 8}, Shape{0, 2049}, Shape{3, 0}, Shape{1, 1}, Shape{1, 7}, Shape{5, 8},
                          Shape{9, 31}, Shape{2, 256}, Shape{3, 257}, Shape{4, 512}, Shape{1, 2047},
                          Shape{1, 2049}, Shape{3, 688}, Shape{6, 1021}}) {
        add({.rows = shape[0], .cols = shape[1], .quick = shape[1] == 257});
      }
      for (Shape shape : {Shape{1, 24}, Shape{13, 173}, Shape{3, 1032}}) {
        const bool quick = shape[0] == 13;
        const auto base = [&](Operands operands, Output output) {
          return Spec{
              .rows = shape[0], .cols = shape[1], .operands = operands, .output = output, .quick = quick};
        };
        add(base(Operands::kApart, Output::kInGate));
        add(base(Operands::kApart, Output::kInUp));
        add(base(Operands::kFused, Output::kApart));
        add(base(Operands::kFused, Output::kInGate));
        add(base(Operands::kFused, Output::kInUp));
        add(base(Operands::kFused, Output::kBeside));
        add(base(Operands::kSliced, Output::kApart));
        add(base(Operands::kMixed, Output::kApart));
        add(base(Operands::kShared, Output::kApart));
        add(base(Operands::kSpecial, Output::kApart));
        Spec large = base(Operands::kApart, Output::kApart);
        large.scale = 100.0;
        add(large);
        large.scale = dtype == DType::kF16 ? 1e4 : 1e30;
        add(large);
        add(base(Operands::kExact, Output::kApart));
        for (Family family : {Family::kOutliers, Family::kIntegers, Family::kSubnormal, Family::kEqual,
                              Family::kUniform, Family::kOneHot}) {
          Spec spec = base(Operands::kApart, Output::kApart);
          spec.family = family;
          spec.scale = family == Family::kOutliers ? 3.0 : 1.0;
          add(spec);
        }
      }
      fill_edges(suite, dtype, layout_name(layout), [&](const std::string&, std::int64_t cols) {
        return make_case(kCases, {.rows = 3, .cols = cols, .dtype = dtype, .layout = layout});
      });
    }
    for (Shape shape : {Shape{1, 688}, Shape{32, 1024}, Shape{64, 4096}}) {
      suite.bench_cases.push_back(make_case(kCases, {.rows = shape[0], .cols = shape[1], .dtype = dtype}));
    }
    suite.bench_cases.push_back(
        make_case(kCases, {.rows = 32, .cols = 4096, .dtype = dtype, .operands = Operands::kFused}));
  }
  suite.large_cases = large_cases;
  return suite;
}

}  // namespace hipforge::harness
