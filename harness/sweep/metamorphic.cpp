#include "harness/sweep/metamorphic.h"

#include "harness/sweep/case_table.h"
#include "reference/not_finite.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace hipforge::harness {
namespace {

double apart(double left, double right, double bound, bool same_bits) {
  constexpr double kWrong = std::numeric_limits<double>::infinity();
  if (std::isnan(left) || std::isnan(right)) return std::isnan(left) && std::isnan(right) ? 0.0 : kWrong;
  if (left == right) return same_bits && std::signbit(left) != std::signbit(right) ? kWrong : 0.0;
  const double error = std::fabs(left - right);
  return !same_bits && bound > 0.0 && std::isfinite(error) ? error / bound : kWrong;
}

}  // namespace

Comparison judge_agreements(const std::vector<Agreement>& agreements) {
  Comparison result;
  for (const Agreement& agreement : agreements) {
    const bool same_bits = agreement.bound.empty();
    result.bounded = result.bounded || !same_bits;
    result.elements += agreement.left.size();
    if (agreement.left.size() != agreement.right.size() ||
        (!same_bits && agreement.bound.size() != agreement.left.size())) {
      result.passed = false;
      result.worst_share = std::numeric_limits<double>::infinity();
      result.message = fmt::format("{}: {} elements against {}", agreement.what, agreement.left.size(),
                                   agreement.right.size());
      return result;
    }
    for (std::size_t i = 0; i < agreement.left.size(); ++i) {
      const double left = agreement.left[i];
      const double right = agreement.right[i];
      const double bound = same_bits ? 0.0 : agreement.bound[i];
      const double share = apart(left, right, bound, same_bits);
      result.judged.push_back({left, right, share});
      if (!(share <= 1.0) && ++result.failures == 1) {
        result.passed = false;
        result.message =
            fmt::format("{}: element {} is {:.9g} against {:.9g}, {}", agreement.what, i, left, right,
                        same_bits ? "must be the same bits" : fmt::format("may be {:.3g} apart", bound));
      }
      if (share > result.worst_share || result.where.empty()) {
        result.worst_share = share;
        result.worst_index = result.judged.size() - 1;
        result.where = fmt::format("{}[{}]", agreement.what, i);
      }
    }
  }
  // Nothing that agrees with nothing is no agreement.
  if (result.elements == 0) {
    result.passed = false;
    result.message = "the relation compares nothing";
  }
  if (result.failures > 1) {
    result.message =
        fmt::format("{} of {} elements disagree; first {}", result.failures, result.elements, result.message);
  }
  return result;
}

std::vector<double> scaled(std::vector<double> values, double factor) {
  for (double& value : values) value *= factor;
  return values;
}

std::vector<double> shifted(std::vector<double> values, double term) {
  for (double& value : values) value += term;
  return values;
}

std::vector<Form> forms(std::string_view table) {
  std::vector<Form> all;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      std::size_t turn = 0;
      for (const TableCase& row : read_case_table(table, turn)) {
        all.push_back({dtype, layout, row.sizes, fmt::format("{}", fmt::join(row.words, ".")), row.quick});
      }
    }
  }
  return all;
}

Case metamorphic_case(const std::string& op, const std::string& relation, const Form& form,
                      const std::string& layout,
                      std::function<PreparedCase(const CaseEnvironment&)> prepare) {
  Case test;
  test.op = op;
  test.dtype = form.dtype;
  test.layout = layout;
  test.features = {relation};
  test.shape = shape_name(form.shape);
  test.odd = any_odd(form.shape);
  test.over_tile = true;  // several launches, of several blocks
  test.quick = form.quick;
  test.metamorphic = true;
  test.id = fmt::format("{}/{}/{}/metamorphic/{}/{}{}{}", op, dtype_name(form.dtype), layout, test.shape,
                        relation, form.options.empty() ? "" : ".", form.options);
  test.prepare = std::move(prepare);
  return test;
}

void add_metamorphic(OpSuite& suite, std::vector<Case> cases) {
  for (Case& test : cases) {
    for (const std::string& relation : test.features) {
      if (std::ranges::count(suite.features, relation) == 0) suite.features.push_back(relation);
    }
    suite.cases.push_back(std::move(test));
  }
}

std::vector<double> in_pages(const std::vector<std::span<const double>>& sequences,
                             std::int64_t page_elements, const std::vector<std::int64_t>& order) {
  std::vector<double> cache(order.size() * static_cast<std::size_t>(page_elements), kNaN);
  auto page = order.begin();
  for (std::span<const double> rest : sequences) {
    for (; !rest.empty(); ++page) {
      const std::size_t count = std::min(rest.size(), static_cast<std::size_t>(page_elements));
      std::ranges::copy(rest.first(count), cache.begin() + *page * page_elements);
      rest = rest.subspan(count);
    }
  }
  return cache;
}

}  // namespace hipforge::harness
