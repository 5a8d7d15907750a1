#include "harness/ops/weighted_matmul.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/op_cases.h"
#include "reference/weighted_matmul.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace hipforge::harness {
namespace {

struct Spec {
  std::int64_t batch = 1;
  std::int64_t q_heads = 1;
  std::int64_t kv_heads = 1;
  std::int64_t q_len = 1;
  std::int64_t kv_len = 1;
  std::int64_t head_dim = 1;
  DType dtype = DType::kF32;
  Layout layout = Layout::kContiguous;
  Family weights = Family::kPositive;  // as after a softmax
  Family values = Family::kNormal;
  double scale = 1.0;
  bool non_finite = false;
  bool masked_rows = false;      // weights of every third row are 0, as a softmax leaves them
  bool sum_to_1 = false;         // weights add up to about 1, as probabilities do
  bool mma = false;              // a case for the edges of the matrix cores' tiles
  bool mixed_alignment = false;  // values in the other layout than the rest
  bool quick = false;
  bool emulated = false;
};

constexpr std::int64_t kTile = 64;       // rows and columns of the tiled kernels
constexpr std::int64_t kChunk = 32;      // keys that are added in order
constexpr std::int64_t kSpan = 64 * 32;  // keys of a span
// Samples of a large case: of so many heads as many combs of rows.
constexpr std::int64_t kSampledHeads = 8;
constexpr std::int64_t kCombs = 4;
constexpr std::int64_t kTeeth = 8;

bool is_large(const Spec& spec) {
  return spec.scale > 1e3;
}

std::string heads_of(const Spec& spec) {
  if (spec.kv_heads == 1 && spec.q_heads > 1) return "mqa";
  if (spec.q_heads > spec.kv_heads) return "gqa";
  return spec.q_heads > 1 ? "heads" : "";
}

// The feature of the values' family, where it counts as one.
std::string values_of(const Spec& spec) {
  if (spec.values == Family::kEqual) return "drift";
  return spec.values == Family::kNormal || spec.values == Family::kPositive ? "" : family_name(spec.values);
}

// NaN, both infinities and zeros among small integers, some weights 0: 0 · NaN and 0 · inf must show.
double non_finite_value(std::size_t i, std::size_t head_dim) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double ordinary = static_cast<double>(i % 5) - 2.0;
  // Columns apart, so that each kind decides some outputs alone.
  const double kinds[] = {ordinary, std::numeric_limits<double>::quiet_NaN(), kInfinity, -kInfinity};
  return i % 11 == 3 ? kinds[i % head_dim % 4] : ordinary;
}

double weight_of_masked_rows(std::size_t i, std::size_t kv_len) {
  return i / kv_len % 3 == 0 ? 0.0 : static_cast<double>(i * 7919 % 1009) / 1009.0;
}

