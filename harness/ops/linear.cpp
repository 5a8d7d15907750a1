#include "harness/ops/linear.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/column_slice.h"
#include "harness/sweep/families.h"
#include "harness/sweep/variants.h"
#include "kernels/linear.h"
#include "reference/linear.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace hipforge::harness {
namespace {

enum class Bias { kNone, kOfWeight, kF32 };

struct Spec {
  std::int64_t rows;
  std::int64_t in_features;
  std::int64_t out_features;
  DType x = DType::kF32;
  DType weight = DType::kF32;
  bool y_f32 = false;
  Bias bias = Bias::kNone;
  bool batch_invariant = true;
  bool column_slice = false;
  bool non_finite = false;
  bool mixed_alignment = false;  // weight in the other layout than the rest
  Layout layout = Layout::kContiguous;
  Family family = Family::kNormal;
  double scale = 1.0;  // of x
  bool quick = false;
  bool emulated = false;
};

// Columns before a slice, and beside it in all: rows stay aligned, and no two operands have one stride.
struct Slice {
  std::int64_t first;
  std::int64_t gap;
};
constexpr Slice kNoSlice{0, 0};
constexpr Slice kXSlice{8, 16};
constexpr Slice kWeightSlice{16, 40};
constexpr Slice kYSlice{24, 64};
constexpr std::int64_t kTiledMinRows = 32;

DType y_dtype(const Spec& spec) {
  return spec.y_f32 ? DType::kF32 : spec.x;
}

bool is_tiled(const Spec& spec) {
  return !spec.batch_invariant && spec.rows >= kTiledMinRows;
}

bool is_mma(const Spec& spec) {
  return is_tiled(spec) && spec.weight == spec.x && spec.x != DType::kF32;
}

bool is_over_tile(const Spec& spec) {
  if (is_tiled(spec)) return spec.rows > 64 || spec.in_features > 32 || spec.out_features > 64;
  return spec.rows > 4 || spec.in_features > 256 || spec.out_features > 128;
}

std::vector<std::string> features_of(const Spec& spec) {
  std::vector<std::string> features{fmt::format("weight_{}", dtype_name(spec.weight))};
  if (y_dtype(spec) == DType::kF32) features.emplace_back("y_f32");
  if (spec.bias != Bias::kNone) features.emplace_back("bias");
  if (spec.bias == Bias::kF32) features.emplace_back("bias_f32");
  if (is_tiled(spec)) {
    features.emplace_back(is_mma(spec) ? "mma" : "tiled");
  } else {
    features.emplace_back(spec.rows == 1 ? "one_row" : "rows");
  }
  if (spec.in_features == 0) features.emplace_back("no_inputs");
  if (spec.column_slice) features.emplace_back("column_slice");
  if (spec.mixed_alignment) features.emplace_back("mixed_alignment");
  if (spec.non_finite) features.emplace_back("non_finite");
  if (spec.family != Family::kNormal) features.emplace_back(family_name(spec.family));
  if (spec.scale > 100.0) features.emplace_back("large");
  return features;
}

std::vector<std::string> families_of(const Spec& spec) {
  if (spec.non_finite) return {"non_finite", "minus_infinity"};
  return {spec.scale > 100.0 ? "large" : input_family(spec.family)};
}

// Small numbers with a NaN, an infinity and zeros here and there: some rows and columns stay finite.
std::vector<double> non_finite_values(std::int64_t rows, std::int64_t cols, std::int64_t every) {
  std::vector<double> values;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t col = 0; col < cols; ++col) {
      double value = static_cast<double>((row * 5 + col * 3) % 11 - 5) / 4.0;
      if (row % every == 1 && col == cols - 1) value = std::nan("");
      if (row % every == 2 && col == cols / 2) value = -std::numeric_limits<double>::infinity();
      values.push_back(value);
    }
  }
  return values;
}

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  // Matrices of which the operands are columns; the operands themselves where there is no slice.
  const Slice x_slice = spec.column_slice ? kXSlice : kNoSlice;
  const Slice weight_slice = spec.column_slice ? kWeightSlice : kNoSlice;
  const Slice y_slice = spec.column_slice ? kYSlice : kNoSlice;
  const Shape x_shape{spec.rows, spec.in_features + x_slice.gap};
  const Shape weight_shape{spec.out_features, spec.in_features + weight_slice.gap};
  const Layout weight_layout = spec.mixed_alignment ? other_layout(spec.layout) : spec.layout;
  LinearParams params;
  params.batch_invariant = spec.batch_invariant;
  if (spec.non_finite) {
    const std::vector<double> x = non_finite_values(x_shape[0], x_shape[1], 4);
    const std::vector<double> weight = non_finite_values(weight_shape[0], weight_shape[1], 7);
    params.x = rig.input_values("x", spec.x, x_shape, x, spec.layout);
    params.weight = rig.input_values("weight", spec.weight, weight_shape, weight, spec.layout);
  } else {
    params.x = rig.input("x", spec.x, x_shape, spec.family, spec.scale, spec.layout);
    // What the family is about lies in x; in these, weights are of its kind as well.
    const bool both = spec.family == Family::kOutliers || spec.family == Family::kIntegers ||
                      spec.family == Family::kPositive || spec.family == Family::kEqual ||
                      spec.family == Family::kUniform;
    const Family weight_family = both                             ? spec.family
                                 : spec.family == Family::kCancel ? Family::kEqual
                                                                  : Family::kNormal;
    params.weight = rig.input("weight", spec.weight, weight_shape, weight_family, 1.0, weight_layout);
  }
  if (spec.bias != Bias::kNone) {
    const DType dtype = spec.bias == Bias::kF32 ? DType::kF32 : spec.weight;
    const Family family = spec.family == Family::kIntegers ? Family::kIntegers : Family::kNormal;
    params.bias = rig.input("bias", dtype, {spec.out_features}, family, 3.0, spec.layout);
  }
  params.y = rig.output("y", y_dtype(spec), {spec.rows, spec.out_features + y_slice.gap}, spec.layout);
  if (spec.column_slice) {
    params.x = slice_columns(params.x, x_slice.first, spec.in_features);
    params.weight = slice_columns(params.weight, weight_slice.first, spec.in_features);
    params.y = slice_columns(params.y, y_slice.first, spec.out_features);
  }
  const auto size = [](DType dtype) { return static_cast<std::int64_t>(dtype_size(dtype)); };
  prepared.bytes = spec.rows * spec.in_features * size(spec.x) +
                   spec.out_features * spec.in_features * size(spec.weight) +
                   spec.rows * spec.out_features * size(y_dtype(spec));
  if (params.bias.present()) prepared.bytes += spec.out_features * size(params.bias.dtype);
  prepared.flops = 2 * spec.rows * spec.in_features * spec.out_features;
  // A few rows are bound by reading the weights, many by arithmetic.
  prepared.ceiling = spec.rows < kTiledMinRows ? Ceiling::kRead : Ceiling::kMatrix;
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return linear(params, stream, target);
  };
  prepared.expect = [spec, params, &rig, x_slice, weight_slice, y_slice, target = environment.target] {
    const std::vector<double> x =
        slice_columns(rig.values("x"), spec.in_features + x_slice.gap, x_slice.first, spec.in_features);
    const std::vector<double> weight = slice_columns(
        rig.values("weight"), spec.in_features + weight_slice.gap, weight_slice.first, spec.in_features);
    LinearInputs inputs;
    inputs.x = x;
    inputs.weight = weight;
    if (spec.bias != Bias::kNone) inputs.bias = rig.values("bias");
    inputs.rows = spec.rows;
    inputs.in_features = spec.in_features;
    inputs.out_features = spec.out_features;
    inputs.y_dtype = y_dtype(spec);
    inputs.batch_invariant = spec.batch_invariant;
    inputs.depth = linear_reduction_depth(params, target);
    // What MFMA takes for 0 there (kernels/device/matrix_core.h).
    if (is_mma(spec) && target.architecture == "gfx90a") inputs.flushed = smallest_normal(spec.x);
    const Expected y = linear_expected(inputs, target);
    return std::vector<OutputExpectation>{
        {"y", spec.column_slice ? expect_columns(y, spec.out_features + y_slice.gap, y_slice.first) : y}};
  };
  return prepared;
}

