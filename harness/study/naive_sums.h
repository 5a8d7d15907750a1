#pragma once

#include "kernels/runtime/status.h"

#include <hip/hip_runtime.h>

#include <cstdint>

namespace hipforge::harness {

// Attention, softmax and weighted_matmul as they must not be (chronicle 006): one f32 sum that runs over all
// keys. The control of `hipforge accuracy-study`; part of the harness, of no library that is installed.
// Everything is f32 and contiguous on the device.

/// out[r, d] = Σ_j weights[r, j] · values[j, d]; weights [rows, kv_len], values [kv_len, head_dim].
Status naive_weighted_matmul(const float* weights, const float* values, float* out, std::int64_t rows,
                             std::int64_t kv_len, std::int64_t head_dim, hipStream_t stream);

/// Along the rows of x [rows, kv_len].
Status naive_softmax(const float* x, float* y, std::int64_t rows, std::int64_t kv_len, hipStream_t stream);

/// softmax(q · kᵀ / sqrt(head_dim)) · v; q, o [rows, head_dim], k, v [kv_len, head_dim]. head_dim at most 64.
Status naive_attention(const float* q, const float* k, const float* v, float* o, std::int64_t rows,
                       std::int64_t kv_len, std::int64_t head_dim, hipStream_t stream);

}  // namespace hipforge::harness
