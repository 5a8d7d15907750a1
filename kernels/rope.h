#pragma once

#include "kernels/runtime/launch.h"
#include "kernels/runtime/operands.h"
#include "kernels/runtime/target.h"
#include "kernels/runtime/tensor.h"

#include <cstdint>
#include <span>
#include <vector>

namespace hipforge {

/// Which elements rotate together: (2i, 2i + 1), or (i, i + rotary_dim / 2).
enum class RopeStyle { kInterleaved, kHalfSplit };

/// Rotary position embedding. With p the token's position, φ = p · inv_freq[i] and (a, b) pair i of a head:
///
///   y_a = magnitude · (x_a cos φ − x_b sin φ)
///   y_b = magnitude · (x_a sin φ + x_b cos φ)
///
/// on the first rotary_dim elements of each head; the rest is copied bit by bit.
/// Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021 (arXiv:2104.09864),
/// equation 34.
///
/// Tensors (strides in elements):
///   x          [batch, seq, heads, head_dim]  f32, f16, bf16; last axis contiguous, other strides free
///   y          shape and dtype of x, last axis contiguous; the same view as x, or apart from it
///   positions  i32 [seq], or [batch, seq] where each sequence has its own (packed, left-padded, GLM); any
///              order, any strides, repeats allowed. Nothing else is taken: positions per head are refused
///   inv_freq   f32 [rotary_dim / 2], radians per position; contiguous; see rope_frequencies
/// Alignment: that of the element. 16-byte accesses where all rows of x and y start at multiples of 16
/// bytes, and head_dim and rotary_dim (for kHalfSplit half of it) are multiples of 16 bytes.
///
/// rotary_dim: even, 2 to head_dim and at most 8,192. magnitude: finite, > 0.
///
/// Range: every position from 0 to 2³¹ − 1, and |inv_freq| < 2²⁴ (a larger or non-finite one makes its pair
/// NaN). The angle is an integer in units of 2⁻⁶⁴ turn, off by less than 2π·p·2⁻⁶⁴: a position near 131,072,
/// or near 2³¹, is as right as one near 0. Sine and cosine are ours, in f32, the same bits on every platform.
/// Rounding: sine and cosine (1.25u each, u = 2⁻²⁴), times magnitude, one product, one fused multiply-add,
/// the store.
///
/// Position 0 with magnitude 1 copies the head bit by bit: −0, subnormals, infinities and NaN payloads
/// included. Elsewhere NaN or infinity reaches its own pair alone. A negative position gives NaN in all of
/// that token's heads, elements past rotary_dim included, and kDeviceErrorPosition.
/// Empty (batch, seq or heads 0) launches nothing.
///
/// Errors: kInvalidArgument for a shape, stride, overlap, rotary_dim, magnitude, or positions of another
/// form; kUnsupported for a dtype or style; kHipError from the launch.
/// Bound: harness/ops/rope.cpp. Bytes: x, y, positions and inv_freq once. FLOPs: 6 per rotated pair.
/// Deterministic: an element's bits depend on its pair, position, inv_freq and magnitude alone.
struct RopeParams {
  TensorView x;
  TensorView y;
  TensorView positions;
  TensorView inv_freq;
  std::int64_t rotary_dim = 0;
  RopeStyle style = RopeStyle::kInterleaved;
  float magnitude = 1.0f;               ///< YaRN's attention factor
  std::uint32_t* error_word = nullptr;  ///< optional, device; DeviceError bits are ORed in
};

constexpr const char* op_name(const RopeParams&) {
  return "rope";
}
template <ParamsOf<RopeParams> P, class Visit>
void for_each_operand(P& p, Visit&& visit) {
  visit(OperandRole{"x", kIn}, p.x);
  visit(OperandRole{"y", kOut, {"x"}}, p.y);
  visit(OperandRole{"positions", kIn}, p.positions);
  visit(OperandRole{"inv_freq", kIn}, p.inv_freq);
}
template <ParamsOf<RopeParams> P, class Visit>
void for_each_scalar(P& p, Visit&& visit) {
  visit("rotary_dim", p.rotary_dim);
  visit("style", p.style);
  visit("magnitude", p.magnitude);
  visit("error_word", p.error_word);
}

/// Launches what rope_plan plans for `target`.
[[nodiscard]] Status rope(const RopeParams& params, hipStream_t stream,
                          const Target& target = kCurrentDevice);

/// What rope would launch on `target`; grid 0 where it would launch nothing.
[[nodiscard]] Status rope_plan(const RopeParams& params, const Target& target, LaunchPlan& plan);

enum class RopeScaling { kNone, kLinear, kNtk, kYarn, kLlama3, kFactors };

/// How inverse frequencies follow from a model's metadata. With d = rotary_dim, f_i = theta^(−2i/d),
/// s = factor and L = original_context_length:
///   kNone     f_i
///   kLinear   f_i / s  (Chen et al. 2023, arXiv:2306.15595)
///   kNtk      (theta · s^(d/(d−2)))^(−2i/d)  (the "NTK-aware" change of base)
///   kYarn     f_i · (1 − γ_i) + f_i / s · γ_i,  γ_i = clamp((i − low) / (high − low), 0, 1), where
///             dim(β) = d · ln(L / 2πβ) / (2 ln theta), low = max(⌊dim(beta_fast)⌋, 0),
///             high = min(⌈dim(beta_slow)⌉, d − 1), and high − low is at least 0.001: pairs that turn
///             beta_fast times within L stay, those that turn fewer than beta_slow times are interpolated
///             (Peng et al. 2023, arXiv:2309.00071, section 3.2, with the ramp over pair numbers that the
///             authors' code and its descendants use)
///   kLlama3   by the turns t = L · f_i / 2π within L: f_i where t > high_freq_factor, f_i / s where
///             t < low_freq_factor, between them f_i · (m + (1 − m) / s) with
///             m = (t − low_freq_factor) / (high_freq_factor − low_freq_factor)
///   kFactors  f_i / factors[i] / s
struct RopeFrequencyParams {
  std::int64_t rotary_dim = 0;  ///< even, ≥ 2 (kNtk: ≥ 4)
  double theta = 10000.0;       ///< > 0 (kYarn: > 1)
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;                       ///< > 0; unused by kNone
  std::int64_t original_context_length = 0;  ///< kYarn, kLlama3: ≥ 1
  double beta_fast = 32.0;                   ///< kYarn: turns; ≥ beta_slow
  double beta_slow = 1.0;                    ///< kYarn: > 0
  double low_freq_factor = 1.0;              ///< kLlama3: > 0
  double high_freq_factor = 4.0;             ///< kLlama3: > low_freq_factor
  /// The magnitude; 0 takes the scaling's own: 0.1 · ln(factor) + 1 for kYarn where factor > 1, else 1.
  double attention_factor = 0.0;
  std::span<const float> factors{};  ///< kFactors: a file's own divisors, rotary_dim / 2 of them, > 0
};

/// Host arithmetic in double: inv_freq[i], rounded once to f32, and the magnitude. kInvalidArgument for a
/// number outside the ranges above; inv_freq and magnitude are then left alone.
[[nodiscard]] Status rope_frequencies(const RopeFrequencyParams& params, std::vector<float>& inv_freq,
                                      float& magnitude);

}  // namespace hipforge