const SpecKnobs<Spec>& knobs() {
  static const SpecKnobs<Spec> all = [] {
    SpecKnobs<Spec> made;
    made.size("rows", &Spec::rows).size("in_features", &Spec::in_features);
    made.size("out_features", &Spec::out_features);
    made.layout("layout", &Spec::layout).family("family", &Spec::family).scalar("scale", &Spec::scale, 1.0);
    made.choice("bias", &Spec::bias, std::vector<std::pair<std::string, Bias>>{{"none", Bias::kNone}});
    made.flag("y_f32", &Spec::y_f32).flag("batch_invariant", &Spec::batch_invariant, true);
    made.flag("column_slice", &Spec::column_slice).flag("non_finite", &Spec::non_finite);
    made.flag("mixed_alignment", &Spec::mixed_alignment);
    return made;
  }();
  return all;
}

Case make_case(const Spec& spec) {
  Case test;
  test.op = "linear";
  test.dtype = spec.x;
  test.layout = layout_name(spec.layout);
  test.features = features_of(spec);
  test.families = families_of(spec);
  set_sizes(test, {{"rows", spec.rows},
                   {is_tiled(spec) ? "tiled_rows" : "dot_rows", spec.rows},
                   {"in_features", spec.in_features},
                   {"out_features", spec.out_features}});
  const Shape shape{spec.rows, spec.in_features, spec.out_features};
  test.shape = shape_name(shape);
  test.odd = any_odd(shape);
  test.over_tile = is_over_tile(spec);
  test.quick = spec.quick;
  test.emulated = spec.emulated;
  std::string options;
  for (const std::string& feature : test.features) options += (options.empty() ? "" : ".") + feature;
  test.id = fmt::format("linear/{}/{}/{}/{}", dtype_name(spec.x), test.layout, test.shape, options);
  test.prepare = [spec](const CaseEnvironment& environment) { return prepare(spec, environment); };
  test.variants = knobs().variants(spec, &make_case);
  return test;
}

}  // namespace

