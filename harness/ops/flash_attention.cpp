#include "kernels/flash_attention.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/metamorphic.h"
#include "harness/sweep/op_cases.h"
#include "reference/flash_attention.h"
#include "reference/not_finite.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

namespace hipforge::harness {

constexpr const char* kFlashAttentionBound = R"(
With u = 2⁻²⁴ and x_j = largest score − score_j:
  a score errs by (head_dim + 1)·u·scale·Σ|q k| of its sum, 2u of the scale and its product; the soft cap
  carries that on and adds u inside and 5u outside (tanhf within 2 ulp); the mask's addition u. Its
  exponential errs by u of the argument and 4u (expf within 2 ulp), each rescale by as much again: u·x_j +
  8u for the arguments, and 4u·(2 + x_j / lag). The oracle turns these into the change of o and lse that
  they can cause. The sums of weighted values and of weights: their depth times u, and 1 + x_j / lag
  roundings of rescaling; the division u; what underflows in an exponential, 2⁻¹⁴⁹|v|; the store. lse: the
  sum's relative error; logf within 2 ulp; one addition.
On matrix cores (f16, bf16) an addition in a product counts twice, because it may truncate; head_dim of
them make a score, those of FlashAttentionDepth a sum. Scores are powers of two: log₂e and the mask's
product with it add u of the scale and of the mask. A weight is rounded to the dtype, u_dtype·Σp|v|, but
for f16's subnormals, 2⁻³⁴|v|; the sum of weights is that of the weights before they are rounded. The
output is multiplied by a reciprocal, 2u. Rows that belong to no sequence are expected to be as they were,
NaN. Where a query is 0, there is no mask, the visible keys are a power of two in number and the values
integers of a sum within 2²⁴, o is the mean rounded once, exactly.)";

// o, and lse where there is one, within kFlashAttentionBound.
Oracle<FlashAttentionParams> expect;

Relations<FlashAttentionParams> flash_attention_metamorphic_cases;

namespace {

// Samples of a large case.
constexpr std::int64_t kSampledHeads = 12;
constexpr std::int64_t kSampledRows = 16;  // neighbours, from one place of each sampled head

enum class Keys { kDense, kPacked, kPaged };
enum class Mask { kNone, kF32, kSame };

struct Spec : SpecBase {
  Keys keys = Keys::kDense;
  bool packed_q = false;  // always where keys are packed
  bool strided = false;
  std::int64_t batch = 1;
  std::int64_t q_len = 1;   // of the first sequence
  std::int64_t kv_len = 1;  // of the first sequence
  std::int64_t q_heads = 1;
  std::int64_t kv_heads = 1;
  std::int64_t head_dim = 32;
  std::int64_t page_size = 0;
  bool causal = false;
  std::int64_t window = 0;
  std::int64_t prefix_len = 0;
  float soft_cap = 0.0f;
  float scale = 0.0f;
  Mask mask = Mask::kNone;
  std::array<bool, 3> mask_broadcast{};  // batch, heads, rows
  bool masked_rows = false;              // the mask removes every third row
  bool lse = false;
  bool wild = false;          // NaN and infinity among keys and values
  bool exact = false;         // queries of 0 and integer values: means
  bool removed_keys = false;  // keys of which the score is −infinity
  double q_scale = 1.0;
  double k_scale = 1.0;
  double v_scale = 1.0;
  bool on_device = false;  // keys and values are made there: large cases
};

struct Lengths {
  std::int64_t q_len;
  std::int64_t kv_len;
};

// Sequences of a launch: the first is the spec's own, the others shorter ones, one of them without queries.
std::vector<Lengths> sequences_of(const Spec& spec) {
  std::vector<Lengths> all;
  for (std::int64_t b = 0; b < spec.batch; ++b) {
    Lengths lengths{spec.q_len, spec.kv_len};
    if (spec.packed_q && b > 0)
      lengths.q_len = b % 4 == 3 ? 0 : std::max<std::int64_t>(spec.q_len / (b + 1), 1);
    if (spec.keys != Keys::kDense && b > 0) lengths.kv_len = std::max<std::int64_t>(spec.kv_len - 5 * b, 0);
    all.push_back(lengths);
  }
  return all;
}

Shape shape_of(const Spec& spec) {
  return {spec.batch, spec.q_len, spec.kv_len, spec.q_heads, spec.kv_heads, spec.head_dim};
}

const char* layout_of(const Spec& spec) {
  if (spec.keys == Keys::kPaged) return "paged";
  if (spec.keys == Keys::kPacked) return "packed";
  return spec.strided ? "strided" : "contiguous";
}

std::string tile_name(std::int64_t head_dim) {
  for (std::int64_t tile : {32, 64, 96, 128}) {
    if (head_dim <= tile) return fmt::format("head_dim_tile_{}", tile);
  }
  return "head_dim_tile_256";
}

bool is_causal(const Spec& spec) {
  return spec.causal || spec.window > 0;
}

// Whether some rows see no key.
bool has_empty_rows(const Spec& spec) {
  const bool headless = is_causal(spec) && spec.prefix_len == 0 && spec.q_len > spec.kv_len;
  return spec.masked_rows || headless || spec.kv_len == 0;
}

std::string mask_text(const Spec& spec) {
  const auto axis = [&](std::size_t at) { return spec.mask_broadcast[at] ? '1' : 'n'; };
  const char* const dtype = spec.mask == Mask::kF32 ? "f32" : "same";
  return spec.mask == Mask::kNone ? "" : fmt::format("mask_{}_{}_{}_{}", dtype, axis(0), axis(1), axis(2));
}

const char* family_text(const Spec& spec) {
  return spec.family == Family::kNormal ? "" : family_name(spec.family);
}

std::string pages_text(const Spec& spec) {
  const char* const queries = spec.packed_q ? "packed" : "dense";
  return spec.keys == Keys::kPaged ? fmt::format("page_{}.{}_q", spec.page_size, queries) : "";
}

// A small generator for what is not tensor data: page orders and which elements a mask removes.
struct Shuffler {
  std::uint64_t state;  // odd at first

