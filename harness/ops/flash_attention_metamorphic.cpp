#include "harness/ops/flash_attention.h"
#include "harness/sweep/metamorphic.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace hipforge::harness {
namespace {

using Launches = std::vector<std::function<Status(hipStream_t)>>;
using Params = FlashAttentionParams;

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
  std::int64_t window = 0;
  std::int64_t prefix_len = 0;
  float soft_cap = 0.0f;
  bool batch_invariant = true;

  [[nodiscard]] Shape q_shape() const { return {batch, q_len, q_heads, head_dim}; }
  [[nodiscard]] Shape k_shape() const { return {batch, kv_len, kv_heads, head_dim}; }
  [[nodiscard]] Shape lse_shape() const { return {batch, q_heads, q_len}; }
  [[nodiscard]] Shape shape() const { return {batch, q_len, kv_len, q_heads, kv_heads, head_dim}; }
};

// A rig with dense queries, keys and values, and the launch of all of them into "o" and "lse".
Params make_whole(const Spec& spec, Rig& rig) {
  Params params;
  params.causal = true;
  params.window = spec.window;
  params.prefix_len = spec.prefix_len;
  params.soft_cap = spec.soft_cap;
  params.batch_invariant = spec.batch_invariant;
  params.q = rig.input("q", spec.dtype, spec.q_shape(), Family::kNormal, 1.5, spec.layout);
  params.k = rig.input("k", spec.dtype, spec.k_shape(), Family::kNormal, 1.5, spec.layout);
  params.v = rig.input("v", spec.dtype, spec.k_shape(), Family::kNormal, 1.0, spec.layout);
  params.o = rig.output("o", spec.dtype, spec.q_shape(), spec.layout);
  params.lse = rig.output("lse", DType::kF32, spec.lse_shape(), spec.layout);
  return params;
}

// Agreement of both outputs: bit for bit, or within both launches' bounds where the order of sums is free. A
// part of the launch has no more keys than the whole, and no looser bound.
std::vector<Agreement> agree(const Spec& spec, const std::string& what, const Rig& rig, std::vector<double> o,
                             std::vector<double> other_o, std::vector<double> lse,
                             std::vector<double> other_lse) {
  std::vector<Agreement> agreements{{what, std::move(o), std::move(other_o), {}},
                                    {what + ", lse", std::move(lse), std::move(other_lse), {}}};
  if (spec.batch_invariant) return agreements;
  FlashAttentionInputs inputs;
  inputs.q = rig.values("q");
  inputs.k = rig.values("k");
  inputs.v = rig.values("v");
  inputs.batch = spec.batch;
  inputs.q_len = spec.q_len;
  inputs.kv_len = spec.kv_len;
  inputs.q_heads = spec.q_heads;
  inputs.kv_heads = spec.kv_heads;
  inputs.head_dim = spec.head_dim;
  inputs.soft_cap = static_cast<double>(spec.soft_cap);
  inputs.causal = true;
  inputs.window = spec.window;
  inputs.prefix_len = spec.prefix_len;
  inputs.dtype = spec.dtype;
  const FlashAttentionExpected expected = flash_attention_expected(inputs);
  agreements[0].bound = scaled(expected.o.bound, 2.0);
  agreements[1].bound = scaled(expected.lse.bound, 2.0);
  return agreements;
}

// Queries [first, first + count) alone, with the keys up to the last of them: a chunk, or one decoded token.
Params part_of(const Params& whole, const Spec& spec, std::int64_t first, std::int64_t count) {
  Params part = whole;
  const std::int64_t keys = spec.kv_len - spec.q_len + first + count;
  part.q = slice_axis(whole.q, 1, first, count);
  part.k = slice_axis(whole.k, 1, 0, keys);
  part.v = slice_axis(whole.v, 1, 0, keys);
  part.o = slice_axis(whole.o, 1, first, count);
  part.lse = slice_axis(whole.lse, 2, first, count);
  return part;
}

PreparedCase prepare_decode(const Spec& spec, const CaseEnvironment& environment,
                            const Launcher<Params>& launcher) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  const Params whole = make_whole(spec, rig);
  Params last = part_of(whole, spec, spec.q_len - 1, 1);
  last.o = rig.output("decoded", spec.dtype, {spec.batch, 1, spec.q_heads, spec.head_dim}, spec.layout);
  last.lse = rig.output("decoded_lse", DType::kF32, {spec.batch, spec.q_heads, 1}, spec.layout);
  prepared.launch = launch_all({[=](hipStream_t stream) { return launcher(whole, stream); },
                                [=](hipStream_t stream) { return launcher(last, stream); }});
  prepared.judge = [spec](const Rig& launched) {
    std::vector<Agreement> agreements =
        agree(spec, "last row, decoded", launched,
              slice_axis(launched.read("o"), spec.q_shape(), 1, spec.q_len - 1, 1), launched.read("decoded"),
              slice_axis(launched.read("lse"), spec.lse_shape(), 2, spec.q_len - 1, 1),
              launched.read("decoded_lse"));
    if (!spec.batch_invariant) {
      agreements[0].bound = slice_axis(agreements[0].bound, spec.q_shape(), 1, spec.q_len - 1, 1);
      agreements[1].bound = slice_axis(agreements[1].bound, spec.lse_shape(), 2, spec.q_len - 1, 1);
    }
    return judge_agreements(agreements);
  };
  return prepared;
}

