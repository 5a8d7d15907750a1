#include "harness/ops/swiglu.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/column_slice.h"
#include "harness/sweep/families.h"
#include "harness/sweep/variants.h"
#include "kernels/swiglu.h"
#include "reference/swiglu.h"

#include <fmt/format.h>

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

std::string features_text(const Spec& spec, std::vector<std::string>& features) {
  switch (spec.operands) {
    case Operands::kApart:
      features.emplace_back("plain");
      break;
    case Operands::kFused:
      features.emplace_back("fused_halves");
      break;
    case Operands::kSliced:
      features.emplace_back("own_strides");
      break;
    case Operands::kShared:
      features.emplace_back("gate_is_up");
      break;
    case Operands::kMixed:
      features.emplace_back("mixed_alignment");
      break;
    case Operands::kExact:
      features.emplace_back("integers");
      break;
    case Operands::kSpecial:
      features.emplace_back("non_finite");
      break;
  }
  switch (spec.output) {
    case Output::kApart:
      break;
    case Output::kInGate:
      features.emplace_back("in_gate");
      break;
    case Output::kInUp:
      features.emplace_back("in_up");
      break;
    case Output::kBeside:
      features.emplace_back("beside");
      break;
  }
  if (spec.family != Family::kNormal) features.emplace_back(family_name(spec.family));
  if (spec.scale > 1e3) features.emplace_back("huge");
  if (spec.scale > 50.0) features.emplace_back("large");
  std::string text;
  for (const std::string& feature : features) text += (text.empty() ? "" : ".") + feature;
  return text;
}

std::vector<std::string> families_of(const Spec& spec) {
  if (spec.operands == Operands::kSpecial) return {"non_finite", "minus_infinity"};
  if (spec.operands == Operands::kExact) return {"integers"};
  return {spec.scale > 1e3 ? "large" : input_family(spec.family)};
}

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

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  const Shape shape{spec.rows, spec.cols};
  // Columns of the matrix that holds several operands: gate, up and, where y stands beside them, y.
  const bool one_matrix = spec.operands == Operands::kFused;
  const std::int64_t wide_cols = spec.cols * (spec.output == Output::kBeside ? 3 : 2);
  SwigluParams params;
  if (one_matrix) {
    const TensorView wide =
        rig.input("fused", spec.dtype, {spec.rows, wide_cols}, spec.family, spec.scale, spec.layout);
    params.gate = slice_columns(wide, 0, spec.cols);
    params.up = slice_columns(wide, spec.cols, spec.cols);
    params.y = spec.output == Output::kInGate   ? params.gate
               : spec.output == Output::kInUp   ? params.up
               : spec.output == Output::kBeside ? slice_columns(wide, 2 * spec.cols, spec.cols)
                                                : rig.output("y", spec.dtype, shape, spec.layout);
    if (spec.output != Output::kApart) rig.make_inout("fused");
  } else if (spec.operands == Operands::kSliced) {
    const auto wide = [&](std::int64_t gap) { return Shape{spec.rows, spec.cols + gap}; };
    params.gate = slice_columns(
        rig.input("gate", spec.dtype, wide(kGateGap), spec.family, spec.scale, spec.layout), 0, spec.cols);
    params.up = slice_columns(rig.input("up", spec.dtype, wide(kUpGap), spec.family, spec.scale, spec.layout),
                              0, spec.cols);
    params.y = slice_columns(rig.output("y", spec.dtype, wide(kYGap), spec.layout), 0, spec.cols);
  } else {
    if (spec.operands == Operands::kSpecial || spec.operands == Operands::kExact) {
      std::vector<double> gate;
      std::vector<double> up;
      (spec.operands == Operands::kExact ? exact_values : special_values)(spec.rows * spec.cols, gate, up);
      params.gate = rig.input_values("gate", spec.dtype, shape, gate, spec.layout);
      params.up = rig.input_values("up", spec.dtype, shape, up, spec.layout);
    } else {
      params.gate = rig.input("gate", spec.dtype, shape, spec.family, spec.scale, spec.layout);
      params.up =
          spec.operands == Operands::kShared
              ? params.gate
              : rig.input("up", spec.dtype, shape, spec.family, spec.scale,
                          spec.operands == Operands::kMixed ? other_layout(spec.layout) : spec.layout);
    }
    params.y = spec.output == Output::kInGate ? params.gate
               : spec.output == Output::kInUp ? params.up
                                              : rig.output("y", spec.dtype, shape, spec.layout);
    if (spec.output == Output::kInGate) rig.make_inout("gate");
    if (spec.output == Output::kInUp) rig.make_inout("up");
  }
  const std::int64_t elements = spec.rows * spec.cols;
  const std::int64_t inputs_read = spec.operands == Operands::kShared ? 1 : 2;
  prepared.bytes = elements * (inputs_read + 1) * static_cast<std::int64_t>(dtype_size(spec.dtype));
  prepared.flops = 5 * elements;
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return swiglu(params, stream, target);
  };
  prepared.expect = [spec, &rig, one_matrix, wide_cols, target = environment.target] {
    std::vector<double> gate;
    std::vector<double> up;
    if (one_matrix) {
      gate = slice_columns(rig.values("fused"), wide_cols, 0, spec.cols);
      up = slice_columns(rig.values("fused"), wide_cols, spec.cols, spec.cols);
    } else if (spec.operands == Operands::kSliced) {
      gate = slice_columns(rig.values("gate"), spec.cols + kGateGap, 0, spec.cols);
      up = slice_columns(rig.values("up"), spec.cols + kUpGap, 0, spec.cols);
    } else {
      gate = rig.values("gate");
      up = rig.values(spec.operands == Operands::kShared ? "gate" : "up");
    }
    const Expected y = swiglu_expected({gate, up, spec.rows, spec.cols, spec.dtype}, target);
    std::vector<OutputExpectation> outputs;
    if (spec.operands == Operands::kSliced) {
      outputs.push_back({"y", expect_columns(y, spec.cols + kYGap, 0)});
    } else if (spec.output == Output::kApart) {
      outputs.push_back({"y", y});
    } else if (one_matrix) {
      const std::int64_t first = spec.output == Output::kInGate ? 0
                                 : spec.output == Output::kInUp ? spec.cols
                                                                : 2 * spec.cols;
      outputs.push_back({"fused", expect_columns(y, wide_cols, first, rig.values("fused"))});
    } else {
      outputs.push_back({spec.output == Output::kInGate ? "gate" : "up", y});
    }
    return outputs;
  };
  return prepared;
}