  std::uint64_t next(std::uint64_t end) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % end;
  }
};

std::vector<double> offsets_of(const std::vector<Lengths>& sequences, std::int64_t Lengths::*member) {
  std::vector<double> offsets{0.0};
  for (const Lengths& lengths : sequences)
    offsets.push_back(offsets.back() + static_cast<double>(lengths.*member));
  return offsets;
}

// Random values of a tensor, to be changed before they become an operand.
std::vector<double> random_values(const Rig& owner, std::uint64_t salt, DType dtype, const Shape& shape,
                                  Family family, double scale) {
  Rig rig(owner.seed() + salt, owner.stream());
  rig.input("values", dtype, shape, family, scale);
  return rig.values("values");
}

// Keys of a sequence near the end, where most causal rows do not see them: one that is NaN, one whose value
// is, one whose value is infinite. And the first, where windows leave it behind (−1: none).
std::array<std::int64_t, 4> wild_keys(const Spec& spec, std::int64_t kv_len) {
  const bool left_behind = spec.window > 0 && spec.prefix_len == 0;
  return {kv_len - 1, kv_len * 2 / 3, kv_len * 5 / 6, left_behind ? 0 : -1};
}

std::vector<double> mask_values(const Spec& spec, const Rig& rig, const Shape& shape) {
  const DType dtype = spec.mask == Mask::kF32 ? DType::kF32 : spec.dtype;
  std::vector<double> values = random_values(rig, 300, dtype, shape, Family::kNormal, 1.0);
  const auto wild = wild_keys(spec, spec.kv_len);
  Shuffler shuffler{(rig.seed() + 7) * 2 + 1};
  for (std::size_t at = 0; at < values.size(); ++at) {
    const auto key = static_cast<std::int64_t>(at) % spec.kv_len;
    const auto row = static_cast<std::int64_t>(at) / spec.kv_len;
    const bool removed = shuffler.next(7) == 0 || (spec.masked_rows && row % 3 == 0) ||
                         (spec.wild && row % 4 != 3 && std::count(wild.begin(), wild.end(), key) > 0);
    if (removed) values[at] = -kInfinity;
  }
  return values;
}

// The keys and values of a sequence, [kv_len, kv_heads, head_dim].
struct Sequence {
  std::int64_t kv_len = 0;
  std::vector<double> k;
  std::vector<double> v;
};

// One dimension of each head of a key.
void plant(const Spec& spec, std::vector<double>& values, std::int64_t key, double value) {
  for (std::int64_t head = key * spec.kv_heads; head < (key + 1) * spec.kv_heads; ++head) {
    values[static_cast<std::size_t>(head * spec.head_dim)] = value;
  }
}

std::vector<Sequence> make_sequences(const Spec& spec, const Rig& rig) {
  std::vector<Sequence> all;
  for (const auto& [q_len, kv_len] : sequences_of(spec)) {
    const auto values = [&, shape = Shape{kv_len, spec.kv_heads, spec.head_dim}](
                            std::uint64_t salt, Family family, double scale) {
      return random_values(rig, salt + all.size(), spec.dtype, shape, family, scale);
    };
    Sequence one{kv_len, values(100, spec.family, spec.k_scale),
                 values(200, spec.exact ? Family::kIntegers : spec.family, spec.v_scale)};
    // Their product with a query of positive numbers is −infinity.
    for (std::int64_t key = 2; spec.removed_keys && key < kv_len; key += 5)
      plant(spec, one.k, key, -kInfinity);
    if (spec.wild && kv_len >= 3) {
      const auto [nan_key, nan_value, infinite_value, first] = wild_keys(spec, kv_len);
      plant(spec, one.k, nan_key, kNaN);
      plant(spec, one.v, infinite_value, kInfinity);
      plant(spec, one.v, nan_value, kNaN);
      if (first == 0) {
        plant(spec, one.k, first, -kInfinity);
        plant(spec, one.v, first, kNaN);
      }
    }
    all.push_back(std::move(one));
  }
  return all;
}

// The pages that sequences take in turn, in a shuffled order, and two more.
std::vector<std::int64_t> shuffled_pages(std::int64_t used, const Rig& rig) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(used + 2));
  std::iota(order.begin(), order.end(), 0);
  Shuffler shuffler{rig.seed() * 2 + 1};
  for (std::size_t at = order.size(); at > 1; --at) std::swap(order[at - 1], order[shuffler.next(at)]);
  return order;
}