namespace {

bool all_integers(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double value) { return value == std::floor(value); });
}

// Σ|x·weight| over the products of which a factor is flushed: what taking it for 0 may lose.
std::vector<double> magnitude_of_flushed(const LinearInputs& inputs, const std::vector<double>& magnitude) {
  const auto flush = [&](std::span<const double> values) {
    std::vector<double> kept(values.begin(), values.end());
    for (double& value : kept) {
      if (std::fabs(value) < inputs.flushed) value = 0.0;
    }
    return kept;
  };
  const std::vector<double> x = flush(inputs.x);
  const std::vector<double> weight = flush(inputs.weight);
  std::vector<double> lost =
      reference::linear(x, weight, inputs.bias, inputs.rows, inputs.in_features, inputs.out_features)
          .magnitude;
  for (std::size_t i = 0; i < lost.size(); ++i) lost[i] = magnitude[i] - lost[i];
  return lost;
}

}  // namespace

Expected linear_expected(const LinearInputs& inputs, const Target& target) {
  const reference::LinearResult oracle = reference::linear(inputs.x, inputs.weight, inputs.bias, inputs.rows,
                                                           inputs.in_features, inputs.out_features);
  LinearParams params;
  params.x.rank = params.weight.rank = params.y.rank = 2;
  params.x.shape = {inputs.rows, inputs.in_features};
  params.weight.shape = {inputs.out_features, inputs.in_features};
  params.bias.rank = inputs.bias.empty() ? 0 : 1;
  params.batch_invariant = inputs.batch_invariant;
  const std::int64_t depth = inputs.depth > 0 ? inputs.depth : linear_reduction_depth(params, target);
  Expected expected;
  expected.dtype = inputs.y_dtype;
  expected.shape = {inputs.rows, inputs.out_features};
  expected.value = oracle.y;
  const std::vector<double> flushed =
      inputs.flushed > 0.0 ? magnitude_of_flushed(inputs, oracle.magnitude) : std::vector<double>();
  const bool integers = all_integers(inputs.x) && all_integers(inputs.weight) && all_integers(inputs.bias);
  for (std::size_t i = 0; i < oracle.y.size(); ++i) {
    if (integers && oracle.magnitude[i] <= 0x1p24) {
      expected.value[i] = round_to_dtype(inputs.y_dtype, oracle.y[i]);
      expected.bound.push_back(0.0);
    } else {
      const double stored = inputs.y_dtype == DType::kF32 ? 0.0 : store_rounding(inputs.y_dtype, oracle.y[i]);
      expected.bound.push_back(dot_bound(1.0, depth, oracle.magnitude[i], inputs.in_features + 1) + stored);
    }
    if (!flushed.empty()) expected.bound.back() += flushed[i];
  }
  return expected;
}

