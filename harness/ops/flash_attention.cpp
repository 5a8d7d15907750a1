#include "harness/ops/flash_attention.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/families.h"
#include "harness/sweep/variants.h"
#include "kernels/flash_attention.h"
#include "reference/flash_attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace hipforge::harness {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

enum class Keys { kDense, kPacked, kPaged };
enum class Mask { kNone, kF32, kSame };

struct Spec {
  DType dtype = DType::kF32;
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
  Family family = Family::kNormal;
  bool quick = false;
  bool emulated = false;
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

std::int64_t tile_keys(const Spec& spec) {
  return spec.head_dim <= 128 ? 64 : 32;
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

std::vector<std::string> features_of(const Spec& spec) {
  std::vector<std::string> features;
  if (spec.mask != Mask::kNone) features.emplace_back("additive_mask");
  if (spec.prefix_len > 0) features.emplace_back("prefix");
  if (spec.window > 0) features.emplace_back("sliding_window");
  if (is_causal(spec) && spec.window == 0 && spec.prefix_len == 0) features.emplace_back("causal");
  if (!is_causal(spec) && spec.mask == Mask::kNone) features.emplace_back("full");
  if (spec.soft_cap > 0.0f) features.emplace_back("soft_cap");
  if (spec.scale != 0.0f) features.emplace_back("scale");
  if (spec.lse) features.emplace_back("lse");
  if (spec.kv_heads > 1 && spec.q_heads > spec.kv_heads) features.emplace_back("gqa");
  if (spec.kv_heads == 1 && spec.q_heads > 1) features.emplace_back("mqa");
  if (spec.q_len == 1) features.emplace_back("decode");
  if (spec.q_len != spec.kv_len) features.emplace_back("q_ne_kv");
  if (spec.q_len > spec.kv_len) features.emplace_back("q_gt_kv");
  const bool headless = is_causal(spec) && spec.prefix_len == 0 && spec.q_len > spec.kv_len;
  if (spec.masked_rows || headless || spec.kv_len == 0) features.emplace_back("fully_masked");
  if (spec.wild) features.emplace_back("nan_behind_mask");
  features.push_back(tile_name(spec.head_dim));
  if (spec.head_dim % 8 == 0) features.emplace_back("head_dim_mult8");
  if (spec.head_dim % 2 == 1) features.emplace_back("head_dim_odd");
  if (spec.q_scale > 1.0) features.emplace_back("large_scores");
  if (spec.family != Family::kNormal) features.push_back(family_name(spec.family));
  return features;
}

std::vector<std::string> families_of(const Spec& spec) {
  std::vector<std::string> families;
  if (spec.exact) {
    families.emplace_back("integers");
  } else if (spec.q_scale >= 1e4 || spec.v_scale >= 1e4) {
    families.emplace_back("large");
  } else if (!spec.wild) {
    families.emplace_back(input_family(spec.family));
  }
  if (spec.removed_keys || spec.mask != Mask::kNone) families.emplace_back("minus_infinity");
  const bool headless = is_causal(spec) && spec.prefix_len == 0 && spec.q_len > spec.kv_len;
  if (spec.masked_rows || headless || spec.kv_len == 0) families.emplace_back("masked_rows");
  // The last rows see all keys.
  if (spec.wild && spec.window == 0) families.emplace_back("non_finite");
  return families;
}

// A small generator for what is not tensor data: page orders and which elements a mask removes.
class Shuffler {
 public:
  explicit Shuffler(std::uint64_t seed) : state_(seed * 2 + 1) {}
  std::uint64_t next(std::uint64_t end) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return (state_ >> 33) % end;
  }

 private:
  std::uint64_t state_;
};

std::vector<double> offsets_of(const std::vector<Lengths>& sequences, std::int64_t Lengths::*member) {
  std::vector<double> offsets{0.0};
  for (const Lengths& lengths : sequences)
    offsets.push_back(offsets.back() + static_cast<double>(lengths.*member));
  return offsets;
}

// Random values of a tensor, to be changed before they become an operand.
std::vector<double> random_values(const CaseEnvironment& environment, std::uint64_t salt, DType dtype,
                                  const Shape& shape, Family family, double scale) {
  Rig rig(environment.seed + salt, environment.stream);
  rig.input("values", dtype, shape, family, scale);
  return rig.values("values");
}

// Keys of a sequence that are NaN or infinite: near the end, where most causal rows do not see them, and at
// the start where windows leave it behind.
struct WildKeys {
  std::int64_t nan_key;
  std::int64_t nan_value;
  std::int64_t infinite_value;
  std::int64_t first;  // −1: none

  WildKeys(const Spec& spec, std::int64_t kv_len)
      : nan_key(kv_len - 1),
        nan_value(kv_len * 2 / 3),
        infinite_value(kv_len * 5 / 6),
        first(spec.window > 0 && spec.prefix_len == 0 ? 0 : -1) {}