void make_keys(const Spec& spec, Layout k_layout, Layout v_layout, Rig& rig, FlashAttentionParams& params) {
  Shape shape{spec.batch, spec.kv_len, spec.kv_heads, spec.head_dim};
  if (spec.on_device) {
    params.k = rig.input("k", spec.dtype, shape);
    params.v = rig.input("v", spec.dtype, shape);
    return;
  }
  const bool paged = spec.keys == Keys::kPaged;
  const std::vector<Sequence> sequences = make_sequences(spec, rig);
  const auto pages_of = [&](const Sequence& one) {
    return (one.kv_len + spec.page_size - 1) / spec.page_size;
  };
  std::vector<std::int64_t> order;
  if (paged) {
    std::int64_t used = 0;
    for (const Sequence& one : sequences) used += pages_of(one);
    order = shuffled_pages(used, rig);
    shape = {used + 2, spec.page_size, spec.kv_heads, spec.head_dim};
  } else if (spec.keys == Keys::kPacked) {
    const std::vector<double> offsets = offsets_of(sequences_of(spec), &Lengths::kv_len);
    params.kv_offsets = rig.input_values("kv_offsets", DType::kI32, {spec.batch + 1}, offsets);
    shape = {static_cast<std::int64_t>(offsets.back()), spec.kv_heads, spec.head_dim};
  }
  const auto operand = [&](const char* name, std::vector<double> Sequence::*of_one, Layout layout) {
    std::vector<std::span<const double>> parts;
    std::vector<double> values;
    for (const Sequence& one : sequences) {
      parts.emplace_back(one.*of_one);
      values.insert(values.end(), parts.back().begin(), parts.back().end());
    }
    if (paged) values = in_pages(parts, spec.page_size * spec.kv_heads * spec.head_dim, order);
    return rig.input_values(name, spec.dtype, shape, values, layout);
  };
  params.k = operand("k", &Sequence::k, k_layout);
  params.v = operand("v", &Sequence::v, v_layout);
  if (!paged) return;
  // Pages far outside where the table must not be read.
  std::vector<double> table;
  std::vector<double> lens;
  std::int64_t max_pages = 0;
  for (const Sequence& one : sequences) max_pages = std::max(max_pages, pages_of(one) + 1);
  auto page = order.begin();
  for (const Sequence& one : sequences) {
    lens.push_back(static_cast<double>(one.kv_len));
    for (std::int64_t i = 0; i < pages_of(one); ++i) table.push_back(static_cast<double>(*page++));
    table.resize(lens.size() * static_cast<std::size_t>(max_pages), 1e9);
  }
  params.block_table = rig.input_values("block_table", DType::kI32, {spec.batch, max_pages}, table);
  params.kv_lens = rig.input_values("kv_lens", DType::kI32, {spec.batch}, lens);
}

std::int64_t visible_pairs(const Spec& spec, const Lengths& lengths) {
  if (!is_causal(spec)) return lengths.q_len * lengths.kv_len;
  std::int64_t pairs = 0;
  for (std::int64_t i = 0; i < lengths.q_len; ++i) {
    const std::int64_t end = std::max<std::int64_t>(i + lengths.kv_len - lengths.q_len + 1, 0);
    const std::int64_t first = spec.window > 0 ? std::max<std::int64_t>(end - spec.window, 0) : 0;
    const std::int64_t prefix = std::min(spec.prefix_len, lengths.kv_len);
    pairs += std::max(end, prefix) - std::max(std::min(first, end) - prefix, std::int64_t{0});
  }
  return pairs;
}

FlashAttentionParams make(const Spec& spec, Rig& rig) {
  const Layout layout = spec.strided ? Layout::kStrided : Layout::kContiguous;
  FlashAttentionParams params;
  params.scale = spec.scale;
  params.soft_cap = spec.soft_cap;
  params.causal = spec.causal;
  params.window = spec.window;
  params.prefix_len = spec.prefix_len;
  params.error_word = rig.error_word();

  Shape q_shape{spec.batch, spec.q_len, spec.q_heads, spec.head_dim};
  Shape lse_shape{spec.batch, spec.q_heads, spec.q_len};
  if (spec.packed_q) {
    const std::vector<double> offsets = offsets_of(sequences_of(spec), &Lengths::q_len);
    params.q_offsets = rig.input_values("q_offsets", DType::kI32, {spec.batch + 1}, offsets);
    params.max_q_len = spec.q_len;
    const auto total = static_cast<std::int64_t>(offsets.back());
    q_shape = {total, spec.q_heads, spec.head_dim};
    lse_shape = {spec.q_heads, total};
  }
  // Not every tensor of a strided case is strided: a stride that is taken for another's must show.
  const Layout other_layout = spec.head_dim % 3 == 0 ? Layout::kContiguous : layout;
  const Family q_family = spec.exact ? Family::kEqual : spec.removed_keys ? Family::kPositive : spec.family;
  params.q = rig.input("q", spec.dtype, q_shape, q_family, spec.exact ? 0.0 : spec.q_scale, layout);
  make_keys(spec, layout, other_layout, rig, params);
  if (spec.mask != Mask::kNone) {
    const Shape shape{spec.mask_broadcast[0] ? 1 : spec.batch, spec.mask_broadcast[1] ? 1 : spec.q_heads,
                      spec.mask_broadcast[2] ? 1 : spec.q_len, spec.kv_len};
    const DType dtype = spec.mask == Mask::kF32 ? DType::kF32 : spec.dtype;
    params.mask = rig.input_values("mask", dtype, shape, mask_values(spec, rig, shape), layout);
  }
  params.o = rig.output("o", spec.dtype, q_shape, other_layout);
  if (spec.lse) params.lse = rig.output("lse", DType::kF32, lse_shape, layout);
  return params;
}

