#include "kernels/layer_norm.h"

#include "harness/core/tolerance.h"
#include "harness/ops/norm_sweep.h"
#include "harness/sweep/metamorphic.h"
#include "reference/layer_norm.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace hipforge::harness {

constexpr const char* kLayerNormBound = R"(
With u = 2⁻²⁴, d = s − m, V = mean(d²), R = 1 / sqrt(V + eps), and e = u·|s| where s is a sum, else 0:
  the mean: δ = (depth + 1)·u·mean|s| + mean(e) + u·|m|;  a difference from it: r = u·(|d| + δ) + e, beside δ;
  V: D = δ² + mean(r²) + 2·mean(|d|·r) + 2·δ·mean(r), since the differences themselves sum to 0, and
  (depth + 3)·u of the sum; R lies between those of V + eps ± that, and below 1 / sqrt(eps); root and
  division: 2u each;  y: |weight|·((δ + r)·R + |d|·(error of R)) + two products and bias: u each; then the
  store. Where a product is subnormal: 2⁻¹⁴⁹·(|weight| + 1).
A row whose sum of squares leaves f32 is exactly bias. Where eps is 0, hidden a power of two and each step of
a row exact in f32 (integers, a mean that is one, a variance whose root is a power of two), y is the oracle's
value rounded once, exactly.)";

// y, and residual_out where there is one, within kLayerNormBound.
Oracle<LayerNormParams> expect;
Relations<LayerNormParams> layer_norm_metamorphic_cases;

namespace {

// One row's part of the bound.
struct RowError {
  double apart = 0.0;         // of the mean, and so of every difference from it
  double inverse = 0.0;       // of 1 / sqrt(V + eps)
  double most_inverse = 0.0;  // the largest that it can become
  bool exact = false;         // every step of the row up to the inverse
  bool overflows = false;     // the sum of squares leaves f32
};

// What a difference from the mean may err by, beside the mean's own error.
double apart_error(double s, double apart, double mean_error, bool fused) {
  return kF32Roundoff * (std::fabs(apart) + mean_error + (fused ? std::fabs(s) : 0.0));
}

RowError row_error(std::span<const double> s, double mean, double variance, double eps, std::int64_t depth,
                   bool fused) {
  const auto n = static_cast<double>(s.size());
  RowError row;
  double magnitude = 0.0;
  double squares = 0.0;
  for (double value : s) {
    magnitude += std::fabs(value);
    squares += (value - mean) * (value - mean);
  }
  row.overflows = std::isfinite(squares) && squares >= overflow_threshold(DType::kF32);
  row.exact = eps == 0.0 && are_integers({&mean, 1}) && are_integers(s) && magnitude <= 0x1p24 &&
              squares <= 0x1p24 && is_power_of_two(n) && is_power_of_two(std::sqrt(variance));
  row.apart = dot_bound(1.0, depth, magnitude, static_cast<std::int64_t>(s.size())) / n +
              (fused ? kF32Roundoff * magnitude / n : 0.0) + kF32Roundoff * std::fabs(mean) + 0x1p-149;
  double r = 0.0;
  double r_squares = 0.0;
  double products = 0.0;
  for (double value : s) {
    const double error = apart_error(value, value - mean, row.apart, fused);
    r += error / n;
    r_squares += error * error / n;
    products += std::fabs(value - mean) * error / n;
  }
  const double moved = row.apart * row.apart + r_squares + 2.0 * products + 2.0 * row.apart * r;
  const double sums = static_cast<double>(depth + 4) * kF32Roundoff * (variance + eps + moved);
  const double off = moved + sums + 0x1p-149;
  const double inverse = 1.0 / std::sqrt(variance + eps);
  const double least = 1.0 / std::sqrt(variance + eps + off);
  const double most = 1.0 / std::sqrt(std::max(variance + eps - off, eps * (1.0 - kF32Roundoff)));
  row.most_inverse = most * (1.0 + 4.0 * kF32Roundoff);
  row.inverse = std::max(inverse - least, most - inverse) + 4.0 * kF32Roundoff * most;
  return row;
}

Work work(const NormSpec& spec, const LayerNormParams&) {
  return {.flops = 8 * spec.rows * spec.hidden};
}

const OpCases<NormSpec, LayerNormParams> kCases{layer_norm, declared<NormSpec, declare_norm>,
                                                make_norm<LayerNormParams>, work,
                                                norm_samples<LayerNormParams>};

}  // namespace

std::vector<OutputExpectation> expect(const LayerNormParams& params, const HostTensors& host,
                                      const Target& target, const LayerNormParams&) {
  const std::int64_t rows = params.x.shape[0];
  const std::int64_t columns = params.x.shape[1];
  const auto weight = host.values("weight");
  const auto bias = host.values("bias");
  const auto eps = static_cast<double>(params.eps);
  const reference::LayerNormResult oracle =
      reference::layer_norm(host.values("x"), host.values("residual"), weight, bias, rows, columns, eps);
  const bool fused = params.residual.present();
  const std::int64_t depth = layer_norm_reduction_depth(columns, target);
  return norm_outputs(params, oracle.y, oracle.sum, [&](std::size_t row, std::span<const double> s) {
    const double mean = oracle.mean[row];
    const RowError error = row_error(s, mean, oracle.variance[row], eps, depth, fused);
    const double inverse = 1.0 / std::sqrt(oracle.variance[row] + eps);
    return [=](std::size_t i, double& y) {
      const double product = (s[i] - mean) * inverse * weight[i];
      if (error.overflows) y = bias.empty() ? 0.0 : bias[i];
      if (error.overflows || (error.exact && round_to_dtype(DType::kF32, product) == product &&
                              round_to_dtype(DType::kF32, y) == y)) {
        return kExactly;
      }
      const double apart = std::fabs(s[i] - mean);
      const double moved = error.apart + apart_error(s[i], s[i] - mean, error.apart, fused);
      double bound = moved * error.most_inverse + apart * error.inverse;
      bound += 2.0 * kF32Roundoff * (apart + moved) * error.most_inverse;
      bound = bound * std::fabs(weight[i]) + 0x1p-149 * (std::fabs(weight[i]) + 1.0);
      return bias.empty() ? bound : bound + kF32Roundoff * (std::fabs(y) + bound);
    };
  });
}

std::vector<Case> layer_norm_metamorphic_cases(const OpLauncher<LayerNormParams>& launcher) {
  return norm_relations(
      "scale_and_shift",
      {{"4x", 4.0, 0.0, 0.0}, {"-x", -1.0, 0.0, 0.0}, {"3x", 3.0, 0.0, 2.0}, {"x+8", 1.0, 8.0, 4.0}},
      launcher);
}

OpSuite layer_norm_suite() {
  return norm_suite(kCases, kLayerNormBound, layer_norm_metamorphic_cases);
}

}  // namespace hipforge::harness