PreparedCase prepare_chunks(const Spec& spec, const CaseEnvironment& environment,
                            const Launcher<Params>& launcher) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  const Params whole = make_whole(spec, rig);
  Params in_chunks = whole;
  in_chunks.o = rig.output("chunked", spec.dtype, spec.q_shape(), spec.layout);
  in_chunks.lse = rig.output("chunked_lse", DType::kF32, spec.lse_shape(), spec.layout);
  Launches launches{[=](hipStream_t stream) { return launcher(whole, stream); }};
  std::int64_t first = 0;
  // Of one, of a few, of the rest.
  for (std::int64_t count : {std::int64_t{1}, spec.q_len / 3, spec.q_len}) {
    const std::int64_t taken = std::min(count, spec.q_len - first);
    if (taken == 0) continue;
    const Params chunk = part_of(in_chunks, spec, first, taken);
    launches.emplace_back([=](hipStream_t stream) { return launcher(chunk, stream); });
    first += taken;
  }
  prepared.launch = launch_all(std::move(launches));
  prepared.judge = [spec](const Rig& launched) {
    return judge_agreements(agree(spec, "in chunks", launched, launched.read("o"), launched.read("chunked"),
                                  launched.read("lse"), launched.read("chunked_lse")));
  };
  return prepared;
}

PreparedCase prepare_mates(const Spec& spec, const CaseEnvironment& environment,
                           const Launcher<Params>& launcher) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  const Params whole = make_whole(spec, rig);
  Params alone = whole;
  alone.o = rig.output("alone", spec.dtype, spec.q_shape(), spec.layout);
  alone.lse = rig.output("alone_lse", DType::kF32, spec.lse_shape(), spec.layout);
  Launches launches{[=](hipStream_t stream) { return launcher(whole, stream); }};
  for (std::int64_t b = 0; b < spec.batch; ++b) {
    Params part = alone;
    for (TensorView* view : {&part.q, &part.k, &part.v, &part.o, &part.lse})
      *view = slice_axis(*view, 0, b, 1);
    launches.emplace_back([=](hipStream_t stream) { return launcher(part, stream); });
  }
  prepared.launch = launch_all(std::move(launches));
  prepared.judge = [spec](const Rig& launched) {
    return judge_agreements(agree(spec, "without batch mates", launched, launched.read("o"),
                                  launched.read("alone"), launched.read("lse"), launched.read("alone_lse")));
  };
  return prepared;
}