void declare(Fields<Spec>& made) {
  const auto masked = [](const Spec& spec) { return spec.mask != Mask::kNone; };
  const auto is_large = [](const Spec& spec) { return spec.q_scale >= 1e4 || spec.v_scale >= 1e4; };
  made.layout_text(layout_of);
  made.shape_text([](const Spec& spec) { return shape_name(shape_of(spec)); });
  made.feature("additive_mask", masked);
  made.feature("prefix", &Spec::prefix_len).feature("sliding_window", &Spec::window);
  made.feature("causal",
               [](const Spec& spec) { return is_causal(spec) && spec.window == 0 && spec.prefix_len == 0; });
  made.feature("full", [=](const Spec& spec) { return !is_causal(spec) && !masked(spec); });
  made.feature("soft_cap", &Spec::soft_cap).feature("scale", &Spec::scale).feature("lse", &Spec::lse);
  made.feature("gqa", [](const Spec& spec) { return spec.kv_heads > 1 && spec.q_heads > spec.kv_heads; });
  made.feature("mqa", [](const Spec& spec) { return spec.kv_heads == 1 && spec.q_heads > 1; });
  made.feature("decode", [](const Spec& spec) { return spec.q_len == 1; });
  made.feature("q_ne_kv", [](const Spec& spec) { return spec.q_len != spec.kv_len; });
  made.feature("q_gt_kv", [](const Spec& spec) { return spec.q_len > spec.kv_len; });
  made.feature("fully_masked", has_empty_rows).feature("nan_behind_mask", &Spec::wild);
  made.feature([](const Spec& spec) { return tile_name(spec.head_dim); });
  made.feature("head_dim_mult8", [](const Spec& spec) { return spec.head_dim % 8 == 0; });
  made.feature("head_dim_odd", [](const Spec& spec) { return spec.head_dim % 2 == 1; });
  made.feature("large_scores", [](const Spec& spec) { return spec.q_scale > 1.0; });
  // Heads in an order in which they can shrink one at a time.
  made.size("batch", &Spec::batch).size("kv_heads", &Spec::kv_heads).size("q_heads", &Spec::q_heads);
  made.size("q_len", &Spec::q_len).size("kv_len", &Spec::kv_len).size("head_dim", &Spec::head_dim);
  made.number("page_size", &Spec::page_size).number("prefix_len", &Spec::prefix_len, 0);
  made.number("window", &Spec::window, 0);
  made.choice("keys", &Spec::keys, "dense packed paged").word("on_device", &Spec::on_device);
  made.flag("packed_q", &Spec::packed_q).flag("strided", &Spec::strided).family("family", &Spec::family);
  made.choice("mask", &Spec::mask, "none f32 same");
  made.choice<std::array<bool, 3>>("mask_broadcast", &Spec::mask_broadcast,
                                   {{"none", {}},
                                    {"batch", {true, false, false}},
                                    {"heads", {false, true, false}},
                                    {"batch_heads", {true, true, false}},
                                    {"heads_rows", {false, true, true}}});
  made.flag("masked_rows", &Spec::masked_rows).flag("causal", &Spec::causal).flag("lse", &Spec::lse);
  made.flag("exact", &Spec::exact).flag("removed_keys", &Spec::removed_keys);
  made.scalar("v_scale", &Spec::v_scale, 1.0).flag("wild", &Spec::wild);
  made.scalar("soft_cap", &Spec::soft_cap, 0.0f).scalar("scale", &Spec::scale, 0.0f);
  made.scalar("q_scale", &Spec::q_scale, 1.0).scalar("k_scale", &Spec::k_scale, 1.0);
  made.special({"integers"}, &Spec::exact).special({"large"}, is_large).special({}, &Spec::wild);
  made.special(
      {"minus_infinity"}, [=](const Spec& spec) { return spec.removed_keys || masked(spec); }, false);
  made.special({"masked_rows"}, has_empty_rows, false);
  // The last rows see all keys.
  made.special(
      {"non_finite"}, [](const Spec& spec) { return spec.wild && spec.window == 0; }, false);
  made.no_features_in_id().option("causal", &Spec::causal).option("window_{}", &Spec::window);
  made.option("prefix_{}", &Spec::prefix_len).option("cap_{:g}", &Spec::soft_cap);
  made.option("scale_{:g}", &Spec::scale).option(mask_text).option("masked_rows", &Spec::masked_rows);
  made.option("lse", &Spec::lse)
      .option("wild", &Spec::wild)
      .option(family_text)
      .option("exact", &Spec::exact);
  made.option("removed_keys", &Spec::removed_keys).option("values_{:g}", &Spec::v_scale, 1.0);
  made.option("times_{:g}", &Spec::q_scale, 1.0).option(pages_text);
  made.option("strided", [](const Spec& spec) { return spec.strided && spec.keys != Keys::kDense; });
  made.over_tile([](const Spec& spec) { return spec.kv_len > (spec.head_dim <= 128 ? 64 : 32); });
  // Dense keys go with dense queries.
  made.settle([](Spec& spec) { spec.packed_q = spec.packed_q && spec.keys != Keys::kDense; });
  made.require([](const Spec& spec) {
    const bool grouped = spec.q_heads % spec.kv_heads == 0;
    const bool paged = spec.keys != Keys::kPaged || spec.page_size > 0;
    const bool packed = spec.keys != Keys::kPacked || spec.packed_q;
    // A mask is for dense queries and keys; a prefix for what is causal.
    const bool maskable = spec.mask == Mask::kNone || (spec.keys == Keys::kDense && !spec.packed_q);
    const bool prefixed = spec.prefix_len == 0 || is_causal(spec);
    // Wild keys must be out of every row's sight: a causal row's, or a mask's.
    const bool hidden = !spec.wild || is_causal(spec) || spec.mask != Mask::kNone;
    return grouped && paged && packed && maskable && prefixed && hidden;
  });
}

