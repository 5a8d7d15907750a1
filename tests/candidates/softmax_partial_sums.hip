// softmax.hip with a planted bug: of the 256 partial sums of a row only the first 32 are added.

#include <hip/hip_runtime.h>

#include <hipforge_candidate.h>

namespace {

constexpr int kThreads = 256;

struct Rows {
  const float* x;
  float* y;
  int64_t heads, rows, cols;
  int64_t x_strides[3], y_strides[3];
  float scale;
  int empty_row;
};

struct Max {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};
struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};

// Of one value a thread; every thread gets the result.
template <class Op>
__device__ float block_reduce(float* shared, float value, Op op) {
  shared[threadIdx.x] = value;
  __syncthreads();
  for (unsigned half = 16; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] = op(shared[threadIdx.x], shared[threadIdx.x + half]);
    __syncthreads();
  }
  const float result = shared[0];
  __syncthreads();
  return result;
}

__global__ void softmax_rows(Rows args) {
  extern __shared__ float shared[];
  const int64_t row = blockIdx.x;
  const int64_t r = row % args.rows, h = row / args.rows % args.heads, b = row / args.rows / args.heads;
  const float* x = args.x + b * args.x_strides[0] + h * args.x_strides[1] + r * args.x_strides[2];
  float* y = args.y + b * args.y_strides[0] + h * args.y_strides[1] + r * args.y_strides[2];

  float largest = -INFINITY;
  for (int64_t i = threadIdx.x; i < args.cols; i += blockDim.x) {
    const float score = args.scale * x[i];
    // fmaxf would pass over a NaN.
    largest = isnan(score) || isnan(largest) ? NAN : fmaxf(largest, score);
  }
  const bool has_nan = block_reduce(shared, isnan(largest) ? 1.0f : 0.0f, Sum()) > 0.0f;
  largest = block_reduce(shared, largest, Max());
  float sum = 0.0f;
  for (int64_t i = threadIdx.x; i < args.cols; i += blockDim.x) sum += expf(args.scale * x[i] - largest);
  sum = block_reduce(shared, sum, Sum());

  const float empty = args.empty_row == HIPFORGE_EMPTY_ROW_ZERO      ? 0.0f
                      : args.empty_row == HIPFORGE_EMPTY_ROW_UNIFORM ? 1.0f / static_cast<float>(args.cols)
                                                                     : NAN;
  for (int64_t i = threadIdx.x; i < args.cols; i += blockDim.x) {
    const float score = args.scale * x[i];
    if (largest == -INFINITY && !has_nan) {
      y[i] = empty;
    } else if (score == -INFINITY) {
      y[i] = 0.0f;
    } else {
      y[i] = has_nan ? NAN : expf(score - largest) / sum;
    }
  }
}

}  // namespace

int hipforge_candidate_softmax(const hipforge_softmax_params* params, hipforge_stream stream) {
  if (params->x.dtype != HIPFORGE_F32 || params->mask.rank != 0 || params->causal) {
    return HIPFORGE_CANDIDATE_UNSUPPORTED;
  }
  const int64_t* shape = params->x.shape;
  const int64_t rows = shape[0] * shape[1] * shape[2];
  if (rows == 0 || shape[3] == 0) return hipSuccess;
  Rows args{static_cast<const float*>(params->x.data),
            static_cast<float*>(params->y.data),
            shape[1],
            shape[2],
            shape[3],
            {params->x.strides[0], params->x.strides[1], params->x.strides[2]},
            {params->y.strides[0], params->y.strides[1], params->y.strides[2]},
            params->scale,
            params->empty_row};
  softmax_rows<<<dim3(static_cast<unsigned>(rows)), kThreads, kThreads * sizeof(float),
                 (hipStream_t)stream>>>(args);
  return hipGetLastError();
}
