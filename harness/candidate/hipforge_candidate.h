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

/* softmax's empty_row: what a row gets of which everything is masked */
enum { HIPFORGE_EMPTY_ROW_ZERO = 0, HIPFORGE_EMPTY_ROW_UNIFORM = 1, HIPFORGE_EMPTY_ROW_NAN = 2 };

/* rope's style */
enum { HIPFORGE_ROPE_INTERLEAVED = 0, HIPFORGE_ROPE_HALF_SPLIT = 1 };

#if defined(__GNUC__)
#define HIPFORGE_CANDIDATE_EXPORT __attribute__((visibility("default")))
#else
#define HIPFORGE_CANDIDATE_EXPORT
#endif

/* The params of every op, and the functions of which a candidate defines those that it offers:
 *
 *   typedef struct hipforge_softmax_params { hipforge_tensor x; ...; float scale; ... } hipforge_softmax_params;
 *   HIPFORGE_CANDIDATE_EXPORT int hipforge_candidate_softmax(const hipforge_softmax_params*, hipforge_stream);
 *
 * Flags and enumerations are int32_t. `hipforge candidate --header` prints this file; source that hipforge compiles
 * finds it. */
#ifndef HIPFORGE_CANDIDATE_TYPES_ALONE
#include <hipforge_candidate_ops.h>
#endif

#ifdef __cplusplus
}
#endif

#endif
