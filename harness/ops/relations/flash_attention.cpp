#include "kernels/flash_attention.h"

#include "harness/sweep/families.h"
#include "harness/sweep/large_cases.h"
#include "harness/sweep/metamorphic.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace hipforge::harness {

Oracle<FlashAttentionParams> expect;

namespace {

using Params = FlashAttentionParams;
using Made = Relation<Params>;

// The keys that a chunk of a prefill has seen at least, for a prefix to lie within.
constexpr std::int64_t kPrefix = 11;

// Makes dense queries, keys and values, and launches all of them into "o" and "lse". The shape is batch x
// q_len x kv_len x q_heads x kv_heads x head_dim; `rule` is all but the tensors.
Params launch_whole(Made& made, const Params& rule) {
  const Shape& size = made.shape;
  const Shape q_shape{size[0], size[1], size[3], size[5]};
  const Shape k_shape{size[0], size[2], size[4], size[5]};
  Params params = rule;
  params.q = made.input("q", q_shape, Family::kNormal, 1.5);
  params.k = made.input("k", k_shape, Family::kNormal, 1.5);
  params.v = made.input("v", k_shape);
  params.o = made.output("o", q_shape);
  params.lse = made.rig.output("lse", DType::kF32, {size[0], size[3], size[1]}, made.layout);
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
    const std::vector<OutputExpectation> expected = oracle(rig, left, target, left);
    for (std::size_t i = 0; i < 2; ++i) agreements[i].bound = scaled(expected[i].expected.bound, 2.0);
    return agreements;
  };
}

// The same launch into outputs of its own.
Params with_outputs(Params params, const std::string& o, const std::string& lse, Made& made) {
  params.o = made.output(o, shape_of(params.o));
  params.lse = made.rig.output(lse, DType::kF32, shape_of(params.lse), made.layout);
  return params;
}

// Queries [first, first + count) alone, with the keys up to the last of them: a chunk, or one decoded token.
Params part_of(const Params& whole, std::int64_t first, std::int64_t count) {
  const std::int64_t kv_len = whole.k.shape[1] - whole.q.shape[1] + first + count;
  Params part = slice_operands(whole, {"q", "o"}, 1, first, count);
  part = slice_operands(part, {"k", "v"}, 1, 0, kv_len);
  return slice_operands(part, {"lse"}, 2, first, count);
}

Judge decode_is_last_row(const Params& whole, Made& made) {
  const Params last = part_of(whole, whole.q.shape[1] - 1, 1);
  const Params decoded = with_outputs(last, "decoded", "decoded_lse", made);
  made.launch(decoded);
  return agree("last row, decoded", made, last, decoded);
}

Judge chunked_prefill(const Params& whole, Made& made) {
  const std::int64_t q_len = whole.q.shape[1];
  const Params in_chunks = with_outputs(whole, "chunked", "chunked_lse", made);
  std::int64_t first = 0;
  // Of one, of a few, of the rest.
  for (std::int64_t count : {std::int64_t{1}, q_len / 3, q_len}) {
    const std::int64_t taken = std::min(count, q_len - first);
    if (taken == 0) continue;
    made.launch(part_of(in_chunks, first, taken));
    first += taken;
  }
  return agree("in chunks", made, whole, in_chunks);
}

