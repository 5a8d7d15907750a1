#include "reference/rope.h"

#include <Eigen/Core>
#include <Eigen/Geometry>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace hipforge::reference {

RopeResult rope(std::span<const double> x, std::span<const double> positions,
                std::span<const double> inv_freq, const RopeSizes& sizes, bool interleaved,
                double magnitude) {
  RopeResult result;
  result.y.assign(x.begin(), x.end());
  result.products.assign(x.size(), 0.0);
  result.angle_slope.assign(x.size(), 0.0);
  const std::int64_t pairs = sizes.rotary_dim / 2;
  const std::int64_t tokens = sizes.batch * sizes.seq;
  for (std::int64_t token = 0; token < tokens; ++token) {
    // One row of positions serves every sequence, or each has its own.
    const auto at = static_cast<std::size_t>(token) % positions.size();
    const double position = positions[at];
    const auto begin = result.y.begin() + token * sizes.heads * sizes.head_dim;
    if (position < 0.0) {
      std::fill_n(begin, sizes.heads * sizes.head_dim, std::numeric_limits<double>::quiet_NaN());
      continue;
    }
    if (position == 0.0 && magnitude == 1.0) continue;
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
      const long double angle = static_cast<long double>(position) * inv_freq[static_cast<std::size_t>(pair)];
      const Eigen::Matrix2d rotation =
          Eigen::Rotation2D<long double>(angle).toRotationMatrix().cast<double>();
      for (std::int64_t head = 0; head < sizes.heads; ++head) {
        const std::int64_t row = (token * sizes.heads + head) * sizes.head_dim;
        const auto first = static_cast<std::size_t>(row + (interleaved ? 2 * pair : pair));
        const auto second = static_cast<std::size_t>(row + (interleaved ? 2 * pair + 1 : pair + pairs));
        const Eigen::Vector2d in(x[first], x[second]);
        const Eigen::Vector2d out = magnitude * (rotation * in);
        const Eigen::Vector2d products = magnitude * (rotation.cwiseAbs() * in.cwiseAbs());
        const double slope = position * magnitude * in.cwiseAbs().sum();
        result.y[first] = out[0];
        result.y[second] = out[1];
        result.products[first] = products[0];
        result.products[second] = products[1];
        result.angle_slope[first] = slope;
        result.angle_slope[second] = slope;
      }
    }
  }
  return result;
}

std::vector<double> rope_frequencies_plain(std::int64_t rotary_dim, double theta) {
  const Eigen::ArrayXd exponent =
      Eigen::ArrayXd::LinSpaced(rotary_dim / 2, 0.0, static_cast<double>(rotary_dim - 2)) /
      static_cast<double>(rotary_dim);
  const Eigen::ArrayXd frequency = (-exponent * std::log(theta)).exp();
  return {frequency.begin(), frequency.end()};
}

std::vector<double> rope_frequencies_ntk(std::int64_t rotary_dim, double theta, double factor) {
  const auto dim = static_cast<double>(rotary_dim);
  return rope_frequencies_plain(rotary_dim, theta * std::pow(factor, dim / (dim - 2.0)));
}

std::vector<double> rope_frequencies_yarn(std::int64_t rotary_dim, double theta, double factor,
                                          double context, double beta_fast, double beta_slow) {
  std::vector<double> frequency = rope_frequencies_plain(rotary_dim, theta);
  // theta^(2i/d) = L / (2π·turns), solved for i.
  const auto dimension = [&](double turns) {
    const double wavelengths = std::log(context) - std::log(turns) - std::log(2.0 * std::numbers::pi);
    return static_cast<double>(rotary_dim) / 2.0 * wavelengths / std::log(theta);
  };
  const double low = std::fmax(0.0, std::floor(dimension(beta_fast)));
  const double high = std::fmin(static_cast<double>(rotary_dim) - 1.0, std::ceil(dimension(beta_slow)));
  for (std::size_t i = 0; i < frequency.size(); ++i) {
    const double width = std::fmax(high - low, 0.001);
    const double interpolated = std::fmin(1.0, std::fmax(0.0, (static_cast<double>(i) - low) / width));
    const double extrapolated = 1.0 - interpolated;
    frequency[i] = extrapolated * frequency[i] + interpolated * (frequency[i] / factor);
  }
  return frequency;
}

std::vector<double> rope_frequencies_llama3(std::int64_t rotary_dim, double theta, double factor,
                                            double context, double low_factor, double high_factor) {
  std::vector<double> frequency = rope_frequencies_plain(rotary_dim, theta);
  for (double& value : frequency) {
    const double wavelength = 2.0 * std::numbers::pi / value;
    if (wavelength < context / high_factor) continue;
    if (wavelength > context / low_factor) {
      value /= factor;
      continue;
    }
    const double smooth = (context / wavelength - low_factor) / (high_factor - low_factor);
    value = (1.0 - smooth) * value / factor + smooth * value;
  }
  return frequency;
}

}  // namespace hipforge::reference
