#include "harness/ops/rms_norm.h"

#include "harness/tolerance.h"
#include "harness/variants.h"
#include "kernels/rms_norm.h"
#include "reference/rms_norm.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace hipforge::harness {
namespace {

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
  if (spec.eps == 0.0f) features.emplace_back("eps_0");
  return features;
}

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  const Shape shape{spec.rows, spec.hidden};
  RmsNormParams params;
  params.eps = spec.eps;
  params.x = rig.input("x", spec.x, shape, spec.family, spec.scale, spec.layout);
  params.weight = rig.input("weight", spec.weight, {spec.hidden});
  if (spec.fused) {
    params.residual = rig.input("residual", spec.stream, shape, spec.family, spec.scale, spec.layout);
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
  prepared.launch = [params](hipStream_t stream) { return rms_norm(params, stream); };
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
  test.shape = shape_name({spec.rows, spec.hidden});
  test.odd = any_odd({spec.rows, spec.hidden});
  test.over_tile = spec.hidden > kBlockElements || spec.rows > 1;
  test.quick = spec.quick;
  std::string options;
  for (const std::string& feature : test.features) options += "." + feature;
  if (spec.fused && spec.stream == spec.x) options += ".residual_x";
  if (spec.y != spec.x) options += fmt::format(".y_{}", dtype_name(spec.y));
  if (spec.scale != 1.0) options += fmt::format(".scale_{:g}", spec.scale);
  test.id =
      fmt::format("rms_norm/{}/{}/{}/{}", dtype_name(spec.x), test.layout, test.shape, options.substr(1));
  test.prepare = [spec](const CaseEnvironment& environment) { return prepare(spec, environment); };
  test.variants = knobs().variants(spec, &make_case);
  return test;
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
  for (std::size_t i = 0; i < oracle.y.size(); ++i) {
    const double y = oracle.y[i];
    // s·r may be subnormal before the weight multiplies it.
    const double underflow = 0x1p-150 * std::fabs(inputs.weight[i % static_cast<std::size_t>(inputs.hidden)]);
    expected.y.bound.push_back(relative * std::fabs(y) + underflow + store_rounding(inputs.y_dtype, y));
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
  suite.dtypes = {DType::kF32, DType::kF16, DType::kBF16};
  suite.layouts = {"contiguous", "strided"};
  suite.features = {"plain",    "residual", "residual_f32", "weight_f32", "weight_f16", "weight_bf16",
                    "in_place", "outliers", "integers",     "equal",      "subnormal",  "eps_0"};
  suite.features.emplace_back("one_hot");
  suite.features.emplace_back("y_other_dtype");
  suite.exclusions = {
      {"y_other_dtype", "", "y takes another dtype from an f32 x alone", {DType::kF16, DType::kBF16}}};

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
        for (Family family :
             {Family::kOutliers, Family::kIntegers, Family::kEqual, Family::kSubnormal, Family::kOneHot}) {
          spec.family = family;
          suite.cases.push_back(make_case(spec));
        }
        spec.family = Family::kNormal;
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
      Spec no_rows{.rows = 0, .hidden = 64, .x = x, .stream = x, .weight = DType::kF32, .y = x};
      no_rows.layout = layout;
      suite.cases.push_back(make_case(no_rows));
    }
    for (Shape shape : {Shape{1, 4096}, Shape{64, 1024}, Shape{32, 4096}}) {
      Spec spec{.rows = shape[0], .hidden = shape[1], .x = x, .stream = x, .weight = x, .y = x};
      suite.bench_cases.push_back(make_case(spec));
      spec.fused = true;
      suite.bench_cases.push_back(make_case(spec));
    }
  }
  suite.large_cases = rms_norm_large_cases;
  return suite;
}

}  // namespace hipforge::harness
