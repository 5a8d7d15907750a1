#include "harness/ops/linear.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/op_cases.h"
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
constexpr Slice kXSlice{8, 16};
constexpr Slice kWeightSlice{16, 40};
constexpr Slice kYSlice{24, 64};
constexpr std::int64_t kTiledMinRows = 32;
constexpr std::int64_t kOracleWeights = std::int64_t{1} << 22;  // that the oracle has on the host at once
// Samples of a large case: one row and one column out of every tile, whatever its size, eight combs of each.
constexpr std::int64_t kCombs = 8;
constexpr std::int64_t kTeeth = 16;
constexpr std::int64_t kTeethOfFewRows = 512;

DType y_dtype(const Spec& spec) {
  return spec.y_f32 ? DType::kF32 : spec.x;
}

bool is_tiled(const Spec& spec) {
  return !spec.batch_invariant && spec.rows >= kTiledMinRows;
}

std::string path_of(const Spec& spec) {
  if (!is_tiled(spec)) return spec.rows == 1 ? "one_row" : "rows";
  return spec.weight == spec.x && spec.x != DType::kF32 ? "mma" : "tiled";
}

bool is_over_tile(const Spec& spec) {
  if (is_tiled(spec)) return spec.rows > 64 || spec.in_features > 32 || spec.out_features > 64;
  return spec.rows > 4 || spec.in_features > 256 || spec.out_features > 128;
}

// Small numbers with a NaN, an infinity and zeros here and there: some rows and columns stay finite.
std::vector<double> non_finite_values(const Shape& shape, std::int64_t every) {
  std::vector<double> values;
  for (std::int64_t row = 0; row < shape[0]; ++row) {
    for (std::int64_t col = 0; col < shape[1]; ++col) {
      double value = static_cast<double>((row * 5 + col * 3) % 11 - 5) / 4.0;
      if (row % every == 1 && col == shape[1] - 1) value = std::nan("");
      if (row % every == 2 && col == shape[1] / 2) value = -std::numeric_limits<double>::infinity();
      values.push_back(value);
    }
  }
  return values;
}

// What the family is about lies in x; in these, weights are of its kind as well.
Family weight_family(Family family) {
  for (Family both :
       {Family::kOutliers, Family::kIntegers, Family::kPositive, Family::kEqual, Family::kUniform}) {
    if (family == both) return family;
  }
  return family == Family::kCancel ? Family::kEqual : Family::kNormal;
}

LinearParams make(const Spec& spec, Rig& rig) {
  // The whole matrix, of which the operand is some columns where the spec asks for that.
  const auto shape = [&](std::int64_t rows, std::int64_t columns, const Slice& slice) {
    return Shape{rows, columns + (spec.column_slice ? slice.gap : 0)};
  };
  const auto columns = [&](const TensorView& whole, std::int64_t count, const Slice& slice) {
    return spec.column_slice ? slice_axis(whole, 1, slice.first, count) : whole;
  };
  const Shape x_shape = shape(spec.rows, spec.in_features, kXSlice);
  const Shape weight_shape = shape(spec.out_features, spec.in_features, kWeightSlice);
  const Layout weight_layout = spec.mixed_alignment ? other_layout(spec.layout) : spec.layout;
  LinearParams params;
  params.batch_invariant = spec.batch_invariant;
  if (spec.non_finite) {
    params.x = rig.input_values("x", spec.x, x_shape, non_finite_values(x_shape, 4), spec.layout);
    params.weight = rig.input_values("weight", spec.weight, weight_shape, non_finite_values(weight_shape, 7),
                                     weight_layout);
  } else {
    params.x = rig.input("x", spec.x, x_shape, spec.family, spec.scale, spec.layout);
    params.weight =
        rig.input("weight", spec.weight, weight_shape, weight_family(spec.family), 1.0, weight_layout);
  }
  if (spec.bias != Bias::kNone) {
    const DType dtype = spec.bias == Bias::kF32 ? DType::kF32 : spec.weight;
    const Family family = spec.family == Family::kIntegers ? Family::kIntegers : Family::kNormal;
    params.bias = rig.input("bias", dtype, {spec.out_features}, family, 3.0, spec.layout);
  }
  params.y = rig.output("y", y_dtype(spec), shape(spec.rows, spec.out_features, kYSlice), spec.layout);
  params.x = columns(params.x, spec.in_features, kXSlice);
  params.weight = columns(params.weight, spec.in_features, kWeightSlice);
  params.y = columns(params.y, spec.out_features, kYSlice);
  return params;
}

