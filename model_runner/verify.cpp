#include "model_runner/verify.h"

#include "harness/core/compare.h"
#include "harness/ops/argmax.h"
#include "harness/ops/embedding.h"
#include "harness/ops/flash_attention.h"
#include "harness/ops/kv_append.h"
#include "harness/ops/linear.h"
#include "harness/ops/rms_norm.h"
#include "harness/ops/rope.h"
#include "harness/ops/sample.h"
#include "harness/ops/swiglu.h"
#include "model_runner/device_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <type_traits>

namespace hipforge::runner {
namespace {

// Weights are compared in slices of rows that hold about this many elements: a slice in double is what the
// host holds.
constexpr std::int64_t kSliceElements = std::int64_t{1} << 22;

// Rows of the table, one for each id: the reference needs no more of it.
std::vector<double> gather_rows(const TensorView& table, std::span<const double> ids) {
  std::vector<double> rows;
  for (const double id : ids) {
    const auto row = download_values(row_range(table, static_cast<std::int64_t>(id), 1));
    rows.insert(rows.end(), row.begin(), row.end());
  }
  return rows;
}

template <class Params>
constexpr const char* op_name() {
  if constexpr (std::is_same_v<Params, EmbeddingParams>) return "embedding";
  if constexpr (std::is_same_v<Params, RmsNormParams>) return "rms_norm";
  if constexpr (std::is_same_v<Params, LinearParams>) return "linear";
  if constexpr (std::is_same_v<Params, RopeParams>) return "rope";
  if constexpr (std::is_same_v<Params, KvAppendParams>) return "kv_append";
  if constexpr (std::is_same_v<Params, FlashAttentionParams>) return "flash_attention";
  if constexpr (std::is_same_v<Params, SwigluParams>) return "swiglu";
  if constexpr (std::is_same_v<Params, ArgmaxParams>) return "argmax";
  if constexpr (std::is_same_v<Params, SampleParams>) return "sample";
}

std::string site_text(const OpSite& site) {
  return site.layer < 0 ? std::string(site.part) : fmt::format("blk.{} {}", site.layer, site.part);
}

}  // namespace

// What the comparisons of one launch came to.
struct Verifier::Outcome {
  bool passed = true;
  double worst_share = -1.0;
  std::int64_t elements = 0;
  std::string where;
  std::string message;