Work work(const Spec& spec, const FlashAttentionParams&) {
  Work made{.ceiling = spec.q_len > 8 ? Ceiling::kMatrix : Ceiling::kRead, .bytes = 0};
  const auto size = static_cast<std::int64_t>(dtype_size(spec.dtype));
  for (const Lengths& lengths : sequences_of(spec)) {
    *made.bytes += 2 * size * spec.head_dim * (lengths.q_len * spec.q_heads + lengths.kv_len * spec.kv_heads);
    made.flops += 4 * spec.head_dim * spec.q_heads * visible_pairs(spec, lengths);
  }
  return made;
}

std::vector<FlashAttentionParams> samples(const FlashAttentionParams& params, std::uint64_t seed) {
  const std::int64_t q_len = params.q.shape[1];
  const std::int64_t heads = params.q.shape[2];
  const std::int64_t count = std::min(kSampledRows, q_len);
  const std::vector<std::int64_t> pairs = spread(params.q.shape[0] * heads, kSampledHeads, seed);
  // Each sampled head at a place of its own: together they reach over all rows.
  const std::vector<std::int64_t> places =
      spread(q_len - count + 1, static_cast<std::int64_t>(pairs.size()), seed + 1);
  std::vector<FlashAttentionParams> parts;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const std::int64_t head = pairs[i] % heads;
    const std::int64_t first = places[i % places.size()];
    // Rows see keys up to their own: those past the last sampled row do not exist for them.
    const std::int64_t kv_len = params.k.shape[1] - (params.causal ? q_len - first - count : 0);
    auto part = slice_operands(params, {"q", "k", "v", "o"}, 0, pairs[i] / heads);
    part = slice_operands(part, {"q", "o"}, 1, first, count);
    part = slice_operands(part, {"q", "o"}, 2, head);
    part = slice_operands(part, {"k", "v"}, 1, 0, kv_len);
    parts.push_back(slice_operands(part, {"k", "v"}, 2, head / (heads / params.k.shape[2])));
  }
  return parts;
}

const OpCases<Spec, FlashAttentionParams> kCases{flash_attention, declared<Spec, declare>, make, work,
                                                 samples};

// As in all tables here, batch x kv_heads x q_heads x q_len x kv_len x head_dim.
constexpr std::string_view kLarge = R"(
  [f16 bf16] on_device shrink=q_len+kv_len
  4x32x32x4096x4096x128 : what=full tflops=250 ; what=causal causal tflops=220
  32x8x32x1x8192x128 : what=decode share=0.80
)";

// What a weight may lose in absolute terms, relative to the largest weight: half of f16's smallest number,
// which lies 2⁹ lower where weights are lifted (scores below 2²⁰, in powers of two); what f32 flushes to
// zero.
double smallest_weight(DType dtype, double lse) {
  if (dtype == DType::kBF16) return 0x1p-126;
  return std::fabs(lse) < 0x1p19 ? 0x1p-34 : 0x1p-25;
}

// Whether [begin, end) lies in [0, size) and is no longer than `most`, where that is not 0.
bool is_range(std::int64_t begin, std::int64_t end, std::int64_t size, std::int64_t most) {
  return 0 <= begin && begin <= end && end <= size && (most == 0 || end - begin <= most);
}

std::int64_t index_in(const HostTensors& host, const char* name, std::int64_t at) {
  return static_cast<std::int64_t>(host.values(name)[static_cast<std::size_t>(at)]);
}

// Of sequence b alone; nothing where its length or offsets are bad. A key whose page is bad is
// NaN, which rows that see it become.
std::optional<Sequence> sequence_of(const FlashAttentionParams& part, const HostTensors& host,
                                    std::int64_t b) {
  Sequence made;
  const auto append = [&](std::int64_t begin, std::int64_t count) {
    for (const auto& [name, all] : {std::pair{"k", &made.k}, std::pair{"v", &made.v}}) {
      const auto rows = host.rows(name, begin, count).values;
      all->insert(all->end(), rows.begin(), rows.end());
    }
  };
  const auto& k_shape = part.k.shape;
  if (!part.block_table.present()) {
    const bool packed = part.kv_offsets.present();
    const std::int64_t begin = packed ? index_in(host, "kv_offsets", b) : b;
    const std::int64_t end = packed ? index_in(host, "kv_offsets", b + 1) : b + 1;
    if (!is_range(begin, end, k_shape[0], packed ? part.max_kv_len : 0)) return {};
    made.kv_len = packed ? end - begin : k_shape[1];
    append(begin, end - begin);
    return made;
  }
  const std::int64_t max_pages = part.block_table.shape[1];
  made.kv_len = index_in(host, "kv_lens", b);
  if (!is_range(0, made.kv_len, max_pages * k_shape[1], part.max_kv_len)) return {};
  for (std::int64_t first = 0; first < made.kv_len; first += k_shape[1]) {
    const std::int64_t page = index_in(host, "block_table", b * max_pages + first / k_shape[1]);
    const bool good = page >= 0 && page < k_shape[0];
    if (good) append(page, 1);
    for (auto* values : {&made.k, &made.v}) {
      const std::int64_t known = std::min(first + k_shape[1], made.kv_len) * k_shape[2] * k_shape[3];
      values->resize(static_cast<std::size_t>(known), kNaN);
    }
  }
  return made;
}

