#include "kernels/runtime/check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>

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

Status check_dtype(const char* op, const char* name, const TensorView& tensor, const DTypes& legal) {
  if (std::find(legal.begin(), legal.end(), tensor.dtype) != legal.end()) return {};
  std::string names;
  for (const DType* dtype = legal.begin(); dtype != legal.end(); ++dtype) {
    if (std::find(legal.begin(), dtype, *dtype) != dtype) continue;  // "f32 or that of x", which is f32
    names += (names.empty() ? "" : ", ") + std::string(dtype_name(*dtype));
  }
  return unsupported(op, ": ", name, " has dtype ", dtype_name(tensor.dtype), ", supported: ", names);
}

Status check_shape(const char* op, const char* name, const TensorView& tensor, const Dims& expected) {
  std::size_t axis = 0;
  for (const Dim& dim : expected) {
    const std::int64_t found = tensor.shape[axis++];
    if (found == dim.size || (dim.or_one && found == 1)) continue;
    return invalid_argument(op, ": ", name, " has shape ", tensor.shape_text(), ", size ", found,
                            " along axis ", axis - 1, ", needs ", dim.size, " (", dim.or_one ? "1, or " : "",
                            dim.why, ")");
  }
  return {};
}

Status check_last_axis(const char* op, const char* name, const TensorView& tensor) {
  const auto at = static_cast<std::size_t>(tensor.rank - 1);
  if (tensor.shape[at] <= 1 || tensor.strides[at] == 1) return {};
  return invalid_argument(op, ": ", name, " has stride ", tensor.strides[at],
                          " along its last axis, needs 1");
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

namespace detail {
namespace {

// The operand that is read stands first in a message; of two outputs, the one that the op lists first.
Status check_pair(const char* op, const Operand& first, const Operand& second, Apart apart) {
  const bool written = first.role.out() || second.role.out();
  if (!written) return {};
  const bool turned = first.role.out() && !second.role.out();
  const Operand& a = turned ? second : first;
  const Operand& b = turned ? first : second;
  if (apart != nullptr && apart(*b.tensor, *a.tensor)) return {};
  const bool same_allowed = a.role.may_be(b.role.name) || b.role.may_be(a.role.name);
  return check_no_overlap(op, a.role.name, *a.tensor, b.role.name, *b.tensor, same_allowed);
}

}  // namespace

Status check_operands(const char* op, std::span<const Operand> operands,
                      std::span<const ExpectedOperand> expected, Apart apart) {
  const auto for_each = [&](const auto& check) -> Status {
    for (const Operand& operand : operands) {
      if (operand.role.optional() && !operand.tensor->present()) continue;
      const auto line = std::find_if(expected.begin(), expected.end(), [&](const ExpectedOperand& candidate) {
        return std::string_view(candidate.name) == operand.role.name;
      });
      if (line == expected.end()) return invalid_argument(op, ": ", operand.role.name, " has no contract");
      if (Status status = check(operand, *line); !status.ok()) return status;
    }
    return {};
  };
  HIPFORGE_TRY(for_each([&](const Operand& operand, const ExpectedOperand& line) -> Status {
    if (!operand.tensor->present()) {
      return invalid_argument(op, ": ", line.name, " is absent, needs rank ", line.shape.size());
    }
    return check_tensor(op, line.name, *operand.tensor, static_cast<int>(line.shape.size()));
  }));
  HIPFORGE_TRY(for_each([&](const Operand& operand, const ExpectedOperand& line) {
    return check_dtype(op, line.name, *operand.tensor, line.legal);
  }));
  HIPFORGE_TRY(for_each([&](const Operand& operand, const ExpectedOperand& line) {
    return check_shape(op, line.name, *operand.tensor, line.shape);
  }));
  HIPFORGE_TRY(for_each([&](const Operand& operand, const ExpectedOperand& line) -> Status {
    if (line.last_axis == LastAxis::kAnyStride) return {};
    return check_last_axis(op, line.name, *operand.tensor);
  }));
  return for_each([&](const Operand& operand, const ExpectedOperand&) -> Status {
    if (operand.role.out()) HIPFORGE_TRY(check_no_self_overlap(op, operand.role.name, *operand.tensor));
    for (const Operand& other : operands) {
      if (&other == &operand) break;  // each pair once
      if (!other.tensor->present()) continue;
      HIPFORGE_TRY(check_pair(op, other, operand, apart));
    }
    return {};
  });
}

}  // namespace detail
}  // namespace hipforge
