#include "harness/sweep/families.h"

#include "reference/not_finite.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>

namespace hipforge::harness {
namespace {

// The sizes that an edge asks for and that no case of this dtype and layout has.
std::vector<std::int64_t> missing_sizes(const OpSuite& suite, const SizeEdge& edge, DType dtype,
                                        const std::string& layout) {
  std::vector<std::int64_t> missing;
  for (std::int64_t size = std::max<std::int64_t>(edge.at - 1, 1); size <= edge.at + 1; ++size) {
    if (edge.limit != 0 && size > edge.limit) continue;
    const bool has_it = std::ranges::any_of(suite.cases, [&](const Case& test) {
      if (test.dtype != dtype || test.layout != layout) return false;
      const auto at = test.sizes.find(edge.dimension);
      return at != test.sizes.end() && at->second == size;
    });
    if (!has_it) missing.push_back(size);
  }
  return missing;
}

}  // namespace

const char* input_family(Family family) {
  return family == Family::kPositive ? "uniform" : family_name(family);
}

std::vector<double> values_of(const Shape& shape, const std::function<double(std::int64_t)>& at) {
  const std::int64_t count =
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  std::vector<double> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(at(i));
  return values;
}

std::vector<double> repeated(const Shape& shape, std::span<const double> cycle) {
  return values_of(shape, [&](std::int64_t i) { return cycle[static_cast<std::size_t>(i) % cycle.size()]; });
}

std::vector<double> non_finite_values(const Shape& shape) {
  constexpr double kCycle[] = {1.5, kInfinity, -0.0, kNaN, -kInfinity, 0.0, -2.0};
  return repeated(shape, kCycle);
}

std::vector<double> non_finite_rows(std::int64_t rows, std::int64_t cols,
                                    const std::function<double(std::int64_t, std::int64_t)>& ordinary) {
  constexpr double kPlanted[] = {0.0, kNaN, -kInfinity, kInfinity};
  return values_of({rows, cols}, [&](std::int64_t i) {
    const std::int64_t row = i / cols;
    const bool hit = (row + 1) % 4 != 0 && i % cols % 37 == cols / 2 % 37;
    return hit ? kPlanted[(row + 1) % 4] : ordinary(row, i % cols);
  });
}

std::vector<double> nearly_opposite(const std::vector<double>& x) {
  std::vector<double> values;
  for (std::size_t i = 0; i < x.size(); ++i) {
    values.push_back(-x[i] * (1.0 + 0x1p-7 * static_cast<double>(i % 5)));
  }
  return values;
}

void set_sizes(Case& test, std::vector<std::pair<std::string, std::int64_t>> sizes) {
  const auto any = [&](std::int64_t wanted) {
    return std::ranges::count(sizes, wanted, &std::pair<std::string, std::int64_t>::second) > 0;
  };
  if (any(0)) test.families.emplace_back("empty");
  if (any(1)) test.families.emplace_back("size_1");
  for (auto& [name, size] : sizes) test.sizes[std::move(name)] = size;
}

void exclude_families(OpSuite& suite, const std::vector<std::string>& families, const std::string& reason) {
  for (const std::string& family : families) suite.exclusions.push_back({family, "", reason});
}

std::vector<std::string> counted_features(const OpSuite& suite) {
  std::vector<std::string> features = suite.features;
  for (const char* family : kInputFamilies) {
    if (std::find(features.begin(), features.end(), family) == features.end()) features.emplace_back(family);
  }
  return features;
}

void fill_edges(OpSuite& suite, DType dtype, const std::string& layout,
                const std::function<Case(const std::string& dimension, std::int64_t size)>& make) {
  for (const SizeEdge& edge : suite.edges) {
    for (std::int64_t size : missing_sizes(suite, edge, dtype, layout)) {
      suite.cases.push_back(make(edge.dimension, size));
    }
  }
}

std::vector<std::string> family_holes(const OpSuite& suite) {
  std::vector<std::string> holes;
  for (const char* layout : {"contiguous", "strided"}) {
    if (std::find(suite.layouts.begin(), suite.layouts.end(), layout) == suite.layouts.end()) {
      holes.push_back(fmt::format("{}: no layout is {}", suite.op, layout));
    }
  }
  if (suite.edges.empty())
    holes.push_back(fmt::format("{}: no edge of a pack, wave, block or tile", suite.op));
  for (const SizeEdge& edge : suite.edges) {
    for (DType dtype : suite.dtypes) {
      for (const std::string& layout : suite.layouts) {
        for (std::int64_t size : missing_sizes(suite, edge, dtype, layout)) {
          holes.push_back(fmt::format("{} {} {}: no case has a {} of {}, beside the edge at {}", suite.op,
                                      dtype_name(dtype), layout, edge.dimension, size, edge.at));
        }
      }
    }
  }
  for (const Exclusion& exclusion : suite.exclusions) {
    if (exclusion.reason.empty()) {
      holes.push_back(fmt::format("{}: {} is excluded without a reason", suite.op, exclusion.feature));
    }
  }
  return holes;
}

}  // namespace hipforge::harness
