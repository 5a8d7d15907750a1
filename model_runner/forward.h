// The llama forward pass, made of launches alone.
#pragma once

#include "kernels/runtime/device_buffer.h"
#include "model_runner/config.h"
#include "model_runner/kv_cache.h"
#include "model_runner/op_observer.h"
#include "model_runner/tokenizer.h"
#include "model_runner/weights.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::runner {

/// New tokens of one sequence: the whole of a prompt, a chunk of it, or the token decoded last.
struct SequenceTokens {
  SequenceId sequence = 0;
  std::span<const TokenId> tokens;  // at least one
};

struct ForwardLimits {
  std::int64_t max_rows = 0;       // tokens of one step, all sequences together
  std::int64_t max_sequences = 0;  // sequences of one step
};

/// Runs tokens through the model. Activations have a dtype of their own, the residual stream and the logits
/// are f32. With the same weights and activations' dtype, a token's logits depend on the tokens before it in
/// its sequence alone: not on how they were cut into steps, nor on the sequences beside it.
///
/// Keeps references to the weights and the cache. Everything it needs on the device it allocates at once.
class Forward {
 public:
  /// `activations`: f32, f16 or bf16; the cache's dtype must be the same. Throws hipforge::Error.
  Forward(const LlamaConfig& config, const Weights& weights, KvCache& cache, DType activations,
          const ForwardLimits& limits, hipStream_t stream);

  /// Appends the tokens to their sequences, each at most once, and returns the logits of each one's last
  /// token: f32 [sequences, vocab] on the device, good until the next step, complete once the stream is.
  /// With `want_logits` false the last norm and the logits are left out, and the view is absent.
  ///
  /// Throws hipforge::Error: kInvalidArgument for tokens that exceed the limits, kCapacity where the cache
  /// is full (nothing has changed then), whatever the launches report.
  TensorView step(std::span<const SequenceTokens> batch, bool want_logits = true);

  /// Throws hipforge::Error if a kernel of the steps so far found a bad index. Waits for the stream.
  void check_device_errors();

  [[nodiscard]] OpRunner& ops() { return ops_; }
  [[nodiscard]] const ForwardLimits& limits() const { return limits_; }
  [[nodiscard]] DType activations() const { return activations_; }
  /// Device memory of activations and logits.
  [[nodiscard]] std::size_t bytes() const;

 private:
  // What a step's kernels index with, i32 on the device.
  struct StepIndices {
    TensorView tokens;       // [rows]
    TensorView positions;    // [rows]
    TensorView offsets;      // [sequences + 1]
    TensorView kv_lens;      // [sequences]
    TensorView block_table;  // [sequences, the most pages of one]
    std::int64_t max_q_len = 0;
    std::int64_t max_kv_len = 0;
  };

  void append_to_cache(std::span<const SequenceTokens> batch, std::int64_t rows);
  StepIndices upload_indices(std::span<const SequenceTokens> batch, std::int64_t rows);
  void run_attention(std::int64_t layer, const StepIndices& indices, std::int64_t rows);
  void run_feed_forward(std::int64_t layer, std::int64_t rows);
  void run_linear(std::int64_t layer, std::string_view part, const TensorView& x,
                  const LinearWeights& weights, const TensorView& y);
  TensorView run_output(std::span<const SequenceTokens> batch, std::int64_t rows);
  [[nodiscard]] std::uint32_t* error_word() const { return static_cast<std::uint32_t*>(error_word_.data()); }
  [[nodiscard]] TensorView rows_of(const DeviceBuffer& buffer, std::int64_t rows, std::int64_t width) const;

  const LlamaConfig config_;
  const Weights& weights_;
  KvCache& cache_;
  DType activations_;
  ForwardLimits limits_;
  OpRunner ops_;

  DeviceBuffer residual_;   // f32 [max_rows, hidden]
  DeviceBuffer normed_;     // [max_rows, hidden]
  DeviceBuffer query_;      // [max_rows, q_width]
  DeviceBuffer key_;        // [max_rows, kv_width]
  DeviceBuffer value_;      // [max_rows, kv_width]
  DeviceBuffer attention_;  // [max_rows, q_width]
  DeviceBuffer projected_;  // [max_rows, hidden]: what a block's halves add to the residual stream
  DeviceBuffer gate_;       // [max_rows, feed_forward]
  DeviceBuffer up_;         // [max_rows, feed_forward]
  DeviceBuffer logits_;     // f32 [max_sequences, vocab]
  DeviceBuffer indices_;    // i32, the parts of StepIndices one after the other
  DeviceBuffer error_word_;
};

}  // namespace hipforge::runner
