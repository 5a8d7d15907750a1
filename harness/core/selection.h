#pragma once

#include "harness/core/case.h"
#include "harness/system/exit_code.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <regex>
#include <span>
#include <string>
#include <vector>

namespace hipforge::harness {

/// Where nothing is wanted, everything is.
template <class T>
[[nodiscard]] bool selected(const std::vector<T>& wanted, const T& value) {
  return wanted.empty() || std::ranges::find(wanted, value) != wanted.end();
}

/// Throws UsageError for a name that is not among the legal ones.
inline void require_known(const char* what, const std::vector<std::string>& wanted,
                          const std::vector<std::string>& legal) {
  for (const std::string& name : wanted) {
    if (selected(legal, name)) continue;
    throw UsageError(fmt::format("{} {} is not known, choose from {}", what, name, fmt::join(legal, ", ")));
  }
}

[[nodiscard]] inline std::vector<std::string> op_names() {
  std::vector<std::string> names;
  for (const OpSuite& suite : all_suites()) names.push_back(suite.op);
  return names;
}

/// "a, b, ...": the first `most` of them.
[[nodiscard]] inline std::string some_of(const std::vector<std::string>& names, std::size_t most) {
  return fmt::format("{}{}", fmt::join(std::span(names).first(std::min(names.size(), most)), ", "),
                     names.size() > most ? ", ..." : "");
}

/// The expression that `option` takes. Throws UsageError for text that is none.
[[nodiscard]] inline std::regex parse_filter(const char* option, const std::string& text) {
  try {
    return std::regex(text);
  } catch (const std::regex_error& error) {
    throw UsageError(fmt::format("{} '{}' is no regular expression: {}", option, text, error.what()));
  }
}

}  // namespace hipforge::harness