OpSuite linear_suite() {
  OpSuite suite;
  suite.op = "linear";
  suite.bound = kLinearBound;
  suite.dtypes = {DType::kF32, DType::kF16, DType::kBF16};
  suite.layouts = {"contiguous", "strided"};
  suite.features = {"weight_f32",   "weight_f16",     "weight_bf16", "y_f32",     "bias",
                    "bias_f32",     "one_row",        "rows",        "tiled",     "mma",
                    "no_inputs",    "outliers",       "integers",    "subnormal", "cancel",
                    "one_hot",      "equal",          "positive",    "large",     "non_finite",
                    "column_slice", "mixed_alignment"};
  suite.exclusions = {{"mma", "", "matrix cores take f16 and bf16", {DType::kF32}}};
  exclude_families(suite, {"masked_rows", "nan_behind_mask"}, "there is no mask");
  // Rows of a dot kernel's tile; those from which on tiles are taken, and the tiles; packs, a wave's lanes,
  // what a wave takes at once; the columns that a group of lanes takes, and tiles.
  suite.edges.push_back({"dot_rows", 4});
  for (std::int64_t at : {33, 64, 128}) suite.edges.push_back({"tiled_rows", at});
  for (std::int64_t at : {8, 32, 64, 256, 2048}) suite.edges.push_back({"in_features", at});
  for (std::int64_t at : {4, 64, 128}) suite.edges.push_back({"out_features", at});

  const std::array<DType, 3> floats = {DType::kF32, DType::kF16, DType::kBF16};
  for (DType x : suite.dtypes) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      std::size_t turn = 0;
      const auto add = [&](Spec spec) {
        spec.x = x;
        spec.layout = layout;
        suite.cases.push_back(make_case(spec));
      };
      // Weights and biases rotate through all their dtypes.
      const auto rotated = [&](const Shape& shape) {
        Spec spec{.rows = shape[0], .in_features = shape[1], .out_features = shape[2]};
        spec.weight = floats[turn % 3];
        spec.bias = std::array{Bias::kNone, Bias::kOfWeight, Bias::kF32, Bias::kNone}[turn % 4];
        spec.y_f32 = turn % 5 == 0;
        ++turn;
        return spec;
      };
      // Around packs, groups of lanes, waves, blocks and tiles.
      for (const Shape& shape :
           {Shape{1, 1, 1},     Shape{1, 7, 3},     Shape{1, 8, 4},    Shape{1, 31, 5},
            Shape{1, 255, 64},  Shape{1, 256, 129}, Shape{1, 257, 31}, Shape{1, 513, 40},
            Shape{1, 688, 67},  Shape{1, 2049, 6},  Shape{1, 4100, 3}, Shape{2, 33, 7},
            Shape{3, 256, 130}, Shape{4, 129, 66},  Shape{5, 65, 133}, Shape{9, 300, 20},
            Shape{17, 40, 35},  Shape{33, 72, 70},  Shape{130, 17, 9}, Shape{1, 1024, 1031},
            Shape{200, 90, 150}}) {
        Spec spec = rotated(shape);
        spec.quick = shape[2] == 129 || shape[2] == 133;
        add(spec);
      }
      for (const Shape& shape : {Shape{32, 32, 64}, Shape{67, 45, 75}, Shape{40, 129, 66}, Shape{129, 8, 5},
                                 Shape{200, 90, 150}}) {
        Spec spec = rotated(shape);
        spec.batch_invariant = false;
        spec.quick = shape[0] == 67;
        add(spec);
      }
      for (const Shape& shape : {Shape{1, 0, 5}, Shape{3, 0, 131}, Shape{6, 0, 2}}) {
        Spec spec = rotated(shape);
        add(spec);
        spec.bias = Bias::kOfWeight;
        spec.y_f32 = !spec.y_f32;
        add(spec);
      }
      add(rotated({0, 16, 8}));
      add(rotated({4, 16, 0}));
      fill_edges(suite, x, layout_name(layout), [&](const std::string& dimension, std::int64_t size) {
        Spec spec = rotated({3, 20, 5});
        spec.x = x;
        spec.layout = layout;
        if (dimension == "dot_rows" || dimension == "tiled_rows") spec.rows = size;
        if (dimension == "tiled_rows") {
          spec.batch_invariant = false;
          spec.weight = x;
        }
        if (dimension == "in_features") spec.in_features = size;
        if (dimension == "out_features") spec.out_features = size;
        return make_case(spec);
      });
      // Fewer rows than a tile is worth: the invariant kernel although it was not asked for.
      for (const Shape& shape : {Shape{31, 24, 9}}) {
        Spec spec = rotated(shape);
        spec.batch_invariant = false;
        add(spec);
      }

      for (const Shape& shape : {Shape{1, 96, 20}, Shape{6, 37, 45}, Shape{3, 272, 12}}) {
        Spec base{.rows = shape[0], .in_features = shape[1], .out_features = shape[2]};
        base.quick = shape[0] == 6;
        const auto next_weight = [&] { return floats[turn++ % 3]; };
        for (DType weight : floats) {
          Spec spec = base;
          spec.weight = weight;
          add(spec);
          spec.bias = Bias::kOfWeight;
          spec.y_f32 = true;
          add(spec);
        }
        Spec spec = base;
        spec.weight = next_weight();
        spec.bias = Bias::kF32;
        spec.column_slice = true;
        add(spec);
        spec = base;
        spec.weight = next_weight();
        spec.mixed_alignment = true;
        add(spec);
        spec = base;
        spec.weight = next_weight();
        spec.non_finite = true;
        add(spec);
        spec = base;
        spec.weight = next_weight();
        spec.scale = x == DType::kF16 ? 1e4 : 1e30;
        add(spec);
        for (Family family : {Family::kOutliers, Family::kIntegers, Family::kSubnormal, Family::kCancel,
                              Family::kOneHot, Family::kEqual, Family::kPositive, Family::kUniform}) {
          spec = base;
          spec.weight = next_weight();
          spec.family = family;
          spec.quick = base.quick && family != Family::kOneHot && family != Family::kEqual;
          spec.y_f32 = family == Family::kPositive;
          add(spec);
        }
      }
      for (const Shape& shape : {Shape{70, 40, 72}}) {
        Spec spec = rotated(shape);
        spec.batch_invariant = false;
        spec.column_slice = true;
        add(spec);
        spec.column_slice = false;
        spec.non_finite = true;
        add(spec);
        spec.non_finite = false;
        spec.family = Family::kIntegers;
        add(spec);
      }
      if (x == DType::kF32) continue;
      // Of the matrix cores, around packs, steps, stages and the tiles of every target; some of 1 row or
      // column more than whole tiles, some whose rows take no 16-byte accesses.
      const auto add_mma = [&](const Shape& shape, auto... changes) {
        Spec spec = rotated(shape);
        spec.weight = x;
        spec.batch_invariant = false;
        (changes(spec), ...);
        add(spec);
      };
      for (const Shape& shape :
           {Shape{32, 1, 1}, Shape{32, 8, 8}, Shape{33, 16, 17}, Shape{63, 31, 63}, Shape{64, 32, 64},
            Shape{65, 33, 65}, Shape{66, 64, 130}, Shape{70, 72, 136}, Shape{67, 129, 75}, Shape{97, 200, 33},
            Shape{128, 64, 128}, Shape{127, 40, 129}, Shape{129, 65, 127}, Shape{130, 136, 130},
            Shape{131, 328, 257}, Shape{200, 90, 150}, Shape{257, 520, 193}, Shape{40, 0, 70}}) {
        add_mma(shape, [&](Spec& spec) {
          spec.quick = shape[0] == 65 || shape[0] == 130;
          spec.emulated = layout == Layout::kContiguous && (shape[0] == 70 || shape[0] == 130);
        });
      }
      for (const Shape& shape : {Shape{70, 72, 136}, Shape{133, 136, 131}, Shape{35, 37, 45}}) {
        add_mma(shape, [](Spec& spec) { spec.column_slice = true; });
        add_mma(shape, [](Spec& spec) { spec.mixed_alignment = true; });
        add_mma(shape, [](Spec& spec) { spec.non_finite = true; });
        add_mma(shape, [&](Spec& spec) { spec.scale = x == DType::kF16 ? 1e3 : 1e30; });
        for (Family family : {Family::kOutliers, Family::kIntegers, Family::kSubnormal, Family::kCancel,
                              Family::kOneHot, Family::kEqual, Family::kPositive}) {
          add_mma(shape, [&](Spec& spec) {
            spec.family = family;
            spec.y_f32 = family == Family::kPositive || family == Family::kCancel;
          });
        }
      }
      // Enough of the largest tiles for a target that has them to take them.
      if (layout == Layout::kContiguous) {
        add_mma({1500, 72, 2820});
        add_mma({1410, 200, 2565}, [](Spec& spec) { spec.column_slice = true; });
      }
    }
    // The embedded model's products, one token and a prefill.
    const DType weight = x == DType::kBF16 ? DType::kBF16 : DType::kF16;
    for (const Shape& shape : {Shape{1, 256, 256}, Shape{1, 256, 688}, Shape{1, 688, 256},
                               Shape{1, 256, 4096}, Shape{64, 256, 688}}) {
      Spec spec{
          .rows = shape[0], .in_features = shape[1], .out_features = shape[2], .x = x, .weight = weight};
      suite.bench_cases.push_back(make_case(spec));
      spec.batch_invariant = false;
      if (shape[0] > 1) suite.bench_cases.push_back(make_case(spec));
    }
  }
  add_metamorphic(suite, linear_metamorphic_cases());
  suite.large_cases = linear_large_cases;
  return suite;
}

}  // namespace hipforge::harness
