#include "harness/ops/flash_attention.h"
#include "harness/sweep/large_cases.h"
#include "harness/sweep/metamorphic.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace hipforge::harness {
namespace {

using Params = FlashAttentionParams;
using Made = Relation<Params>;
using Judge = std::function<std::vector<Agreement>(const Rig&)>;

// The keys that a chunk of a prefill has seen at least, for a prefix to lie within.
constexpr std::int64_t kPrefix = 11;

struct Spec {
  std::int64_t batch;
  std::int64_t q_len;
  std::int64_t kv_len;
  std::int64_t q_heads;
  std::int64_t kv_heads;
  std::int64_t head_dim;
  DType dtype = DType::kF32;
  Layout layout = Layout::kContiguous;
  Params rule{};  // all but the tensors

  [[nodiscard]] Shape q_shape() const { return {batch, q_len, q_heads, head_dim}; }
  [[nodiscard]] Shape k_shape() const { return {batch, kv_len, kv_heads, head_dim}; }
  [[nodiscard]] Shape lse_shape() const { return {batch, q_heads, q_len}; }
  [[nodiscard]] Shape shape() const { return {batch, q_len, kv_len, q_heads, kv_heads, head_dim}; }
};

// Makes dense queries, keys and values, and launches all of them into "o" and "lse".
Params launch_whole(const Spec& spec, Made& made) {
  Rig& rig = made.rig;
  Params params = spec.rule;
  params.q = rig.input("q", spec.dtype, spec.q_shape(), Family::kNormal, 1.5, spec.layout);
  params.k = rig.input("k", spec.dtype, spec.k_shape(), Family::kNormal, 1.5, spec.layout);
  params.v = rig.input("v", spec.dtype, spec.k_shape(), Family::kNormal, 1.0, spec.layout);
  params.o = rig.output("o", spec.dtype, spec.q_shape(), spec.layout);
  params.lse = rig.output("lse", DType::kF32, spec.lse_shape(), spec.layout);
  made.launch(params);
  return params;
}

// Agreement of both outputs of two launches: bit for bit, or within both bounds where the order is free.
// `left` is the whole or lies in it: the other has no more keys, and no looser bound.
Judge agree(const std::string& what, const Made& made, const Params& left, const Params& right) {
  return [=, target = made.target](const Rig& rig) {
    std::vector<Agreement> agreements{{what, rig.now(left.o), rig.now(right.o), {}},
                                      {what + ", lse", rig.now(left.lse), rig.now(right.lse), {}}};
    if (left.batch_invariant) return agreements;
    const HostTensors host(left, [&](const TensorView& view) { return rig.before(view); });
    const std::vector<OutputExpectation> expected = expect(left, host, target, left);
    for (std::size_t i = 0; i < 2; ++i) agreements[i].bound = scaled(expected[i].expected.bound, 2.0);
    return agreements;
  };
}

// The same launch into outputs of its own.
Params with_outputs(Params params, const std::string& o, const std::string& lse, const Spec& spec, Rig& rig) {
  params.o = rig.output(o, spec.dtype, shape_of(params.o), spec.layout);
  params.lse = rig.output(lse, DType::kF32, shape_of(params.lse), spec.layout);
  return params;
}

// Queries [first, first + count) alone, with the keys up to the last of them: a chunk, or one decoded token.
Params part_of(const Params& whole, const Spec& spec, std::int64_t first, std::int64_t count) {
  Params part = slice_operands(whole, {"q", "o"}, 1, first, count);
  part = slice_operands(part, {"k", "v"}, 1, 0, spec.kv_len - spec.q_len + first + count);
  return slice_operands(part, {"lse"}, 2, first, count);
}

Judge decode_is_last_row(const Spec& spec, Made& made) {
  const Params whole = launch_whole(spec, made);
  const Params last = part_of(whole, spec, spec.q_len - 1, 1);
  const Params decoded = with_outputs(last, "decoded", "decoded_lse", spec, made.rig);
  made.launch(decoded);
  return agree("last row, decoded", made, last, decoded);
}

Judge chunked_prefill(const Spec& spec, Made& made) {
  const Params whole = launch_whole(spec, made);
  const Params in_chunks = with_outputs(whole, "chunked", "chunked_lse", spec, made.rig);
  std::int64_t first = 0;
  // Of one, of a few, of the rest.
  for (std::int64_t count : {std::int64_t{1}, spec.q_len / 3, spec.q_len}) {
    const std::int64_t taken = std::min(count, spec.q_len - first);
    if (taken == 0) continue;
    made.launch(part_of(in_chunks, spec, first, taken));
    first += taken;
  }
  return agree("in chunks", made, whole, in_chunks);
}

Judge batch_mates(const Spec& spec, Made& made) {
  const Params whole = launch_whole(spec, made);
  const Params alone = with_outputs(whole, "alone", "alone_lse", spec, made.rig);
  for (std::int64_t b = 0; b < spec.batch; ++b) {
    made.launch(slice_operands(alone, {"q", "k", "v", "o", "lse"}, 0, b));
  }
  return agree("without batch mates", made, whole, alone);
}

// Keys and values in pages, the i-th page of all sequences at order[i] of the cache; NaN where nothing lies.
void make_pages(const Spec& spec, const std::string& suffix, std::int64_t page_size,
                const std::vector<std::int64_t>& order, Rig& rig, Params& params) {
  const std::int64_t row = spec.kv_heads * spec.head_dim;
  const std::int64_t pages_each = (spec.kv_len + page_size - 1) / page_size;
  const auto pages = static_cast<std::int64_t>(order.size());
  const std::vector<double> table(order.begin(), order.begin() + spec.batch * pages_each);
  const auto paged = [&](const std::string& name) {
    const std::vector<double> dense = rig.values(name);
    std::vector<double> cache(static_cast<std::size_t>(pages * page_size * row),
                              std::numeric_limits<double>::quiet_NaN());
    for (std::int64_t i = 0; i < spec.batch * pages_each; ++i) {
      const std::int64_t key = i % pages_each * page_size;
      std::copy_n(dense.begin() + (i / pages_each * spec.kv_len + key) * row,
                  std::min(page_size, spec.kv_len - key) * row,
                  cache.begin() + order[static_cast<std::size_t>(i)] * page_size * row);
    }
    return rig.input_values(name + suffix, spec.dtype, {pages, page_size, spec.kv_heads, spec.head_dim},
                            cache, spec.layout);
  };
  params.k = paged("k");
  params.v = paged("v");
  params.block_table = rig.input_values("block_table" + suffix, DType::kI32, {spec.batch, pages_each}, table);
  const std::vector<double> lens(static_cast<std::size_t>(spec.batch), static_cast<double>(spec.kv_len));
  params.kv_lens = rig.input_values("kv_lens" + suffix, DType::kI32, {spec.batch}, lens);
}

// In order, backwards, and by a stride that shares no factor with their number.
std::vector<std::vector<std::int64_t>> page_orders(std::int64_t pages) {
  std::vector<std::int64_t> in_order(static_cast<std::size_t>(pages));
  std::iota(in_order.begin(), in_order.end(), 0);
  std::vector<std::int64_t> backwards(in_order.rbegin(), in_order.rend());
  std::int64_t stride = pages / 2 + 1;
  while (std::gcd(stride, pages) != 1) ++stride;
  std::vector<std::int64_t> mixed;
  for (std::int64_t page = 0; page < pages; ++page) mixed.push_back(page * stride % pages);
  return {in_order, backwards, mixed};
}

Judge page_order(const Spec& spec, std::int64_t page_size, Made& made) {
  const Params whole = launch_whole(spec, made);
  // One page more than are in use.
  const std::int64_t pages = spec.batch * ((spec.kv_len + page_size - 1) / page_size) + 1;
  std::vector<std::string> suffixes;
  for (const std::vector<std::int64_t>& order : page_orders(pages)) {
    const std::string suffix = fmt::format("_paged_{}", suffixes.size());
    Params params = whole;
    make_pages(spec, suffix, page_size, order, made.rig, params);
    made.launch(with_outputs(params, "o" + suffix, "lse" + suffix, spec, made.rig));
    suffixes.push_back(suffix);
  }
  return [suffixes](const Rig& launched) {
    std::vector<Agreement> agreements;
    for (const std::string& suffix : suffixes) {
      for (const char* output : {"o", "lse"}) {
        agreements.push_back(
            {output + (" dense and" + suffix), launched.read(output), launched.read(output + suffix), {}});
      }
    }
    return agreements;
  };
}

Judge packed_is_dense(const Spec& spec, Made& made) {
  Rig& rig = made.rig;
  const Params whole = launch_whole(spec, made);
  Params packed = whole;
  const auto offsets = [&](const char* name, std::int64_t length) {
    std::vector<double> values;
    for (std::int64_t b = 0; b <= spec.batch; ++b) values.push_back(static_cast<double>(b * length));
    return rig.input_values(name, DType::kI32, {spec.batch + 1}, values);
  };
  packed.q_offsets = offsets("q_offsets", spec.q_len);
  packed.kv_offsets = offsets("kv_offsets", spec.kv_len);
  packed.max_q_len = spec.q_len;
  const auto flat = [&](const char* name, std::int64_t length, std::int64_t heads) {
    return rig.input_values(std::string(name) + "_packed", spec.dtype,
                            {spec.batch * length, heads, spec.head_dim}, rig.values(name), spec.layout);
  };
  packed.q = flat("q", spec.q_len, spec.q_heads);
  packed.k = flat("k", spec.kv_len, spec.kv_heads);
  packed.v = flat("v", spec.kv_len, spec.kv_heads);
  packed.o = rig.output("o_packed", spec.dtype, shape_of(packed.q), spec.layout);
  packed.lse = {};
  made.launch(packed);
  return [](const Rig& launched) {
    return std::vector<Agreement>{{"dense and packed", launched.read("o"), launched.read("o_packed"), {}}};
  };
}

}  // namespace