const SpecKnobs<Spec>& knobs() {
  static const SpecKnobs<Spec> all = [] {
    SpecKnobs<Spec> made;
    made.size("rows", &Spec::rows).size("cols", &Spec::cols);
    made.layout("layout", &Spec::layout).family("family", &Spec::family).scalar("scale", &Spec::scale, 1.0);
    made.choice("operands", &Spec::operands,
                std::vector<std::pair<std::string, Operands>>{{"apart", Operands::kApart}});
    made.choice("output", &Spec::output,
                std::vector<std::pair<std::string, Output>>{{"apart", Output::kApart}});
    // y beside gate and up is a matter of one matrix.
    made.require(
        [](const Spec& spec) { return spec.output != Output::kBeside || spec.operands == Operands::kFused; });
    return made;
  }();
  return all;
}

Case make_case(const Spec& spec) {
  Case test;
  test.op = "swiglu";
  test.dtype = spec.dtype;
  test.layout = layout_name(spec.layout);
  const std::string features = features_text(spec, test.features);
  test.families = families_of(spec);
  set_sizes(test, {{"rows", spec.rows}, {"cols", spec.cols}});
  test.shape = shape_name({spec.rows, spec.cols});
  test.odd = any_odd({spec.rows, spec.cols});
  test.over_tile = spec.rows * ((spec.cols + 7) / 8 * 8) > kBlockElements;
  test.quick = spec.quick;
  test.id = fmt::format("swiglu/{}/{}/{}/{}", dtype_name(spec.dtype), test.layout, test.shape, features);
  test.prepare = [spec](const CaseEnvironment& environment) { return prepare(spec, environment); };
  test.variants = knobs().variants(spec, &make_case);
  return test;
}

}  // namespace

Expected swiglu_expected(const SwigluInputs& inputs, const Target&) {
  const reference::SwigluResult oracle = reference::swiglu(inputs.gate, inputs.up);
  Expected expected;
  expected.dtype = inputs.dtype;
  expected.shape = {inputs.rows, inputs.cols};
  expected.value = oracle.y;
  for (std::size_t i = 0; i < oracle.y.size(); ++i) {
    const double up = std::fabs(inputs.up[i]);
    const bool vanished = std::exp(inputs.gate[i]) < 0x1p-150;  // the exponential is 0 in f32, and so is silu
    if (std::isinf(up) && vanished) {
      expected.value[i] = std::numeric_limits<double>::quiet_NaN();
    }
    if (std::isfinite(up) && (inputs.gate[i] == 0.0 || (inputs.gate[i] <= -129.0 && up < 0x1p30))) {
      expected.value[i] = 0.0;
      expected.bound.push_back(0.0);
      continue;
    }
    const double product = inputs.gate[i] * inputs.up[i];
    if (inputs.gate[i] >= 104.0 && round_to_dtype(DType::kF32, product) == product) {
      expected.value[i] = round_to_dtype(inputs.dtype, product);
      expected.bound.push_back(0.0);
      continue;
    }
    const double gate = std::fmin(std::fabs(inputs.gate[i]), 128.0);
    const double underflow = (2.0 * gate * 0x1p-149 + 2.0 * 0x1p-150) * up + 0x1p-150;
    const double stored = inputs.dtype == DType::kF32 ? 0.0 : store_rounding(inputs.dtype, oracle.y[i]);
    expected.bound.push_back(8.0 * kF32Roundoff * std::fabs(oracle.y[i]) + underflow + stored);
  }
  return expected;
}

OpSuite swiglu_suite() {
  OpSuite suite;
  suite.op = "swiglu";
  suite.bound = kSwigluBound;
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
        suite.cases.push_back(make_case(spec));
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
        return make_case({.rows = 3, .cols = cols, .dtype = dtype, .layout = layout});
      });
    }
    for (Shape shape : {Shape{1, 688}, Shape{32, 1024}, Shape{64, 4096}}) {
      suite.bench_cases.push_back(make_case({.rows = shape[0], .cols = shape[1], .dtype = dtype}));
    }
    suite.bench_cases.push_back(
        make_case({.rows = 32, .cols = 4096, .dtype = dtype, .operands = Operands::kFused}));
  }
  suite.large_cases = swiglu_large_cases;
  return suite;
}

}  // namespace hipforge::harness