Judge batch_mates(const Params& whole, Made& made) {
  const Params alone = with_outputs(whole, "alone", "alone_lse", made);
  for (std::int64_t b = 0; b < whole.q.shape[0]; ++b) {
    made.launch(slice_operands(alone, {"q", "k", "v", "o", "lse"}, 0, b));
  }
  return agree("without batch mates", made, whole, alone);
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

Judge page_order(const Params& whole, std::int64_t page_size, Made& made) {
  const std::int64_t batch = whole.k.shape[0], kv_len = whole.k.shape[1];
  const std::int64_t kv_heads = whole.k.shape[2], head_dim = whole.k.shape[3];
  const std::int64_t pages_each = (kv_len + page_size - 1) / page_size;
  // One page more than are in use.
  const std::int64_t pages = batch * pages_each + 1;
  const std::vector<double> lens(static_cast<std::size_t>(batch), static_cast<double>(kv_len));
  std::vector<std::string> suffixes;
  for (const std::vector<std::int64_t>& order : page_orders(pages)) {
    const std::string suffix = fmt::format("_paged_{}", suffixes.size());
    const auto paged = [&](const std::string& name) {
      const std::span<const double> dense(made.rig.values(name));
      std::vector<std::span<const double>> sequences;
      for (std::size_t b = 0; b < lens.size(); ++b) {
        sequences.push_back(dense.subspan(b * dense.size() / lens.size(), dense.size() / lens.size()));
      }
      return made.input(name + suffix, {pages, page_size, kv_heads, head_dim},
                        in_pages(sequences, page_size * kv_heads * head_dim, order));
    };
    Params params = whole;
    params.k = paged("k");
    params.v = paged("v");
    const std::vector<double> table(order.begin(), order.end() - 1);
    params.block_table =
        made.rig.input_values("block_table" + suffix, DType::kI32, {batch, pages_each}, table);
    params.kv_lens = made.rig.input_values("kv_lens" + suffix, DType::kI32, {batch}, lens);
    made.launch(with_outputs(params, "o" + suffix, "lse" + suffix, made));
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

Judge packed_is_dense(const Params& whole, Made& made) {
  Params packed = whole;
  const auto offsets = [&](const char* name, const TensorView& dense) {
    const Shape shape{dense.shape[0] + 1};
    const auto ends =
        values_of(shape, [&](std::int64_t b) { return static_cast<double>(b * dense.shape[1]); });
    return made.rig.input_values(name, DType::kI32, shape, ends);
  };
  packed.q_offsets = offsets("q_offsets", whole.q);
  packed.kv_offsets = offsets("kv_offsets", whole.k);
  packed.max_q_len = whole.q.shape[1];
  const auto flat = [&](const std::string& name, const TensorView& dense) {
    return made.input(name + "_packed", {dense.shape[0] * dense.shape[1], dense.shape[2], dense.shape[3]},
                      made.rig.values(name));
  };
  packed.q = flat("q", whole.q);
  packed.k = flat("k", whole.k);
  packed.v = flat("v", whole.v);
  packed.o = made.output("o_packed", shape_of(packed.q));
  packed.lse = {};
  made.launch(packed);
  return [](const Rig& launched) {
    return std::vector<Agreement>{{"dense and packed", launched.read("o"), launched.read("o_packed"), {}}};
  };
}

}  // namespace

std::vector<Case> flash_attention_metamorphic_cases(const OpLauncher<FlashAttentionParams>& launcher) {
  constexpr std::pair<const char*, Judge (*)(const Params&, Made&)> kDense[] = {
      {"decode_is_last_row", decode_is_last_row},
      {"chunked_prefill", chunked_prefill},
      {"batch_mates", batch_mates}};
  std::vector<Case> cases;
  // GQA with a window, MQA with a prefix, one head with a soft cap; decoding rows among tiles of keys, odd
  // head_dims, more than a tile.
  for (const Form& form : forms("2x19x83x4x2x40! 3x34x129x3x1x27 2x9x70x2x2x144")) {
    const std::int64_t head_dim = form.shape.back();
    Params rule;
    rule.causal = true;
    rule.window = head_dim == 40 ? 37 : 0;
    rule.prefix_len = head_dim == 27 ? kPrefix : 0;
    rule.soft_cap = head_dim == 144 ? 5.0f : 0.0f;
    const auto add = [&](const char* relation, auto make, const std::string& options,
                         const std::string& layout = "") {
      Form named = form;
      named.options = options;
      cases.push_back(relation_case(
          launcher, relation, named,
          [rule, make](Made& made) { return make(launch_whole(made, rule), made); }, layout));
    };
    for (bool batch_invariant : {true, false}) {
      rule.batch_invariant = batch_invariant;
      for (const auto& [relation, make] : kDense) add(relation, make, batch_invariant ? "" : "any_order");
    }
    // Of each shape in one layout: theirs is none of the two.
    if (form.layout != (head_dim == 27 ? Layout::kStrided : Layout::kContiguous)) continue;
    const std::int64_t page_size = head_dim == 40 ? 16 : head_dim == 27 ? 5 : 7;
    const auto paged = [=](const Params& whole, Made& made) { return page_order(whole, page_size, made); };
    add("page_order", paged, fmt::format("page_{}", page_size), "paged");
    add("packed_is_dense", packed_is_dense, "", "packed");
  }
  return cases;
}

}  // namespace hipforge::harness
