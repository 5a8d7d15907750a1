#pragma once

#include "kernels/runtime/status.h"
#include "kernels/runtime/tensor.h"

#include <cstdint>
#include <initializer_list>

/// Returns the failed Status of an expression from the enclosing function.
#define HIPFORGE_TRY(expression)                         \
  do {                                                   \
    ::hipforge::Status hipforge_status_ = (expression);  \
    if (!hipforge_status_.ok()) return hipforge_status_; \
  } while (false)

/// Returns kHipError from the enclosing function where a HIP call failed; the text of the call is named.
#define HIPFORGE_HIP_TRY(call) HIPFORGE_TRY(::hipforge::hip_status((call), #call))

/// Throws hipforge::Error where a HIP call failed; the text of the call is named.
#define HIPFORGE_HIP_CHECK(call) ::hipforge::throw_if_error(::hipforge::hip_status((call), #call))

namespace hipforge {

/// Checks that launchers share. `op` and `name` stand in front of every message ("rms_norm: weight ...").
/// Each returns kInvalidArgument or kUnsupported with the numbers that were found and that were needed.

/// Rank, no negative dimension, non-null data where the tensor is not empty, and a buffer that holds
/// 1 + Σ (shape − 1)·stride elements. Strides must not be negative.
Status check_tensor(const char* op, const char* name, const TensorView& tensor, int rank);

/// The dtype is one of the legal ones; kUnsupported names them all.
Status check_dtype(const char* op, const char* name, const TensorView& tensor,
                   std::initializer_list<DType> legal);

/// shape[axis] == expected; `why` says where the number comes from ("hidden of x").
Status check_dim(const char* op, const char* name, const TensorView& tensor, int axis, std::int64_t expected,
                 const char* why);

/// The last axis is contiguous (stride 1, or at most one element).
Status check_innermost_contiguous(const char* op, const char* name, const TensorView& tensor);

/// No two indices of an output share an element: a stride of 0 or rows that overlap are refused.
Status check_no_self_overlap(const char* op, const char* name, const TensorView& tensor);

/// The two tensors share no byte, or are one and the same view (`same_allowed`).
Status check_no_overlap(const char* op, const char* name_a, const TensorView& a, const char* name_b,
                        const TensorView& b, bool same_allowed);

/// low <= value <= high.
Status check_range(const char* op, const char* name, std::int64_t value, std::int64_t low, std::int64_t high);

/// The scalar is finite.
Status check_finite(const char* op, const char* name, double value);

}  // namespace hipforge
