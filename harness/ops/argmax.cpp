#include "harness/ops/argmax.h"

#include "harness/sweep/families.h"
#include "harness/sweep/variants.h"
#include "kernels/argmax.h"
#include "reference/argmax.h"

#include <fmt/format.h>

#include <limits>
#include <random>
#include <utility>

namespace hipforge::harness {
namespace {

enum class Data {
  kNormal,
  kOneHot,
  kSubnormal,
  kUniform,
  kOutliers,
  kLarge,
  kNegative,    // all below zero
  kTies,        // few distinct values
  kEqual,       // all the same
  kZeros,       // −0 and +0
  kNaN,         // a NaN in every third place, the first included
  kNaNRow,      // nothing else
  kPeak,        // one place above the rest, the last in the first row and further in front in each other
  kInfinities,  // −infinity but for a few; the second row −infinity alone
};

struct Spec {
  Shape shape;  // rows, cols
  Data data = Data::kNormal;
  bool values = true;
  DType dtype = DType::kF32;
  Layout layout = Layout::kContiguous;
  bool quick = false;
};

const char* data_name(Data data) {
  switch (data) {
    case Data::kNormal:
      return "normal";
    case Data::kOneHot:
      return "one_hot";
    case Data::kSubnormal:
      return "subnormal";
    case Data::kUniform:
      return "uniform";
    case Data::kOutliers:
      return "outliers";
    case Data::kLarge:
      return "large";
    case Data::kNegative:
      return "negative";
    case Data::kTies:
      return "ties";
    case Data::kEqual:
      return "equal";
    case Data::kZeros:
      return "zeros";
    case Data::kNaN:
      return "nan";
    case Data::kNaNRow:
      return "nan_row";
    case Data::kPeak:
      return "peak";
    case Data::kInfinities:
      return "infinities";
  }
  return "unknown";
}

std::vector<std::string> families_of(Data data) {
  switch (data) {
    case Data::kTies:
      return {"integers"};
    case Data::kNaN:
      return {"non_finite"};
    case Data::kNaNRow:
      return {"non_finite", "masked_rows"};
    case Data::kInfinities:
      return {"minus_infinity", "masked_rows", "non_finite"};
    case Data::kNegative:
    case Data::kZeros:
    case Data::kPeak:
      return {};
    default:
      return {data_name(data)};
  }
}

// The data that the device's families do not have.
std::vector<double> special_values(const Spec& spec, std::uint64_t seed) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  std::mt19937_64 engine(seed * 1000003 + static_cast<std::uint64_t>(spec.shape[1]));
  std::vector<double> values;
  for (std::int64_t row = 0; row < spec.shape[0]; ++row) {
    for (std::int64_t col = 0; col < spec.shape[1]; ++col) {
      const auto draw = static_cast<double>(engine() % 1024);
      switch (spec.data) {
        case Data::kPeak:
          values.push_back(col == (row + 1) * (spec.shape[1] - 1) / (2 * row + 1) ? 17.0 : draw / 64.0);
          break;
        case Data::kNegative:
          values.push_back(-1.0 - draw / 64.0);
          break;
        case Data::kTies:
          values.push_back(static_cast<double>(engine() % 4) - 2.0);
          break;
        case Data::kZeros:
          values.push_back(draw < 512.0 ? -0.0 : 0.0);
          break;
        case Data::kNaN:
          values.push_back(col % 3 == 0 ? std::numeric_limits<double>::quiet_NaN() : draw / 32.0 - 20.0);
          break;
        case Data::kNaNRow:
          values.push_back(std::numeric_limits<double>::quiet_NaN());
          break;
        case Data::kInfinities:
          values.push_back(row != 1 && draw < 8.0 ? (draw < 4.0 ? kInf : draw) : -kInf);
          break;
        default:
          values.push_back(draw);
          break;
      }
    }
  }
  return values;
}

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  const std::int64_t rows = spec.shape[0];
  const std::int64_t cols = spec.shape[1];
  ArgmaxParams params;
  const auto family = [&](Family kind, double scale) {
    params.x = rig.input("x", spec.dtype, spec.shape, kind, scale, spec.layout);
  };
  switch (spec.data) {
    case Data::kNormal:
      family(Family::kNormal, 1.0);
      break;
    case Data::kOneHot:
      family(Family::kOneHot, 2.0);
      break;
    case Data::kEqual:
      family(Family::kEqual, -3.0);
      break;
    case Data::kSubnormal:
      family(Family::kSubnormal, 1.0);
      break;
    case Data::kUniform:
      family(Family::kUniform, 1.0);
      break;
    case Data::kOutliers:
      family(Family::kOutliers, 1.0);
      break;
    case Data::kLarge:
      family(Family::kNormal, spec.dtype == DType::kF16 ? 1e4 : 1e30);
      break;
    default:
      params.x =
          rig.input_values("x", spec.dtype, spec.shape, special_values(spec, environment.seed), spec.layout);
  }
  params.ids = rig.output("ids", DType::kI32, {rows}, spec.layout);
  if (spec.values) params.values = rig.output("values", DType::kF32, {rows}, spec.layout);
  prepared.bytes = rows * (cols * static_cast<std::int64_t>(dtype_size(spec.dtype)) + (spec.values ? 8 : 4));
  prepared.flops = rows * cols;
  prepared.ceiling = Ceiling::kRead;
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return argmax(params, stream, target);
  };
  prepared.expect = [spec, &rig, target = environment.target] {
    ArgmaxInputs inputs{.x = rig.values("x"), .rows = spec.shape[0], .cols = spec.shape[1]};
    ArgmaxExpected expected = argmax_expected(inputs, target);
    std::vector<OutputExpectation> outputs;
    outputs.push_back({"ids", std::move(expected.ids)});
    if (spec.values) outputs.push_back({"values", std::move(expected.values)});
    return outputs;
  };
  return prepared;
}