  void add(const char* output, const harness::Comparison& comparison, const std::string& where_text) {
    elements += static_cast<std::int64_t>(comparison.elements);
    // Written so that a share of NaN counts as the worst.
    if (!(comparison.worst_share <= worst_share)) {
      worst_share = comparison.worst_share;
      where = where_text;
    }
    if (!comparison.passed && passed) {
      passed = false;
      message = fmt::format("{} {}: {}", output, where_text, comparison.message);
    }
  }
  void add(const char* output, const TensorView& actual, const harness::Expected& expected) {
    const harness::Comparison comparison = harness::compare(download_values(actual), expected);
    add(output, comparison, comparison.where);
  }
};

Verifier::Verifier() {
  throw_if_error(device_target(target_));
}

void Verifier::before(const OpSite&, const OpParams& params) {
  saved_.clear();
  std::visit([&](const auto& op) { save(op); }, params);
}

void Verifier::after(const OpSite& site, const OpParams& params) {
  std::visit(
      [&](const auto& op) {
        using Params = std::decay_t<decltype(op)>;
        if constexpr (std::is_same_v<Params, EmbeddingParams>) ++step_;
        Outcome outcome;
        check(op, outcome);
        record(site, op_name<Params>(), outcome);
      },
      params);
}

void Verifier::record(const OpSite& site, const std::string& op, const Outcome& outcome) {
  auto verdict = std::find_if(verdicts_.begin(), verdicts_.end(),
                              [&](const OpVerdict& known) { return known.op == op; });
  if (verdict == verdicts_.end()) {
    verdicts_.push_back({.op = op, .where = {}});
    verdict = std::prev(verdicts_.end());
  }
  ++verdict->launches;
  verdict->elements += outcome.elements;
  if (verdict->launches == 1 || !(outcome.worst_share <= verdict->worst_share)) {
    verdict->worst_share = std::max(outcome.worst_share, 0.0);
    verdict->where = fmt::format("{} {}, step {}", site_text(site), outcome.where, step_);
  }
  if (!outcome.passed) {
    verdict->passed = false;
    if (!first_failure_)
      first_failure_ = fmt::format("{} at {}, step {}: {}", op, site_text(site), step_, outcome.message);
  }
}

std::string Verifier::table() const {
  std::string text =
      fmt::format("{:<16} {:>9} {:>12} {:>14}  {}\n", "op", "launches", "elements", "worst/bound", "where");
  for (const OpVerdict& verdict : verdicts_) {
    text += fmt::format("{:<16} {:>9} {:>12} {:>14.4f}  {}{}\n", verdict.op, verdict.launches,
                        verdict.elements, verdict.worst_share, verdict.where, verdict.passed ? "" : "  OVER");
  }
  text += first_failure_ ? fmt::format("verify: FAILED, first in {}\n", *first_failure_)
                         : "verify: every op of every layer is within its bound\n";
  return text;
}

void Verifier::save(const EmbeddingParams& params) {
  saved_["ids"] = download_values(params.ids);
  saved_["rows"] = gather_rows(params.table, saved_["ids"]);
}

void Verifier::check(const EmbeddingParams& params, Outcome& outcome) {
  std::vector<std::int32_t> ids(saved_["ids"].size());
  std::iota(ids.begin(), ids.end(), 0);
  const harness::EmbeddingInputs inputs{.table = saved_["rows"],
                                        .ids = ids,
                                        .vocab = static_cast<std::int64_t>(ids.size()),
                                        .hidden = params.table.shape[1],
                                        .scale = static_cast<double>(params.scale),
                                        .y_dtype = params.y.dtype};
  outcome.add("y", params.y, harness::embedding_expected(inputs, target_));
}

void Verifier::save(const RmsNormParams& params) {
  saved_["x"] = download_values(params.x);
  if (params.residual.present()) saved_["residual"] = download_values(params.residual);
  saved_["weight"] = download_values(params.weight);
}

void Verifier::check(const RmsNormParams& params, Outcome& outcome) {
  const harness::HostTensors host(params, [&](const TensorView& view) {
    return view.data == params.x.data          ? saved_["x"]
           : view.data == params.residual.data ? saved_["residual"]
                                               : saved_["weight"];
  });
  const auto expected = harness::expect(params, host, target_, params);
  outcome.add("y", params.y, expected[0].expected);
  if (params.residual.present()) outcome.add("residual_out", params.residual_out, expected[1].expected);
}

void Verifier::save(const LinearParams& params) {
  saved_["x"] = download_values(params.x);
  if (params.bias.present()) saved_["bias"] = download_values(params.bias);
}

void Verifier::check(const LinearParams& params, Outcome& outcome) {
  const std::int64_t rows = params.x.shape[0];
  const std::int64_t in_features = params.x.shape[1];
  const std::int64_t out_features = params.weight.shape[0];
  const std::int64_t slice =
      std::max<std::int64_t>(1, kSliceElements / std::max<std::int64_t>(1, in_features));
  const std::span<const double> bias = saved_["bias"];
  for (std::int64_t first = 0; first < out_features; first += slice) {
    const std::int64_t count = std::min(slice, out_features - first);
    const auto weight = download_values(row_range(params.weight, first, count));
    const harness::LinearInputs inputs{
        .x = saved_["x"],
        .weight = weight,
        .bias = bias.empty() ? bias
                             : bias.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
        .rows = rows,
        .in_features = in_features,
        .out_features = count,
        .y_dtype = params.y.dtype,
        .batch_invariant = params.batch_invariant,
        .depth = linear_reduction_depth(params, target_)};
    const auto actual = download_values(column_range(params.y, first, count));
    const harness::Comparison comparison =
        harness::compare(actual, harness::linear_expected(inputs, target_));
    const auto worst = static_cast<std::int64_t>(comparison.worst_index);
    outcome.add("y", comparison, fmt::format("[{}, {}]", worst / count, first + worst % count));
  }
}

void Verifier::save(const RopeParams& params) {
  saved_["x"] = download_values(params.x);
  saved_["positions"] = download_values(params.positions);
  saved_["inv_freq"] = download_values(params.inv_freq);
}

void Verifier::check(const RopeParams& params, Outcome& outcome) {
  const harness::RopeInputs inputs{.x = saved_["x"],
                                   .positions = saved_["positions"],
                                   .inv_freq = saved_["inv_freq"],
                                   .sizes = {.batch = params.x.shape[0],
                                             .seq = params.x.shape[1],
                                             .heads = params.x.shape[2],
                                             .head_dim = params.x.shape[3],
                                             .rotary_dim = params.rotary_dim},
                                   .style = params.style,
                                   .magnitude = static_cast<double>(params.magnitude),
                                   .dtype = params.x.dtype};
  outcome.add("y", params.y, harness::rope_expected(inputs, target_));
}

void Verifier::save(const KvAppendParams& params) {
  saved_["k"] = download_values(params.k);
  saved_["v"] = download_values(params.v);
  saved_["k_cache"] = download_values(params.k_cache);
  saved_["v_cache"] = download_values(params.v_cache);
  saved_["offsets"] = download_values(params.offsets);
  saved_["kv_lens"] = download_values(params.kv_lens);
  saved_["block_table"] = download_values(params.block_table);
}

void Verifier::check(const KvAppendParams& params, Outcome& outcome) {
  const auto expected = [&](const char* rows, const char* cache) {
    const harness::KvAppendInputs inputs{.rows = saved_[rows],
                                         .cache = saved_[cache],
                                         .offsets = saved_["offsets"],
                                         .kv_lens = saved_["kv_lens"],
                                         .block_table = saved_["block_table"],
                                         .sizes = {.tokens = params.k.shape[0],
                                                   .row = params.k.shape[1] * params.k.shape[2],
                                                   .pages = params.k_cache.shape[0],
                                                   .page_size = params.k_cache.shape[1],
                                                   .batch = params.kv_lens.shape[0],
                                                   .max_pages = params.block_table.shape[1]},
                                         .dtype = params.k.dtype};
    return harness::kv_append_expected(inputs, target_);
  };
  outcome.add("k_cache", params.k_cache, expected("k", "k_cache"));
  outcome.add("v_cache", params.v_cache, expected("v", "v_cache"));
}

void Verifier::save(const FlashAttentionParams& params) {
  saved_["q"] = download_values(params.q);
  saved_["k"] = download_values(params.k);
  saved_["v"] = download_values(params.v);
  saved_["q_offsets"] = download_values(params.q_offsets);
  saved_["kv_lens"] = download_values(params.kv_lens);
  saved_["block_table"] = download_values(params.block_table);
}

void Verifier::check(const FlashAttentionParams& params, Outcome& outcome) {
  harness::FlashAttentionInputs inputs;
  inputs.q = saved_["q"];
  inputs.k = saved_["k"];
  inputs.v = saved_["v"];
  inputs.q_offsets = saved_["q_offsets"];
  inputs.kv_lens = saved_["kv_lens"];
  inputs.block_table = saved_["block_table"];
  inputs.batch = params.kv_lens.shape[0];
  inputs.q_heads = params.q.shape[1];
  inputs.kv_heads = params.k.shape[2];
  inputs.head_dim = params.q.shape[2];
  inputs.page_size = params.k.shape[1];
  inputs.scale = static_cast<double>(params.scale);
  inputs.soft_cap = static_cast<double>(params.soft_cap);
  inputs.causal = params.causal;
  inputs.window = params.window;
  inputs.prefix_len = params.prefix_len;
  inputs.dtype = params.q.dtype;
  outcome.add("o", params.o, harness::flash_attention_expected(inputs).o);
}

void Verifier::save(const SwigluParams& params) {
  saved_["gate"] = download_values(params.gate);
  saved_["up"] = download_values(params.up);
}

void Verifier::check(const SwigluParams& params, Outcome& outcome) {
  const harness::SwigluInputs inputs{.gate = saved_["gate"],
                                     .up = saved_["up"],
                                     .rows = params.gate.shape[0],
                                     .cols = params.gate.shape[1],
                                     .dtype = params.gate.dtype};
  outcome.add("y", params.y, harness::swiglu_expected(inputs, target_));
}

void Verifier::save(const ArgmaxParams& params) {
  saved_["x"] = download_values(params.x);
}

void Verifier::check(const ArgmaxParams& params, Outcome& outcome) {
  const harness::ArgmaxInputs inputs{.x = saved_["x"], .rows = params.x.shape[0], .cols = params.x.shape[1]};
  const harness::ArgmaxExpected expected = harness::argmax_expected(inputs, target_);
  outcome.add("ids", params.ids, expected.ids);
  if (params.values.present()) outcome.add("values", params.values, expected.values);
}

void Verifier::save(const SampleParams& params) {
  saved_["logits"] = download_values(params.logits);
}

void Verifier::check(const SampleParams& params, Outcome& outcome) {
  const harness::SampleInputs inputs{.logits = saved_["logits"],
                                     .rows = params.logits.shape[0],
                                     .vocab = params.logits.shape[1],
                                     .temperature = static_cast<double>(params.temperature),
                                     .top_k = params.top_k,
                                     .top_p = static_cast<double>(params.top_p),
                                     .seed = params.seed,
                                     .position = params.position};
  const auto draws = params.draws.present() ? download_values(params.draws) : std::vector<double>{};
  const harness::Comparison comparison = harness::sample_judge(inputs, download_values(params.ids), draws);
  outcome.add("ids", comparison, comparison.where);
}

}  // namespace hipforge::runner
