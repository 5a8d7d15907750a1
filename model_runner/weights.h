// A model's weights in device memory.
#pragma once

#include "kernels/runtime/device_buffer.h"
#include "kernels/runtime/tensor.h"
#include "model_runner/config.h"
#include "model_runner/gguf.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hipforge::runner {

/// One linear map y = x · weightᵀ + bias.
struct LinearWeights {
  TensorView weight;  // [out_features, in_features]
  TensorView bias;    // [out_features] f32; absent where the file has none
};

/// One block. Rows of q and k are in the order of llama GGUF files, where neighbours rotate together.
struct LayerWeights {
  TensorView attn_norm;       // [hidden]
  LinearWeights q;            // [q_heads · head_dim, hidden]
  LinearWeights k;            // [kv_heads · head_dim, hidden]
  LinearWeights v;            // [kv_heads · head_dim, hidden]
  LinearWeights attn_output;  // [hidden, q_heads · head_dim]
  TensorView ffn_norm;        // [hidden]
  LinearWeights gate;         // [feed_forward, hidden]
  LinearWeights up;           // [feed_forward, hidden]
  LinearWeights down;         // [hidden, feed_forward]
};

/// Sole owner of the weights on the device that was current when they were loaded. F32, F16 and BF16 tensors
/// are held as they are; a Q8_0 tensor becomes f16, each element scale · quant rounded once; biases become
/// f32.
class Weights {
 public:
  /// Uploads tensor by tensor and lets go of each one's pages in the file. `config` must have been read from
  /// `file`. Throws hipforge::Error: kOutOfMemory, kHipError; kInvalidArgument where frequency factors of the
  /// file are no positive numbers.
  Weights(const GgufFile& file, const LlamaConfig& config);

  [[nodiscard]] const TensorView& token_embedding() const { return token_embedding_; }  // [vocab, hidden]
  [[nodiscard]] const std::vector<LayerWeights>& layers() const { return layers_; }
  [[nodiscard]] const TensorView& output_norm() const { return output_norm_; }  // [hidden]
  [[nodiscard]] const TensorView& output() const { return output_; }            // [vocab, hidden]
  [[nodiscard]] const TensorView& inv_freq() const { return inv_freq_; }        // f32 [rotary_dim / 2]
  [[nodiscard]] float rope_magnitude() const { return rope_magnitude_; }

  /// Device memory that the weights occupy.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  /// Elements of all tensors.
  [[nodiscard]] std::int64_t parameters() const { return parameters_; }
  /// The dtype that most matrices have: what activations follow.
  [[nodiscard]] DType matrix_dtype() const { return matrix_dtype_; }

 private:
  void* allocate(std::size_t bytes);
  TensorView upload(const GgufFile& file, const TensorInfo& tensor);
  LinearWeights upload_linear(const GgufFile& file, std::int64_t layer, std::string_view part);
  void upload_frequencies(const GgufFile& file, const LlamaConfig& config);

  std::vector<DeviceBuffer> buffers_;
  TensorView token_embedding_;
  std::vector<LayerWeights> layers_;
  TensorView output_norm_;
  TensorView output_;
  TensorView inv_freq_;
  float rope_magnitude_ = 1.0f;
  std::size_t bytes_ = 0;
  std::int64_t parameters_ = 0;
  DType matrix_dtype_ = DType::kF32;
};

}  // namespace hipforge::runner
