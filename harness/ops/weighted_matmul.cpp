#include "kernels/weighted_matmul.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/metamorphic.h"
#include "harness/sweep/op_cases.h"
#include "reference/not_finite.h"
#include "reference/weighted_matmul.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace hipforge::harness {

constexpr const char* kWeightedMatmulBound = R"(
dot_bound with factor 1, the depth of the kernel's sum over keys and Σ_j |weights ·
values|, then the store. Where all inputs are integers and that magnitude stays within 2²⁴ the sum makes
no error: out is the oracle's value rounded once, exactly. On gfx90a, whose
matrix cores flush subnormal f16 and bf16 factors, the products of such count as lost.)";

// out, within kWeightedMatmulBound.
Oracle<WeightedMatmulParams> expect;
Relations<WeightedMatmulParams> weighted_matmul_metamorphic_cases;

namespace {

struct Spec : SpecBase {
  std::int64_t batch = 1;
  std::int64_t q_heads = 1;
  std::int64_t kv_heads = 1;
  std::int64_t q_len = 1;
  std::int64_t kv_len = 1;
  std::int64_t head_dim = 1;
  Family weights = Family::kPositive;  // as after a softmax
  Family values = Family::kNormal;
  double scale = 1.0;
  bool non_finite = false;
  bool masked_rows = false;      // weights of every third row are 0, as a softmax leaves them
  bool sum_to_1 = false;         // weights add up to about 1, as probabilities do
  bool mma = false;              // a case for the edges of the matrix cores' tiles
  bool mixed_alignment = false;  // values in the other layout than the rest
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
std::string family_of_values(const Spec& spec) {
  if (spec.values == Family::kEqual) return "drift";
  return spec.values == Family::kNormal || spec.values == Family::kPositive ? "" : family_name(spec.values);
}

WeightedMatmulParams make(const Spec& spec, Rig& rig) {
  const auto weight_at = [&](std::int64_t i) {
    // Some are 0: 0 · NaN and 0 · inf must show.
    if (spec.non_finite) return i / 7 % 3 == 0 ? 0.0 : 0.5;
    return i / spec.kv_len % 3 == 0 ? 0.0 : static_cast<double>(i * 7919 % 1009) / 1009.0;
  };
  // NaN, both infinities and zeros among small integers. Columns apart, so that each kind decides some alone.
  const auto value_at = [&](std::int64_t i) {
    const double ordinary = static_cast<double>(i % 5) - 2.0;
    const double kinds[] = {ordinary, kNaN, kInfinity, -kInfinity};
    return i % 11 == 3 ? kinds[i % spec.head_dim % 4] : ordinary;
  };
  const Shape weights{spec.batch, spec.q_heads, spec.q_len, spec.kv_len};
  const Shape values{spec.batch, spec.kv_len, spec.kv_heads, spec.head_dim};
  const Layout values_layout = spec.mixed_alignment ? other_layout(spec.layout) : spec.layout;
  // Large values, not weights: the product stays in f32.
  const double scale =
      spec.sum_to_1 ? 2.0 / static_cast<double>(spec.kv_len) : (is_large(spec) ? 1.0 : spec.scale);
  WeightedMatmulParams params;
  params.weights =
      spec.non_finite || spec.masked_rows
          ? rig.input_values("weights", spec.dtype, weights, values_of(weights, weight_at), spec.layout)
          : rig.input("weights", spec.dtype, weights, spec.weights, scale, spec.layout);
  params.values =
      spec.non_finite
          ? rig.input_values("values", spec.dtype, values, values_of(values, value_at), values_layout)
          : rig.input("values", spec.dtype, values, spec.values, spec.scale, values_layout);
  params.out =
      rig.output("out", spec.dtype, {spec.batch, spec.q_len, spec.q_heads, spec.head_dim}, spec.layout);
  return params;
}

void declare(Fields<Spec>& made) {
  made.size("batch", &Spec::batch).size("kv_heads", &Spec::kv_heads);
  made.size("q_heads", &Spec::q_heads).size("q_len", &Spec::q_len).size("kv_len", &Spec::kv_len);
  made.size("head_dim", &Spec::head_dim).layout();
  made.shape_text([](const Spec& spec) {
    return fmt::format("b{}_h{}x{}_q{}_kv{}_d{}", spec.batch, spec.q_heads, spec.kv_heads, spec.q_len,
                       spec.kv_len, spec.head_dim);
  });
  made.feature("decode", [](const Spec& spec) { return spec.q_len == 1; });
  made.feature("batch", [](const Spec& spec) { return spec.batch > 1; }).feature(heads_of);
  made.feature("mma", &Spec::mma).word("mma", &Spec::mma).word("sum_to_1", &Spec::sum_to_1);
  made.feature("empty_kv", [](const Spec& spec) { return spec.kv_len == 0; });
  made.feature("spans", [](const Spec& spec) { return spec.kv_len > kSpan; });
  made.flag("mixed_alignment", &Spec::mixed_alignment).says().flag("non_finite", &Spec::non_finite).says();
  made.flag("masked_rows", &Spec::masked_rows).says().feature("large", is_large).feature(family_of_values);
  made.feature("one_hot_weights", [](const Spec& spec) { return spec.weights == Family::kOneHot; });
  made.plain().family("weights", &Spec::weights, false).family("values", &Spec::values, false);
  made.scalar("scale", &Spec::scale, 1.0);
  made.require([](const Spec& spec) { return spec.q_heads % spec.kv_heads == 0; });
  made.special({"non_finite", "minus_infinity"}, &Spec::non_finite).special({"large"}, is_large);
  made.special(
      {"one_hot"}, [](const Spec& spec) { return spec.weights == Family::kOneHot && !spec.non_finite; },
      false);
  made.special({"masked_rows"}, &Spec::masked_rows, false);
  made.over_tile(
      [](const Spec& spec) { return spec.q_len > kTile || spec.head_dim > kTile || spec.kv_len > kChunk; });
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

const OpCases<Spec, WeightedMatmulParams> kCases{weighted_matmul, declared<Spec, declare>, make, work,
                                                 samples};

}  // namespace

std::vector<OutputExpectation> expect(const WeightedMatmulParams& part, const HostTensors& host,
                                      const Target& target, const WeightedMatmulParams&) {
  const auto [batch, q_heads, q_len, kv_len] = part.weights.shape;
  const reference::WeightedMatmulSizes sizes{
      batch, q_len, kv_len, q_heads, part.values.shape[2], part.values.shape[3]};
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

// batch x kv_heads x q_heads x q_len x kv_len x head_dim
constexpr std::string_view kTable = R"(
  # Few rows, then around the edges of a tile of 64 x 64 and a chunk of 32 keys.
  1x1x1x{3x5x7,8x31x16,16x32x33,17x33x64,63x64x65,64x65x64,65x63x66!~,70x100x128~,33x96x80,5x127x96}
  1x1x1x{18x300x256,128x40x8,66x129x1}
  1x1x1x1x{1x1,31x64,32x128,33x80!,513x65,700x256,777x129!}
  # Heads, GQA and MQA; batches; one row, few rows and several tiles of rows per kv head.
  1x3x3x4x17x9! 2x2x2x33x40x64 1x5x5x1x70x24
  1x2x4x1x65x64 1x3x6x3x33x40 1x2x8x20x45x16~ 2x3x9x25x37x72! 1x8x32x1x100x128 3x2x4x5x31x8
  1x1x7x1x50x32! 1x1x3x30x35x65! 2x1x4x5x64x128
  # More than one span of 64 chunks, in both kernels.
  1x1x1x{1x2049x3!,17x2080x5}
  1x1x1x2x4100x16 : values=positive
  # Equal terms: their roundings all go one way, and a long plain sum drifts.
  1x1x1x{1x2048x3,20x4097x2!,2x30000x5} : weights=equal values=equal scale=0.1
  1x1x2x1x0x5 2x1x2x3x0x64 3x1x2x40x0x70! 0x2x2x3x5x8 1x2x2x0x5x8
  $rule = {non_finite,masked_rows,scale=large,weights=one_hot}
  $family = {outliers,uniform,subnormal,integers weights=integers,cancel weights=equal}
  1x1x2x{1x45x16,4x100x65!,20x37x9} : $rule ; values=$family
)";

// Once for each dtype the longest. Of the matrix cores, around packs, steps, stages and the tiles of every
// target; rows of several heads in one tile; more than one span.
constexpr std::string_view kMore = R"(
  [contiguous]
  1x1x1x1x131072x2 : values=positive
  1x1x1x1x131072x2! : weights=equal values=equal scale=0.1
  [f16 bf16] mma
  1x1x1x{63x15x63,64x16x64,65x17x65!,127x63x127,128x64x128,129x65x129,130x72x136!~,128x128x256,131x200x264}
  1x1x1x257x328x72 2x2x6x45x72x136!~ 2x2x4x67x129x80 1x2x2x1x400x128 2x2x8x1x336x136 1x1x2x17x8x8
  1x1x1x130x2056x72! 1x1x2x66x2113x130 1x3x3x1x4104x128
  $family = {outliers,subnormal,equal,integers weights=integers,cancel weights=equal}
  1x1x1x130x72x136 2x2x4x67x136x131 1x1x4x1x200x72 : mixed_alignment ; non_finite ; values=$family
)";

constexpr std::string_view kBench = "1x8x32x1x1024x128 4x2x8x1x512x64 1x4x4x128x256x64 1x2x8x64x512x128";

constexpr std::string_view kLarge = R"(
  [f16 bf16] sum_to_1 shrink=q_len+kv_len shape=batch+q_heads+q_len+kv_len+head_dim
  4x32x32x4096x4096x128 : what=plain share=0.80
)";

