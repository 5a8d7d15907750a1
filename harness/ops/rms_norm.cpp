#include "harness/ops/rms_norm.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/families.h"
#include "harness/sweep/variants.h"
#include "kernels/rms_norm.h"
#include "reference/rms_norm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace hipforge::harness {
namespace {

// What x holds where it is not one of the families.
enum class Special {
  kNone,
  kExact,      // ±2 and integer weights, of which every step is exact
  kNonFinite,  // rows with NaN, with infinities of both signs, and ordinary ones
  kCancel,     // a residual that takes nearly all of x away
};

struct Spec {
  std::int64_t rows;
  std::int64_t hidden;
  DType x = DType::kF32;
  DType stream = DType::kF32;
  DType weight = DType::kF32;
  DType y = DType::kF32;
  bool fused = false;
  bool in_place = false;
  Layout layout = Layout::kContiguous;
  Family family = Family::kNormal;
  double scale = 1.0;
  float eps = 1e-5f;
  Special special = Special::kNone;
  bool quick = false;
};

constexpr std::int64_t kBlockElements = 256 * 8;  // what one block covers in one step

std::vector<std::string> features_of(const Spec& spec) {
  std::vector<std::string> features{spec.fused ? "residual" : "plain"};
  features.push_back(fmt::format("weight_{}", dtype_name(spec.weight)));
  if (spec.fused && spec.stream == DType::kF32) features.emplace_back("residual_f32");
  if (spec.y != spec.x) features.emplace_back("y_other_dtype");
  if (spec.in_place) features.emplace_back("in_place");
  if (spec.family != Family::kNormal) features.push_back(family_name(spec.family));
  if (spec.special == Special::kExact) features.emplace_back("integers");
  if (spec.special == Special::kNonFinite) features.emplace_back("non_finite");
  if (spec.special == Special::kCancel) features.emplace_back("cancel");
  if (spec.eps == 0.0f) features.emplace_back("eps_0");
  return features;
}

std::vector<std::string> families_of(const Spec& spec) {
  switch (spec.special) {
    case Special::kExact:
      return {"integers"};
    case Special::kNonFinite:
      return {"non_finite", "minus_infinity"};
    case Special::kCancel:
      return {"cancel"};
    case Special::kNone:
      break;
  }
  return {spec.scale >= 1e4 ? "large" : input_family(spec.family)};
}

std::vector<double> special_values(const Spec& spec) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<double> values;
  for (std::int64_t row = 0; row < spec.rows; ++row) {
    for (std::int64_t col = 0; col < spec.hidden; ++col) {
      const double ordinary = (row * 7 + col * 5) % 3 == 0 ? -2.0 : 2.0;
      const bool hit = spec.special == Special::kNonFinite && col % 37 == spec.hidden / 2 % 37;
      const double planted[] = {ordinary, std::numeric_limits<double>::quiet_NaN(), -kInfinity, kInfinity};
      values.push_back(hit ? planted[(row + 1) % 4] : ordinary);
    }
  }
  return values;
}

