#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hipforge::harness {

/// Rows of text under headings, to be written in whichever form a reader wants.
struct Sheet {
  std::vector<std::string> headings;
  std::vector<std::vector<std::string>> rows;  ///< each of headings.size() cells
};

/// Files that a summary (harness/output/summary.h) is written to; an empty path is none.
struct SummaryFiles {
  std::string json{};
  std::string junit{};
  std::string csv{};
  std::string markdown{};
};

/// A row's group: that of its key, which stands behind those that were asked for before it.
template <class Key, class Group>
Group& group_of(std::vector<std::pair<Key, Group>>& groups, const Key& key) {
  const auto at = std::ranges::find(groups, key, &std::pair<Key, Group>::first);
  return at != groups.end() ? at->second : groups.emplace_back(key, Group{}).second;
}

/// A share of a bound; "wrong" where it is not finite.
[[nodiscard]] std::string share_text(double share, int digits);

/// `text` with some of its characters written in another way.
[[nodiscard]] std::string replaced(std::string_view text,
                                   std::initializer_list<std::pair<char, std::string_view>> replacements);

/// RFC 4180: a cell with a comma, a quote or a line break is quoted. Lines end in "\n".
[[nodiscard]] std::string csv(const Sheet& sheet);

/// A table of GitHub-flavoured Markdown; bars, markup and line breaks in a cell are escaped.
[[nodiscard]] std::string markdown(const Sheet& sheet);

/// Columns padded to their widest cell, two blanks between; those of numbers alone, or nothing, to the right.
[[nodiscard]] std::string aligned(const Sheet& sheet);

}  // namespace hipforge::harness
