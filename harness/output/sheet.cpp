#include "harness/output/sheet.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstddef>

namespace hipforge::harness {
namespace {

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  return "\"" + replaced(text, {{'"', "\"\""}}) + "\"";
}

std::string markdown_cell(const std::string& text) {
  std::string marked;
  for (const char c : text) {
    if (std::string_view("|\\`*_[]~").find(c) != std::string_view::npos) marked += '\\';
    marked += c;
  }
  return replaced(marked, {{'\n', " "}, {'\r', " "}, {'<', "&lt;"}, {'&', "&amp;"}});
}

template <class Cell>
std::string joined(const std::vector<std::string>& cells, const char* between, const Cell& cell) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) line += (i == 0 ? "" : between) + cell(cells[i]);
  return line;
}

// In code points: what a terminal shows of UTF-8, near enough for µs and ×.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u; }));
}

bool starts_like_a_number(const std::string& text) {
  const std::size_t at = text.find_first_not_of("+-<[");
  return at != std::string::npos && std::isdigit(static_cast<unsigned char>(text[at])) != 0;
}

}  // namespace

std::string share_text(double share, int digits) {
  return std::isfinite(share) ? fmt::format("{:.{}f}", share, digits) : "wrong";
}

std::string replaced(std::string_view text,
                     std::initializer_list<std::pair<char, std::string_view>> replacements) {
  std::string made;
  for (const char c : text) {
    const auto at = std::ranges::find(replacements, c, &std::pair<char, std::string_view>::first);
    made += at == replacements.end() ? std::string_view(&c, 1) : at->second;
  }
  return made;
}

std::string csv(const Sheet& sheet) {
  std::string text = joined(sheet.headings, ",", csv_cell) + "\n";
  for (const auto& row : sheet.rows) text += joined(row, ",", csv_cell) + "\n";
  return text;
}

std::string markdown(const Sheet& sheet) {
  std::string text = "| " + joined(sheet.headings, " | ", markdown_cell) + " |\n|";
  for (std::size_t i = 0; i < sheet.headings.size(); ++i) text += "---|";
  text += "\n";
  for (const auto& row : sheet.rows) text += "| " + joined(row, " | ", markdown_cell) + " |\n";
  return text;
}

std::string aligned(const Sheet& sheet) {
  const std::size_t columns = sheet.headings.size();
  std::vector<std::size_t> widths(columns);
  std::vector<bool> numbers(columns, true);
  for (std::size_t i = 0; i < columns; ++i) {
    widths[i] = width_of(sheet.headings[i]);
    for (const auto& row : sheet.rows) {
      widths[i] = std::max(widths[i], width_of(row[i]));
      if (!row[i].empty() && !starts_like_a_number(row[i])) numbers[i] = false;
    }
  }
  const auto line_of = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t i = 0; i < columns; ++i) {
      const std::string padding(widths[i] - width_of(cells[i]), ' ');
      line += (i == 0 ? "" : "  ") + (numbers[i] ? padding + cells[i] : cells[i] + padding);
    }
    return line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  };
  std::string text = line_of(sheet.headings);
  for (const auto& row : sheet.rows) text += line_of(row);
  return text;
}

}  // namespace hipforge::harness