const Fields<Spec>& fields() {
  static const auto all = [] {
    const auto is_large = [](const Spec& spec) { return spec.scale > 100.0; };
    Fields<Spec> made;
    made.dtype(&Spec::x).size("rows", &Spec::rows).size("in_features", &Spec::in_features);
    made.size("out_features", &Spec::out_features).layout("layout", &Spec::layout);
    made.alias([](const Spec& spec) { return is_tiled(spec) ? "tiled_rows" : "dot_rows"; }, &Spec::rows,
               [](Spec& spec, std::int64_t rows) { spec.rows = rows; });
    made.feature([](const Spec& spec) { return fmt::format("weight_{}", dtype_name(spec.weight)); });
    made.feature("y_f32", [](const Spec& spec) { return y_dtype(spec) == DType::kF32; });
    made.feature("bias", [](const Spec& spec) { return spec.bias != Bias::kNone; });
    made.feature("bias_f32", [](const Spec& spec) { return spec.bias == Bias::kF32; }).feature(path_of);
    made.feature("no_inputs", [](const Spec& spec) { return spec.in_features == 0; });
    made.feature("column_slice", &Spec::column_slice).feature("mixed_alignment", &Spec::mixed_alignment);
    made.feature("non_finite", &Spec::non_finite).family("family", &Spec::family);
    made.scalar("scale", &Spec::scale, 1.0).feature("large", is_large);
    made.choice<Bias>("bias", &Spec::bias, {{"none", Bias::kNone}});
    made.flag("y_f32", &Spec::y_f32).flag("batch_invariant", &Spec::batch_invariant, true);
    made.flag("column_slice", &Spec::column_slice).flag("non_finite", &Spec::non_finite);
    made.flag("mixed_alignment", &Spec::mixed_alignment);
    made.special({"non_finite", "minus_infinity"}, &Spec::non_finite);
    made.special({"large"}, [is_large](const Spec& spec) { return is_large(spec) && !spec.non_finite; });
    made.over_tile(is_over_tile);
    return made;
  }();
  return all;
}

// Whether matrix cores take subnormal operands for 0 (kernels/device/matrix_core.h).
bool flushes(const LinearParams& params, const Target& target) {
  return target.architecture == "gfx90a" && !params.batch_invariant && params.x.shape[0] >= kTiledMinRows &&
         params.x.dtype == params.weight.dtype && params.x.dtype != DType::kF32;
}

Work work(const Spec& spec, const LinearParams&) {
  // A few rows are bound by reading the weights, many by arithmetic.
  return {.flops = 2 * spec.rows * spec.in_features * spec.out_features,
          .ceiling = spec.rows < kTiledMinRows ? Ceiling::kRead : Ceiling::kMatrix};
}

std::vector<LinearParams> samples(const LinearParams& params, std::uint64_t seed) {
  const std::int64_t rows = params.x.shape[0];
  const std::int64_t teeth = rows < kTiledMinRows ? kTeethOfFewRows : kTeeth;
  std::vector<LinearParams> parts;
  for (const Comb& comb : combs(rows, kCombs, kTeeth, seed)) {
    const LinearParams some_rows = slice_operands(params, {"x", "y"}, 0, comb);
    for (const Comb& column : combs(params.weight.shape[0], kCombs, teeth, seed + 1)) {
      parts.push_back(slice_operands(some_rows, {"weight", "bias"}, 0, column));
      parts.back().y = slice_axis(some_rows.y, 1, column.first, column.count, column.step);
    }
  }
  return parts;
}

const OpCases<Spec, LinearParams> kCases{linear, fields, make, expect, work, samples};

