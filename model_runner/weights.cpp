#include "model_runner/weights.h"

#include "kernels/device/dtype.h"
#include "kernels/rope.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace hipforge::runner {
namespace {

constexpr std::size_t kBlockElements = 32;
// A block of Q8_0: an f16 scale, then 32 signed bytes.
constexpr std::size_t kBlockBytes = 2 + kBlockElements;
constexpr std::size_t kStageBlocks = 4096;  // converted at a time, so that the host holds little

DType held_dtype(const TensorInfo& tensor) {
  if (tensor.is(GgmlType::kF32)) return DType::kF32;
  if (tensor.is(GgmlType::kBF16)) return DType::kBF16;
  return DType::kF16;
}

void dequantize_q8_0(std::span<const std::byte> blocks, std::vector<F16>& values) {
  values.clear();
  for (; !blocks.empty(); blocks = blocks.subspan(kBlockBytes)) {
    F16 scale;
    std::memcpy(&scale, blocks.data(), sizeof scale);
    for (std::size_t i = 0; i < kBlockElements; ++i) {
      const auto quant = std::to_integer<std::int8_t>(blocks[sizeof scale + i]);
      values.push_back(from_float<F16>(to_float(scale) * static_cast<float>(quant)));
    }
  }
}

template <class T>
float load_float(std::span<const std::byte> bytes, std::size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return to_float(value);
}

// A small tensor as f32 on the host.
std::vector<float> to_host_f32(const GgufFile& file, const TensorInfo& tensor) {
  const auto bytes = file.data(tensor);
  std::vector<float> values;
  values.reserve(tensor.elements);
  if (tensor.is(GgmlType::kQ8_0)) {
    std::vector<F16> halves;
    dequantize_q8_0(bytes, halves);
    for (const F16 half : halves) values.push_back(to_float(half));
    return values;
  }
  for (std::size_t i = 0; i < tensor.elements; ++i) {
    values.push_back(tensor.is(GgmlType::kF32)   ? load_float<float>(bytes, i)
                     : tensor.is(GgmlType::kF16) ? load_float<F16>(bytes, i)
                                                 : load_float<BF16>(bytes, i));
  }
  return values;
}

TensorView view_like(const TensorInfo& tensor, void* data, DType dtype) {
  const auto dim = [&](std::size_t i) { return static_cast<std::int64_t>(tensor.dims[i]); };
  if (tensor.dim_count == 1) return TensorView::contiguous(data, dtype, {dim(0)});
  return TensorView::contiguous(data, dtype, {dim(1), dim(0)});
}

RopeFrequencyParams frequency_params(const RopeConfig& config, std::span<const float> factors) {
  RopeFrequencyParams params;
  params.rotary_dim = config.rotary_dim;
  params.theta = config.theta;
  params.factor = config.factor;
  params.original_context_length = config.original_context_length;
  params.beta_fast = config.beta_fast;
  params.beta_slow = config.beta_slow;
  params.attention_factor = config.magnitude;
  params.factors = factors;
  if (config.file_factors) {
    params.scaling = RopeScaling::kFactors;
  } else if (config.scaling == RopeScalingType::kLinear) {
    params.scaling = RopeScaling::kLinear;
  } else if (config.scaling == RopeScalingType::kYarn) {
    params.scaling = RopeScaling::kYarn;
  }
  return params;
}

}  // namespace

Weights::Weights(const GgufFile& file, const LlamaConfig& config) {
  token_embedding_ = upload(file, file.tensor("token_embd.weight"));
  output_norm_ = upload(file, file.tensor("output_norm.weight"));
  output_ = config.tied_output ? token_embedding_ : upload(file, file.tensor("output.weight"));
  layers_.reserve(static_cast<std::size_t>(config.layers));
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    LayerWeights weights;
    weights.attn_norm = upload(file, file.tensor(layer_tensor_name(layer, "attn_norm.weight")));
    weights.q = upload_linear(file, layer, "attn_q");
    weights.k = upload_linear(file, layer, "attn_k");
    weights.v = upload_linear(file, layer, "attn_v");
    weights.attn_output = upload_linear(file, layer, "attn_output");
    weights.ffn_norm = upload(file, file.tensor(layer_tensor_name(layer, "ffn_norm.weight")));
    weights.gate = upload_linear(file, layer, "ffn_gate");
    weights.up = upload_linear(file, layer, "ffn_up");
    weights.down = upload_linear(file, layer, "ffn_down");
    layers_.push_back(weights);
  }
  matrix_dtype_ = layers_.front().down.weight.dtype;
  upload_frequencies(file, config);
}

void* Weights::allocate(std::size_t bytes) {
  bytes_ += bytes;
  return buffers_.emplace_back(bytes).data();
}

TensorView Weights::upload(const GgufFile& file, const TensorInfo& tensor) {
  const DType dtype = held_dtype(tensor);
  void* const data = allocate(tensor.elements * dtype_size(dtype));
  DeviceBuffer& buffer = buffers_.back();
  const auto source = file.data(tensor);
  if (tensor.is(GgmlType::kQ8_0)) {
    std::vector<F16> stage;
    stage.reserve(std::min(kStageBlocks * kBlockElements, static_cast<std::size_t>(tensor.elements)));
    std::size_t offset = 0;
    for (auto left = source; !left.empty();) {
      const std::size_t count = std::min(left.size(), kStageBlocks * kBlockBytes);
      dequantize_q8_0(left.first(count), stage);
      buffer.upload(std::as_bytes(std::span(stage)), offset);
      offset += stage.size() * sizeof(F16);
      left = left.subspan(count);
    }
  } else {
    buffer.upload(source);
  }
  file.drop_pages(tensor);
  parameters_ += static_cast<std::int64_t>(tensor.elements);
  return view_like(tensor, data, dtype);
}

LinearWeights Weights::upload_linear(const GgufFile& file, std::int64_t layer, std::string_view part) {
  LinearWeights linear;
  linear.weight = upload(file, file.tensor(layer_tensor_name(layer, std::string(part) + ".weight")));
  if (const auto* const bias = file.find_tensor(layer_tensor_name(layer, std::string(part) + ".bias"))) {
    const auto values = to_host_f32(file, *bias);
    void* const data = allocate(values.size() * sizeof(float));
    buffers_.back().upload(std::as_bytes(std::span(values)));
    linear.bias = view_like(*bias, data, DType::kF32);
    parameters_ += static_cast<std::int64_t>(bias->elements);
  }
  return linear;
}

void Weights::upload_frequencies(const GgufFile& file, const LlamaConfig& config) {
  std::vector<float> factors;
  if (config.rope.file_factors) factors = to_host_f32(file, file.tensor("rope_freqs.weight"));
  std::vector<float> inv_freq;
  throw_if_error(rope_frequencies(frequency_params(config.rope, factors), inv_freq, rope_magnitude_));
  void* const data = allocate(inv_freq.size() * sizeof(float));
  buffers_.back().upload(std::as_bytes(std::span(inv_freq)));
  inv_freq_ = TensorView::contiguous(data, DType::kF32, {config.rope.rotary_dim / 2});
}

}  // namespace hipforge::runner
