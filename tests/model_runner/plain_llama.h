// The llama forward pass written as its formulas, in double, one token after the other: no kernels, no pages,
// no chunks. What the runner is compared with where no outside oracle is at hand.
#pragma once

#include "model_runner/config.h"
#include "model_runner/gguf.h"
#include "model_runner/tokenizer.h"

#include <span>
#include <vector>

namespace hipforge::runner::testing {

/// Elements of a tensor as the runner is to see them: Q8_0 as scale · quant, rounded to f16.
[[nodiscard]] std::vector<double> tensor_values(const GgufFile& file, const TensorInfo& tensor);

/// Logits after each token, [tokens][vocab]. Of RoPE scalings only linear ones and the file's own factors.
[[nodiscard]] std::vector<std::vector<double>> plain_llama_logits(const GgufFile& file,
                                                                  const LlamaConfig& config,
                                                                  std::span<const TokenId> tokens);

}  // namespace hipforge::runner::testing
