#pragma once

#include "kernels/runtime/dtype.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hipforge::harness {

/// What an output must be: per element the oracle's value and the largest error allowed (0: exactly equal).
struct Expected {
  DType dtype = DType::kF32;        ///< of the output: where a finite oracle may round to infinity
  std::vector<std::int64_t> shape;  ///< for "where"; row-major
  std::vector<double> value;
  std::vector<double> bound;
};

/// The outcome of one comparison. `worst_share` is the largest error / bound; above 1 (or NaN) the element
/// failed.
struct Comparison {
  bool passed = true;
  bool bounded = false;  ///< some element had a bound over 0
  double worst_share = 0.0;
  std::size_t elements = 0;
  std::size_t failures = 0;
  std::size_t worst_index = 0;
  std::string where;    ///< "[3, 17]" of the worst element
  std::string message;  ///< of the worst failure: index, value, oracle, bound; empty where all passed
  /// Of a judged case, what it has to say of each element; compare() leaves it empty.
  struct Judged {
    double value = 0.0;
    double oracle = 0.0;
    double share = 0.0;
  };
  std::vector<Judged> judged;
};

/// Compares every element, with no quota. An element passes where !(|actual − value| <= bound) does not hold;
/// where the oracle is NaN or infinite, only by being of the same class and sign. Sizes that differ fail.
[[nodiscard]] Comparison compare(std::span<const double> actual, const Expected& expected);

/// The share of its bound that each element uses: over 1, or infinite, where compare() has it fail. Sizes
/// must agree.
[[nodiscard]] std::vector<double> element_shares(std::span<const double> actual, const Expected& expected);

/// What sums of two numbers, each made by one f32 addition and stored as `dtype`, must be.
[[nodiscard]] Expected expect_sums(DType dtype, std::vector<std::int64_t> shape, std::vector<double> sums);

/// "[3, 17]" for a row-major index.
[[nodiscard]] std::string index_text(std::size_t index, std::span<const std::int64_t> shape);

}  // namespace hipforge::harness