// Every head_dim around a tile, an access or a power of two, while the rule and the shape rotate. Emulated:
// causal with more keys than a tile; GQA, MQA, a head_dim that no access divides.
constexpr std::string_view kHeadDims = R"(
  $head_dim = {1,2,7,8,16,24,31,32,33,40,63,64,65~,72,80,95,96,97,112,127,128~,129,136,160,192~,251,256}
  $shape = batch=<1|2> kv_heads=<2|2|1> q_heads=<4|2|2> q_len=<17|1|33|5|20> kv_len=<67|131|33|70>
  1x1x1x1x1x$head_dim : $shape causal=<on|off> lse=<off|on|off|off>
)";

// Every rule on shapes that decode, are odd, fill a tile and cross it: five in each line.
constexpr std::size_t kRuleShapes = 5;
constexpr std::string_view kRules = R"(
  $all = 2x2x4x1x150x32 3x1x3x19x83x27 1x2x2x64x64x64 4x2x4x34x129x40 1x1x2x9x100x144
  $all : lse
  $all : causal lse
  $all : window=1
  $all : window=37 lse
  $all : window=1000 causal
  $all : causal prefix_len=41
  $all : window=9 prefix_len=70 lse
  $all : causal soft_cap=2.5 lse
  $all : soft_cap=30 scale=1.5
  $all : causal scale=-0.37
  $all : causal wild lse
  $all : window=21 wild
  $all : causal wild prefix_len=13
  2x2x4x3x3x32 3x1x3x19x19x27 1x2x2x64x64x64 4x2x4x34x34x40 1x1x2x9x9x144 : causal lse
  # More queries than keys: the first rows see nothing.
  $all : causal lse q_len=21 kv_len=13
  $all : q_len=90 kv_len=71 q_heads=<2|1|2|2|1>
  $all : window=5 q_len=40 kv_len=22
  2x2x4x1x0x32 3x1x3x19x0x27 1x2x2x64x0x64 4x2x4x34x0x40 1x1x2x9x0x144 : lse
  $all : causal lse q_scale=1e15 k_scale=1e15
  $all : q_scale=40 k_scale=40 soft_cap=<50|0|50|0|50>
  $all : mask=f32 mask_broadcast=batch_heads lse
  $all : mask=same mask_broadcast=<batch_heads|none|batch|heads|batch> causal wild
  $all : mask=<f32|same|f32|same|f32> masked_rows lse wild soft_cap=3
  $all : mask=f32 mask_broadcast=heads_rows window=40
)";

// For each of the families.
constexpr std::string_view kFamilyShapes = R"(
  2x2x4x1x150x32
  3x1x3x19x83x27! : causal lse
  4x2x4x34x129x40 : lse
)";

constexpr std::string_view kOthers = R"(
  $alone = {exact,wild causal} batch=1 kv_len=<256|256|64|64|128|128>
  2x2x4x1x150x32 3x1x3x19x83x27! 4x2x4x34x129x40 : v_scale=1e30 ; removed_keys lse ; $alone
  0x1x2x3x70x40 1x2x2x0x65x32
)";

// What a model asks for: decoding and the chunks of a prefill.
constexpr std::string_view kBench = R"(
  $decode = causal ; causal keys=paged page_size=16
  1x4x8x1x512x32 : $decode
  1x4x8x64x512x32 : causal
  4x8x32x1x2048x128 : $decode
  1x4x4x256x256x64 1x2x8x256x256x128 1x2x2x128x128x256 : causal
)";

void settle(Spec& spec) {
  if (spec.dtype != DType::kF16) return;
  for (double* scale : {&spec.q_scale, &spec.k_scale, &spec.v_scale}) *scale = std::min(*scale, 1e4);
}

// The cases of a dtype and a layout. `quick_from` says which of them are quick, `rule_from` which rules are
// tried with each shape: together the layouts try all of them.
void add_cases_of(OpSuite& suite, DType dtype, const std::string& layout, std::size_t quick_from,
                  std::size_t rule_from) {
  const Keys keys = layout == "packed" ? Keys::kPacked : layout == "paged" ? Keys::kPaged : Keys::kDense;
  Spec base;
  base.dtype = dtype;
  base.keys = keys;
  base.packed_q = keys == Keys::kPacked;
  base.strided = layout == "strided";
  const bool dense = keys == Keys::kDense;
  std::size_t turn = 0;
  const auto laid_out = [&](Spec spec) {
    constexpr std::array<std::int64_t, 6> kPageSizes = {16, 1, 7, 4, 5, 64};
    if (keys == Keys::kPaged) {
      spec.packed_q = turn % 2 == 1;
      spec.page_size = kPageSizes[turn % kPageSizes.size()];
    }
    if (!dense) spec.strided = turn % 3 == 2;
    ++turn;
    settle(spec);
    return make_case(kCases, spec);
  };
  const auto add = [&](const Spec& spec) { suite.cases.push_back(laid_out(spec)); };
  const auto specs = [&](std::string_view table) {
    std::size_t own_turn = 0;
    return kCases.fields().expand(table, base, own_turn);
  };

  std::size_t at = 0;
  for (Spec spec : specs(kHeadDims)) {
    spec.quick = (at + quick_from) % 6 == 0;
    if (dense || at % 3 != 1) add(spec);
    ++at;
  }
  // A rule takes three of the shapes in this layout, and others in the next.
  const std::vector<Spec> rules = specs(kRules);
  for (std::size_t shape = 0; shape < kRuleShapes; ++shape) {
    for (std::size_t rule = 0; rule < rules.size() / kRuleShapes; ++rule) {
      Spec spec = rules[rule * kRuleShapes + shape];
      const std::size_t turned = shape + rule + rule_from;
      if (turned % 5 > 2 || (!dense && spec.mask != Mask::kNone)) continue;
      spec.quick = turned % 5 == 0 && (rule + 1 + rule_from + quick_from) % 2 == 0;
      add(spec);
    }
  }
  for (Family family : {Family::kOutliers, Family::kIntegers, Family::kEqual, Family::kSubnormal,
                        Family::kOneHot, Family::kCancel, Family::kUniform}) {
    for (Spec spec : specs(kFamilyShapes)) {
      spec.family = family;
      spec.quick = spec.quick && (static_cast<std::size_t>(family) + quick_from) % 2 == 0;
      add(spec);
    }
  }
  for (const Spec& spec : specs(kOthers)) {
    if (dense || spec.batch > 0) add(spec);
  }
  fill_edges(suite, dtype, layout, [&](const std::string& dimension, std::int64_t size) {
    Spec spec = specs("1x1x2x3x21x12").front();
    kCases.fields().resize(spec, dimension, size);
    spec.causal = dimension == "q_len";
    return laid_out(spec);
  });
}

}  // namespace

