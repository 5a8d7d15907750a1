#include "kernels/rms_norm.h"

#include "harness/core/tolerance.h"
#include "harness/ops/norm_sweep.h"
#include "harness/sweep/metamorphic.h"
#include "reference/rms_norm.h"

#include <cmath>
#include <utility>

namespace hipforge::harness {

constexpr const char* kRmsNormBound = R"(
With u = 2⁻²⁴ and r = 1 / sqrt(mean(s²) + eps):
  s: one addition, u·|s|;  the sum of squares: relative (depth + 2)·u, and 2u from s, halved by the root;
  root, division, mean and two products: 5u;  then the store. All relative to |y|, but for what s·r may
  lose where it is subnormal: 2⁻¹⁵⁰·|weight|.
A row whose sum of squares leaves f32 is exactly 0. Where eps is 0, hidden a power of two and each step of a
row exact in f32 (squares of few bits, a mean whose root is a power of two, a product with the weight that
f32 holds), y is the oracle's value rounded once, exactly.)";

// y, and residual_out where there is one, within kRmsNormBound.
Oracle<RmsNormParams> expect;
Relations<RmsNormParams> rms_norm_metamorphic_cases;

namespace {

// Whether a row of squares, whatever their order, adds up in f32 without an error, and its inverse root is a
// power of two.
bool is_exact(std::span<const double> s, double mean_square, double eps) {
  const auto hidden = static_cast<double>(s.size());
  return eps == 0.0 && is_power_of_two(hidden) && is_power_of_two(std::sqrt(mean_square)) &&
         mean_square * hidden <= 0x1p24 && are_integers(s);
}

Work work(const NormSpec& spec, const RmsNormParams&) {
  return {.flops = 4 * spec.rows * spec.hidden};
}

const OpCases<NormSpec, RmsNormParams> kCases{rms_norm, declared<NormSpec, declare_norm>,
                                              make_norm<RmsNormParams>, work, norm_samples<RmsNormParams>};

}  // namespace

std::vector<OutputExpectation> expect(const RmsNormParams& params, const HostTensors& host,
                                      const Target& target, const RmsNormParams&) {
  const std::int64_t rows = params.x.shape[0];
  const std::int64_t columns = params.x.shape[1];
  const auto weight = host.values("weight");
  const auto eps = static_cast<double>(params.eps);
  const reference::RmsNormResult oracle =
      reference::rms_norm(host.values("x"), host.values("residual"), weight, rows, columns, eps);
  const bool fused = params.residual.present();
  const auto depth = static_cast<double>(rms_norm_reduction_depth(columns, target));
  const double relative = (0.5 * (depth + (fused ? 4.0 : 2.0)) + (fused ? 6.0 : 5.0)) * kF32Roundoff;
  return norm_outputs(params, oracle.y, oracle.sum, [&](std::size_t row, std::span<const double> s) {
    const double squares = oracle.mean_square[row] * static_cast<double>(columns);
    const bool overflows = std::isfinite(squares) && squares >= overflow_threshold(DType::kF32);
    const bool exact = is_exact(s, oracle.mean_square[row], eps);
    return [=](std::size_t i, double& y) {
      if (overflows) y = 0.0;
      if (overflows || (exact && round_to_dtype(DType::kF32, y) == y)) return kExactly;
      // s·r may be subnormal before the weight multiplies it.
      return relative * std::fabs(y) + 0x1p-150 * std::fabs(weight[i]);
    };
  });
}

std::vector<Case> rms_norm_metamorphic_cases(const OpLauncher<RmsNormParams>& launcher) {
  return norm_relations("scale_invariant",
                        {{"4x", 4.0, 0.0, 0.0}, {"-x", -1.0, 0.0, 0.0}, {"3x", 3.0, 0.0, 2.0}}, launcher);
}

OpSuite rms_norm_suite() {
  return norm_suite(kCases, kRmsNormBound, rms_norm_metamorphic_cases);
}

}  // namespace hipforge::harness
