#pragma once

#include "harness/core/case.h"
#include "harness/sweep/metamorphic.h"
#include "kernels/rope.h"
#include "reference/rope.h"

#include <span>
#include <vector>

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kRopeBound = R"(
With u = 2⁻²⁴ and m = magnitude · (|a cos φ| + |b sin φ|):
  sine and cosine 1.25u, their product with a magnitude that is not 1 another u, one product u: relative
  to m; the fused multiply-add u·|y|, then the store (in f32 it is the same rounding); the angle is off by
  less than 2π·position·2⁻⁶⁴, which moves y by that times magnitude · (|a| + |b|).
Elements that are copied must be exactly equal.)";

/// Host values of one rotation, row-major and already rounded to their dtypes.
struct RopeInputs {
  std::span<const double> x;
  std::span<const double> positions;  ///< [seq] or [batch, seq]
  std::span<const double> inv_freq;
  reference::RopeSizes sizes;
  RopeStyle style = RopeStyle::kInterleaved;
  double magnitude = 1.0;
  DType dtype = DType::kF32;
};

/// Oracle and kRopeBound.
[[nodiscard]] Expected rope_expected(const RopeInputs& inputs, const Target& target);

[[nodiscard]] OpSuite rope_suite();
/// Its metamorphic cases, of `launcher`.
[[nodiscard]] std::vector<Case> rope_metamorphic_cases(const OpLauncher<RopeParams>& launcher = rope);
/// Its large_cases.
[[nodiscard]] std::vector<Case> rope_large_cases(std::int64_t shrink);

}  // namespace hipforge::harness
