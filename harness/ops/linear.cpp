#include "kernels/linear.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/metamorphic.h"
#include "harness/sweep/op_cases.h"
#include "reference/linear.h"
#include "reference/not_finite.h"

#include <fmt/format.h>

#include <algorithm>

namespace hipforge::harness {

constexpr const char* kLinearBound = R"(
u·(depth + 1)·(Σ|x·weight| + |bias|) with u = 2⁻²⁴ and the kernel's own depth, because
each term of the sum passes at most depth additions, of which each loses at most u of what it adds (those
of a matrix unit 2·u: they count twice); the products of flushed operands; then the store.
Where all operands are integers and Σ|x·weight| + |bias| stays within 2²⁴ the sum makes no error: y is the
oracle's value rounded once, exactly.)";

// y, within kLinearBound.
Oracle<LinearParams> expect;
Relations<LinearParams> linear_metamorphic_cases;

namespace {

enum class Bias { kNone, kOfWeight, kF32 };

struct Spec : SpecBase {
  std::int64_t rows = 1;
  std::int64_t in_features = 1;
  std::int64_t out_features = 1;
  DType weight = DType::kF32;
  bool y_f32 = false;
  Bias bias = Bias::kNone;
  bool batch_invariant = true;
  bool column_slice = false;
  bool non_finite = false;
  bool mixed_alignment = false;  // weight in the other layout than the rest
  double scale = 1.0;            // of x
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
  return spec.y_f32 ? DType::kF32 : spec.dtype;
}

bool is_tiled(const Spec& spec) {
  return !spec.batch_invariant && spec.rows >= kTiledMinRows;
}

std::string path_of(const Spec& spec) {
  if (!is_tiled(spec)) return spec.rows == 1 ? "one_row" : "rows";
  return spec.weight == spec.dtype && spec.dtype != DType::kF32 ? "mma" : "tiled";
}

bool is_over_tile(const Spec& spec) {
  if (is_tiled(spec)) return spec.rows > 64 || spec.in_features > 32 || spec.out_features > 64;
  return spec.rows > 4 || spec.in_features > 256 || spec.out_features > 128;
}

// Small numbers with a NaN, an infinity and zeros here and there: some rows and columns stay finite.
std::vector<double> non_finite_values(const Shape& shape, std::int64_t every) {
  return values_of(shape, [&](std::int64_t i) {
    const std::int64_t row = i / shape[1];
    const std::int64_t col = i % shape[1];
    if (row % every == 2 && col == shape[1] / 2) return -kInfinity;
    if (row % every == 1 && col == shape[1] - 1) return kNaN;
    return static_cast<double>((row * 5 + col * 3) % 11 - 5) / 4.0;
  });
}

// What the family is about lies in x; in these, weights are of its kind as well.
Family weight_family(Family family) {
  if (family == Family::kCancel) return Family::kEqual;
  constexpr Family kBoth[] = {Family::kOutliers, Family::kIntegers, Family::kPositive, Family::kEqual,
                              Family::kUniform};
  return std::find(std::begin(kBoth), std::end(kBoth), family) == std::end(kBoth) ? Family::kNormal : family;
}

LinearParams make(const Spec& spec, Rig& rig) {
  // Some columns of a larger matrix, where the spec asks for that.
  const auto columns = [&](std::int64_t rows, std::int64_t count, const Slice& slice, auto&& whole) {
    if (!spec.column_slice) return whole(Shape{rows, count});
    return slice_axis(whole(Shape{rows, count + slice.gap}), 1, slice.first, count);
  };
  const Layout weight_layout = spec.mixed_alignment ? other_layout(spec.layout) : spec.layout;
  LinearParams params;
  params.batch_invariant = spec.batch_invariant;
  params.x = columns(spec.rows, spec.in_features, kXSlice, [&](const Shape& shape) {
    return spec.non_finite
               ? rig.input_values("x", spec.dtype, shape, non_finite_values(shape, 4), spec.layout)
               : rig.input("x", spec.dtype, shape, spec.family, spec.scale, spec.layout);
  });
  params.weight = columns(spec.out_features, spec.in_features, kWeightSlice, [&](const Shape& shape) {
    return spec.non_finite
               ? rig.input_values("weight", spec.weight, shape, non_finite_values(shape, 7), weight_layout)
               : rig.input("weight", spec.weight, shape, weight_family(spec.family), 1.0, weight_layout);
  });
  if (spec.bias != Bias::kNone) {
    const DType dtype = spec.bias == Bias::kF32 ? DType::kF32 : spec.weight;
    const Family family = spec.family == Family::kIntegers ? Family::kIntegers : Family::kNormal;
    params.bias = rig.input("bias", dtype, {spec.out_features}, family, 3.0, spec.layout);
  }
  params.y = columns(spec.rows, spec.out_features, kYSlice,
                     [&](const Shape& shape) { return rig.output("y", y_dtype(spec), shape, spec.layout); });
  return params;
}

void declare(Fields<Spec>& made) {
  const auto is_large = [](const Spec& spec) { return spec.scale > 100.0; };
  made.dtypes(&Spec::weight).size("rows", &Spec::rows).size("in_features", &Spec::in_features);
  made.size("out_features", &Spec::out_features).layout();
  made.alias(
      "dot_rows", [](const Spec& spec) { return is_tiled(spec) ? -1 : spec.rows; },
      [](Spec& spec, std::int64_t rows) { spec.rows = rows; });
  made.alias(
      "tiled_rows", [](const Spec& spec) { return is_tiled(spec) ? spec.rows : -1; },
      [](Spec& spec, std::int64_t rows) {
        spec.rows = rows;
        spec.batch_invariant = false;
        spec.weight = spec.dtype;
      });
  made.feature([](const Spec& spec) { return fmt::format("weight_{}", dtype_name(spec.weight)); });
  made.feature("y_f32", [](const Spec& spec) { return y_dtype(spec) == DType::kF32; });
  made.feature("bias", [](const Spec& spec) { return spec.bias != Bias::kNone; });
  made.feature("bias_f32", [](const Spec& spec) { return spec.bias == Bias::kF32; }).feature(path_of);
  made.feature("no_inputs", [](const Spec& spec) { return spec.in_features == 0; });
  made.flag("column_slice", &Spec::column_slice).says();
  made.flag("mixed_alignment", &Spec::mixed_alignment).says().flag("non_finite", &Spec::non_finite).says();
  made.family("family", &Spec::family);
  made.scalar("scale", &Spec::scale, 1.0).feature("large", is_large);
  made.choice("bias", &Spec::bias, "none weight f32");
  made.floats("weight", &Spec::weight).flag("y_f32", &Spec::y_f32);
  made.flag("batch_invariant", &Spec::batch_invariant, true);
  made.special({"non_finite", "minus_infinity"}, &Spec::non_finite).special({"large"}, is_large);
  made.over_tile(is_over_tile);
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

const OpCases<Spec, LinearParams> kCases{linear, declared<Spec, declare>, make, work, samples};

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

// rows x in_features x out_features. Weights and biases take turns through all their dtypes.
const std::string kInTurn = R"(
  $bias = bias=<none|weight|f32|none>
  $of_x = $bias y_f32=<on|off|off|off|off>
  $any = weight=<f32|f16|bf16> $of_x
)";

const std::string kTable = kInTurn + R"(
  # Around packs, groups of lanes, waves, blocks and tiles.
  1x1x1 1x7x3 1x8x4 1x31x5 1x255x64 1x256x129! 1x257x31 1x513x40 1x688x67 1x2049x6 1x4100x3 2x33x7 : $any
  3x256x130 4x129x66 5x65x133! 9x300x20 17x40x35 33x72x70 130x17x9 1x1024x1031 200x90x150 : $any
  32x32x64 67x45x75! 40x129x66 129x8x5 200x90x150 : $any batch_invariant=off
  1x0x5 : $any ; weight=bf16 bias=weight y_f32
  3x0x131 : $any ; weight=f32 bias=weight y_f32
  6x0x2 : $any ; weight=f16 bias=weight y_f32
  0x16x8 4x16x0 : $any
)";

const std::string kMore = kInTurn + R"(
  # Fewer rows than a tile is worth: the invariant kernel although it was not asked for.
  31x24x9 : $any batch_invariant=off
  $odd = bias=f32 column_slice,mixed_alignment,non_finite,scale=large
  $family = outliers,integers,subnormal,cancel,one_hot,equal,positive y_f32,uniform
  $all = weight={f32,f16,bf16} {,bias=weight y_f32} ; weight=<f32|f16|bf16> {$odd,$family}
  1x96x20 6x37x45! 3x272x12 : $all
  70x40x72 : $any batch_invariant=off column_slice ; weight=f32 batch_invariant=off {non_finite,integers}
  # Of the matrix cores, around packs, steps, stages and the tiles of every target; some of 1 row or column
  # more than whole tiles, some whose rows take no 16-byte accesses.
  [f16 bf16] batch_invariant=off
  32x1x1 32x8x8 33x16x17 63x31x63 64x32x64 65x33x65! 66x64x130 70x72x136~ 67x129x75 97x200x33 : $of_x
  128x64x128 127x40x129 129x65x127 130x136x130!~ 131x328x257 200x90x150 257x520x193 40x0x70 : $of_x
  $odd = {column_slice,mixed_alignment,non_finite,scale=large}
  $family = {outliers,integers,subnormal,cancel y_f32,one_hot,equal,positive y_f32}
  70x72x136 133x136x131 35x37x45 : $of_x $odd ; $bias $family
  # Enough of the largest tiles for a target that has them to take them.
  [f16 bf16] [contiguous] batch_invariant=off
  1500x72x2820 : $of_x
  1410x200x2565 : $of_x column_slice
)";