WeightedMatmulParams make(const Spec& spec, Rig& rig) {
  const Shape weights_shape{spec.batch, spec.q_heads, spec.q_len, spec.kv_len};
  const Shape values_shape{spec.batch, spec.kv_len, spec.kv_heads, spec.head_dim};
  const Layout values_layout = spec.mixed_alignment ? other_layout(spec.layout) : spec.layout;
  // An operand of the value that `at` gives for each index.
  const auto given = [&](const char* name, const Shape& shape, Layout layout, auto at) {
    std::int64_t count = 1;
    for (std::int64_t size : shape) count *= size;
    std::vector<double> values(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = at(i);
    return rig.input_values(name, spec.dtype, shape, values, layout);
  };
  WeightedMatmulParams params;
  if (spec.non_finite) {
    params.weights = given("weights", weights_shape, spec.layout,
                           [](std::size_t i) { return i / 7 % 3 == 0 ? 0.0 : 0.5; });
    params.values = given("values", values_shape, values_layout, [&](std::size_t i) {
      return non_finite_value(i, static_cast<std::size_t>(spec.head_dim));
    });
  } else {
    if (spec.masked_rows) {
      params.weights = given("weights", weights_shape, spec.layout, [&](std::size_t i) {
        return weight_of_masked_rows(i, static_cast<std::size_t>(spec.kv_len));
      });
    } else {
      // Large values, not weights: the product stays in f32.
      const double scale =
          spec.sum_to_1 ? 2.0 / static_cast<double>(spec.kv_len) : (is_large(spec) ? 1.0 : spec.scale);
      params.weights = rig.input("weights", spec.dtype, weights_shape, spec.weights, scale, spec.layout);
    }
    params.values = rig.input("values", spec.dtype, values_shape, spec.values, spec.scale, values_layout);
  }
  params.out =
      rig.output("out", spec.dtype, {spec.batch, spec.q_len, spec.q_heads, spec.head_dim}, spec.layout);
  return params;
}

const Fields<Spec>& fields() {
  static const auto all = [] {
    Fields<Spec> made;
    made.dtype(&Spec::dtype).size("batch", &Spec::batch).size("kv_heads", &Spec::kv_heads);
    made.size("q_heads", &Spec::q_heads).size("q_len", &Spec::q_len).size("kv_len", &Spec::kv_len);
    made.size("head_dim", &Spec::head_dim).layout("layout", &Spec::layout);
    made.shape_text([](const Spec& spec) {
      return fmt::format("b{}_h{}x{}_q{}_kv{}_d{}", spec.batch, spec.q_heads, spec.kv_heads, spec.q_len,
                         spec.kv_len, spec.head_dim);
    });
    made.feature("decode", [](const Spec& spec) { return spec.q_len == 1; });
    made.feature("batch", [](const Spec& spec) { return spec.batch > 1; }).feature(heads_of);
    made.feature("mma", &Spec::mma);
    made.feature("empty_kv", [](const Spec& spec) { return spec.kv_len == 0; });
    made.feature("spans", [](const Spec& spec) { return spec.kv_len > kSpan; });
    made.feature("mixed_alignment", &Spec::mixed_alignment).feature("non_finite", &Spec::non_finite);
    made.feature("masked_rows", &Spec::masked_rows).feature("large", is_large).feature(values_of);
    made.feature("one_hot_weights", [](const Spec& spec) { return spec.weights == Family::kOneHot; });
    made.plain().family("weights", &Spec::weights, false).family("values", &Spec::values, false);
    made.scalar("scale", &Spec::scale, 1.0).flag("non_finite", &Spec::non_finite);
    made.flag("mixed_alignment", &Spec::mixed_alignment).flag("masked_rows", &Spec::masked_rows);
    made.require([](const Spec& spec) { return spec.q_heads % spec.kv_heads == 0; });
    made.special({"non_finite", "minus_infinity"}, &Spec::non_finite);
    made.special({"large"}, [](const Spec& spec) { return is_large(spec) && !spec.non_finite; });
    made.special(
        {"one_hot"}, [](const Spec& spec) { return spec.weights == Family::kOneHot && !spec.non_finite; },
        false);
    made.special({"masked_rows"}, &Spec::masked_rows, false);
    made.over_tile(
        [](const Spec& spec) { return spec.q_len > kTile || spec.head_dim > kTile || spec.kv_len > kChunk; });
    return made;
  }();
  return all;
}

Work work(const Spec& spec, const WeightedMatmulParams& params) {
  return {.flops = 2 * params.weights.numel() * spec.head_dim, .ceiling = Ceiling::kRead};
}

std::vector<WeightedMatmulParams> samples(const WeightedMatmulParams& params, std::uint64_t seed) {
  const std::int64_t heads = params.weights.shape[1];
  const std::int64_t group = heads / params.values.shape[2];
  std::vector<WeightedMatmulParams> parts;
  for (std::int64_t pair : spread(params.weights.shape[0] * heads, kSampledHeads, seed)) {
    const std::int64_t head = pair % heads;
    auto of_head = slice_operands(params, {"weights", "values", "out"}, 0, pair / heads);
    of_head.weights = slice_axis(of_head.weights, 1, head, 1);
    of_head.values = slice_axis(of_head.values, 2, head / group, 1);
    of_head.out = slice_axis(of_head.out, 2, head, 1);
    const std::uint64_t row_seed = seed + static_cast<std::uint64_t>(pair);
    for (const Comb& rows : combs(params.out.shape[1], kCombs, kTeeth, row_seed)) {
      parts.push_back(slice_operands(of_head, {"weights"}, 2, rows));
      parts.back().out = slice_axis(of_head.out, 1, rows.first, rows.count, rows.step);
    }
  }
  return parts;
}

const OpCases<Spec, WeightedMatmulParams> kCases{weighted_matmul, fields, make, expect, work, samples};

std::vector<Case> large_cases(std::int64_t shrink) {
  std::vector<Case> cases;
  for (DType dtype : {DType::kBF16, DType::kF16}) {
    Spec spec{.batch = 4, .q_heads = 32, .kv_heads = 32, .head_dim = 128, .dtype = dtype, .sum_to_1 = true};
    spec.q_len = spec.kv_len = 4096 / shrink;
    const Shape shape{spec.batch, spec.q_heads, spec.q_len, spec.kv_len, spec.head_dim};
    cases.push_back(make_large_case(kCases, spec, "plain", shape));
    cases.back().floor_share = 0.80;
  }
  return cases;
}

}  // namespace