std::vector<Case> large_cases(std::int64_t shrink) {
  std::vector<Case> cases;
  const auto add = [&](DType dtype, Shape shape, bool batch_invariant) -> Case& {
    for (std::int64_t& size : shape) size = size > shrink ? size / shrink : size;
    Spec spec{
        .rows = shape[0], .in_features = shape[1], .out_features = shape[2], .x = dtype, .weight = dtype};
    spec.batch_invariant = batch_invariant;
    const char* const what = batch_invariant ? "batch_invariant" : "any_order";
    cases.push_back(make_large_case(kCases, spec, what, shape));
    return cases.back();
  };
  for (DType dtype : {DType::kBF16, DType::kF16}) {
    add(dtype, {8192, 8192, 8192}, false).floor_tflops = 400.0;
    add(dtype, {1, 4096, 14336}, true).floor_share = 0.75;
    // What a prefill and a batch of decoding sequences ask for.
    add(dtype, {2048, 4096, 14336}, false);
    add(dtype, {2048, 4096, 14336}, true);
    add(dtype, {16, 4096, 14336}, true);
  }
  return cases;
}

}  // namespace

std::vector<OutputExpectation> expect(const LinearParams& part, const HostTensors& host, const Target& target,
                                      const LinearParams& whole) {
  const std::int64_t rows = part.x.shape[0];
  const std::int64_t in_features = part.x.shape[1];
  const std::int64_t out_features = part.weight.shape[0];
  const std::int64_t depth = linear_reduction_depth(whole, target);
  const auto x = host.values("x");
  const auto all_bias = host.values("bias");
  const bool integers = are_integers(x);
  const auto size = static_cast<std::size_t>(rows * out_features);
  Expected y{part.y.dtype, {rows, out_features}, std::vector<double>(size), std::vector<double>(size)};
  const std::int64_t most =
      std::max<std::int64_t>(kOracleWeights / std::max<std::int64_t>(in_features, 1), 1);
  for (std::int64_t first = 0; first < out_features; first += most) {
    const std::int64_t count = std::min(most, out_features - first);
    const std::vector<double> weight = host.rows("weight", first, count).values;
    const auto bias =
        all_bias.empty() ? all_bias
                         : all_bias.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
    const auto oracle = reference::linear(x, weight, bias, rows, in_features, count);
    // The products of which a factor is flushed: what taking it for 0 may lose.
    std::vector<double> kept;
    if (flushes(whole, target)) {
      const DType dtype = part.x.dtype;
      kept = reference::linear(without_subnormals(x, dtype), without_subnormals(weight, dtype), bias, rows,
                               in_features, count)
                 .magnitude;
    }
    const bool exact = integers && are_integers(weight) && are_integers(bias);
    for (std::size_t i = 0; i < oracle.y.size(); ++i) {
      const auto columns = static_cast<std::size_t>(count);
      const std::size_t at = i / columns * static_cast<std::size_t>(out_features) +
                             static_cast<std::size_t>(first) + i % columns;
      y.value[at] = oracle.y[i];
      if (exact && oracle.magnitude[i] <= 0x1p24) {
        y.value[at] = round_to_dtype(y.dtype, oracle.y[i]);
      } else {
        const double stored = y.dtype == DType::kF32 ? 0.0 : store_rounding(y.dtype, oracle.y[i]);
        y.bound[at] = dot_bound(1.0, depth, oracle.magnitude[i], in_features + 1) + stored;
      }
      if (!kept.empty()) y.bound[at] += oracle.magnitude[i] - kept[i];
    }
  }
  return {{"y", std::move(y)}};
}

OpSuite linear_suite() {
  auto suite = make_suite<LinearParams>(kLinearBound);
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
        suite.cases.push_back(make_case(kCases, spec));
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
        return make_case(kCases, spec);
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
      suite.bench_cases.push_back(make_case(kCases, spec));
      spec.batch_invariant = false;
      if (shape[0] > 1) suite.bench_cases.push_back(make_case(kCases, spec));
    }
  }
  add_metamorphic(suite, linear_metamorphic_cases());
  suite.large_cases = large_cases;
  return suite;
}

}  // namespace hipforge::harness