// The embedded model's products, one token and a prefill.
constexpr std::string_view kBench = R"(
  $token = 1x256x{256,688} 1x688x256 1x256x4096
  $prefill = 64x256x688
  [f16 bf16]
  $token $prefill
  $prefill : batch_invariant=off
  [f32] weight=f16
  $token $prefill
  $prefill : batch_invariant=off
)";

constexpr std::string_view kLarge = R"(
  [f16 bf16] shrink=rows+in_features+out_features
  8192x8192x8192 : what=any_order batch_invariant=off tflops=400
  1x4096x14336 : what=batch_invariant share=0.75
  # What a prefill and a batch of decoding sequences ask for.
  2048x4096x14336 : what=any_order batch_invariant=off ; what=batch_invariant
  16x4096x14336 : what=batch_invariant
)";

void settle(Spec& spec) {
  if (spec.dtype == DType::kF16 && !spec.batch_invariant) spec.scale = std::min(spec.scale, 1e3);
  if (spec.family == Family::kOneHot || spec.family == Family::kEqual) spec.quick = false;
}

OpSuite linear_suite() {
  auto suite = make_suite<LinearParams>(kLinearBound);
  suite.features = words_of(
      "weight_f32 weight_f16 weight_bf16 y_f32 bias bias_f32 one_row rows tiled mma no_inputs outliers "
      "integers subnormal cancel one_hot equal positive large non_finite column_slice mixed_alignment");
  suite.exclusions = {{"mma", "", "matrix cores take f16 and bf16", {DType::kF32}}};
  exclude_families(suite, {"masked_rows", "nan_behind_mask"}, "there is no mask");
  // Rows of a dot kernel's tile; those from which on tiles are taken, and the tiles; packs, a wave's lanes,
  // what a wave takes at once; the columns that a group of lanes takes, and tiles.
  suite.edges.push_back({"dot_rows", 4});
  for (std::int64_t at : {33, 64, 128}) suite.edges.push_back({"tiled_rows", at});
  for (std::int64_t at : {8, 32, 64, 256, 2048}) suite.edges.push_back({"in_features", at});
  for (std::int64_t at : {4, 64, 128}) suite.edges.push_back({"out_features", at});

  fill_suite(suite, kCases,
             {kTable, kInTurn + "3x20x5 : $any", kBench, settle, kMore, kLarge, linear_metamorphic_cases});
  return suite;
}

}  // namespace hipforge::harness