// What a sum with `x` nearly takes away: all but its last bits.
std::vector<double> opposite(const std::vector<double>& x) {
  std::vector<double> values;
  for (std::size_t i = 0; i < x.size(); ++i) {
    values.push_back(-x[i] * (1.0 + 0x1p-7 * static_cast<double>(i % 5)));
  }
  return values;
}

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  const Shape shape{spec.rows, spec.hidden};
  RmsNormParams params;
  params.eps = spec.eps;
  const bool given = spec.special == Special::kExact || spec.special == Special::kNonFinite;
  params.x = given ? rig.input_values("x", spec.x, shape, special_values(spec), spec.layout)
                   : rig.input("x", spec.x, shape, spec.family, spec.scale, spec.layout);
  params.weight = rig.input("weight", spec.weight, {spec.hidden},
                            spec.special == Special::kExact ? Family::kIntegers : Family::kNormal);
  if (spec.fused) {
    if (spec.special == Special::kCancel) {
      params.residual =
          rig.input_values("residual", spec.stream, shape, opposite(rig.values("x")), spec.layout);
    } else {
      params.residual = rig.input("residual", spec.stream, shape, spec.family, spec.scale, spec.layout);
    }
    if (spec.in_place) {
      rig.make_inout("residual");
      params.residual_out = params.residual;
    } else {
      params.residual_out = rig.output("residual_out", spec.stream, shape, spec.layout);
    }
    params.y = rig.output("y", spec.y, shape, spec.layout);
  } else if (spec.in_place) {
    rig.make_inout("x");
    params.y = params.x;
  } else {
    params.y = rig.output("y", spec.y, shape, spec.layout);
  }
  const std::int64_t elements = spec.rows * spec.hidden;
  const auto size = [](DType dtype) { return static_cast<std::int64_t>(dtype_size(dtype)); };
  prepared.bytes = elements * (size(spec.x) + size(spec.y) + (spec.fused ? 2 * size(spec.stream) : 0)) +
                   spec.hidden * size(spec.weight);
  prepared.flops = 4 * elements;
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return rms_norm(params, stream, target);
  };
  prepared.expect = [spec, &rig, target = environment.target] {
    RmsNormInputs inputs;
    inputs.x = rig.values("x");
    if (spec.fused) inputs.residual = rig.values("residual");
    inputs.weight = rig.values("weight");
    inputs.rows = spec.rows;
    inputs.hidden = spec.hidden;
    inputs.eps = static_cast<double>(spec.eps);
    inputs.y_dtype = spec.y;
    inputs.residual_dtype = spec.stream;
    RmsNormExpected expected = rms_norm_expected(inputs, target);
    std::vector<OutputExpectation> outputs;
    outputs.push_back({!spec.fused && spec.in_place ? "x" : "y", std::move(expected.y)});
    if (spec.fused) {
      outputs.push_back({spec.in_place ? "residual" : "residual_out", std::move(expected.residual_out)});
    }
    return outputs;
  };
  return prepared;
}

const SpecKnobs<Spec>& knobs() {
  static const SpecKnobs<Spec> all = [] {
    SpecKnobs<Spec> made;
    made.size("rows", &Spec::rows).size("hidden", &Spec::hidden);
    made.layout("layout", &Spec::layout).family("family", &Spec::family).scalar("scale", &Spec::scale, 1.0);
    made.choice("special", &Spec::special,
                std::vector<std::pair<std::string, Special>>{{"none", Special::kNone}});
    made.flag("residual", &Spec::fused).flag("in_place", &Spec::in_place);
    return made;
  }();
  return all;
}

Case make_case(const Spec& spec) {
  Case test;
  test.op = "rms_norm";
  test.dtype = spec.x;
  test.layout = layout_name(spec.layout);
  test.features = features_of(spec);
  test.families = families_of(spec);
  set_sizes(test, {{"rows", spec.rows}, {"hidden", spec.hidden}});
  test.shape = shape_name({spec.rows, spec.hidden});
  test.odd = any_odd({spec.rows, spec.hidden});
  test.over_tile = spec.hidden > kBlockElements || spec.rows > 1;
  test.quick = spec.quick;
  std::string options;
  for (const std::string& feature : test.features) options += "." + feature;
  if (spec.fused && spec.stream == spec.x) options += ".residual_x";
  if (spec.y != spec.x) options += fmt::format(".y_{}", dtype_name(spec.y));
  if (spec.scale != 1.0) options += fmt::format(".scale_{:g}", spec.scale);
  std::erase(options, '+');  // of an exponent
  test.id =
      fmt::format("rms_norm/{}/{}/{}/{}", dtype_name(spec.x), test.layout, test.shape, options.substr(1));
  test.prepare = [spec](const CaseEnvironment& environment) { return prepare(spec, environment); };
  test.variants = knobs().variants(spec, &make_case);
  return test;
}

bool is_power_of_two(double value) {
  return value > 0.0 && std::exp2(std::ilogb(value)) == value;
}

// Whether a row of squares, whatever their order, adds up in f32 without an error, and its inverse root is a
// power of two.
bool is_exact(std::span<const double> s, double mean_square, const RmsNormInputs& inputs) {
  if (inputs.eps != 0.0 || !is_power_of_two(static_cast<double>(inputs.hidden))) return false;
  const double root = std::sqrt(mean_square);
  if (!is_power_of_two(root) || mean_square * static_cast<double>(inputs.hidden) > 0x1p24) return false;
  return std::all_of(s.begin(), s.end(), [](double value) { return std::nearbyint(value) == value; });
}

}  // namespace

