#include "harness/sweep/case_table.h"

#include "harness/system/number.h"
#include "kernels/runtime/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

namespace hipforge::harness {
namespace {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// Every text that `text` stands for: the first braces with each of their values, and so on.
std::vector<std::string> either(const std::string& text) {
  const std::size_t open = text.find('{');
  const std::size_t close = text.find('}');
  if (open == std::string::npos && close == std::string::npos) return {text};
  if (close == std::string::npos || close < open)
    throw Error(invalid_argument(text, ": braces do not match"));
  std::vector<std::string> texts;
  for (const std::string& value : split(std::string_view(text).substr(open + 1, close - open - 1), ',')) {
    for (std::string& one : either(text.substr(0, open) + value + text.substr(close + 1))) {
      texts.push_back(std::move(one));
    }
  }
  return texts;
}

// `line` with what its $names stand for.
std::string spelled_out(std::string line, const std::map<std::string, std::string>& names) {
  for (std::size_t at = line.find('$'); at != std::string::npos; at = line.find('$')) {
    const std::size_t end = std::min(line.find_first_of(" ,;}", at), line.size());
    const auto name = names.find(line.substr(at, end - at));
    if (name == names.end())
      throw Error(invalid_argument(line, ": what is ", line.substr(at, end - at), "?"));
    line.replace(at, end - at, name->second);
  }
  return line;
}

// Of each <a|b> the value whose turn it is.
std::string in_turn(std::string text, std::size_t turn) {
  for (std::size_t open = text.find('<'); open != std::string::npos; open = text.find('<')) {
    const std::size_t close = text.find('>', open);
    if (close == std::string::npos) throw Error(invalid_argument(text, ": < without >"));
    const auto values = split(std::string_view(text).substr(open + 1, close - open - 1), '|');
    text.replace(open, close - open + 1, values[turn % values.size()]);
  }
  return text;
}

// Of a line "[f16 bf16] [contiguous] words" the words, if the form has one of the names of each list.
std::optional<std::string> words_for(const std::vector<std::string>& form, const std::string& line) {
  std::string words;
  for (const std::string& list : split(line, '[')) {
    const std::size_t close = std::min(list.find(']'), list.size());
    const auto names = words_of(list.substr(0, close));
    if (!names.empty() && std::ranges::find_first_of(names, form) == names.end()) return {};
    if (close < list.size()) words = list.substr(close + 1) + " ";
  }
  return words;
}

TableCase shaped(const std::string& line, std::string shape) {
  TableCase made;
  made.line = line;
  for (; !shape.empty() && (shape.back() == '!' || shape.back() == '~'); shape.pop_back()) {
    (shape.back() == '!' ? made.quick : made.emulated) = true;
  }
  for (const std::string& size : split(shape, 'x')) {
    const auto number = parse_number<std::int64_t>(size, kFromZero<std::int64_t>);
    if (!number) throw Error(invalid_argument(line, ": ", shape, " is not a shape"));
    made.sizes.push_back(*number);
  }
  return made;
}

}  // namespace

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words = split(text, ' ');
  std::erase(words, "");
  return words;
}

std::vector<TableCase> read_case_table(std::string_view table, std::size_t& turn,
                                       const std::vector<std::string>& form) {
  std::vector<TableCase> cases;
  std::map<std::string, std::string> names;
  std::optional<std::string> section = "";
  for (const std::string& text : split(table, '\n')) {
    const std::string said = text.substr(0, text.find('#'));
    if (const auto words = words_of(said); words.size() > 1 && words[1] == "=") {
      names[words[0]] = spelled_out(fmt::format("{}", fmt::join(words.begin() + 2, words.end(), " ")), names);
      continue;
    }
    if (said.find('[') != std::string::npos) {
      section = words_for(form, said);
      continue;
    }
    if (!section) continue;
    const std::string line = spelled_out(said, names);
    const std::size_t colon = std::min(line.find(':'), line.size());
    for (const std::string& shapes : words_of(line.substr(0, colon))) {
      for (const std::string& shape : either(shapes)) {
        for (const std::string& group : split(line.substr(std::min(colon + 1, line.size())), ';')) {
          for (const std::string& words : either(group)) {
            cases.push_back(shaped(line, shape));
            cases.back().words = words_of(in_turn(*section + words, turn));
            if (words.find('<') != std::string::npos) ++turn;
          }
        }
      }
    }
  }
  return cases;
}

}  // namespace hipforge::harness
