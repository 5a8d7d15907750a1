#include "model_runner/forward.h"

#include "kernels/runtime/check.h"
#include "kernels/runtime/device_error.h"
#include "model_runner/device_values.h"

#include <algorithm>
#include <string>

namespace hipforge::runner {
namespace {

DeviceBuffer make_buffer(std::int64_t rows, std::int64_t width, DType dtype) {
  return DeviceBuffer(static_cast<std::size_t>(rows) * static_cast<std::size_t>(width) * dtype_size(dtype));
}

std::int64_t count_rows(std::span<const SequenceTokens> batch) {
  std::int64_t rows = 0;
  for (const SequenceTokens& part : batch) rows += static_cast<std::int64_t>(part.tokens.size());
  return rows;
}

}  // namespace

Forward::Forward(const LlamaConfig& config, const Weights& weights, KvCache& cache, DType activations,
                 const ForwardLimits& limits, hipStream_t stream)
    : config_(config),
      weights_(weights),
      cache_(cache),
      activations_(activations),
      limits_(limits),
      ops_(stream) {
  if (cache.shape().dtype != activations) {
    throw Error(invalid_argument("forward: activations are ", dtype_name(activations), ", the kv cache is ",
                                 dtype_name(cache.shape().dtype)));
  }
  if (limits.max_sequences < 1 || limits.max_rows < limits.max_sequences) {
    throw Error(invalid_argument("forward: ", limits.max_rows, " rows for ", limits.max_sequences,
                                 " sequences, each needs one at least"));
  }
  const std::int64_t rows = limits.max_rows;
  residual_ = make_buffer(rows, config.hidden, DType::kF32);
  normed_ = make_buffer(rows, config.hidden, activations);
  query_ = make_buffer(rows, config.q_width(), activations);
  key_ = make_buffer(rows, config.kv_width(), activations);
  value_ = make_buffer(rows, config.kv_width(), activations);
  attention_ = make_buffer(rows, config.q_width(), activations);
  projected_ = make_buffer(rows, config.hidden, activations);
  gate_ = make_buffer(rows, config.feed_forward, activations);
  up_ = make_buffer(rows, config.feed_forward, activations);
  logits_ = make_buffer(limits.max_sequences, config.vocab, DType::kF32);
  const std::int64_t indices =
      2 * rows + 2 * limits.max_sequences + 1 + limits.max_sequences * cache.shape().max_pages;
  indices_ = make_buffer(1, indices, DType::kI32);
  error_word_ = DeviceBuffer(sizeof(std::uint32_t));
  error_word_.fill(0, stream);
}

std::size_t Forward::bytes() const {
  std::size_t sum = 0;
  for (const DeviceBuffer* buffer : {&residual_, &normed_, &query_, &key_, &value_, &attention_, &projected_,
                                     &gate_, &up_, &logits_, &indices_, &error_word_}) {
    sum += buffer->bytes();
  }
  return sum;
}

TensorView Forward::rows_of(const DeviceBuffer& buffer, std::int64_t rows, std::int64_t width) const {
  return buffer.view(activations_, {rows, width});
}

TensorView Forward::step(std::span<const SequenceTokens> batch, bool want_logits) {
  const std::int64_t rows = count_rows(batch);
  append_to_cache(batch, rows);
  const StepIndices indices = upload_indices(batch, rows);

  const TensorView residual = residual_.view(DType::kF32, {rows, config_.hidden});
  ops_({.part = "token_embd"}, EmbeddingParams{.table = weights_.token_embedding(),
                                               .ids = indices.tokens,
                                               .y = residual,
                                               .error_word = error_word()});
  for (std::int64_t layer = 0; layer < config_.layers; ++layer) {
    const LayerWeights& weights = weights_.layers()[static_cast<std::size_t>(layer)];
    RmsNormParams norm;
    norm.weight = weights.attn_norm;
    norm.y = rows_of(normed_, rows, config_.hidden);
    norm.eps = config_.rms_eps;
    if (layer == 0) {
      norm.x = residual;
    } else {
      // What the block before added is taken up here, in one pass with the norm.
      norm.x = rows_of(projected_, rows, config_.hidden);
      norm.residual = residual;
      norm.residual_out = residual;
    }
    ops_({layer, "attn_norm"}, norm);
    run_attention(layer, indices, rows);

    norm.x = rows_of(projected_, rows, config_.hidden);
    norm.residual = residual;
    norm.residual_out = residual;
    norm.weight = weights.ffn_norm;
    ops_({layer, "ffn_norm"}, norm);
    run_feed_forward(layer, rows);
  }
  return want_logits ? run_output(batch, rows) : TensorView{};
}

void Forward::append_to_cache(std::span<const SequenceTokens> batch, std::int64_t rows) {
  const auto sequences = static_cast<std::int64_t>(batch.size());
  const bool some_empty =
      std::any_of(batch.begin(), batch.end(), [](const SequenceTokens& part) { return part.tokens.empty(); });
  if (sequences < 1 || some_empty || sequences > limits_.max_sequences || rows > limits_.max_rows) {
    throw Error(invalid_argument("forward: ", rows, " tokens of ", sequences,
                                 " sequences; each needs one at least, ", limits_.max_rows, " tokens of ",
                                 limits_.max_sequences, " sequences are the most"));
  }
  std::int64_t pages = 0;
  for (const SequenceTokens& part : batch) {
    const std::int64_t page_size = cache_.shape().page_size;
    const auto held = static_cast<std::int64_t>(cache_.block_table(part.sequence).size());
    const std::int64_t length = cache_.length(part.sequence) + static_cast<std::int64_t>(part.tokens.size());
    if (length > config_.context_length) {
      throw Error(failure(StatusCode::kCapacity, "forward: ", length,
                          " tokens of a sequence, the context of the model is ", config_.context_length));
    }
    pages += (length + page_size - 1) / page_size - held;
  }
  // Asked for all sequences together first, so that a step either happens or changes nothing.
  if (pages > cache_.free_pages()) {
    throw Error(failure(StatusCode::kCapacity, "forward: ", rows, " tokens of ", sequences,
                        " sequences need ", pages, " more pages of the kv cache, ", cache_.free_pages(),
                        " of ", cache_.shape().max_pages, " are free"));
  }
  for (const SequenceTokens& part : batch) {
    throw_if_error(cache_.append(part.sequence, static_cast<std::int64_t>(part.tokens.size())));
  }
}

Forward::StepIndices Forward::upload_indices(std::span<const SequenceTokens> batch, std::int64_t rows) {
  const auto sequences = static_cast<std::int64_t>(batch.size());
  std::int64_t most_pages = 0;
  for (const SequenceTokens& part : batch) {
    most_pages = std::max(most_pages, static_cast<std::int64_t>(cache_.block_table(part.sequence).size()));
  }

  std::vector<std::int32_t> host;
  host.reserve(static_cast<std::size_t>(2 * rows + 2 * sequences + 1 + sequences * most_pages));
  auto* const device = static_cast<std::int32_t*>(indices_.data());
  const auto view = [&](std::initializer_list<std::int64_t> shape) {
    return TensorView::contiguous(device + host.size(), DType::kI32, shape);
  };
  StepIndices indices;
  indices.tokens = view({rows});
  for (const SequenceTokens& part : batch) host.insert(host.end(), part.tokens.begin(), part.tokens.end());
  indices.positions = view({rows});
  for (const SequenceTokens& part : batch) {
    const std::int64_t length = cache_.length(part.sequence);
    for (auto position = length - static_cast<std::int64_t>(part.tokens.size()); position < length;
         ++position) {
      host.push_back(static_cast<std::int32_t>(position));
    }
  }
  indices.offsets = view({sequences + 1});
  host.push_back(0);
  for (const SequenceTokens& part : batch) {
    host.push_back(host.back() + static_cast<std::int32_t>(part.tokens.size()));
    indices.max_q_len = std::max(indices.max_q_len, static_cast<std::int64_t>(part.tokens.size()));
  }
  indices.kv_lens = view({sequences});
  for (const SequenceTokens& part : batch) {
    host.push_back(static_cast<std::int32_t>(cache_.length(part.sequence)));
    indices.max_kv_len = std::max(indices.max_kv_len, cache_.length(part.sequence));
  }
  indices.block_table = view({sequences, most_pages});
  for (const SequenceTokens& part : batch) {
    const auto pages = cache_.block_table(part.sequence);
    host.insert(host.end(), pages.begin(), pages.end());
    // No kernel reads an entry past a sequence's length; a bad page there shows one that does.
    host.insert(host.end(), static_cast<std::size_t>(most_pages) - pages.size(), -1);
  }
  indices_.upload(std::as_bytes(std::span(host)));
  return indices;
}

void Forward::run_linear(std::int64_t layer, std::string_view part, const TensorView& x,
                         const LinearWeights& weights, const TensorView& y) {
  ops_({layer, part}, LinearParams{.x = x, .weight = weights.weight, .bias = weights.bias, .y = y});
}

void Forward::run_attention(std::int64_t layer, const StepIndices& indices, std::int64_t rows) {
  const LayerWeights& weights = weights_.layers()[static_cast<std::size_t>(layer)];
  const TensorView normed = rows_of(normed_, rows, config_.hidden);
  run_linear(layer, "attn_q", normed, weights.q, rows_of(query_, rows, config_.q_width()));
  run_linear(layer, "attn_k", normed, weights.k, rows_of(key_, rows, config_.kv_width()));
  run_linear(layer, "attn_v", normed, weights.v, rows_of(value_, rows, config_.kv_width()));

  const auto rotate = [&](std::string_view part, const DeviceBuffer& buffer, std::int64_t heads) {
    const TensorView x = buffer.view(activations_, {1, rows, heads, config_.head_dim});
    ops_({layer, part}, RopeParams{.x = x,
                                   .y = x,
                                   .positions = indices.positions,
                                   .inv_freq = weights_.inv_freq(),
                                   .rotary_dim = config_.rope.rotary_dim,
                                   .style = RopeStyle::kInterleaved,
                                   .magnitude = weights_.rope_magnitude(),
                                   .error_word = error_word()});
  };
  rotate("rope_q", query_, config_.q_heads);
  rotate("rope_k", key_, config_.kv_heads);

  ops_({layer, "kv_append"},
       KvAppendParams{.k = key_.view(activations_, {rows, config_.kv_heads, config_.head_dim}),
                      .v = value_.view(activations_, {rows, config_.kv_heads, config_.head_dim}),
                      .k_cache = cache_.keys(layer),
                      .v_cache = cache_.values(layer),
                      .offsets = indices.offsets,
                      .kv_lens = indices.kv_lens,
                      .block_table = indices.block_table,
                      .error_word = error_word()});

  FlashAttentionParams attention;
  attention.q = query_.view(activations_, {rows, config_.q_heads, config_.head_dim});
  attention.k = cache_.keys(layer);
  attention.v = cache_.values(layer);
  attention.o = attention_.view(activations_, {rows, config_.q_heads, config_.head_dim});
  attention.q_offsets = indices.offsets;
  attention.kv_lens = indices.kv_lens;
  attention.block_table = indices.block_table;
  attention.max_q_len = indices.max_q_len;
  attention.max_kv_len = indices.max_kv_len;
  attention.causal = true;
  attention.error_word = error_word();
  ops_({layer, "attention"}, attention);

  run_linear(layer, "attn_output", rows_of(attention_, rows, config_.q_width()), weights.attn_output,
             rows_of(projected_, rows, config_.hidden));
}

void Forward::run_feed_forward(std::int64_t layer, std::int64_t rows) {
  const LayerWeights& weights = weights_.layers()[static_cast<std::size_t>(layer)];
  const TensorView normed = rows_of(normed_, rows, config_.hidden);
  const TensorView gate = rows_of(gate_, rows, config_.feed_forward);
  const TensorView up = rows_of(up_, rows, config_.feed_forward);
  run_linear(layer, "ffn_gate", normed, weights.gate, gate);
  run_linear(layer, "ffn_up", normed, weights.up, up);
  ops_({layer, "glu"}, GluParams{.gate = gate, .up = up, .y = gate});
  run_linear(layer, "ffn_down", gate, weights.down, rows_of(projected_, rows, config_.hidden));
}

TensorView Forward::run_output(std::span<const SequenceTokens> batch, std::int64_t rows) {
  const auto sequences = static_cast<std::int64_t>(batch.size());
  const TensorView residual = residual_.view(DType::kF32, {rows, config_.hidden});
  const TensorView projected = rows_of(projected_, rows, config_.hidden);
  const TensorView normed = rows_of(normed_, sequences, config_.hidden);
  const auto normalize = [&](std::int64_t first_row, std::int64_t first_sequence, std::int64_t count) {
    RmsNormParams norm;
    norm.x = row_range(projected, first_row, count);
    norm.residual = row_range(residual, first_row, count);
    norm.residual_out = norm.residual;
    norm.weight = weights_.output_norm();
    norm.y = row_range(normed, first_sequence, count);
    norm.eps = config_.rms_eps;
    ops_({.part = "output_norm"}, norm);
  };
  if (rows == sequences) {
    normalize(0, 0, sequences);
  } else {
    // Only the last token of a sequence has logits that anyone reads.
    std::int64_t end = 0;
    for (std::int64_t i = 0; i < sequences; ++i) {
      end += static_cast<std::int64_t>(batch[static_cast<std::size_t>(i)].tokens.size());
      normalize(end - 1, i, 1);
    }
  }
  const TensorView logits = logits_.view(DType::kF32, {sequences, config_.vocab});
  ops_({.part = "output"}, LinearParams{.x = normed, .weight = weights_.output(), .bias = {}, .y = logits});
  return logits;
}

void Forward::check_device_errors() {
  throw_if_error(hip_status(hipStreamSynchronize(ops_.stream()), "hipStreamSynchronize"));
  std::uint32_t word = 0;
  error_word_.download(std::as_writable_bytes(std::span(&word, 1)));
  if (word != 0) {
    throw Error(failure(StatusCode::kInvalidArgument,
                        "forward: a kernel met a bad index: ", device_error_text(word)));
  }
}

}  // namespace hipforge::runner
