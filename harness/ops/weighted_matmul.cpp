#include "harness/ops/weighted_matmul.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/families.h"
#include "harness/sweep/variants.h"
#include "kernels/weighted_matmul.h"
#include "reference/weighted_matmul.h"

#include <fmt/format.h>

#include <algorithm>
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
  bool mma = false;              // a case for the edges of the matrix cores' tiles
  bool mixed_alignment = false;  // values in the other layout than the rest
  bool quick = false;
  bool emulated = false;
};

constexpr std::int64_t kTile = 64;       // rows and columns of the tiled kernels
constexpr std::int64_t kChunk = 32;      // keys that are added in order
constexpr std::int64_t kSpan = 64 * 32;  // keys of a span

std::vector<std::string> features_of(const Spec& spec) {
  std::vector<std::string> features;
  if (spec.q_len == 1) features.emplace_back("decode");
  if (spec.batch > 1) features.emplace_back("batch");
  if (spec.kv_heads == 1 && spec.q_heads > 1) {
    features.emplace_back("mqa");
  } else if (spec.q_heads > spec.kv_heads) {
    features.emplace_back("gqa");
  } else if (spec.q_heads > 1) {
    features.emplace_back("heads");
  }
  if (spec.mma) features.emplace_back("mma");
  if (spec.kv_len == 0) features.emplace_back("empty_kv");
  if (spec.kv_len > kSpan) features.emplace_back("spans");
  if (spec.mixed_alignment) features.emplace_back("mixed_alignment");
  if (spec.non_finite) features.emplace_back("non_finite");
  if (spec.masked_rows) features.emplace_back("masked_rows");
  if (spec.scale > 1e3) features.emplace_back("large");
  if (spec.values == Family::kEqual) features.emplace_back("drift");
  const bool counted =
      spec.values != Family::kNormal && spec.values != Family::kPositive && spec.values != Family::kEqual;
  if (counted) features.emplace_back(family_name(spec.values));
  if (spec.weights == Family::kOneHot) features.emplace_back("one_hot_weights");
  if (features.empty()) features.emplace_back("plain");
  return features;
}

std::vector<std::string> families_of(const Spec& spec) {
  std::vector<std::string> families;
  if (spec.non_finite) {
    families = {"non_finite", "minus_infinity"};
  } else {
    families.emplace_back(spec.scale > 1e3 ? "large" : input_family(spec.values));
    if (spec.weights == Family::kOneHot) families.emplace_back("one_hot");
  }
  if (spec.masked_rows) families.emplace_back("masked_rows");
  return families;
}

// NaN, both infinities and zeros among small integers, some weights 0: 0 · NaN and 0 · inf must show.
std::vector<double> non_finite_values(std::size_t count, std::int64_t head_dim) {
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<double>(i % 5) - 2.0;
    // Columns apart, so that each kind decides some outputs alone.
    const std::size_t col = i % static_cast<std::size_t>(head_dim);
    if (i % 11 != 3) continue;
    if (col % 4 == 1) values[i] = std::numeric_limits<double>::quiet_NaN();
    if (col % 4 == 2) values[i] = std::numeric_limits<double>::infinity();
    if (col % 4 == 3) values[i] = -std::numeric_limits<double>::infinity();
  }
  return values;
}

std::vector<double> weights_with_zeros(std::size_t count) {
  std::vector<double> weights(count);
  for (std::size_t i = 0; i < count; ++i) weights[i] = i / 7 % 3 == 0 ? 0.0 : 0.5;
  return weights;
}

std::vector<double> weights_of_masked_rows(std::size_t count, std::int64_t kv_len) {
  std::vector<double> weights(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t row = i / static_cast<std::size_t>(kv_len);
    weights[i] = row % 3 == 0 ? 0.0 : static_cast<double>(i * 7919 % 1009) / 1009.0;
  }
  return weights;
}