const SpecKnobs<Spec>& knobs() {
  static const SpecKnobs<Spec> all = [] {
    SpecKnobs<Spec> made;
    made.size("rows", [](Spec& spec) -> std::int64_t& { return spec.shape[0]; });
    made.size("cols", [](Spec& spec) -> std::int64_t& { return spec.shape[1]; });
    made.layout("layout", &Spec::layout).flag("values", &Spec::values);
    made.choice("data", &Spec::data,
                std::vector<std::pair<std::string, Data>>{
                    {"equal", Data::kEqual}, {"one_hot", Data::kOneHot}, {"normal", Data::kNormal}});
    return made;
  }();
  return all;
}

Case make_case(const Spec& spec) {
  Case test;
  test.op = "argmax";
  test.dtype = spec.dtype;
  test.layout = layout_name(spec.layout);
  test.features = {data_name(spec.data), spec.values ? "values" : "ids_only"};
  if (spec.shape[1] >= 32000) test.features.emplace_back("long_row");
  test.families = families_of(spec.data);
  set_sizes(test, {{"rows", spec.shape[0]}, {"cols", spec.shape[1]}});
  test.shape = shape_name(spec.shape);
  test.odd = any_odd(spec.shape);
  test.over_tile = spec.shape[0] > 1 || spec.shape[1] > 1024;  // a row, or what one wave takes in its steps
  test.quick = spec.quick;
  test.id = fmt::format("argmax/{}/{}/{}/{}", dtype_name(spec.dtype), test.layout, test.shape,
                        fmt::join(test.features, "."));
  test.prepare = [spec](const CaseEnvironment& environment) { return prepare(spec, environment); };
  test.variants = knobs().variants(spec, &make_case);
  return test;
}

}  // namespace

ArgmaxExpected argmax_expected(const ArgmaxInputs& inputs, const Target&) {
  reference::ArgmaxResult oracle = reference::argmax(inputs.x, inputs.rows, inputs.cols);
  const std::vector<double> exact(oracle.ids.size(), 0.0);
  ArgmaxExpected expected;
  expected.ids = {DType::kI32, {inputs.rows}, std::move(oracle.ids), exact};
  expected.values = {DType::kF32, {inputs.rows}, std::move(oracle.values), exact};
  return expected;
}

OpSuite argmax_suite() {
  OpSuite suite;
  suite.op = "argmax";
  suite.bound = kArgmaxBound;
  suite.dtypes = {DType::kF32, DType::kF16, DType::kBF16};
  suite.layouts = {"contiguous", "strided"};
  suite.features = {"normal", "one_hot", "subnormal",  "negative", "ties",     "equal",    "zeros",
                    "nan",    "nan_row", "infinities", "values",   "ids_only", "long_row", "peak"};
  exclude_families(suite, {"cancel"}, "elements are compared, nothing is added");
  exclude_families(suite, {"nan_behind_mask"}, "there is no mask");
  // A pack, a wave's lanes, what a wave takes at once, and what it takes before a row gets another.
  for (std::int64_t at : {8, 32, 64, 256, 512, 1024, 2048, 8192}) suite.edges.push_back({"cols", at});
  const Shape cols{1, 2, 8, 31, 33, 64, 65, 256, 257, 1025, 2049, 4096, 8195};
  const Data special[] = {Data::kUniform,  Data::kOutliers, Data::kLarge,     Data::kOneHot, Data::kSubnormal,
                          Data::kNegative, Data::kTies,     Data::kEqual,     Data::kZeros,  Data::kNaN,
                          Data::kNaNRow,   Data::kPeak,     Data::kInfinities};
  for (DType dtype : suite.dtypes) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      bool values = true;
      for (std::int64_t size : cols) {
        Spec spec{.shape = {size > 1024 ? 2 : 5, size}, .values = values, .dtype = dtype, .layout = layout};
        spec.quick = size == 257;
        suite.cases.push_back(make_case(spec));
        values = !values;
      }
      for (Data data : special) {
        for (const Shape& shape : {Shape{2, 7}, Shape{3, 130}, Shape{2, 3001}}) {
          Spec spec{.shape = shape, .data = data, .dtype = dtype, .layout = layout};
          spec.quick = shape[1] == 130;
          suite.cases.push_back(make_case(spec));
        }
      }
      // Vocabularies.
      for (const Shape& shape : {Shape{1, 32003}, Shape{2, 50257}, Shape{1, 128256}}) {
        Spec spec{.shape = shape, .data = Data::kTies, .dtype = dtype, .layout = layout};
        if (shape[1] == 128256) spec.data = Data::kPeak;
        suite.cases.push_back(make_case(spec));
      }
      for (std::int64_t size : {64, 1, 2049}) {
        suite.cases.push_back(make_case({.shape = {0, size}, .dtype = dtype, .layout = layout}));
      }
      fill_edges(suite, dtype, layout_name(layout), [&](const std::string&, std::int64_t size) {
        return make_case({.shape = {3, size}, .dtype = dtype, .layout = layout});
      });
    }
    for (const Shape& shape : {Shape{1, 4096}, Shape{1, 128256}, Shape{32, 32000}}) {
      suite.bench_cases.push_back(make_case({.shape = shape, .dtype = dtype}));
    }
  }
  return suite;
}

}  // namespace hipforge::harness