  [[nodiscard]] bool contains(std::int64_t key) const {
    return key == nan_key || key == nan_value || key == infinite_value || key == first;
  }
};

std::vector<double> mask_values(const Spec& spec, const CaseEnvironment& environment, const Shape& shape) {
  const DType dtype = spec.mask == Mask::kF32 ? DType::kF32 : spec.dtype;
  std::vector<double> values = random_values(environment, 300, dtype, shape, Family::kNormal, 1.0);
  const WildKeys wild(spec, spec.kv_len);
  Shuffler shuffler(environment.seed + 7);
  for (std::size_t at = 0; at < values.size(); ++at) {
    const auto key = static_cast<std::int64_t>(at) % spec.kv_len;
    const auto row = static_cast<std::int64_t>(at) / spec.kv_len;
    const bool removed = shuffler.next(7) == 0 || (spec.masked_rows && row % 3 == 0) ||
                         (spec.wild && wild.contains(key) && row % 4 != 3);
    if (removed) values[at] = -kInfinity;
  }
  return values;
}

void plant_wild_keys(const Spec& spec, const std::vector<Lengths>& sequences,
                     std::vector<std::vector<double>>& k, std::vector<std::vector<double>>& v) {
  const auto row = static_cast<std::size_t>(spec.kv_heads * spec.head_dim);
  for (std::size_t b = 0; b < sequences.size(); ++b) {
    if (sequences[b].kv_len < 3) continue;
    const WildKeys wild(spec, sequences[b].kv_len);
    const auto plant = [&](std::vector<double>& values, std::int64_t key, double value) {
      // One dimension of each head is enough.
      const std::size_t begin = static_cast<std::size_t>(key) * row;
      for (std::size_t dim = 0; dim < row; dim += static_cast<std::size_t>(spec.head_dim)) {
        values[begin + dim] = value;
      }
    };
    plant(k[b], wild.nan_key, kNaN);
    plant(v[b], wild.infinite_value, kInfinity);
    plant(v[b], wild.nan_value, kNaN);
    if (wild.first < 0) continue;
    plant(k[b], wild.first, -kInfinity);
    plant(v[b], wild.first, kNaN);
  }
}

// Keys whose product with a query of positive numbers is −infinity.
void remove_keys(const Spec& spec, const std::vector<Lengths>& sequences,
                 std::vector<std::vector<double>>& k) {
  const auto row = static_cast<std::size_t>(spec.kv_heads * spec.head_dim);
  for (std::size_t b = 0; b < sequences.size(); ++b) {
    for (std::int64_t key = 2; key < sequences[b].kv_len; key += 5) {
      for (std::size_t dim = 0; dim < row; dim += static_cast<std::size_t>(spec.head_dim)) {
        k[b][static_cast<std::size_t>(key) * row + dim] = -kInfinity;
      }
    }
  }
}

// The keys or values of each sequence, [kv_len, kv_heads, head_dim].
std::vector<std::vector<double>> sequence_values(const Spec& spec, const CaseEnvironment& environment,
                                                 std::uint64_t salt, double scale,
                                                 const std::vector<Lengths>& sequences) {
  std::vector<std::vector<double>> all;
  for (const Lengths& lengths : sequences) {
    all.push_back(random_values(environment, salt + all.size(), spec.dtype,
                                {lengths.kv_len, spec.kv_heads, spec.head_dim}, spec.family, scale));
  }
  return all;
}

struct PageTable {
  std::int64_t pages = 0;
  std::int64_t max_pages = 0;
  std::vector<double> table;  // [batch, max_pages]; entries that must not be read are far outside
};

PageTable make_page_table(const Spec& spec, const std::vector<Lengths>& sequences, std::uint64_t seed) {
  PageTable made;
  std::int64_t used = 0;
  for (const Lengths& lengths : sequences) {
    const std::int64_t pages = (lengths.kv_len + spec.page_size - 1) / spec.page_size;
    made.max_pages = std::max(made.max_pages, pages + 1);
    used += pages;
  }
  made.pages = used + 2;
  std::vector<std::int64_t> order(static_cast<std::size_t>(made.pages));
  std::iota(order.begin(), order.end(), 0);
  Shuffler shuffler(seed);
  for (std::size_t at = order.size(); at > 1; --at) std::swap(order[at - 1], order[shuffler.next(at)]);
  made.table.assign(sequences.size() * static_cast<std::size_t>(made.max_pages), 1e9);
  std::size_t next = 0;
  for (std::size_t b = 0; b < sequences.size(); ++b) {
    const std::int64_t pages = (sequences[b].kv_len + spec.page_size - 1) / spec.page_size;
    for (std::int64_t page = 0; page < pages; ++page) {
      made.table[b * static_cast<std::size_t>(made.max_pages) + static_cast<std::size_t>(page)] =
          static_cast<double>(order[next++]);
    }
  }
  return made;
}

// The cache's content: NaN but for the slots in use.
std::vector<double> page_values(const Spec& spec, const std::vector<Lengths>& sequences,
                                const PageTable& pages, const std::vector<std::vector<double>>& values) {
  const std::int64_t row = spec.kv_heads * spec.head_dim;
  std::vector<double> cache(static_cast<std::size_t>(pages.pages * spec.page_size * row), kNaN);
  for (std::size_t b = 0; b < sequences.size(); ++b) {
    for (std::int64_t key = 0; key < sequences[b].kv_len; ++key) {
      const auto entry =
          b * static_cast<std::size_t>(pages.max_pages) + static_cast<std::size_t>(key / spec.page_size);
      const std::int64_t slot =
          static_cast<std::int64_t>(pages.table[entry]) * spec.page_size + key % spec.page_size;
      std::copy_n(values[b].begin() + key * row, row, cache.begin() + slot * row);
    }
  }
  return cache;
}

std::vector<double> joined(const std::vector<std::vector<double>>& parts) {
  std::vector<double> all;
  for (const std::vector<double>& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

void make_keys(const Spec& spec, const CaseEnvironment& environment, const std::vector<Lengths>& sequences,
               Layout k_layout, Layout v_layout, Rig& rig, FlashAttentionParams& params) {
  auto k = sequence_values(spec, environment, 100, spec.k_scale, sequences);
  Spec of_values = spec;
  if (spec.exact) of_values.family = Family::kIntegers;
  auto v = sequence_values(of_values, environment, 200, spec.v_scale, sequences);
  if (spec.removed_keys) remove_keys(spec, sequences, k);
  if (spec.wild) plant_wild_keys(spec, sequences, k, v);
  if (spec.keys == Keys::kPaged) {
    const PageTable pages = make_page_table(spec, sequences, environment.seed);
    const Shape shape{pages.pages, spec.page_size, spec.kv_heads, spec.head_dim};
    params.k = rig.input_values("k", spec.dtype, shape, page_values(spec, sequences, pages, k), k_layout);
    params.v = rig.input_values("v", spec.dtype, shape, page_values(spec, sequences, pages, v), v_layout);
    params.block_table =
        rig.input_values("block_table", DType::kI32, {spec.batch, pages.max_pages}, pages.table);
    std::vector<double> lens;
    for (const Lengths& lengths : sequences) lens.push_back(static_cast<double>(lengths.kv_len));
    params.kv_lens = rig.input_values("kv_lens", DType::kI32, {spec.batch}, lens);
    return;
  }
  Shape shape{spec.batch, spec.kv_len, spec.kv_heads, spec.head_dim};
  if (spec.keys == Keys::kPacked) {
    const std::vector<double> offsets = offsets_of(sequences, &Lengths::kv_len);
    params.kv_offsets = rig.input_values("kv_offsets", DType::kI32, {spec.batch + 1}, offsets);
    shape = {static_cast<std::int64_t>(offsets.back()), spec.kv_heads, spec.head_dim};
  }
  params.k = rig.input_values("k", spec.dtype, shape, joined(k), k_layout);
  params.v = rig.input_values("v", spec.dtype, shape, joined(v), v_layout);
}

FlashAttentionInputs gather_inputs(const Spec& spec, const Rig& rig) {
  FlashAttentionInputs inputs;
  inputs.q = rig.values("q");
  inputs.k = rig.values("k");
  inputs.v = rig.values("v");
  if (spec.packed_q) inputs.q_offsets = rig.values("q_offsets");
  if (spec.keys == Keys::kPacked) inputs.kv_offsets = rig.values("kv_offsets");
  if (spec.keys == Keys::kPaged) {
    inputs.kv_lens = rig.values("kv_lens");
    inputs.block_table = rig.values("block_table");
    inputs.page_size = spec.page_size;
  }
  if (spec.mask != Mask::kNone) {
    inputs.mask = rig.values("mask");
    const TensorView view = rig.view("mask");
    inputs.mask_shape = {view.shape[0], view.shape[1], view.shape[2]};
  }
  inputs.batch = spec.batch;
  inputs.q_len = spec.q_len;
  inputs.kv_len = spec.kv_len;
  inputs.q_heads = spec.q_heads;
  inputs.kv_heads = spec.kv_heads;
  inputs.head_dim = spec.head_dim;
  inputs.scale = static_cast<double>(spec.scale);
  inputs.soft_cap = static_cast<double>(spec.soft_cap);
  inputs.causal = spec.causal;
  inputs.window = spec.window;
  inputs.prefix_len = spec.prefix_len;
  inputs.dtype = spec.dtype;
  return inputs;
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

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  const std::vector<Lengths> sequences = sequences_of(spec);
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
    const std::vector<double> offsets = offsets_of(sequences, &Lengths::q_len);
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
  make_keys(spec, environment, sequences, layout, other_layout, rig, params);
  if (spec.mask != Mask::kNone) {
    const Shape shape{spec.mask_broadcast[0] ? 1 : spec.batch, spec.mask_broadcast[1] ? 1 : spec.q_heads,
                      spec.mask_broadcast[2] ? 1 : spec.q_len, spec.kv_len};
    const DType dtype = spec.mask == Mask::kF32 ? DType::kF32 : spec.dtype;
    params.mask = rig.input_values("mask", dtype, shape, mask_values(spec, environment, shape), layout);
  }
  params.o = rig.output("o", spec.dtype, q_shape, other_layout);
  if (spec.lse) params.lse = rig.output("lse", DType::kF32, lse_shape, layout);

  const auto size = static_cast<std::int64_t>(dtype_size(spec.dtype));
  for (const Lengths& lengths : sequences) {
    prepared.bytes +=
        2 * size * spec.head_dim * (lengths.q_len * spec.q_heads + lengths.kv_len * spec.kv_heads);
    prepared.flops += 4 * spec.head_dim * spec.q_heads * visible_pairs(spec, lengths);
  }
  prepared.ceiling = spec.q_len > 8 ? Ceiling::kMatrix : Ceiling::kRead;
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return flash_attention(params, stream, target);
  };
  prepared.expect = [spec, &rig] {
    FlashAttentionExpected expected = flash_attention_expected(gather_inputs(spec, rig));
    std::vector<OutputExpectation> outputs;
    outputs.push_back({"o", std::move(expected.o)});
    if (spec.lse) outputs.push_back({"lse", std::move(expected.lse)});
    return outputs;
  };
  return prepared;
}

const SpecKnobs<Spec>& knobs() {
  static const SpecKnobs<Spec> all = [] {
    SpecKnobs<Spec> made;
    made.size("batch", &Spec::batch).size("kv_heads", &Spec::kv_heads).size("q_heads", &Spec::q_heads);
    made.size("q_len", &Spec::q_len).size("kv_len", &Spec::kv_len).size("head_dim", &Spec::head_dim);
    made.size("page_size", &Spec::page_size).size("prefix_len", &Spec::prefix_len, 0);
    made.size("window", &Spec::window, 0);
    made.choice("keys", &Spec::keys, std::vector<std::pair<std::string, Keys>>{{"dense", Keys::kDense}});
    made.flag("packed_q", &Spec::packed_q).flag("strided", &Spec::strided).family("family", &Spec::family);
    made.choice("mask", &Spec::mask, std::vector<std::pair<std::string, Mask>>{{"none", Mask::kNone}});
    made.choice("mask_broadcast", &Spec::mask_broadcast,
                std::vector<std::pair<std::string, std::array<bool, 3>>>{{"none", {}}});
    made.flag("masked_rows", &Spec::masked_rows).flag("causal", &Spec::causal).flag("lse", &Spec::lse);
    made.flag("exact", &Spec::exact).flag("removed_keys", &Spec::removed_keys);
    made.scalar("v_scale", &Spec::v_scale, 1.0);
    made.flag("wild", &Spec::wild)
        .scalar("soft_cap", &Spec::soft_cap, 0.0f)
        .scalar("scale", &Spec::scale, 0.0f);
    made.scalar("q_scale", &Spec::q_scale, 1.0).scalar("k_scale", &Spec::k_scale, 1.0);
    // Dense keys go with dense queries.
    made.settle([](Spec& spec) { spec.packed_q = spec.packed_q && spec.keys != Keys::kDense; });
    made.require([](const Spec& spec) {
      const bool grouped = spec.q_heads % spec.kv_heads == 0;
      const bool paged = spec.keys != Keys::kPaged || spec.page_size > 0;
      const bool packed = spec.keys != Keys::kPacked || spec.packed_q;
      // A mask is for dense queries and keys; a prefix for what is causal.
      const bool masked = spec.mask == Mask::kNone || (spec.keys == Keys::kDense && !spec.packed_q);
      const bool prefixed = spec.prefix_len == 0 || is_causal(spec);
      // Wild keys must be out of every row's sight: a causal row's, or a mask's.
      const bool hidden = !spec.wild || is_causal(spec) || spec.mask != Mask::kNone;
      return grouped && paged && packed && masked && prefixed && hidden;
    });
    return made;
  }();
  return all;
}

Case make_case(const Spec& spec) {
  Case test;
  test.op = "flash_attention";
  test.dtype = spec.dtype;
  test.layout = layout_of(spec);
  test.features = features_of(spec);
  test.families = families_of(spec);
  set_sizes(test, {{"batch", spec.batch},
                   {"q_len", spec.q_len},
                   {"kv_len", spec.kv_len},
                   {"q_heads", spec.q_heads},
                   {"kv_heads", spec.kv_heads},
                   {"head_dim", spec.head_dim}});
  const Shape shape{spec.batch, spec.q_len, spec.kv_len, spec.q_heads, spec.kv_heads, spec.head_dim};
  test.shape = shape_name(shape);
  test.odd = any_odd(shape);
  test.over_tile = spec.kv_len > tile_keys(spec);
  test.quick = spec.quick;
  test.emulated = spec.emulated;
  std::string options;
  if (spec.causal) options += ".causal";
  if (spec.window > 0) options += fmt::format(".window_{}", spec.window);
  if (spec.prefix_len > 0) options += fmt::format(".prefix_{}", spec.prefix_len);
  if (spec.soft_cap > 0.0f) options += fmt::format(".cap_{:g}", spec.soft_cap);
  if (spec.scale != 0.0f) options += fmt::format(".scale_{:g}", spec.scale);
  if (spec.mask != Mask::kNone) {
    options += spec.mask == Mask::kF32 ? ".mask_f32" : ".mask_same";
    for (bool broadcast : spec.mask_broadcast) options += broadcast ? "_1" : "_n";
  }
  if (spec.masked_rows) options += ".masked_rows";
  if (spec.lse) options += ".lse";
  if (spec.wild) options += ".wild";
  if (spec.family != Family::kNormal) options += fmt::format(".{}", family_name(spec.family));
  if (spec.exact) options += ".exact";
  if (spec.removed_keys) options += ".removed_keys";
  if (spec.v_scale != 1.0) options += fmt::format(".values_{:g}", spec.v_scale);
  if (spec.q_scale != 1.0) options += fmt::format(".times_{:g}", spec.q_scale);
  if (spec.keys == Keys::kPaged) {
    options += fmt::format(".page_{}.{}_q", spec.page_size, spec.packed_q ? "packed" : "dense");
  }
  if (spec.strided && spec.keys != Keys::kDense) options += ".strided";
  if (options.empty()) options = ".plain";
  test.id = fmt::format("flash_attention/{}/{}/{}/{}", dtype_name(spec.dtype), test.layout, test.shape,
                        options.substr(1));
  std::erase(test.id, '+');
  test.prepare = [spec](const CaseEnvironment& environment) { return prepare(spec, environment); };
  test.variants = knobs().variants(spec, &make_case);
  return test;
}

// What a weight may lose in absolute terms, relative to the largest weight: half of f16's smallest number,
// which lies 2⁹ lower where weights are lifted (scores below 2²⁰, in powers of two); what f32 flushes to
// zero.
double smallest_weight(DType dtype, double lse) {
  if (dtype == DType::kBF16) return 0x1p-126;
  return std::fabs(lse) < 0x1p19 ? 0x1p-34 : 0x1p-25;
}

bool is_power_of_two(std::int64_t count) {
  return count > 0 && (count & (count - 1)) == 0;
}

bool all_integers(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double value) { return value == std::floor(value); });
}

}  // namespace