std::vector<OutputExpectation> expect(const FlashAttentionParams& part, const HostTensors& host,
                                      const Target&, const FlashAttentionParams&) {
  const bool packed = part.q_offsets.present();
  const DType dtype = part.q.dtype;
  const std::int64_t batch = packed ? part.q_offsets.shape[0] - 1 : part.q.shape[0];
  const std::int64_t q_len = part.q.shape[packed ? 0 : 1];  // packed: of all sequences
  const std::int64_t heads = part.q.shape[packed ? 1 : 2];
  const std::int64_t dim = part.q.shape[packed ? 2 : 3];
  const auto q = host.values("q");
  const auto mask_values = host.values("mask");
  const double u = kF32Roundoff;
  const bool matrix = dtype != DType::kF32;
  reference::AttentionRule rule;
  rule.scale =
      part.scale != 0.0f ? static_cast<double>(part.scale) : 1.0 / std::sqrt(static_cast<double>(dim));
  rule.soft_cap = static_cast<double>(part.soft_cap);
  rule.causal = part.causal;
  rule.window = part.window;
  rule.prefix_len = part.prefix_len;

  // Rows of sequences whose keys nobody knows are NaN; where an offset of the queries is bad, all.
  Expected o{dtype, shape_of(part.o), std::vector<double>(q.size(), kNaN), std::vector<double>(q.size())};
  const std::size_t rows = q.size() / static_cast<std::size_t>(dim);
  Expected lse{DType::kF32, packed ? Shape{heads, q_len} : Shape{batch, heads, q_len},
               std::vector<double>(rows, kNaN), std::vector<double>(rows)};
  const auto made = [&] {
    std::vector<OutputExpectation> outputs{{"o", std::move(o)}};
    if (part.lse.present()) outputs.push_back({"lse", std::move(lse)});
    return outputs;
  };
  const auto q_start = [&](std::int64_t b) { return packed ? index_in(host, "q_offsets", b) : b * q_len; };
  for (std::int64_t b = 0; packed && b < batch; ++b) {
    if (!is_range(q_start(b), q_start(b + 1), q_len, part.max_q_len)) return made();
  }
  if (packed && (q_start(0) != 0 || q_start(batch) != q_len)) {
    // Rows of nobody stay.
    const auto before = host.values("o");
    o.value.assign(before.begin(), before.end());
    const auto lse_before = host.values("lse");
    if (!lse_before.empty()) lse.value.assign(lse_before.begin(), lse_before.end());
  }

  for (std::int64_t b = 0; b < batch; ++b) {
    const std::int64_t q_begin = q_start(b);
    const std::int64_t q_end = q_start(b + 1);
    const auto first = static_cast<std::size_t>(q_begin * heads * dim);
    const auto count = static_cast<std::size_t>((q_end - q_begin) * heads * dim);
    const auto lse_index = [&](std::int64_t i, std::int64_t head) {
      return static_cast<std::size_t>(packed ? head * q_len + q_begin + i : (b * heads + head) * q_len + i);
    };
    const std::optional<Sequence> keys = sequence_of(part, host, b);
    if (!keys) {
      std::fill_n(o.value.begin() + static_cast<std::ptrdiff_t>(first), count, kNaN);
      for (std::int64_t row = 0; row < (q_end - q_begin) * heads; ++row) {
        lse.value[lse_index(row / heads, row % heads)] = kNaN;
      }
      continue;
    }
    const reference::AttentionShape shape{q_end - q_begin, keys->kv_len, heads,
                                          part.k.shape[static_cast<std::size_t>(part.k.rank) - 2], dim};
    reference::AttentionMask mask;
    if (!mask_values.empty()) {
      mask.heads = part.mask.shape[1];
      mask.rows = part.mask.shape[2];
      const auto plane = static_cast<std::size_t>(mask.heads * mask.rows * shape.kv_len);
      const std::int64_t mask_batch = part.mask.shape[0] == 1 ? 0 : b;
      mask.values = mask_values.subspan(static_cast<std::size_t>(mask_batch) * plane, plane);
    }
    const FlashAttentionDepth depth = flash_attention_reduction_depth(dtype, shape.kv_len, dim);
    reference::ScoreError error;
    error.dot = dot_bound(depth.factor, depth.score, 1.0, 0);
    error.scaled = (rule.soft_cap > 0.0 && !matrix ? 3.0 : 2.0) * u;
    error.capped = (matrix ? 6.0 : 5.0) * u;
    error.masked = u;
    error.added = matrix ? u : 0.0;
    error.below = u + 4.0 * u / depth.lag;
    error.constant = 2.0 * (depth.lag + depth.lift) * u + 8.0 * u;
    const reference::AttentionResult oracle =
        reference::flash_attention(q.subspan(first, count), keys->k, keys->v, shape, rule, mask, error);

    for (std::int64_t i = 0; i < shape.q_len; ++i) {
      for (std::int64_t head = 0; head < heads; ++head) {
        const auto row = static_cast<std::size_t>(i * heads + head);
        const double rescales = oracle.below[row] / depth.lag;
        const auto visible = static_cast<std::int64_t>(oracle.visible[row]);
        const double total_error = dot_bound(1.0, depth.weights + 1, 1.0, 0) + u * rescales;
        const std::size_t lse_at = lse_index(i, head);
        const double log_sum = oracle.lse[row];
        const double log_total = std::log(std::max(oracle.visible[row], 1.0)) + depth.lag + depth.lift;
        lse.value[lse_at] = log_sum;
        lse.bound[lse_at] = oracle.lse_sensitivity[row] + total_error + 4.0 * u * log_total +
                            (matrix ? u * (std::fabs(log_sum) + log_total) : 0.0) +
                            store_rounding(DType::kF32, log_sum);
        // A weight that is rounded to the dtype, and one that is too small to be rounded well.
        const double rounded = matrix ? unit_roundoff(dtype) : 0.0;
        const double lost = matrix ? smallest_weight(dtype, log_sum) : 0x1p-149;
        const auto query =
            q.subspan(first + row * static_cast<std::size_t>(dim), static_cast<std::size_t>(dim));
        const bool mean = mask_values.empty() && std::has_single_bit(static_cast<std::uint64_t>(visible)) &&
                          std::all_of(query.begin(), query.end(), [](double x) { return x == 0.0; }) &&
                          are_integers(keys->v);
        for (std::int64_t d = 0; d < dim; ++d) {
          const std::size_t at = row * static_cast<std::size_t>(dim) + static_cast<std::size_t>(d);
          const double value = oracle.o[at];
          o.value[first + at] = value;
          if (mean && oracle.value_sum[at] <= 0x1p24) {
            o.value[first + at] = round_to_dtype(dtype, value);
            continue;
          }
          o.bound[first + at] = oracle.o_sensitivity[at] +
                                dot_bound(depth.factor, depth.values + 1, oracle.weighted[at], visible) +
                                rounded * oracle.weighted[at] + u * oracle.weighted_below[at] / depth.lag +
                                (total_error + (matrix ? 2.0 : 1.0) * u) * std::fabs(value) +
                                lost * oracle.value_sum[at] + store_rounding(dtype, value);
        }
      }
    }
  }
  return made();
}

