#include "harness/core/compare.h"

#include "harness/core/tolerance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace hipforge::harness {
namespace {

// Share of the bound that an element uses; infinity where it is of the wrong class.
double element_share(double actual, double value, double bound, double overflow) {
  constexpr double kWrong = std::numeric_limits<double>::infinity();
  if (std::isnan(value)) return std::isnan(actual) ? 0.0 : kWrong;
  if (std::isinf(value)) return actual == value ? 0.0 : kWrong;
  if (std::isinf(actual)) {
    // A finite oracle may still round to infinity in the output's dtype.
    const bool may_overflow =
        std::fabs(value) + bound >= overflow && std::signbit(actual) == std::signbit(value);
    return may_overflow ? 0.0 : kWrong;
  }
  if (std::fabs(value) - bound >= overflow) return kWrong;  // had to be infinite
  const double error = std::fabs(actual - value);
  if (error == 0.0) return 0.0;
  return bound > 0.0 && !std::isnan(error) ? error / bound : kWrong;
}

}  // namespace

Expected expect_sums(DType dtype, std::vector<std::int64_t> shape, std::vector<double> sums) {
  Expected expected{dtype, std::move(shape), std::move(sums), {}};
  for (double sum : expected.value) {
    // An f32 is rounded once, by the addition; a narrower one a second time, by the store.
    const double stored = dtype == DType::kF32 ? 0.0 : store_rounding(dtype, sum);
    expected.bound.push_back(kF32Roundoff * std::fabs(sum) + stored);
  }
  return expected;
}

std::string index_text(std::size_t index, std::span<const std::int64_t> shape) {
  std::string text;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    const auto size = static_cast<std::size_t>(shape[axis]);
    const std::size_t at = size == 0 ? 0 : index % size;
    text = text.empty() ? std::to_string(at) : fmt::format("{}, {}", at, text);
    index = size == 0 ? 0 : index / size;
  }
  return "[" + text + "]";
}

std::vector<double> element_shares(std::span<const double> actual, const Expected& expected) {
  const double overflow = dtype_is_float(expected.dtype) ? overflow_threshold(expected.dtype)
                                                         : std::numeric_limits<double>::infinity();
  std::vector<double> shares(actual.size());
  for (std::size_t i = 0; i < shares.size(); ++i) {
    shares[i] = element_share(actual[i], expected.value[i], expected.bound[i], overflow);
  }
  return shares;
}

Comparison compare(std::span<const double> actual, const Expected& expected) {
  Comparison result;
  result.elements = expected.value.size();
  if (actual.size() != expected.value.size() || expected.bound.size() != expected.value.size()) {
    result.passed = false;
    result.worst_share = std::numeric_limits<double>::infinity();
    result.message =
        fmt::format("sizes differ: {} elements came back, the oracle has {} values and {} bounds",
                    actual.size(), expected.value.size(), expected.bound.size());
    return result;
  }
  const std::vector<double> shares = element_shares(actual, expected);
  const auto over = [](double share) { return !(share <= 1.0); };
  result.bounded =
      std::any_of(expected.bound.begin(), expected.bound.end(), [](double b) { return b > 0.0; });
  result.failures = static_cast<std::size_t>(std::count_if(shares.begin(), shares.end(), over));
  result.passed = result.failures == 0;
  if (shares.empty()) return result;
  const auto worst = std::max_element(shares.begin(), shares.end());
  const auto i = static_cast<std::size_t>(worst - shares.begin());
  result.worst_share = *worst;
  result.worst_index = i;
  result.where = index_text(i, expected.shape);
  if (!result.passed) {
    result.message = fmt::format(
        "{} of {} elements over the bound; worst at {}: got {:.9g}, oracle {:.9g}, error {:.3g}, bound "
        "{:.3g}",
        result.failures, result.elements, result.where, actual[i], expected.value[i],
        std::fabs(actual[i] - expected.value[i]), expected.bound[i]);
  }
  return result;
}

}  // namespace hipforge::harness