std::size_t numel(const Shape& shape) {
  std::size_t count = 1;
  for (std::int64_t size : shape) count *= static_cast<std::size_t>(size);
  return count;
}

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  const Shape weights_shape{spec.batch, spec.q_heads, spec.q_len, spec.kv_len};
  const Shape values_shape{spec.batch, spec.kv_len, spec.kv_heads, spec.head_dim};
  const Shape out_shape{spec.batch, spec.q_len, spec.q_heads, spec.head_dim};
  const Layout other = spec.layout == Layout::kContiguous ? Layout::kStrided : Layout::kContiguous;
  const Layout values_layout = spec.mixed_alignment ? other : spec.layout;
  WeightedMatmulParams params;
  if (spec.non_finite) {
    params.weights = rig.input_values("weights", spec.dtype, weights_shape,
                                      weights_with_zeros(numel(weights_shape)), spec.layout);
    params.values = rig.input_values("values", spec.dtype, values_shape,
                                     non_finite_values(numel(values_shape), spec.head_dim), values_layout);
  } else {
    // Large values, not weights: the product stays in f32.
    const double weights_scale = spec.scale > 1e3 ? 1.0 : spec.scale;
    if (spec.masked_rows) {
      params.weights =
          rig.input_values("weights", spec.dtype, weights_shape,
                           weights_of_masked_rows(numel(weights_shape), spec.kv_len), spec.layout);
    } else {
      params.weights =
          rig.input("weights", spec.dtype, weights_shape, spec.weights, weights_scale, spec.layout);
    }
    params.values = rig.input("values", spec.dtype, values_shape, spec.values, spec.scale, values_layout);
  }
  params.out = rig.output("out", spec.dtype, out_shape, spec.layout);
  const std::int64_t elements = params.weights.numel() + params.values.numel() + params.out.numel();
  prepared.bytes = elements * static_cast<std::int64_t>(dtype_size(spec.dtype));
  prepared.flops = 2 * params.weights.numel() * spec.head_dim;
  prepared.ceiling = Ceiling::kRead;
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return weighted_matmul(params, stream, target);
  };
  prepared.expect = [spec, &rig, target = environment.target] {
    WeightedMatmulInputs inputs;
    inputs.weights = rig.values("weights");
    inputs.values = rig.values("values");
    inputs.batch = spec.batch;
    inputs.q_len = spec.q_len;
    inputs.kv_len = spec.kv_len;
    inputs.q_heads = spec.q_heads;
    inputs.kv_heads = spec.kv_heads;
    inputs.head_dim = spec.head_dim;
    inputs.dtype = spec.dtype;
    std::vector<OutputExpectation> outputs;
    outputs.push_back({"out", weighted_matmul_expected(inputs, target)});
    return outputs;
  };
  return prepared;
}

const SpecKnobs<Spec>& knobs() {
  static const SpecKnobs<Spec> all = [] {
    SpecKnobs<Spec> made;
    made.size("batch", &Spec::batch).size("kv_heads", &Spec::kv_heads).size("q_heads", &Spec::q_heads);
    made.size("q_len", &Spec::q_len).size("kv_len", &Spec::kv_len).size("head_dim", &Spec::head_dim);
    made.layout("layout", &Spec::layout).family("weights", &Spec::weights).family("values", &Spec::values);
    made.scalar("scale", &Spec::scale, 1.0).flag("non_finite", &Spec::non_finite);
    made.flag("mixed_alignment", &Spec::mixed_alignment).flag("masked_rows", &Spec::masked_rows);
    made.require([](const Spec& spec) { return spec.q_heads % spec.kv_heads == 0; });
    return made;
  }();
  return all;
}

Case make_case(const Spec& spec) {
  Case test;
  test.op = "weighted_matmul";
  test.dtype = spec.dtype;
  test.layout = layout_name(spec.layout);
  test.features = features_of(spec);
  test.families = families_of(spec);
  set_sizes(test, {{"batch", spec.batch},
                   {"q_heads", spec.q_heads},
                   {"kv_heads", spec.kv_heads},
                   {"q_len", spec.q_len},
                   {"kv_len", spec.kv_len},
                   {"head_dim", spec.head_dim}});
  test.shape = fmt::format("b{}_h{}x{}_q{}_kv{}_d{}", spec.batch, spec.q_heads, spec.kv_heads, spec.q_len,
                           spec.kv_len, spec.head_dim);
  test.odd = any_odd({spec.batch, spec.q_heads, spec.kv_heads, spec.q_len, spec.kv_len, spec.head_dim});
  test.over_tile = spec.q_len > kTile || spec.head_dim > kTile || spec.kv_len > kChunk;
  test.quick = spec.quick;
  test.emulated = spec.emulated;
  std::string options;
  for (const std::string& feature : test.features) options += "." + feature;
  test.id = fmt::format("weighted_matmul/{}/{}/{}/{}", dtype_name(spec.dtype), test.layout, test.shape,
                        options.substr(1));
  test.prepare = [spec](const CaseEnvironment& environment) { return prepare(spec, environment); };
  test.variants = knobs().variants(spec, &make_case);
  return test;
}

