#include "harness/study/naive_sums.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"

#include <cmath>

namespace hipforge::harness {
namespace naive_detail {

constexpr int kBlock = 64;
constexpr int kMaxHeadDim = 64;

struct NaiveArgs {
  const float* a;
  const float* b;
  const float* c;
  float* out;
  std::int64_t rows = 0;
  std::int64_t kv_len = 0;
  std::int64_t head_dim = 1;
  float scale = 1.0f;
};

__device__ inline std::int64_t thread_index() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

// An output a thread.
template <class T>
__device__ void weighted_matmul_kernel(const NaiveArgs& args) {
  const std::int64_t index = thread_index();
  if (index >= args.rows * args.head_dim) return;
  const T* weights = args.a + index / args.head_dim * args.kv_len;
  T sum = 0;
  for (std::int64_t j = 0; j < args.kv_len; ++j) {
    sum = fmaf(weights[j], args.b[j * args.head_dim + index % args.head_dim], sum);
  }
  args.out[index] = sum;
}

// A row a thread.
template <class T>
__device__ void softmax_kernel(const NaiveArgs& args) {
  const std::int64_t row = thread_index();
  if (row >= args.rows) return;
  const T* x = args.a + row * args.kv_len;
  T largest = x[0];
  for (std::int64_t j = 1; j < args.kv_len; ++j) largest = fmaxf(largest, x[j]);
  T sum = 0;
  for (std::int64_t j = 0; j < args.kv_len; ++j) sum += expf(x[j] - largest);
  for (std::int64_t j = 0; j < args.kv_len; ++j) {
    args.out[row * args.kv_len + j] = expf(x[j] - largest) / sum;
  }
}

template <class T>
__device__ inline T score_of(const NaiveArgs& args, const T* query, std::int64_t key) {
  T score = 0;
  for (std::int64_t d = 0; d < args.head_dim; ++d) {
    score = fmaf(query[d], args.b[key * args.head_dim + d], score);
  }
  return score * args.scale;
}

// A row a thread.
template <class T>
__device__ void attention_kernel(const NaiveArgs& args) {
  const std::int64_t row = thread_index();
  if (row >= args.rows) return;
  const T* query = args.a + row * args.head_dim;
  T largest = score_of(args, query, 0);
  for (std::int64_t j = 1; j < args.kv_len; ++j) largest = fmaxf(largest, score_of(args, query, j));
  T total = 0;
  T sums[kMaxHeadDim] = {};
  for (std::int64_t j = 0; j < args.kv_len; ++j) {
    const T weight = expf(score_of(args, query, j) - largest);
    total += weight;
    for (std::int64_t d = 0; d < args.head_dim; ++d) {
      sums[d] = fmaf(weight, args.c[j * args.head_dim + d], sums[d]);
    }
  }
  for (std::int64_t d = 0; d < args.head_dim; ++d) args.out[row * args.head_dim + d] = sums[d] / total;
}

template <class T>
inline constexpr KernelEntry kWeightedMatmulEntry{};
template <class T>
inline constexpr KernelEntry kSoftmaxEntry{};
template <class T>
inline constexpr KernelEntry kAttentionEntry{};
HIPFORGE_KERNEL(kWeightedMatmulEntry, (f32), naive_weighted_matmul_f32, weighted_matmul_kernel, NaiveArgs,
                kBlock)
HIPFORGE_KERNEL(kSoftmaxEntry, (f32), naive_softmax_f32, softmax_kernel, NaiveArgs, kBlock)
HIPFORGE_KERNEL(kAttentionEntry, (f32), naive_attention_f32, attention_kernel, NaiveArgs, kBlock)

Status launch_threads(const KernelEntry& entry, const NaiveArgs& args, std::int64_t threads,
                      hipStream_t stream) {
  if (args.rows < 1 || args.kv_len < 1 || args.head_dim < 1 || args.head_dim > kMaxHeadDim) {
    return invalid_argument("naive sums: ", args.rows, " rows, kv_len ", args.kv_len, ", head_dim ",
                            args.head_dim, "; needs at least 1 each, and at most ", kMaxHeadDim,
                            " of head_dim");
  }
  return launch(make_plan(entry, ceil_div(threads, kBlock), kBlock), args, stream);
}

}  // namespace naive_detail

using namespace naive_detail;

Status naive_weighted_matmul(const WeightedMatmulParams& params, hipStream_t stream) {
  const auto& [weights, values, out] = params;
  NaiveArgs args{weights.as<float>(), values.as<float>(), nullptr, out.as<float>()};
  args.rows = weights.shape[2];
  args.kv_len = weights.shape[3];
  args.head_dim = values.shape[3];
  return launch_threads(kWeightedMatmulEntry<f32>, args, args.rows * args.head_dim, stream);
}

Status naive_softmax(const SoftmaxParams& params, hipStream_t stream) {
  NaiveArgs args{params.x.as<float>(), nullptr, nullptr, params.y.as<float>()};
  args.rows = params.x.shape[2];
  args.kv_len = params.x.shape[3];
  return launch_threads(kSoftmaxEntry<f32>, args, args.rows, stream);
}

Status naive_attention(const FlashAttentionParams& params, hipStream_t stream) {
  NaiveArgs args{params.q.as<float>(), params.k.as<float>(), params.v.as<float>(), params.o.as<float>()};
  args.rows = params.q.shape[1];
  args.kv_len = params.k.shape[1];
  args.head_dim = params.q.shape[3];
  args.scale = 1.0f / std::sqrt(static_cast<float>(args.head_dim));
  return launch_threads(kAttentionEntry<f32>, args, args.rows, stream);
}

}  // namespace hipforge::harness
