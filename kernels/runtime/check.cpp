#include "kernels/runtime/check.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hipforge {
namespace {

// a·b + c for non-negative numbers, saturating: a hostile shape must not wrap into a small one.
std::int64_t saturating_madd(std::int64_t a, std::int64_t b, std::int64_t c) {
  std::int64_t product = 0;
  std::int64_t sum = 0;
  if (__builtin_mul_overflow(a, b, &product) || __builtin_add_overflow(product, c, &sum)) {
    return std::numeric_limits<std::int64_t>::max();
  }
  return sum;
}

std::int64_t needed_elements(const TensorView& tensor) {
  std::int64_t last = 0;
  for (int axis = 0; axis < tensor.rank; ++axis) {
    const auto at = static_cast<std::size_t>(axis);
    if (tensor.shape[at] == 0) return 0;
    last = saturating_madd(tensor.shape[at] - 1, tensor.strides[at], last);
  }
  return saturating_madd(1, 1, last);
}

}  // namespace

Status check_tensor(const char* op, const char* name, const TensorView& tensor, int rank) {
  if (tensor.rank != rank) {
    return invalid_argument(op, ": ", name, " has rank ", tensor.rank, " (shape ", tensor.shape_text(),
                            "), needs rank ", rank);
  }
  for (int axis = 0; axis < rank; ++axis) {
    const auto at = static_cast<std::size_t>(axis);
    if (tensor.shape[at] < 0) {
      return invalid_argument(op, ": ", name, " has a negative size in shape ", tensor.shape_text());
    }
    if (tensor.strides[at] < 0) {
      return invalid_argument(op, ": ", name, " has stride ", tensor.strides[at], " along axis ", axis,
                              ", needs 0 or more");
    }
  }
  const std::int64_t needed = needed_elements(tensor);
  if (needed > tensor.elements) {
    return invalid_argument(op, ": ", name, " holds ", tensor.elements, " elements, shape ",
                            tensor.shape_text(), " needs ", needed);
  }
  if (needed > 0 && tensor.data == nullptr) {
    return invalid_argument(op, ": ", name, " is null, shape ", tensor.shape_text(), " needs ", needed,
                            " elements");
  }
  if (tensor.data != nullptr &&
      reinterpret_cast<std::uintptr_t>(tensor.data) % dtype_size(tensor.dtype) != 0) {
    return invalid_argument(op, ": ", name, " is not aligned to its ", dtype_size(tensor.dtype),
                            "-byte dtype ", dtype_name(tensor.dtype));
  }
  return {};
}

Status check_dtype(const char* op, const char* name, const TensorView& tensor,
                   std::initializer_list<DType> legal) {
  if (std::find(legal.begin(), legal.end(), tensor.dtype) != legal.end()) return {};
  std::string names;
  for (DType dtype : legal) {
    if (!names.empty()) names += ", ";
    names += dtype_name(dtype);
  }
  return unsupported(op, ": ", name, " has dtype ", dtype_name(tensor.dtype), ", supported: ", names);
}

Status check_dim(const char* op, const char* name, const TensorView& tensor, int axis, std::int64_t expected,
                 const char* why) {
  const std::int64_t found = tensor.shape[static_cast<std::size_t>(axis)];
  if (found == expected) return {};
  return invalid_argument(op, ": ", name, " has shape ", tensor.shape_text(), ", size ", found,
                          " along axis ", axis, ", needs ", expected, " (", why, ")");
}

Status check_innermost_contiguous(const char* op, const char* name, const TensorView& tensor) {
  const auto at = static_cast<std::size_t>(tensor.rank - 1);
  if (tensor.shape[at] <= 1 || tensor.strides[at] == 1) return {};
  return invalid_argument(op, ": ", name, " has stride ", tensor.strides[at],
                          " along its last axis, needs 1");
}

Status check_no_self_overlap(const char* op, const char* name, const TensorView& tensor) {
  // Taken by growing stride, each axis must step over all that the smaller ones span.
  std::array<bool, kMaxRank> taken{};
  std::int64_t span = 1;
  for (int turn = 0; turn < tensor.rank; ++turn) {
    int smallest = -1;
    for (int axis = 0; axis < tensor.rank; ++axis) {
      const auto at = static_cast<std::size_t>(axis);
      if (tensor.shape[at] == 0) return {};
      if (taken[at]) continue;
      if (smallest < 0 || tensor.strides[at] < tensor.strides[static_cast<std::size_t>(smallest)])
        smallest = axis;
    }
    const auto at = static_cast<std::size_t>(smallest);
    taken[at] = true;
    if (tensor.shape[at] == 1) continue;
    if (tensor.strides[at] < span) {
      return invalid_argument(op, ": ", name, " of shape ", tensor.shape_text(), " overlaps itself: stride ",
                              tensor.strides[at], " is under the ", span, " elements that one step spans");
    }
    span = saturating_madd(tensor.shape[at] - 1, tensor.strides[at], span);
  }
  return {};
}

Status check_no_overlap(const char* op, const char* name_a, const TensorView& a, const char* name_b,
                        const TensorView& b, bool same_allowed) {
  if (a.numel() == 0 || b.numel() == 0) return {};
  const auto begin_a = reinterpret_cast<std::uintptr_t>(a.data);
  const auto begin_b = reinterpret_cast<std::uintptr_t>(b.data);
  const auto end_a = begin_a + static_cast<std::uintptr_t>(a.extent()) * dtype_size(a.dtype);
  const auto end_b = begin_b + static_cast<std::uintptr_t>(b.extent()) * dtype_size(b.dtype);
  if (end_a <= begin_b || end_b <= begin_a) return {};
  const bool same = a.data == b.data && a.dtype == b.dtype && a.rank == b.rank && a.shape == b.shape &&
                    a.strides == b.strides;
  if (same && same_allowed) return {};
  return invalid_argument(op, ": ", name_a, " and ", name_b, " overlap in memory",
                          same_allowed ? " without being the same view" : "");
}

Status check_range(const char* op, const char* name, std::int64_t value, std::int64_t low,
                   std::int64_t high) {
  if (value >= low && value <= high) return {};
  return invalid_argument(op, ": ", name, " is ", value, ", needs ", low, " to ", high);
}

Status check_finite(const char* op, const char* name, double value) {
  if (std::isfinite(value)) return {};
  return invalid_argument(op, ": ", name, " is ", value, ", needs a finite number");
}

}  // namespace hipforge
