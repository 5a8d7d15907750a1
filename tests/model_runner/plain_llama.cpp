#include "tests/model_runner/plain_llama.h"

#include "kernels/device/dtype.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string>

namespace hipforge::runner::testing {
namespace {

using Row = std::vector<double>;

template <class T>
T load(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

class PlainLlama {
 public:
  PlainLlama(const GgufFile& file, const LlamaConfig& config) : config_(config) {
    for (const TensorInfo& tensor : file.tensors())
      tensors_[std::string(tensor.name)] = tensor_values(file, tensor);
    keys_.resize(static_cast<std::size_t>(config.layers));
    values_.resize(static_cast<std::size_t>(config.layers));
  }

  Row next(TokenId token) {
    const auto hidden = static_cast<std::size_t>(config_.hidden);
    const Row& table = tensors_.at("token_embd.weight");
    const auto start = table.begin() + static_cast<std::ptrdiff_t>(token * config_.hidden);
    Row stream(start, start + static_cast<std::ptrdiff_t>(hidden));
    for (std::int64_t layer = 0; layer < config_.layers; ++layer) {
      add(stream, attention(layer, norm(stream, layer_tensor_name(layer, "attn_norm.weight"))));
      add(stream, feed_forward(layer, norm(stream, layer_tensor_name(layer, "ffn_norm.weight"))));
    }
    ++position_;
    return linear(norm(stream, "output_norm.weight"), config_.tied_output ? "token_embd" : "output");
  }

 private:
  static void add(Row& sum, const Row& more) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += more[i];
  }

  Row norm(const Row& x, const std::string& name) const {
    const Row& weight = tensors_.at(name);
    double squares = 0.0;
    for (const double value : x) squares += value * value;
    const double scale =
        1.0 / std::sqrt(squares / static_cast<double>(x.size()) + static_cast<double>(config_.rms_eps));
    Row y(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) y[i] = x[i] * scale * weight[i];
    return y;
  }

  Row linear(const Row& x, const std::string& name) const {
    const Row& weight = tensors_.at(name + ".weight");
    Row y(weight.size() / x.size());
    for (std::size_t out = 0; out < y.size(); ++out) {
      for (std::size_t in = 0; in < x.size(); ++in) y[out] += weight[out * x.size() + in] * x[in];
    }
    const auto bias = tensors_.find(name + ".bias");
    if (bias != tensors_.end()) add(y, bias->second);
    return y;
  }

  // Neighbours (2i, 2i + 1) of every head turn by position · theta^(-2i / d) / factors.
  void rotate(Row& x) const {
    const auto factors = tensors_.find("rope_freqs.weight");
    for (std::size_t head = 0; head < x.size(); head += static_cast<std::size_t>(config_.head_dim)) {
      for (std::int64_t i = 0; i < config_.rope.rotary_dim / 2; ++i) {
        double frequency = std::pow(
            config_.rope.theta, -2.0 * static_cast<double>(i) / static_cast<double>(config_.rope.rotary_dim));
        if (config_.rope.scaling == RopeScalingType::kLinear) frequency /= config_.rope.factor;
        if (factors != tensors_.end()) frequency /= factors->second[static_cast<std::size_t>(i)];
        const double angle = static_cast<double>(position_) * frequency;
        double& a = x[head + 2 * static_cast<std::size_t>(i)];
        double& b = x[head + 2 * static_cast<std::size_t>(i) + 1];
        const double turned = a * std::cos(angle) - b * std::sin(angle);
        b = a * std::sin(angle) + b * std::cos(angle);
        a = turned;
      }
    }
  }

  Row attention(std::int64_t layer, const Row& x) {
    Row query = linear(x, layer_tensor_name(layer, "attn_q"));
    Row key = linear(x, layer_tensor_name(layer, "attn_k"));
    rotate(query);
    rotate(key);
    auto& keys = keys_[static_cast<std::size_t>(layer)];
    auto& values = values_[static_cast<std::size_t>(layer)];
    keys.push_back(key);
    values.push_back(linear(x, layer_tensor_name(layer, "attn_v")));
    const auto dim = static_cast<std::size_t>(config_.head_dim);
    const auto group = static_cast<std::size_t>(config_.q_heads / config_.kv_heads);
    Row mixed(query.size(), 0.0);
    for (std::size_t head = 0; head < static_cast<std::size_t>(config_.q_heads); ++head) {
      const std::size_t kv = head / group * dim;
      Row scores;
      for (const Row& past : keys) {
        double dot = 0.0;
        for (std::size_t i = 0; i < dim; ++i) dot += query[head * dim + i] * past[kv + i];
        scores.push_back(dot / std::sqrt(static_cast<double>(dim)));
      }
      const double most = *std::max_element(scores.begin(), scores.end());
      double total = 0.0;
      for (double& score : scores) total += score = std::exp(score - most);
      for (std::size_t j = 0; j < scores.size(); ++j) {
        for (std::size_t i = 0; i < dim; ++i) mixed[head * dim + i] += scores[j] / total * values[j][kv + i];
      }
    }
    return linear(mixed, layer_tensor_name(layer, "attn_output"));
  }

  Row feed_forward(std::int64_t layer, const Row& x) const {
    Row gate = linear(x, layer_tensor_name(layer, "ffn_gate"));
    const Row up = linear(x, layer_tensor_name(layer, "ffn_up"));
    for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1.0 + std::exp(-gate[i])) * up[i];
    return linear(gate, layer_tensor_name(layer, "ffn_down"));
  }

  const LlamaConfig& config_;
  std::map<std::string, Row> tensors_;
  std::vector<std::vector<Row>> keys_;
  std::vector<std::vector<Row>> values_;
  std::int64_t position_ = 0;
};

}  // namespace

std::vector<double> tensor_values(const GgufFile& file, const TensorInfo& tensor) {
  const auto bytes = file.data(tensor);
  std::vector<double> values(tensor.elements);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (tensor.is(GgmlType::kF32)) {
      values[i] = static_cast<double>(load<float>(bytes, 4 * i));
    } else if (tensor.is(GgmlType::kF16)) {
      values[i] = static_cast<double>(to_float(load<F16>(bytes, 2 * i)));
    } else if (tensor.is(GgmlType::kBF16)) {
      values[i] = static_cast<double>(to_float(load<BF16>(bytes, 2 * i)));
    } else {
      const std::size_t block = i / 32 * 34;
      const float scale = to_float(load<F16>(bytes, block));
      const auto quant = static_cast<float>(load<std::int8_t>(bytes, block + 2 + i % 32));
      values[i] = static_cast<double>(to_float(from_float<F16>(scale * quant)));
    }
  }
  return values;
}

std::vector<std::vector<double>> plain_llama_logits(const GgufFile& file, const LlamaConfig& config,
                                                    std::span<const TokenId> tokens) {
  PlainLlama model(file, config);
  std::vector<Row> logits;
  for (const TokenId token : tokens) logits.push_back(model.next(token));
  return logits;
}

}  // namespace hipforge::runner::testing
