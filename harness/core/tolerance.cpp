#include "harness/core/tolerance.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hipforge::harness {
namespace {

struct Format {
  int mantissa_bits;  // with the implicit one
  int min_exponent;   // of the smallest normal number
  double max_finite;
};

Format format_of(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return {11, -14, 65504.0};
    case DType::kBF16:
      return {8, -126, 0x1.fep127};
    default:
      return {24, -126, static_cast<double>(std::numeric_limits<float>::max())};
  }
}

}  // namespace

double unit_roundoff(DType dtype) {
  return std::ldexp(1.0, -format_of(dtype).mantissa_bits);
}

double smallest_normal(DType dtype) {
  return std::ldexp(1.0, format_of(dtype).min_exponent);
}

double store_rounding(DType dtype, double value) {
  return unit_roundoff(dtype) * std::fmax(std::fabs(value), smallest_normal(dtype));
}

double overflow_threshold(DType dtype) {
  const Format format = format_of(dtype);
  const int exponent = std::ilogb(format.max_finite);
  return format.max_finite + std::ldexp(1.0, exponent - format.mantissa_bits);
}

double dot_bound(double factor, std::int64_t depth, double magnitude, std::int64_t terms) {
  const double underflow = static_cast<double>(terms) * 0x1p-149;
  return factor * kF32Roundoff * static_cast<double>(depth + 1) * magnitude + underflow;
}

double round_to_dtype(DType dtype, double value) {
  if (!std::isfinite(value) || value == 0.0) return value;
  const Format format = format_of(dtype);
  const int exponent = std::max(std::ilogb(value), format.min_exponent);
  const double unit = std::ldexp(1.0, exponent - format.mantissa_bits + 1);
  const double rounded = std::nearbyint(value / unit) * unit;
  if (std::fabs(rounded) > format.max_finite) return std::copysign(INFINITY, value);
  return rounded;
}

bool is_power_of_two(double value) {
  return value > 0.0 && std::exp2(std::ilogb(value)) == value;
}

bool are_integers(std::span<const double> values) {
  return std::ranges::all_of(values, [](double value) { return value == std::floor(value); });
}

std::vector<double> without_subnormals(std::span<const double> values, DType dtype) {
  std::vector<double> kept(values.begin(), values.end());
  for (double& value : kept) {
    if (std::fabs(value) < smallest_normal(dtype)) value = 0.0;
  }
  return kept;
}

}  // namespace hipforge::harness