bool all_integers(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double value) { return value == std::floor(value); });
}

// Σ|weights · values| over the products of which a factor is subnormal: what taking it for 0 may lose.
std::vector<double> magnitude_of_flushed(const WeightedMatmulInputs& inputs,
                                         const reference::WeightedMatmulSizes& sizes,
                                         const std::vector<double>& magnitude) {
  const auto flush = [&](std::span<const double> values) {
    std::vector<double> kept(values.begin(), values.end());
    for (double& value : kept) {
      if (std::fabs(value) < smallest_normal(inputs.dtype)) value = 0.0;
    }
    return kept;
  };
  std::vector<double> lost =
      reference::weighted_matmul(flush(inputs.weights), flush(inputs.values), sizes).magnitude;
  for (std::size_t i = 0; i < lost.size(); ++i) lost[i] = magnitude[i] - lost[i];
  return lost;
}

}  // namespace

Expected weighted_matmul_expected(const WeightedMatmulInputs& inputs, const Target& target) {
  reference::WeightedMatmulSizes sizes;
  sizes.batch = inputs.batch;
  sizes.q_len = inputs.q_len;
  sizes.kv_len = inputs.kv_len;
  sizes.q_heads = inputs.q_heads;
  sizes.kv_heads = inputs.kv_heads;
  sizes.head_dim = inputs.head_dim;
  reference::WeightedMatmulResult oracle = reference::weighted_matmul(inputs.weights, inputs.values, sizes);
  const std::int64_t depth = weighted_matmul_reduction_depth(inputs.dtype, inputs.kv_len, target);
  const bool integers = all_integers(inputs.weights) && all_integers(inputs.values);
  // What MFMA takes for 0 there (kernels/device/matrix_core.h).
  const bool flushes = target.architecture == "gfx90a" && inputs.dtype != DType::kF32;
  const std::vector<double> flushed =
      flushes ? magnitude_of_flushed(inputs, sizes, oracle.magnitude) : std::vector<double>();
  Expected expected;
  expected.dtype = inputs.dtype;
  expected.shape = {inputs.batch, inputs.q_len, inputs.q_heads, inputs.head_dim};
  expected.bound.reserve(oracle.value.size());
  for (std::size_t i = 0; i < oracle.value.size(); ++i) {
    double& value = oracle.value[i];
    if (integers && oracle.magnitude[i] <= 0x1p24) {
      value = round_to_dtype(inputs.dtype, value);
      expected.bound.push_back(0.0);
    } else {
      expected.bound.push_back(dot_bound(1.0, depth, oracle.magnitude[i], inputs.kv_len) +
                               store_rounding(inputs.dtype, value));
    }
    if (flushes) expected.bound.back() += flushed[i];
  }
  expected.value = std::move(oracle.value);
  return expected;
}

OpSuite weighted_matmul_suite() {
  OpSuite suite;
  suite.op = "weighted_matmul";
  suite.bound = kWeightedMatmulBound;
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
      const auto add = [&](const Spec& spec) { suite.cases.push_back(make_case(spec)); };

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
        return make_case(spec);
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
      suite.bench_cases.push_back(make_case(Spec{.batch = batch,
                                                 .q_heads = q_heads,
                                                 .kv_heads = kv_heads,
                                                 .q_len = q_len,
                                                 .kv_len = kv_len,
                                                 .head_dim = head_dim,
                                                 .dtype = dtype}));
    }
  }
  add_metamorphic(suite, weighted_matmul_metamorphic_cases());
  suite.large_cases = weighted_matmul_large_cases;
  return suite;
}

}  // namespace hipforge::harness