std::vector<Case> flash_attention_metamorphic_cases(const OpLauncher<FlashAttentionParams>& launcher) {
  // GQA with a window, MQA, one head; decoding rows among tiles of keys, odd head_dims, more than a tile.
  Spec shapes[] = {{2, 19, 83, 4, 2, 40}, {3, 34, 129, 3, 1, 27}, {2, 9, 70, 2, 2, 144}};
  for (Spec& spec : shapes) spec.rule.causal = true;
  shapes[0].rule.window = 37;
  shapes[1].rule.prefix_len = kPrefix;
  shapes[2].rule.soft_cap = 5.0f;
  const std::int64_t page_sizes[] = {16, 5, 7};
  constexpr std::pair<const char*, Judge (*)(const Spec&, Made&)> kDense[] = {
      {"decode_is_last_row", decode_is_last_row},
      {"chunked_prefill", chunked_prefill},
      {"batch_mates", batch_mates}};
  std::vector<Case> cases;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (std::size_t at = 0; at < std::size(shapes); ++at) {
      Spec spec = shapes[at];
      spec.dtype = dtype;
      const auto add = [&](const std::string& layout, const char* relation, const std::string& options,
                           std::function<Judge(Made&)> prepare) {
        // The layout is one of four, no Layout.
        cases.push_back(metamorphic_case("flash_attention", dtype, layout, relation, spec.shape(), options,
                                         at == 0, [=](const CaseEnvironment& environment) {
                                           return prepare_relation(environment, launcher, prepare);
                                         }));
      };
      for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
        spec.layout = layout;
        for (const auto& [relation, make] : kDense) {
          for (bool batch_invariant : {true, false}) {
            spec.rule.batch_invariant = batch_invariant;
            add(layout_name(layout), relation, batch_invariant ? "" : "any_order",
                [spec, make = make](Made& made) { return make(spec, made); });
          }
        }
      }
      spec.layout = at % 2 == 0 ? Layout::kContiguous : Layout::kStrided;
      add("paged", "page_order", fmt::format("page_{}", page_sizes[at]),
          [spec, page_size = page_sizes[at]](Made& made) { return page_order(spec, page_size, made); });
      add("packed", "packed_is_dense", "", [spec](Made& made) { return packed_is_dense(spec, made); });
    }
  }
  return cases;
}

}  // namespace hipforge::harness