FlashAttentionExpected flash_attention_expected(const FlashAttentionInputs& inputs) {
  const bool packed_q = !inputs.q_offsets.empty();
  const std::int64_t heads = inputs.q_heads;
  const std::int64_t dim = inputs.head_dim;
  const auto index = [](std::span<const double> values, std::int64_t at) {
    return static_cast<std::int64_t>(values[static_cast<std::size_t>(at)]);
  };
  const double u = kF32Roundoff;
  const bool matrix = inputs.dtype != DType::kF32;
  reference::AttentionRule rule;
  rule.scale = inputs.scale != 0.0 ? inputs.scale : 1.0 / std::sqrt(static_cast<double>(dim));
  rule.soft_cap = inputs.soft_cap;
  rule.causal = inputs.causal;
  rule.window = inputs.window;
  rule.prefix_len = inputs.prefix_len;

  FlashAttentionExpected expected;
  const std::int64_t rows =
      packed_q ? static_cast<std::int64_t>(inputs.q.size()) / (heads * dim) : inputs.batch * inputs.q_len;
  expected.o.dtype = inputs.dtype;
  expected.lse.dtype = DType::kF32;
  if (packed_q) {
    expected.o.shape = {rows, heads, dim};
    expected.lse.shape = {heads, rows};
  } else {
    expected.o.shape = {inputs.batch, inputs.q_len, heads, dim};
    expected.lse.shape = {inputs.batch, heads, inputs.q_len};
  }
  expected.o.value.assign(inputs.q.size(), kNaN);
  expected.o.bound.assign(inputs.q.size(), 0.0);
  expected.lse.value.assign(static_cast<std::size_t>(rows * heads), kNaN);
  expected.lse.bound.assign(static_cast<std::size_t>(rows * heads), 0.0);

  for (std::int64_t b = 0; b < inputs.batch; ++b) {
    const std::int64_t q_begin = packed_q ? index(inputs.q_offsets, b) : b * inputs.q_len;
    const std::int64_t q_end = packed_q ? index(inputs.q_offsets, b + 1) : q_begin + inputs.q_len;
    const std::int64_t key_elements = inputs.kv_heads * dim;
    reference::AttentionShape shape{q_end - q_begin, inputs.kv_len, heads, inputs.kv_heads, dim};
    std::span<const double> k = inputs.k;
    std::span<const double> v = inputs.v;
    std::vector<double> gathered_k;
    std::vector<double> gathered_v;
    if (!inputs.block_table.empty()) {
      shape.kv_len = index(inputs.kv_lens, b);
      const auto max_pages = static_cast<std::int64_t>(inputs.block_table.size()) / inputs.batch;
      for (std::int64_t key = 0; key < shape.kv_len; ++key) {
        const std::int64_t page = index(inputs.block_table, b * max_pages + key / inputs.page_size);
        const std::int64_t at = (page * inputs.page_size + key % inputs.page_size) * key_elements;
        const auto from = [&](std::span<const double> cache) {
          return cache.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(key_elements));
        };
        gathered_k.insert(gathered_k.end(), from(k).begin(), from(k).end());
        gathered_v.insert(gathered_v.end(), from(v).begin(), from(v).end());
      }
      k = gathered_k;
      v = gathered_v;
    } else {
      std::int64_t kv_begin = b * inputs.kv_len;
      if (!inputs.kv_offsets.empty()) {
        kv_begin = index(inputs.kv_offsets, b);
        shape.kv_len = index(inputs.kv_offsets, b + 1) - kv_begin;
      }
      const auto at = static_cast<std::size_t>(kv_begin * key_elements);
      const auto count = static_cast<std::size_t>(shape.kv_len * key_elements);
      k = k.subspan(at, count);
      v = v.subspan(at, count);
    }
    reference::AttentionMask mask;
    if (!inputs.mask.empty()) {
      mask.heads = inputs.mask_shape[1];
      mask.rows = inputs.mask_shape[2];
      const auto plane = static_cast<std::size_t>(mask.heads * mask.rows * shape.kv_len);
      const std::int64_t mask_batch = inputs.mask_shape[0] == 1 ? 0 : b;
      mask.values = inputs.mask.subspan(static_cast<std::size_t>(mask_batch) * plane, plane);
    }
    const FlashAttentionDepth depth = flash_attention_reduction_depth(inputs.dtype, shape.kv_len, dim);
    reference::ScoreError error;
    error.dot = dot_bound(depth.factor, depth.score, 1.0, 0);
    error.scaled = (inputs.soft_cap > 0.0 && !matrix ? 3.0 : 2.0) * u;
    error.capped = (matrix ? 6.0 : 5.0) * u;
    error.masked = u;
    error.added = matrix ? u : 0.0;
    error.below = u + 4.0 * u / depth.lag;
    error.constant = 2.0 * (depth.lag + depth.lift) * u + 8.0 * u;
    const auto first = static_cast<std::size_t>(q_begin * heads * dim);
    const auto count = static_cast<std::size_t>(shape.q_len * heads * dim);
    const reference::AttentionResult oracle =
        reference::flash_attention(inputs.q.subspan(first, count), k, v, shape, rule, mask, error);

    for (std::int64_t i = 0; i < shape.q_len; ++i) {
      for (std::int64_t head = 0; head < heads; ++head) {
        const auto row = static_cast<std::size_t>(i * heads + head);
        const double rescales = oracle.below[row] / depth.lag;
        const auto visible = static_cast<std::int64_t>(oracle.visible[row]);
        const double total_error = dot_bound(1.0, depth.weights + 1, 1.0, 0) + u * rescales;
        const std::int64_t lse_at =
            packed_q ? head * rows + q_begin + i : (b * heads + head) * inputs.q_len + i;
        const double lse = oracle.lse[row];
        const double log_total = std::log(std::max(oracle.visible[row], 1.0)) + depth.lag + depth.lift;
        expected.lse.value[static_cast<std::size_t>(lse_at)] = lse;
        expected.lse.bound[static_cast<std::size_t>(lse_at)] =
            oracle.lse_sensitivity[row] + total_error + 4.0 * u * log_total +
            (matrix ? u * (std::fabs(lse) + log_total) : 0.0) + store_rounding(DType::kF32, lse);
        // A weight that is rounded to the dtype, and one that is too small to be rounded well.
        const double rounded = matrix ? unit_roundoff(inputs.dtype) : 0.0;
        const double lost = matrix ? smallest_weight(inputs.dtype, lse) : 0x1p-149;
        const auto query =
            inputs.q.subspan(first + row * static_cast<std::size_t>(dim), static_cast<std::size_t>(dim));
        const bool mean = inputs.mask.empty() && is_power_of_two(visible) &&
                          std::all_of(query.begin(), query.end(), [](double x) { return x == 0.0; }) &&
                          all_integers(v);
        for (std::int64_t d = 0; d < dim; ++d) {
          const std::size_t at = row * static_cast<std::size_t>(dim) + static_cast<std::size_t>(d);
          const double value = oracle.o[at];
          expected.o.value[first + at] = value;
          if (mean && oracle.value_sum[at] <= 0x1p24) {
            expected.o.value[first + at] = round_to_dtype(inputs.dtype, value);
            continue;
          }
          expected.o.bound[first + at] =
              oracle.o_sensitivity[at] +
              dot_bound(depth.factor, depth.values + 1, oracle.weighted[at], visible) +
              rounded * oracle.weighted[at] + u * oracle.weighted_below[at] / depth.lag +
              (total_error + (matrix ? 2.0 : 1.0) * u) * std::fabs(value) + lost * oracle.value_sum[at] +
              store_rounding(inputs.dtype, value);
        }
      }
    }
  }
  return expected;
}

