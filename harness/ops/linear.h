#pragma once

#include "harness/core/case.h"
#include "harness/sweep/metamorphic.h"
#include "kernels/linear.h"

#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kLinearBound = R"(
U·(depth + 1)·(Σ|x·weight| + |bias|) with u = 2⁻²⁴ and the kernel's own depth, because
each term of the sum passes at most depth additions, of which each loses at most u of what it adds (those
of a matrix unit 2·u: they count twice); the products of flushed operands; then the store.
Where all operands are integers and Σ|x·weight| + |bias| stays within 2²⁴ the sum makes no error: y is the
oracle's value rounded once, exactly.)";

/// Host values of one linear layer, row-major and already rounded to their dtypes.
struct LinearInputs {
  std::span<const double> x;
  std::span<const double> weight;
  std::span<const double> bias;  ///< empty where there is none
  std::int64_t rows = 0;
  std::int64_t in_features = 0;
  std::int64_t out_features = 0;
  DType y_dtype = DType::kF32;
  bool batch_invariant = true;
  double flushed = 0.0;    ///< operands below this magnitude may count as 0
  std::int64_t depth = 0;  ///< of a launch of which these are samples; 0: that of a launch of these sizes
};

/// Oracle and kLinearBound.
[[nodiscard]] Expected linear_expected(const LinearInputs& inputs, const Target& target);

[[nodiscard]] OpSuite linear_suite();
/// Its metamorphic cases, of `launcher`.
[[nodiscard]] std::vector<Case> linear_metamorphic_cases(const OpLauncher<LinearParams>& launcher = linear);
/// Its large_cases.
[[nodiscard]] std::vector<Case> linear_large_cases(std::int64_t shrink);

}  // namespace hipforge::harness