std::vector<OutputExpectation> expect(const WeightedMatmulParams& part, const HostTensors& host,
                                      const Target& target, const WeightedMatmulParams&) {
  reference::WeightedMatmulSizes sizes;
  sizes.batch = part.weights.shape[0];
  sizes.q_heads = part.weights.shape[1];
  sizes.q_len = part.weights.shape[2];
  sizes.kv_len = part.weights.shape[3];
  sizes.kv_heads = part.values.shape[2];
  sizes.head_dim = part.values.shape[3];
  const auto weights = host.values("weights");
  const auto values = host.values("values");
  const DType dtype = part.out.dtype;
  const auto oracle = reference::weighted_matmul(weights, values, sizes);
  const std::int64_t depth = weighted_matmul_reduction_depth(dtype, sizes.kv_len, target);
  const bool integers = are_integers(weights) && are_integers(values);
  // What MFMA takes for 0 there (kernels/device/matrix_core.h): its products may be lost.
  std::vector<double> kept;
  if (target.architecture == "gfx90a" && dtype != DType::kF32) {
    kept = reference::weighted_matmul(without_subnormals(weights, dtype), without_subnormals(values, dtype),
                                      sizes)
               .magnitude;
  }
  Expected out{dtype, shape_of(part.out), oracle.value, {}};
  for (std::size_t i = 0; i < oracle.value.size(); ++i) {
    const double magnitude = oracle.magnitude[i];
    double bound = kept.empty() ? 0.0 : magnitude - kept[i];
    if (integers && magnitude <= 0x1p24) {
      out.value[i] = round_to_dtype(dtype, oracle.value[i]);
    } else {
      bound += dot_bound(1.0, depth, magnitude, sizes.kv_len) + store_rounding(dtype, oracle.value[i]);
    }
    out.bound.push_back(bound);
  }
  return {{"out", std::move(out)}};
}

