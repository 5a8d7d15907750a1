/* How someone else's kernel is offered to hipforge:
 *
 *   hipforge check --candidate FILE --op OP     runs the op's whole suite on it
 *   hipforge bench --candidate FILE --op OP     times it, interleaved with hipforge's own
 *
 * FILE is HIP source, or a shared library, that has the function hipforge_candidate_<op> below, written in C
 * or as extern "C":
 *
 *   #include <hipforge_candidate.h>
 *   int hipforge_candidate_softmax(const hipforge_softmax_params* params, hipforge_stream stream) {
 *     if (params->mask.rank != 0) return HIPFORGE_CANDIDATE_UNSUPPORTED;
 *     softmax_rows<<<rows, 256, shared_bytes, (hipStream_t)stream>>>(...);
 *     return hipGetLastError();
 *   }
 *
 * It queues its work on `stream` and returns without waiting: 0; or HIPFORGE_CANDIDATE_UNSUPPORTED where it
 * has no kernel for this case, which is counted apart and is no pass; or any other value, a hipError_t, which
 * fails the case. It may read every input and write the elements of the outputs, nothing else. What each op
 * computes, which tensors may be absent or alias, and what is demanded of bad values stands in hipforge's
 * kernels/<op>.h; the structs here are its params, tensor for tensor and scalar for scalar.
 *
 * Source is compiled with the compiler of hipforge's platform. On the cpu platform g++ or clang++ compiles it
 * against hipforge's <hip/hip_runtime.h>; `kernel<<<...>>>(...)` and `extern __shared__ T name[];` in the
 * file itself (not in files that it includes) are made into what that needs. A wave has 32 or 64 lanes:
 * warpSize.
 *
 * FILE may also be an AMD code object whose kernels have the names and the arguments of hipforge's own, for
 * changes to those: hipforge's launchers launch what it has.
 */
#ifndef HIPFORGE_CANDIDATE_H
#define HIPFORGE_CANDIDATE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HIPFORGE_CANDIDATE_UNSUPPORTED (-1)

/* A hipStream_t. */
typedef void* hipforge_stream;

/* hipforge_tensor::dtype */
enum {
  HIPFORGE_F32 = 0,
  HIPFORGE_F16 = 1, /* IEEE binary16 */
  HIPFORGE_BF16 = 2,
  HIPFORGE_I32 = 3,
  HIPFORGE_U32 = 4,
  HIPFORGE_U8 = 5
};

/* Device memory. A tensor that a case does not have has rank 0 and a null `data`. */
typedef struct hipforge_tensor {
  void* data;
  int32_t dtype;
  int32_t rank;
  int64_t shape[4];   /* outermost first; the first `rank` count */
  int64_t strides[4]; /* in elements */
} hipforge_tensor;

typedef struct hipforge_rms_norm_params {
  hipforge_tensor x;            /* [rows, hidden] */
  hipforge_tensor residual;     /* as x, or absent */
  hipforge_tensor residual_out; /* out: as residual */
  hipforge_tensor weight;       /* [hidden] */
  hipforge_tensor y;            /* out: as x */
  float eps;
} hipforge_rms_norm_params;

/* softmax's empty_row: what a row gets of which everything is masked */
enum { HIPFORGE_EMPTY_ROW_ZERO = 0, HIPFORGE_EMPTY_ROW_UNIFORM = 1, HIPFORGE_EMPTY_ROW_NAN = 2 };

typedef struct hipforge_softmax_params {
  hipforge_tensor x;    /* [batch, heads, rows, cols] */
  hipforge_tensor y;    /* out: as x */
  hipforge_tensor mask; /* as x with 1 where it is broadcast, or absent */
  float scale;
  int32_t causal; /* 0 or 1 */
  int64_t causal_offset;
  int32_t empty_row;
} hipforge_softmax_params;

typedef struct hipforge_weighted_matmul_params {
  hipforge_tensor weights; /* [batch, q_heads, q_len, kv_len] */
  hipforge_tensor values;  /* [batch, kv_len, kv_heads, head_dim] */
  hipforge_tensor out;     /* out: [batch, q_len, q_heads, head_dim] */
} hipforge_weighted_matmul_params;

typedef struct hipforge_causal_mask_params {
  hipforge_tensor mask; /* out: [q_len, kv_len] */
  int64_t window;
  int64_t prefix_len;
} hipforge_causal_mask_params;

/* rope's style */
enum { HIPFORGE_ROPE_INTERLEAVED = 0, HIPFORGE_ROPE_HALF_SPLIT = 1 };

typedef struct hipforge_rope_params {
  hipforge_tensor x;         /* [batch, seq, heads, head_dim] */
  hipforge_tensor y;         /* out: as x */
  hipforge_tensor positions; /* i32 [seq] or [batch, seq] */
  hipforge_tensor inv_freq;  /* f32 [rotary_dim / 2] */
  int64_t rotary_dim;
  int32_t style;
  float magnitude;
  uint32_t* error_word; /* device */
} hipforge_rope_params;