OpSuite flash_attention_suite() {
  OpSuite suite;
  suite.op = "flash_attention";
  suite.bound = kFlashAttentionBound;
  suite.dtypes = {DType::kF32, DType::kF16, DType::kBF16};
  suite.layouts = {"contiguous", "strided", "packed", "paged"};
  suite.features = {"full",
                    "causal",
                    "sliding_window",
                    "prefix",
                    "soft_cap",
                    "scale",
                    "additive_mask",
                    "lse",
                    "gqa",
                    "mqa",
                    "decode",
                    "q_ne_kv",
                    "q_gt_kv",
                    "fully_masked",
                    "nan_behind_mask",
                    "head_dim_tile_32",
                    "head_dim_tile_64",
                    "head_dim_tile_96",
                    "head_dim_tile_128",
                    "head_dim_tile_256",
                    "head_dim_mult8",
                    "head_dim_odd",
                    "large_scores",
                    "outliers",
                    "integers",
                    "equal",
                    "subnormal",
                    "one_hot",
                    "cancel"};
  for (const char* layout : {"packed", "paged"}) {
    suite.exclusions.push_back({"additive_mask", layout, "a mask goes with dense queries and keys only"});
  }

  for (const char* layout : {"packed", "paged"}) {
    for (const char* relation : {"decode_is_last_row", "chunked_prefill", "batch_mates"}) {
      suite.exclusions.push_back(
          {relation, layout, "tried with dense tensors, which this layout must agree with"});
    }
  }
  for (const char* layout : {"contiguous", "strided", "paged"}) {
    suite.exclusions.push_back({"packed_is_dense", layout, "a relation of packed to dense tensors"});
  }
  for (const char* layout : {"contiguous", "strided", "packed"}) {
    suite.exclusions.push_back({"page_order", layout, "only paged tensors have pages"});
  }
  // The rows of a wave's tile and of blocks; tiles of keys and a segment; packs and the tiles of head_dim.
  for (std::int64_t at : {16, 32, 64}) suite.edges.push_back({"q_len", at});
  for (std::int64_t at : {32, 64, 1024}) suite.edges.push_back({"kv_len", at});
  for (std::int64_t at : {8, 32, 64, 96, 128, 256}) suite.edges.push_back({"head_dim", at, 256});

  const std::array<std::int64_t, 6> page_sizes = {16, 1, 7, 4, 5, 64};
  for (std::size_t dtype_at = 0; dtype_at < suite.dtypes.size(); ++dtype_at) {
    const DType dtype = suite.dtypes[dtype_at];
    for (std::size_t layout_at = 0; layout_at < suite.layouts.size(); ++layout_at) {
      const std::string& layout = suite.layouts[layout_at];
      const bool dense = layout == "contiguous" || layout == "strided";
      std::size_t turn = 0;
      const auto laid_out = [&](Spec spec) {
        spec.dtype = dtype;
        if (layout == "packed") {
          spec.keys = Keys::kPacked;
          spec.packed_q = true;
        } else if (layout == "paged") {
          spec.keys = Keys::kPaged;
          spec.packed_q = turn % 2 == 1;
          spec.page_size = page_sizes[turn % page_sizes.size()];
        }
        spec.strided = dense ? layout == "strided" : turn % 3 == 2;
        ++turn;
        return make_case(spec);
      };
      const auto add = [&](const Spec& spec) { suite.cases.push_back(laid_out(spec)); };

      // Every head_dim around a tile, an access or a power of two, while the rule and the shape rotate.
      std::size_t at = 0;
      for (std::int64_t head_dim : {1,  2,  7,  8,  16,  24,  31,  32,  33,  40,  63,  64,  65, 72,
                                    80, 95, 96, 97, 112, 127, 128, 129, 136, 160, 192, 251, 256}) {
        constexpr std::array<std::int64_t, 5> kQueries = {17, 1, 33, 5, 20};
        constexpr std::array<std::int64_t, 4> kKeyCounts = {67, 131, 33, 70};
        Spec spec{.batch = 1 + static_cast<std::int64_t>(at % 2),
                  .q_len = kQueries[at % 5],
                  .kv_len = kKeyCounts[at % 4]};
        spec.head_dim = head_dim;
        spec.q_heads = at % 3 == 0 ? 4 : 2;
        spec.kv_heads = at % 3 == 2 ? 1 : 2;
        spec.causal = at % 2 == 0;
        spec.lse = at % 4 == 1;
        spec.quick = (at + dtype_at + layout_at) % 6 == 0;
        // Causal with more keys than a tile; GQA, MQA, a head_dim that no access divides.
        spec.emulated = layout == "contiguous" && (head_dim == 65 || head_dim == 128 || head_dim == 192);
        if (dense || at % 3 != 1) add(spec);
        ++at;
      }

      // Every rule on shapes that decode, are odd, fill a tile and cross it.
      const std::array<Spec, 5> shapes = {
          Spec{.batch = 2, .q_len = 1, .kv_len = 150, .q_heads = 4, .kv_heads = 2, .head_dim = 32},
          Spec{.batch = 3, .q_len = 19, .kv_len = 83, .q_heads = 3, .kv_heads = 1, .head_dim = 27},
          Spec{.batch = 1, .q_len = 64, .kv_len = 64, .q_heads = 2, .kv_heads = 2, .head_dim = 64},
          Spec{.batch = 4, .q_len = 34, .kv_len = 129, .q_heads = 4, .kv_heads = 2, .head_dim = 40},
          Spec{.batch = 1, .q_len = 9, .kv_len = 100, .q_heads = 2, .kv_heads = 1, .head_dim = 144},
      };
      std::size_t shape = 0;
      for (const Spec& base : shapes) {
        std::size_t rule = layout_at;
        // A rule takes three of the shapes in this layout, and others in the next.
        const auto with = [&](auto&& change) {
          if ((shape + rule++) % 5 > 2) return;
          Spec spec = base;
          change(spec);
          spec.quick = (shape + rule) % 5 == 1 && (rule + dtype_at + layout_at) % 2 == 0;
          add(spec);
        };
        with([](Spec& s) { s.lse = true; });
        with([](Spec& s) { s.causal = s.lse = true; });
        with([](Spec& s) { s.window = 1; });
        with([](Spec& s) {
          s.window = 37;
          s.lse = true;
        });
        with([](Spec& s) {
          s.window = 1000;
          s.causal = true;
        });
        with([](Spec& s) {
          s.causal = true;
          s.prefix_len = 41;
        });
        with([](Spec& s) {
          s.window = 9;
          s.prefix_len = 70;
          s.lse = true;
        });
        with([](Spec& s) {
          s.causal = true;
          s.soft_cap = 2.5f;
          s.lse = true;
        });
        with([](Spec& s) {
          s.soft_cap = 30.0f;
          s.scale = 1.5f;
        });
        with([](Spec& s) {
          s.causal = true;
          s.scale = -0.37f;
        });
        with([](Spec& s) { s.causal = s.wild = s.lse = true; });
        with([](Spec& s) {
          s.window = 21;
          s.wild = true;
        });
        with([](Spec& s) {
          s.causal = s.wild = true;
          s.prefix_len = 13;
        });
        with([](Spec& s) {
          s.causal = s.lse = true;
          s.kv_len = s.q_len = std::max<std::int64_t>(s.q_len, 3);
        });
        // More queries than keys: the first rows see nothing.
        with([](Spec& s) {
          s.causal = s.lse = true;
          s.kv_len = 13;
          s.q_len = 21;
        });
        with([](Spec& s) {
          s.q_len = 90;
          s.kv_len = 71;
          s.q_heads = s.kv_heads;
        });
        with([](Spec& s) {
          s.window = 5;
          s.q_len = 40;
          s.kv_len = 22;
        });
        with([](Spec& s) {
          s.kv_len = 0;
          s.lse = true;
        });
        with([&](Spec& s) {
          s.causal = s.lse = true;
          s.q_scale = s.k_scale = dtype == DType::kF16 ? 1e4 : 1e15;
        });
        with([&](Spec& s) {
          s.q_scale = s.k_scale = 40.0;
          s.soft_cap = shape % 2 == 0 ? 50.0f : 0.0f;
        });
        if (dense) {
          std::size_t mask = shape;
          with([&](Spec& s) {
            s.mask = Mask::kF32;
            s.mask_broadcast = {true, true, false};
            s.lse = true;
          });
          with([&](Spec& s) {
            s.mask = Mask::kSame;
            s.mask_broadcast = {mask % 2 == 0, mask % 3 == 0, false};
            s.causal = s.wild = true;
          });
          with([&](Spec& s) {
            s.mask = mask % 2 == 0 ? Mask::kF32 : Mask::kSame;
            s.masked_rows = s.lse = s.wild = true;
            s.soft_cap = 3.0f;
          });
          with([&](Spec& s) {
            s.mask = Mask::kF32;
            s.mask_broadcast = {false, true, true};
            s.window = 40;
          });
        }
        ++shape;
      }

      for (Family family : {Family::kOutliers, Family::kIntegers, Family::kEqual, Family::kSubnormal,
                            Family::kOneHot, Family::kCancel, Family::kUniform}) {
        for (std::size_t i : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
          Spec spec = shapes[i];
          spec.family = family;
          spec.causal = i == 1;
          spec.lse = i != 0;
          spec.quick = i == 1 && (static_cast<std::size_t>(family) + dtype_at + layout_at) % 2 == 0;
          add(spec);
        }
      }
      for (std::size_t i : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
        Spec spec = shapes[i];
        spec.quick = i == 1;
        spec.v_scale = dtype == DType::kF16 ? 1e4 : 1e30;
        add(spec);
        spec.v_scale = 1.0;
        spec.removed_keys = spec.lse = true;
        add(spec);
        spec.removed_keys = spec.lse = false;
        spec.exact = true;
        spec.batch = 1;
        spec.kv_len = i == 0 ? 256 : i == 1 ? 64 : 128;
        add(spec);
        spec.exact = false;
        spec.wild = spec.causal = true;
        add(spec);
      }
      for (const Spec& empty :
           {Spec{.batch = 0, .q_len = 3, .kv_len = 70, .q_heads = 2, .kv_heads = 1, .head_dim = 40},
            Spec{.batch = 1, .q_len = 0, .kv_len = 65, .q_heads = 2, .kv_heads = 2, .head_dim = 32}}) {
        if (dense || empty.batch > 0) add(empty);
      }
      fill_edges(suite, dtype, layout, [&](const std::string& dimension, std::int64_t size) {
        Spec spec{.batch = 1, .q_len = 3, .kv_len = 21, .q_heads = 2, .kv_heads = 1, .head_dim = 12};
        if (dimension == "q_len") spec.q_len = size;
        if (dimension == "kv_len") spec.kv_len = size;
        if (dimension == "head_dim") spec.head_dim = size;
        spec.causal = dimension == "q_len";
        return laid_out(spec);
      });
    }

    // What a model asks for: decoding and the chunks of a prefill.
    const std::array<Spec, 6> timed = {
        Spec{.q_len = 1, .kv_len = 512, .q_heads = 8, .kv_heads = 4, .head_dim = 32},
        Spec{.q_len = 64, .kv_len = 512, .q_heads = 8, .kv_heads = 4, .head_dim = 32},
        Spec{.batch = 4, .q_len = 1, .kv_len = 2048, .q_heads = 32, .kv_heads = 8, .head_dim = 128},
        Spec{.q_len = 256, .kv_len = 256, .q_heads = 4, .kv_heads = 4, .head_dim = 64},
        Spec{.q_len = 256, .kv_len = 256, .q_heads = 8, .kv_heads = 2, .head_dim = 128},
        Spec{.q_len = 128, .kv_len = 128, .q_heads = 2, .kv_heads = 2, .head_dim = 256},
    };
    for (Spec spec : timed) {
      spec.dtype = dtype;
      spec.causal = true;
      suite.bench_cases.push_back(make_case(spec));
      if (spec.q_len > 1) continue;
      spec.keys = Keys::kPaged;
      spec.page_size = 16;
      suite.bench_cases.push_back(make_case(spec));
    }
  }
  add_metamorphic(suite, flash_attention_metamorphic_cases());
  suite.large_cases = flash_attention_large_cases;
  return suite;
}

}  // namespace hipforge::harness