RmsNormExpected rms_norm_expected(const RmsNormInputs& inputs, const Target& target) {
  const reference::RmsNormResult oracle =
      reference::rms_norm(inputs.x, inputs.residual, inputs.weight, inputs.rows, inputs.hidden, inputs.eps);
  const bool fused = !inputs.residual.empty();
  const auto depth = static_cast<double>(rms_norm_reduction_depth(inputs.hidden, target));
  const double relative = (0.5 * (depth + (fused ? 4.0 : 2.0)) + (fused ? 6.0 : 5.0)) * kF32Roundoff;
  RmsNormExpected expected;
  expected.y.dtype = inputs.y_dtype;
  expected.y.shape = {inputs.rows, inputs.hidden};
  expected.y.value = oracle.y;
  const auto hidden = static_cast<std::size_t>(inputs.hidden);
  for (std::size_t row = 0; row < oracle.mean_square.size(); ++row) {
    const std::span<const double> s(oracle.sum.data() + row * hidden, hidden);
    const double squares = oracle.mean_square[row] * static_cast<double>(inputs.hidden);
    const bool overflows = std::isfinite(squares) && squares >= overflow_threshold(DType::kF32);
    const bool exact = is_exact(s, oracle.mean_square[row], inputs);
    for (std::size_t i = 0; i < hidden; ++i) {
      double& y = expected.y.value[row * hidden + i];
      if (overflows) y = 0.0;
      if (overflows || (exact && round_to_dtype(DType::kF32, y) == y)) {
        y = round_to_dtype(inputs.y_dtype, y);
        expected.y.bound.push_back(0.0);
        continue;
      }
      // s·r may be subnormal before the weight multiplies it.
      const double underflow = 0x1p-150 * std::fabs(inputs.weight[i]);
      expected.y.bound.push_back(relative * std::fabs(y) + underflow + store_rounding(inputs.y_dtype, y));
    }
  }
  if (fused) {
    expected.residual_out.dtype = inputs.residual_dtype;
    expected.residual_out.shape = expected.y.shape;
    expected.residual_out.value = oracle.sum;
    for (double sum : oracle.sum) {
      // An f32 stream is rounded once, by the addition; a narrower one a second time, by the store.
      const double stored =
          inputs.residual_dtype == DType::kF32 ? 0.0 : store_rounding(inputs.residual_dtype, sum);
      expected.residual_out.bound.push_back(kF32Roundoff * std::fabs(sum) + stored);
    }
  }
  return expected;
}