typedef struct hipforge_kv_append_params {
  hipforge_tensor k;           /* [tokens, kv_heads, head_dim] */
  hipforge_tensor v;           /* as k */
  hipforge_tensor k_cache;     /* out: [pages, page_size, kv_heads, head_dim] */
  hipforge_tensor v_cache;     /* out: as k_cache */
  hipforge_tensor offsets;     /* i32 [batch + 1] */
  hipforge_tensor kv_lens;     /* i32 [batch] */
  hipforge_tensor block_table; /* i32 [batch, max_pages] */
  uint32_t* error_word;        /* device */
} hipforge_kv_append_params;

typedef struct hipforge_argmax_params {
  hipforge_tensor x;      /* [rows, cols] */
  hipforge_tensor ids;    /* out: i32 [rows] */
  hipforge_tensor values; /* out: f32 [rows], or absent */
} hipforge_argmax_params;

typedef struct hipforge_sample_params {
  hipforge_tensor logits; /* [rows, vocab] */
  hipforge_tensor ids;    /* out: i32 [rows] */
  hipforge_tensor draws;  /* out: f32 [rows], or absent */
  float temperature;
  int64_t top_k;
  float top_p;
  uint64_t seed;
  uint64_t position;
} hipforge_sample_params;

typedef struct hipforge_flash_attention_params {
  hipforge_tensor q;    /* [batch, q_len, q_heads, head_dim], packed [tokens, q_heads, head_dim] */
  hipforge_tensor k;    /* [batch, kv_len, kv_heads, head_dim], packed, or paged */
  hipforge_tensor v;    /* as k */
  hipforge_tensor o;    /* out: as q */
  hipforge_tensor lse;  /* out: f32 [batch, q_heads, q_len], packed [q_heads, tokens], or absent */
  hipforge_tensor mask; /* additive, or absent */
  hipforge_tensor q_offsets;
  hipforge_tensor kv_offsets;
  hipforge_tensor kv_lens;
  hipforge_tensor block_table;
  int64_t max_q_len;
  int64_t max_kv_len;
  float scale; /* 0: 1 / sqrt(head_dim) */
  float soft_cap;
  int32_t causal; /* 0 or 1 */
  int64_t window;
  int64_t prefix_len;
  int32_t batch_invariant; /* 0 or 1 */
  uint32_t* error_word;    /* device */
} hipforge_flash_attention_params;

typedef struct hipforge_linear_params {
  hipforge_tensor x;       /* [rows, in_features] */
  hipforge_tensor weight;  /* [out_features, in_features] */
  hipforge_tensor bias;    /* [out_features], or absent */
  hipforge_tensor y;       /* out: [rows, out_features] */
  int32_t batch_invariant; /* 0 or 1 */
} hipforge_linear_params;

typedef struct hipforge_embedding_params {
  hipforge_tensor table; /* [vocab, hidden] */
  hipforge_tensor ids;   /* i32 [tokens] */
  hipforge_tensor y;     /* out: [tokens, hidden] */
  float scale;
  uint32_t* error_word; /* device */
} hipforge_embedding_params;

typedef struct hipforge_swiglu_params {
  hipforge_tensor gate; /* [rows, cols] */
  hipforge_tensor up;   /* as gate */
  hipforge_tensor y;    /* out: as gate */
} hipforge_swiglu_params;

#if defined(__GNUC__)
#define HIPFORGE_CANDIDATE_EXPORT __attribute__((visibility("default")))
#else
#define HIPFORGE_CANDIDATE_EXPORT
#endif

/* A candidate defines those that it offers. */
HIPFORGE_CANDIDATE_EXPORT int hipforge_candidate_rms_norm(const hipforge_rms_norm_params*, hipforge_stream);
HIPFORGE_CANDIDATE_EXPORT int hipforge_candidate_softmax(const hipforge_softmax_params*, hipforge_stream);
HIPFORGE_CANDIDATE_EXPORT int hipforge_candidate_weighted_matmul(const hipforge_weighted_matmul_params*,
                                                                 hipforge_stream);
HIPFORGE_CANDIDATE_EXPORT int hipforge_candidate_causal_mask(const hipforge_causal_mask_params*,
                                                             hipforge_stream);
HIPFORGE_CANDIDATE_EXPORT int hipforge_candidate_rope(const hipforge_rope_params*, hipforge_stream);
HIPFORGE_CANDIDATE_EXPORT int hipforge_candidate_kv_append(const hipforge_kv_append_params*, hipforge_stream);
HIPFORGE_CANDIDATE_EXPORT int hipforge_candidate_argmax(const hipforge_argmax_params*, hipforge_stream);
HIPFORGE_CANDIDATE_EXPORT int hipforge_candidate_sample(const hipforge_sample_params*, hipforge_stream);
HIPFORGE_CANDIDATE_EXPORT int hipforge_candidate_flash_attention(const hipforge_flash_attention_params*,
                                                                 hipforge_stream);
HIPFORGE_CANDIDATE_EXPORT int hipforge_candidate_linear(const hipforge_linear_params*, hipforge_stream);
HIPFORGE_CANDIDATE_EXPORT int hipforge_candidate_embedding(const hipforge_embedding_params*, hipforge_stream);
HIPFORGE_CANDIDATE_EXPORT int hipforge_candidate_swiglu(const hipforge_swiglu_params*, hipforge_stream);

#ifdef __cplusplus
}
#endif

#endif
