#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <string_view>
#include <type_traits>

/// How code walks the params of an op without knowing which op it is. Beside its params every kernels/<op>.h has
///
///   op_name(params)                   "rms_norm"
///   for_each_operand(params, visit)   calls visit(OperandRole, TensorView&) for each tensor, absent ones included
///   for_each_scalar(params, visit)    calls visit(name, value&) for the rest: numbers, flags, enumerations, and the
///                                     error word
///
/// in the order of the struct, for const params and others. What is to be known of an op's tensors stands there once:
/// overlap checks, bytes moved, guards and poison, a candidate's C entry, records and `--verify` follow from it.
namespace hipforge {

inline constexpr unsigned kIn = 1;              ///< read
inline constexpr unsigned kOut = 2;             ///< every element is written
inline constexpr unsigned kInOut = kIn | kOut;  ///< some elements are written, the others stay
inline constexpr unsigned kOptional = 4;        ///< may be absent

/// What an op does with one of its tensors.
struct OperandRole {
  const char* name;
  unsigned use;                          ///< kIn, kOut or kInOut, and kOptional
  std::array<const char*, 2> same_as{};  ///< of an output: the operands that it may be the same view as

  [[nodiscard]] bool in() const { return (use & kIn) != 0; }
  [[nodiscard]] bool out() const { return (use & kOut) != 0; }
  [[nodiscard]] bool may_be(std::string_view other) const {
    return std::any_of(same_as.begin(), same_as.end(),
                       [&](const char* one) { return one != nullptr && one == other; });
  }
  [[nodiscard]] bool optional() const { return (use & kOptional) != 0; }
};

/// P is Params, const or not.
template <class P, class Params>
concept ParamsOf = std::same_as<std::remove_const_t<P>, Params>;

}  // namespace hipforge
