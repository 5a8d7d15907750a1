#include "harness/check/coverage.h"

#include "harness/core/selection.h"
#include "harness/sweep/families.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace hipforge::harness {
namespace {

template <class T>
bool has(const std::vector<T>& all, const T& value) {
  return std::ranges::find(all, value) != all.end();
}

bool is_excluded(const OpSuite& suite, const std::string& feature, const std::string& layout, DType dtype) {
  return std::any_of(suite.exclusions.begin(), suite.exclusions.end(), [&](const Exclusion& exclusion) {
    return exclusion.feature == feature && (exclusion.layout.empty() || exclusion.layout == layout) &&
           (exclusion.dtypes.empty() || has(exclusion.dtypes, dtype));
  });
}

// How often a suite's cases of a dtype use a feature.
struct FeatureCount {
  std::map<std::string, std::size_t> by_layout;
  std::set<std::string> shapes;
  std::size_t odd = 0;
  std::size_t over_tile = 0;
};

FeatureCount count_feature(const OpSuite& suite, const std::string& feature, DType dtype) {
  FeatureCount count;
  for (const Case& test : suite.cases) {
    if (test.dtype != dtype || !(has(test.features, feature) || has(test.families, feature))) continue;
    ++count.by_layout[test.layout];
    count.shapes.insert(test.shape);
    count.odd += test.odd ? 1 : 0;
    count.over_tile += test.over_tile ? 1 : 0;
  }
  return count;
}

}  // namespace

std::vector<std::string> coverage_holes(const OpSuite& suite) {
  std::vector<std::string> holes = family_holes(suite);
  const std::vector<std::string> features = counted_features(suite);
  for (const std::string& feature : features) {
    for (DType dtype : suite.dtypes) {
      const FeatureCount count = count_feature(suite, feature, dtype);
      const std::string cell = fmt::format("{} {} {}", suite.op, feature, dtype_name(dtype));
      bool possible = false;
      for (const std::string& layout : suite.layouts) {
        if (is_excluded(suite, feature, layout, dtype)) continue;
        possible = true;
        if (!count.by_layout.contains(layout))
          holes.push_back(fmt::format("{}: no case is {}", cell, layout));
      }
      if (!possible) continue;
      if (count.shapes.size() < kShapesPerFeature) {
        holes.push_back(fmt::format("{}: {} shapes, needs {}", cell, count.shapes.size(), kShapesPerFeature));
      }
      // A dimension of 0 or 1 leaves no room for more.
      if (feature == "empty" || feature == "size_1") continue;
      if (count.odd == 0) holes.push_back(fmt::format("{}: no odd shape", cell));
      if (count.over_tile == 0) holes.push_back(fmt::format("{}: no shape over a tile", cell));
    }
  }
  // A feature, layout or dtype that cases use and the suite does not declare would never be counted.
  std::set<std::string> undeclared;
  const auto want = [&](const char* kind, const std::string& name, const std::vector<std::string>& known) {
    if (!has(known, name)) undeclared.insert(fmt::format("{}: {} {} is not declared", suite.op, kind, name));
  };
  for (const Case& test : suite.cases) {
    for (const std::string& feature : test.features) want("feature", feature, features);
    for (const std::string& family : test.families) want("family", family, features);
    want("layout", test.layout, suite.layouts);
  }
  holes.insert(holes.end(), undeclared.begin(), undeclared.end());
  return holes;
}

int run_coverage(const CheckOptions& options) {
  const std::vector<int> waves = options.waves.empty() ? std::vector<int>{32, 64} : options.waves;
  std::size_t holes = 0;
  std::size_t total = 0;
  for (const OpSuite& suite : all_suites()) {
    if (!selected(options.ops, suite.op)) continue;
    fmt::print("{}: {} cases\n", suite.op, suite.cases.size() * waves.size());
    total += suite.cases.size() * waves.size();
    fmt::print("  {:<22}{:<6}{:>5}", "feature", "dtype", "wave");
    for (const std::string& layout : suite.layouts) fmt::print("{:>14}", layout);
    fmt::print("{:>8}{:>6}{:>6}\n", "shapes", "odd", "tile");
    for (const std::string& feature : counted_features(suite)) {
      for (DType dtype : suite.dtypes) {
        FeatureCount count = count_feature(suite, feature, dtype);
        for (int wave : waves) {
          fmt::print("  {:<22}{:<6}{:>5}", feature, dtype_name(dtype), wave);
          for (const std::string& layout : suite.layouts) {
            const std::size_t cases = count.by_layout[layout];
            const bool excluded = cases == 0 && is_excluded(suite, feature, layout, dtype);
            fmt::print("{:>14}", excluded ? "n/a" : std::to_string(cases));
          }
          fmt::print("{:>8}{:>6}{:>6}\n", count.shapes.size(), count.odd, count.over_tile);
        }
      }
    }
    for (const Exclusion& exclusion : suite.exclusions) {
      std::string dtypes;
      for (DType dtype : exclusion.dtypes) dtypes += fmt::format(" {}", dtype_name(dtype));
      fmt::print("  n/a: {} ×{} {}: {}\n", exclusion.feature, dtypes,
                 exclusion.layout.empty() ? "any layout" : exclusion.layout, exclusion.reason);
    }
    for (const SizeEdge& edge : suite.edges) fmt::print("  around {} {}\n", edge.dimension, edge.at);
    const std::vector<std::string> of_suite = coverage_holes(suite);
    for (const std::string& hole : of_suite) fmt::print("  HOLE {}\n", hole);
    holes += of_suite.size();
  }
  fmt::print("{} cases in all, {} holes\n", total, holes);
  return holes == 0 ? kExitGood : kExitFailed;
}

}  // namespace hipforge::harness
