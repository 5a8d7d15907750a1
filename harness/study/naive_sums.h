#pragma once

#include "kernels/flash_attention.h"
#include "kernels/softmax.h"
#include "kernels/weighted_matmul.h"

namespace hipforge::harness {

// Attention, softmax and weighted_matmul as they must not be (chronicle 006): one f32 sum that runs over all
// keys. The control of `hipforge accuracy-study`; part of the harness, of no library that is installed. Of
// the op's params they take the tensors: f32, contiguous, of one batch and one head; head_dim at most 64.

Status naive_weighted_matmul(const WeightedMatmulParams& params, hipStream_t stream);
Status naive_softmax(const SoftmaxParams& params, hipStream_t stream);
Status naive_attention(const FlashAttentionParams& params, hipStream_t stream);

}  // namespace hipforge::harness