OpSuite weighted_matmul_suite() {
  auto suite = make_suite<WeightedMatmulParams>(kWeightedMatmulBound);
  suite.dtypes = {DType::kF32, DType::kF16, DType::kBF16};
  suite.layouts = {"contiguous", "strided"};
  suite.features = {"plain",    "decode",          "batch", "heads",           "gqa",      "mqa",
                    "empty_kv", "spans",           "drift", "non_finite",      "integers", "outliers",
                    "cancel",   "one_hot_weights", "mma",   "mixed_alignment", "subnormal"};
  // Few rows and those of a decoding block, tiles; a chunk, a stage, a span; a pack and tiles.
  for (std::int64_t at : {4, 16, 64, 128}) suite.edges.push_back({"q_len", at});
  for (std::int64_t at : {16, 32, 64, 2048}) suite.edges.push_back({"kv_len", at});
  for (std::int64_t at : {8, 64, 128}) suite.edges.push_back({"head_dim", at});
  suite.exclusions = {
      {"mma", "", "matrix cores take f16 and bf16", {DType::kF32}},
      {"mixed_alignment", "", "staging for matrix cores, of f16 and bf16", {DType::kF32}},
  };
  exclude_families(suite, {"nan_behind_mask"}, "it does not mask: 0 · NaN is NaN");

  for (DType dtype : suite.dtypes) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      const auto sized = [&](std::int64_t batch, std::int64_t q_heads, std::int64_t kv_heads,
                             std::int64_t q_len, std::int64_t kv_len, std::int64_t head_dim) {
        return Spec{.batch = batch,
                    .q_heads = q_heads,
                    .kv_heads = kv_heads,
                    .q_len = q_len,
                    .kv_len = kv_len,
                    .head_dim = head_dim,
                    .dtype = dtype,
                    .layout = layout};
      };
      const auto add = [&](const Spec& spec) { suite.cases.push_back(make_case(kCases, spec)); };

      // Few rows, then around the edges of a tile of 64 × 64 and a chunk of 32 keys.
      const std::array<std::int64_t, 3> plains[] = {
          {3, 5, 7},      {8, 31, 16},  {16, 32, 33},   {17, 33, 64}, {63, 64, 65},
          {64, 65, 64},   {65, 63, 66}, {70, 100, 128}, {33, 96, 80}, {5, 127, 96},
          {18, 300, 256}, {128, 40, 8}, {66, 129, 1}};
      for (const auto& [q_len, kv_len, head_dim] : plains) {
        Spec spec = sized(1, 1, 1, q_len, kv_len, head_dim);
        spec.quick = q_len == 65;
        spec.emulated = layout == Layout::kContiguous && (q_len == 65 || q_len == 70);
        add(spec);
      }

      const std::array<std::int64_t, 2> decodes[] = {{1, 1},    {31, 64},   {32, 128}, {33, 80},
                                                     {513, 65}, {700, 256}, {777, 129}};
      for (const auto& [kv_len, head_dim] : decodes) {
        Spec spec = sized(1, 1, 1, 1, kv_len, head_dim);
        spec.quick = kv_len == 777 || kv_len == 33;
        add(spec);
      }

      // Heads, GQA and MQA; batches; one row, few rows and several tiles of rows per kv head.
      const std::array<std::int64_t, 6> heads[] = {
          {1, 3, 3, 4, 17, 9},   {2, 2, 2, 33, 40, 64},   {1, 5, 5, 1, 70, 24},   // heads
          {1, 4, 2, 1, 65, 64},  {1, 6, 3, 3, 33, 40},    {1, 8, 2, 20, 45, 16},  // gqa
          {2, 9, 3, 25, 37, 72}, {1, 32, 8, 1, 100, 128}, {3, 4, 2, 5, 31, 8},
          {1, 7, 1, 1, 50, 32},  {1, 3, 1, 30, 35, 65},   {2, 4, 1, 5, 64, 128}};  // mqa
      for (const auto& [batch, q_heads, kv_heads, q_len, kv_len, head_dim] : heads) {
        Spec spec = sized(batch, q_heads, kv_heads, q_len, kv_len, head_dim);
        spec.quick = q_heads == 9 || q_heads == 7 || q_heads == 3;
        spec.emulated = layout == Layout::kContiguous && q_heads == 8;
        add(spec);
      }

      // More than one span of 64 chunks, in both kernels; the longest once for each dtype.
      for (const Shape& shape : {Shape{1, 2049, 3}, Shape{2, 4100, 16}, Shape{17, 2080, 5}}) {
        Spec spec = sized(1, 1, 1, shape[0], shape[1], shape[2]);
        spec.values = shape[0] == 2 ? Family::kPositive : Family::kNormal;
        spec.quick = shape[1] == 2049;
        add(spec);
      }
      // Equal terms: their roundings all go one way, and a long plain sum drifts.
      for (const Shape& shape : {Shape{1, 2048, 3}, Shape{20, 4097, 2}, Shape{2, 30000, 5}}) {
        Spec spec = sized(1, 1, 1, shape[0], shape[1], shape[2]);
        spec.weights = spec.values = Family::kEqual;
        spec.scale = 0.1;
        spec.quick = shape[1] == 4097;
        add(spec);
      }
      if (layout == Layout::kContiguous) {
        Spec spec = sized(1, 1, 1, 1, 131072, 2);
        spec.values = Family::kPositive;
        add(spec);
        spec.weights = spec.values = Family::kEqual;
        spec.scale = 0.1;
        spec.quick = true;
        add(spec);
      }

      for (const Shape& shape : {Shape{1, 1, 5}, Shape{3, 2, 64}, Shape{40, 3, 70}}) {
        Spec spec = sized(shape[1], 2, 1, shape[0], 0, shape[2]);
        spec.quick = shape[0] == 40;
        add(spec);
      }
      add(sized(0, 2, 2, 3, 5, 8));
      add(sized(1, 2, 2, 0, 5, 8));

      for (const Shape& shape : {Shape{1, 45, 16}, Shape{4, 100, 65}, Shape{20, 37, 9}}) {
        Spec spec = sized(1, 2, 1, shape[0], shape[1], shape[2]);
        spec.quick = shape[0] == 4;
        Spec non_finite = spec;
        non_finite.non_finite = true;
        add(non_finite);
        for (Family family : {Family::kIntegers, Family::kOutliers, Family::kCancel}) {
          Spec other = spec;
          other.values = family;
          if (family == Family::kIntegers) other.weights = family;
          if (family == Family::kCancel) other.weights = Family::kEqual;
          add(other);
        }
        Spec one_hot = spec;
        one_hot.weights = Family::kOneHot;
        add(one_hot);
        Spec masked = spec;
        masked.masked_rows = true;
        add(masked);
        Spec large = spec;
        large.scale = dtype == DType::kF16 ? 1e4 : 1e30;
        add(large);
        Spec uniform = spec;
        uniform.values = Family::kUniform;
        add(uniform);
        Spec subnormal = spec;
        subnormal.values = Family::kSubnormal;
        add(subnormal);
      }
      fill_edges(suite, dtype, layout_name(layout), [&](const std::string& dimension, std::int64_t size) {
        Spec spec = sized(1, 2, 1, 3, 10, 12);
        if (dimension == "q_len") spec.q_len = size;
        if (dimension == "kv_len") spec.kv_len = size;
        if (dimension == "head_dim") spec.head_dim = size;
        return make_case(kCases, spec);
      });
      if (dtype == DType::kF32) continue;

      // Of the matrix cores, around packs, steps, stages and the tiles of every target; rows of several heads
      // in one tile; more than one span.
      const auto add_mma = [&](const std::array<std::int64_t, 6>& sizes, auto... changes) {
        Spec spec = sized(sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]);
        spec.mma = true;
        (changes(spec), ...);
        add(spec);
      };
      const std::array<std::int64_t, 6> tiles[] = {
          {1, 1, 1, 63, 15, 63},    {1, 1, 1, 64, 16, 64},    {1, 1, 1, 65, 17, 65},
          {1, 1, 1, 127, 63, 127},  {1, 1, 1, 128, 64, 128},  {1, 1, 1, 129, 65, 129},
          {1, 1, 1, 130, 72, 136},  {1, 1, 1, 128, 128, 256}, {1, 1, 1, 131, 200, 264},
          {1, 1, 1, 257, 328, 72},  {2, 6, 2, 45, 72, 136},   {2, 4, 2, 67, 129, 80},
          {1, 2, 2, 1, 400, 128},   {2, 8, 2, 1, 336, 136},   {1, 2, 1, 17, 8, 8},
          {1, 1, 1, 130, 2056, 72}, {1, 2, 1, 66, 2113, 130}, {1, 3, 3, 1, 4104, 128}};
      for (const auto& tile : tiles) {
        add_mma(tile, [&](Spec& spec) {
          spec.quick = tile[3] == 65 || tile[3] == 130 || tile[3] == 45;
          spec.emulated = layout == Layout::kContiguous && tile[4] == 72 && spec.quick;
        });
      }
      for (const auto& tile : {std::array<std::int64_t, 6>{1, 1, 1, 130, 72, 136},
                               {2, 4, 2, 67, 136, 131},
                               {1, 4, 1, 1, 200, 72}}) {
        add_mma(tile, [](Spec& spec) { spec.mixed_alignment = true; });
        add_mma(tile, [](Spec& spec) { spec.non_finite = true; });
        for (Family family :
             {Family::kIntegers, Family::kOutliers, Family::kCancel, Family::kSubnormal, Family::kEqual}) {
          add_mma(tile, [&](Spec& spec) {
            spec.values = family;
            if (family == Family::kIntegers) spec.weights = family;
            if (family == Family::kCancel) spec.weights = Family::kEqual;
          });
        }
      }
    }
    const std::array<std::int64_t, 6> benches[] = {
        {1, 32, 8, 1, 1024, 128}, {4, 8, 2, 1, 512, 64}, {1, 4, 4, 128, 256, 64}, {1, 8, 2, 64, 512, 128}};
    for (const auto& [batch, q_heads, kv_heads, q_len, kv_len, head_dim] : benches) {
      suite.bench_cases.push_back(make_case(kCases, Spec{.batch = batch,
                                                         .q_heads = q_heads,
                                                         .kv_heads = kv_heads,
                                                         .q_len = q_len,
                                                         .kv_len = kv_len,
                                                         .head_dim = head_dim,
                                                         .dtype = dtype}));
    }
  }
  add_metamorphic(suite, weighted_matmul_metamorphic_cases());
  suite.large_cases = large_cases;
  return suite;
}

}  // namespace hipforge::harness