OpSuite rms_norm_suite() {
  OpSuite suite;
  suite.op = "rms_norm";
  suite.bound = kRmsNormBound;
  suite.dtypes = {DType::kF32, DType::kF16, DType::kBF16};
  suite.layouts = {"contiguous", "strided"};
  suite.features = {"plain",    "residual", "residual_f32", "weight_f32", "weight_f16", "weight_bf16",
                    "in_place", "outliers", "integers",     "equal",      "subnormal",  "eps_0"};
  suite.features.emplace_back("y_other_dtype");
  // A pack, a wave's lanes, what a wave takes at once and what it holds, and what the largest block holds.
  for (std::int64_t at : {8, 32, 64, 256, 512, 1024, 2048, 16384}) suite.edges.push_back({"hidden", at});
  suite.exclusions = {
      {"y_other_dtype", "", "y takes another dtype from an f32 x alone", {DType::kF16, DType::kBF16}}};
  exclude_families(suite, {"masked_rows", "nan_behind_mask"}, "there is no mask");

  const Shape hiddens{1, 2, 7, 8, 31, 64, 127, 256, 257, 511, 1024, 2047, 2048, 2056, 4099};
  for (DType x : suite.dtypes) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      std::size_t turn = 0;
      for (std::int64_t hidden : hiddens) {
        Spec spec{.rows = hidden > 1024 ? 2 : 5, .hidden = hidden, .x = x, .stream = x, .weight = x, .y = x};
        spec.layout = layout;
        spec.quick = hidden == 257 || hidden == 2056;
        suite.cases.push_back(make_case(spec));
        // The weight's dtype and the stream's rotate through all pairs as sizes grow.
        const std::array<DType, 3> floats = {DType::kF32, DType::kF16, DType::kBF16};
        spec.fused = true;
        spec.weight = floats[turn % 3];
        spec.stream = turn % 2 == 0 ? x : DType::kF32;
        ++turn;
        suite.cases.push_back(make_case(spec));
      }
      for (Shape shape : {Shape{1, 96}, Shape{3, 130}, Shape{7, 2050}}) {
        Spec spec{.rows = shape[0], .hidden = shape[1], .x = x, .stream = x, .weight = DType::kF32, .y = x};
        spec.layout = layout;
        spec.quick = shape[0] == 3;
        for (DType weight : {DType::kF32, DType::kF16, DType::kBF16}) {
          spec.weight = weight;
          spec.fused = true;
          spec.stream = DType::kF32;
          spec.in_place = true;
          suite.cases.push_back(make_case(spec));
        }
        spec.stream = x;
        spec.fused = false;
        suite.cases.push_back(make_case(spec));
        spec.in_place = false;
        for (Family family : {Family::kOutliers, Family::kIntegers, Family::kEqual, Family::kSubnormal,
                              Family::kOneHot, Family::kUniform}) {
          spec.family = family;
          suite.cases.push_back(make_case(spec));
        }
        spec.family = Family::kNormal;
        spec.special = Special::kNonFinite;
        suite.cases.push_back(make_case(spec));
        spec.special = Special::kCancel;
        spec.fused = true;
        suite.cases.push_back(make_case(spec));
        spec.special = Special::kNone;
        spec.scale = x == DType::kF16 ? 1e4 : 1e30;
        suite.cases.push_back(make_case(spec));
        spec.fused = false;
        suite.cases.push_back(make_case(spec));
        spec.scale = 1.0;
        spec.eps = 0.0f;
        suite.cases.push_back(make_case(spec));
        spec.eps = 1e-5f;
        if (x == DType::kF32) {
          for (DType y : {DType::kF16, DType::kBF16}) {
            spec.y = y;
            suite.cases.push_back(make_case(spec));
          }
        }
      }
      // Above what an unscaled sum of squares in f16 would hold.
      Spec large{.rows = 3, .hidden = 515, .x = x, .stream = x, .weight = DType::kF32, .y = x};
      large.layout = layout;
      large.scale = 1e3;
      suite.cases.push_back(make_case(large));
      for (std::int64_t hidden : {64, 7, 2049}) {
        Spec no_rows{.rows = 0, .hidden = hidden, .x = x, .stream = x, .weight = DType::kF32, .y = x};
        no_rows.layout = layout;
        suite.cases.push_back(make_case(no_rows));
      }
      for (const Shape& shape : {Shape{1, 8}, Shape{5, 256}, Shape{2, 4096}}) {
        Spec exact{.rows = shape[0], .hidden = shape[1], .x = x, .stream = x, .weight = x, .y = x};
        exact.layout = layout;
        exact.special = Special::kExact;
        exact.eps = 0.0f;
        exact.quick = shape[1] == 256;
        suite.cases.push_back(make_case(exact));
      }
      fill_edges(suite, x, layout_name(layout), [&](const std::string&, std::int64_t hidden) {
        Spec spec{.rows = 2, .hidden = hidden, .x = x, .stream = x, .weight = x, .y = x};
        spec.layout = layout;
        return make_case(spec);
      });
    }
    for (Shape shape : {Shape{1, 4096}, Shape{64, 1024}, Shape{32, 4096}}) {
      Spec spec{.rows = shape[0], .hidden = shape[1], .x = x, .stream = x, .weight = x, .y = x};
      suite.bench_cases.push_back(make_case(spec));
      spec.fused = true;
      suite.bench_cases.push_back(make_case(spec));
    }
  }
  add_metamorphic(suite, rms_norm_metamorphic_cases());
  suite.large_cases = rms_norm_large_cases;
  return suite;
}

}  // namespace hipforge::harness