OpSuite flash_attention_suite() {
  auto suite = make_suite<FlashAttentionParams>(kFlashAttentionBound);
  suite.layouts = {"contiguous", "strided", "packed", "paged"};
  suite.features = words_of(
      "full causal sliding_window prefix soft_cap scale additive_mask lse gqa mqa decode q_ne_kv q_gt_kv "
      "fully_masked nan_behind_mask head_dim_tile_32 head_dim_tile_64 head_dim_tile_96 head_dim_tile_128 "
      "head_dim_tile_256 head_dim_mult8 head_dim_odd large_scores outliers integers equal subnormal one_hot "
      "cancel");
  using Names = std::initializer_list<const char*>;
  const auto exclude = [&](Names layouts, Names features, const char* reason) {
    for (const char* layout : layouts) {
      for (const char* feature : features) suite.exclusions.push_back({feature, layout, reason});
    }
  };
  exclude({"packed", "paged"}, {"additive_mask"}, "a mask goes with dense queries and keys only");
  exclude({"packed", "paged"}, {"decode_is_last_row", "chunked_prefill", "batch_mates"},
          "tried with dense tensors, which this layout must agree with");
  exclude({"contiguous", "strided", "paged"}, {"packed_is_dense"}, "a relation of packed to dense tensors");
  exclude({"contiguous", "strided", "packed"}, {"page_order"}, "only paged tensors have pages");
  // The rows of a wave's tile and of blocks; tiles of keys and a segment; packs and the tiles of head_dim.
  for (std::int64_t at : {16, 32, 64}) suite.edges.push_back({"q_len", at});
  for (std::int64_t at : {32, 64, 1024}) suite.edges.push_back({"kv_len", at});
  for (std::int64_t at : {8, 32, 64, 96, 128, 256}) suite.edges.push_back({"head_dim", at, 256});

  for (std::size_t dtype_at = 0; dtype_at < suite.dtypes.size(); ++dtype_at) {
    const DType dtype = suite.dtypes[dtype_at];
    for (std::size_t layout_at = 0; layout_at < suite.layouts.size(); ++layout_at) {
      const std::string& layout = suite.layouts[layout_at];
      add_cases_of(suite, dtype, layout, dtype_at + layout_at, layout_at);
    }
    std::size_t turn = 0;
    add_cases(suite.bench_cases, kCases, kBench, kCases.fields().of_form(dtype, Layout::kContiguous), settle,
              turn);
  }
  add_relations(suite, kCases.launch, flash_attention_metamorphic_cases);
  suite.large_cases = large_sweep(kCases, kLarge);
  return suite;
}

}  // namespace hipforge::harness
