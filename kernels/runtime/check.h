#pragma once

#include "kernels/runtime/operands.h"
#include "kernels/runtime/status.h"
#include "kernels/runtime/tensor.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

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

/// No two indices of an output share an element: a stride of 0 or rows that overlap are refused.
Status check_no_self_overlap(const char* op, const char* name, const TensorView& tensor);

/// The two tensors share no byte, or are one and the same view (`same_allowed`).
Status check_no_overlap(const char* op, const char* name_a, const TensorView& a, const char* name_b,
                        const TensorView& b, bool same_allowed);

/// low <= value <= high.
Status check_range(const char* op, const char* name, std::int64_t value, std::int64_t low, std::int64_t high);

/// The scalar is finite.
Status check_finite(const char* op, const char* name, double value);

/// A few values, held in place: tables of what an op expects are made at every launch.
template <class T, std::size_t kMost>
class ShortList {
 public:
  constexpr ShortList(std::initializer_list<T> values) {
    for (const T& value : values) values_[count_++] = value;
  }
  [[nodiscard]] constexpr std::size_t size() const { return count_; }
  [[nodiscard]] constexpr const T* begin() const { return values_.data(); }
  [[nodiscard]] constexpr const T* end() const { return values_.data() + count_; }

 private:
  std::array<T, kMost> values_{};
  std::size_t count_ = 0;
};

/// A size that an axis must have, and where the number comes from ("hidden of x").
struct Dim {
  std::int64_t size = 0;
  const char* why = "";
  bool or_one = false;  ///< 1 will do, for broadcasting
};
/// That size, or 1.
[[nodiscard]] constexpr Dim one_or(const Dim& dim) {
  return {dim.size, dim.why, true};
}
using Dims = ShortList<Dim, kMaxRank>;
using DTypes = ShortList<DType, 3>;

inline constexpr DTypes kFloats{DType::kF32, DType::kF16, DType::kBF16};

enum class LastAxis {
  kContiguous,  ///< stride 1, or at most one element
  kAnyStride,
};

/// What an op expects of one of its operands.
struct ExpectedOperand {
  const char* name;
  Dims shape;
  DTypes legal;
  LastAxis last_axis = LastAxis::kContiguous;
};

/// Whether an output and another operand, whose spans meet, still share no element.
using Apart = bool (*)(const TensorView& output, const TensorView& other);

namespace detail {
struct Operand {
  OperandRole role;
  const TensorView* tensor;
};
Status check_operands(const char* op, std::span<const Operand> operands,
                      std::span<const ExpectedOperand> expected, Apart apart);
}  // namespace detail

/// All operands of an op (for_each_operand), each against its line of the table:
///   presence, unless it is optional; what check_tensor says; the dtype, kUnsupported names the legal ones;
///   the shape; the last axis' stride; no output overlaps itself; none overlaps another operand, but where
///   the two are the same view and the output's role allows it, or where `apart` says that they are apart.
/// An operand without a line is refused: every one has a contract.
template <class Params>
Status check_operands(const char* op, const Params& params, std::initializer_list<ExpectedOperand> expected,
                      Apart apart = nullptr) {
  std::array<detail::Operand, 12> operands{};
  std::size_t count = 0;
  for_each_operand(params, [&](const OperandRole& role, const TensorView& tensor) {
    operands[count++] = {role, &tensor};
  });
  return detail::check_operands(op, std::span(operands).first(count), expected, apart);
}

}  // namespace hipforge
