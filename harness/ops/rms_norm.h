#pragma once

#include "harness/core/case.h"
#include "harness/sweep/metamorphic.h"
#include "kernels/rms_norm.h"

#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kRmsNormBound = R"(
With u = 2⁻²⁴ and r = 1 / sqrt(mean(s²) + eps):
  s: one addition, u·|s|;  the sum of squares: relative (depth + 2)·u, and 2u from s, halved by the root;
  root, division, mean and two products: 5u;  then the store. All relative to |y|, but for what s·r may
  lose where it is subnormal: 2⁻¹⁵⁰·|weight|.
A row whose sum of squares leaves f32 is exactly 0. Where eps is 0, hidden a power of two and each step of a
row exact in f32 (squares of few bits, a mean whose root is a power of two, a product with the weight that
f32 holds), y is the oracle's value rounded once, exactly.)";

/// Host values of one RMSNorm, row-major and already rounded to their dtypes.
struct RmsNormInputs {
  std::span<const double> x;
  std::span<const double> residual;  ///< empty without the fused add
  std::span<const double> weight;
  std::int64_t rows = 0;
  std::int64_t hidden = 0;
  double eps = 0.0;
  DType y_dtype = DType::kF32;
  DType residual_dtype = DType::kF32;
};

struct RmsNormExpected {
  Expected y;
  Expected residual_out;  ///< empty without the fused add
};

/// Oracle and kRmsNormBound.
[[nodiscard]] RmsNormExpected rms_norm_expected(const RmsNormInputs& inputs, const Target& target);

[[nodiscard]] OpSuite rms_norm_suite();
/// Its metamorphic cases, of `launcher`.
[[nodiscard]] std::vector<Case> rms_norm_metamorphic_cases(
    const OpLauncher<RmsNormParams>& launcher = rms_norm);
/// Its large_cases.
[[nodiscard]] std::vector<Case> rms_norm_large_cases(std::int64_t shrink);

}  // namespace hipforge::harness