// Keys and values in pages, the i-th page of all sequences at order[i] of the cache; NaN where nothing lies.
void make_pages(const Spec& spec, const std::string& suffix, std::int64_t page_size,
                const std::vector<std::int64_t>& order, Rig& rig, Params& params) {
  const std::int64_t row = spec.kv_heads * spec.head_dim;
  const std::int64_t pages_each = (spec.kv_len + page_size - 1) / page_size;
  const auto pages = static_cast<std::int64_t>(order.size());
  std::vector<double> table;
  for (std::int64_t page = 0; page < spec.batch * pages_each; ++page) {
    table.push_back(static_cast<double>(order[static_cast<std::size_t>(page)]));
  }
  const auto paged = [&](const std::string& name) {
    const std::vector<double> dense = rig.values(name);
    std::vector<double> cache(static_cast<std::size_t>(pages * page_size * row),
                              std::numeric_limits<double>::quiet_NaN());
    for (std::int64_t b = 0; b < spec.batch; ++b) {
      for (std::int64_t key = 0; key < spec.kv_len; ++key) {
        const std::int64_t page = order[static_cast<std::size_t>(b * pages_each + key / page_size)];
        std::copy_n(dense.begin() + (b * spec.kv_len + key) * row, row,
                    cache.begin() + (page * page_size + key % page_size) * row);
      }
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

PreparedCase prepare_pages(const Spec& spec, std::int64_t page_size, const CaseEnvironment& environment,
                           const Launcher<Params>& launcher) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  const Params whole = make_whole(spec, rig);
  // One page more than are in use.
  const std::int64_t pages = spec.batch * ((spec.kv_len + page_size - 1) / page_size) + 1;
  Launches launches{[=](hipStream_t stream) { return launcher(whole, stream); }};
  std::vector<std::string> suffixes;
  for (const std::vector<std::int64_t>& order : page_orders(pages)) {
    const std::string suffix = fmt::format("_paged_{}", suffixes.size());
    Params params = whole;
    make_pages(spec, suffix, page_size, order, rig, params);
    params.o = rig.output("o" + suffix, spec.dtype, spec.q_shape(), spec.layout);
    params.lse = rig.output("lse" + suffix, DType::kF32, spec.lse_shape(), spec.layout);
    launches.emplace_back([=](hipStream_t stream) { return launcher(params, stream); });
    suffixes.push_back(suffix);
  }
  prepared.launch = launch_all(std::move(launches));
  prepared.judge = [suffixes](const Rig& launched) {
    std::vector<Agreement> agreements;
    for (const std::string& suffix : suffixes) {
      for (const char* output : {"o", "lse"}) {
        agreements.push_back(
            {output + (" dense and" + suffix), launched.read(output), launched.read(output + suffix), {}});
      }
    }
    return judge_agreements(agreements);
  };
  return prepared;
}

PreparedCase prepare_packed(const Spec& spec, const CaseEnvironment& environment,
                            const Launcher<Params>& launcher) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  const Params whole = make_whole(spec, rig);
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
  packed.o =
      rig.output("o_packed", spec.dtype, {spec.batch * spec.q_len, spec.q_heads, spec.head_dim}, spec.layout);
  packed.lse = {};
  prepared.launch = launch_all({[=](hipStream_t stream) { return launcher(whole, stream); },
                                [=](hipStream_t stream) { return launcher(packed, stream); }});
  prepared.judge = [](const Rig& launched) {
    return judge_agreements({{"dense and packed", launched.read("o"), launched.read("o_packed"), {}}});
  };
  return prepared;
}

}  // namespace

std::vector<Case> flash_attention_metamorphic_cases(const OpLauncher<FlashAttentionParams>& launcher) {
  // GQA with a window, MQA, one head; decoding rows among tiles of keys, odd head_dims, more than a tile.
  const Spec shapes[] = {
      {.batch = 2, .q_len = 19, .kv_len = 83, .q_heads = 4, .kv_heads = 2, .head_dim = 40, .window = 37},
      {.batch = 3,
       .q_len = 34,
       .kv_len = 129,
       .q_heads = 3,
       .kv_heads = 1,
       .head_dim = 27,
       .prefix_len = kPrefix},
      {.batch = 2, .q_len = 9, .kv_len = 70, .q_heads = 2, .kv_heads = 2, .head_dim = 144, .soft_cap = 5.0f}};
  const std::int64_t page_sizes[] = {16, 5, 7};
  using Prepare = PreparedCase (*)(const Spec&, const CaseEnvironment&, const Launcher<Params>&);
  std::vector<Case> cases;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (std::size_t at = 0; at < std::size(shapes); ++at) {
      Spec spec = shapes[at];
      spec.dtype = dtype;
      const bool quick = at == 0;
      const auto add = [&](const char* layout, const char* relation, const std::string& options,
                           std::function<PreparedCase(const CaseEnvironment&)> prepare) {
        cases.push_back(metamorphic_case("flash_attention", dtype, layout, relation, spec.shape(), options,
                                         quick, std::move(prepare)));
      };
      for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
        spec.layout = layout;
        for (const auto& [relation, prepare] :
             {std::pair<const char*, Prepare>{"decode_is_last_row", prepare_decode},
              std::pair<const char*, Prepare>{"chunked_prefill", prepare_chunks},
              std::pair<const char*, Prepare>{"batch_mates", prepare_mates}}) {
          for (bool batch_invariant : {true, false}) {
            spec.batch_invariant = batch_invariant;
            add(layout_name(layout), relation, batch_invariant ? "" : "any_order",
                [=, prepare = prepare](const CaseEnvironment& environment) {
                  return prepare(spec, environment, launcher_of(environment, launcher));
                });
          }
        }
      }
      spec.layout = at % 2 == 0 ? Layout::kContiguous : Layout::kStrided;
      add("paged", "page_order", fmt::format("page_{}", page_sizes[at]),
          [=, page_size = page_sizes[at]](const CaseEnvironment& environment) {
            return prepare_pages(spec, page_size, environment, launcher_of(environment, launcher));
          });
      add("packed", "packed_is_dense", "", [=](const CaseEnvironment& environment) {
        return prepare_packed(spec, environment, launcher_of(environment, launcher));
      });
    }
  }
  return cases;
}

}  // namespace hipforge::harness