OpSuite weighted_matmul_suite() {
  auto suite = make_suite<WeightedMatmulParams>(kWeightedMatmulBound);
  suite.features = words_of(
      "plain decode batch heads gqa mqa empty_kv spans drift non_finite integers outliers cancel "
      "one_hot_weights mma mixed_alignment subnormal");
  // Few rows and those of a decoding block, tiles; a chunk, a stage, a span; a pack and tiles.
  for (std::int64_t at : {4, 16, 64, 128}) suite.edges.push_back({"q_len", at});
  for (std::int64_t at : {16, 32, 64, 2048}) suite.edges.push_back({"kv_len", at});
  for (std::int64_t at : {8, 64, 128}) suite.edges.push_back({"head_dim", at});
  suite.exclusions = {{"mma", "", "matrix cores take f16 and bf16", {DType::kF32}},
                      {"mixed_alignment", "", "staging for matrix cores, of f16 and bf16", {DType::kF32}}};
  exclude_families(suite, {"nan_behind_mask"}, "it does not mask: 0 · NaN is NaN");

  fill_suite(suite, kCases,
             {.cases = kTable,
              .edge = "1x1x2x3x10x12",
              .bench = kBench,
              .more = kMore,
              .large = kLarge,
              .relations = weighted_matmul_metamorphic_cases});
  return suite;
}

}  // namespace hipforge::harness
