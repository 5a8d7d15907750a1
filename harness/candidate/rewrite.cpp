#include "harness/candidate/rewrite.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <regex>
#include <string_view>
#include <vector>

namespace hipforge::harness {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

constexpr const char* kSpace = " \t\n\v\f\r";

class Rewriter {
 public:
  explicit Rewriter(const std::string& source) : source_(source) {}

  std::string run() {
    while (at_ < source_.size()) {
      if (copy_comment_or_literal()) continue;
      if (rewrite_shared() || rewrite_launch()) continue;
      const char c = source_[at_];
      if (c == '{') scopes_.push_back(opens_function());
      if (c == '}' && !scopes_.empty()) scopes_.pop_back();
      head_ += c;
      if (c == '{' || c == '}' || c == ';') head_.clear();
      out_ += c;
      ++at_;
    }
    return std::move(out_);
  }

 private:
  // The end of a comment or literal that starts at `begin`; `begin` where none does.
  std::size_t skip(std::size_t begin) const {
    const std::string_view rest = std::string_view(source_).substr(begin);
    const auto to = [&](std::string_view mark, std::size_t from) {
      const std::size_t found = rest.find(mark, from);
      return found == std::string_view::npos ? source_.size() : begin + found + mark.size();
    };
    if (rest.starts_with("//")) return std::min(source_.find('\n', begin), source_.size());
    if (rest.starts_with("/*")) return to("*/", 2);
    if (rest.starts_with("R\"") && (begin == 0 || !is_word(source_[begin - 1]))) {
      const std::size_t open = rest.find('(');
      if (open == std::string_view::npos) return begin;
      return to(fmt::format("){}\"", rest.substr(2, open - 2)), open);
    }
    // 1'000 is a number, not the start of a character.
    const bool separator = rest.starts_with("'") && begin > 0 && is_word(source_[begin - 1]);
    if (!rest.starts_with("\"") && (!rest.starts_with("'") || separator)) return begin;
    for (std::size_t at = 1; at < rest.size(); ++at) {
      if (rest[at] == '\\') {
        ++at;
      } else if (rest[at] == rest[0]) {
        return begin + at + 1;
      }
    }
    return source_.size();
  }

  bool copy_comment_or_literal() {
    const std::size_t end = skip(at_);
    if (end == at_) return false;
    const std::string text = source_.substr(at_, end - at_);
    head_ += text.starts_with("/") ? " " : text;
    out_ += text;
    at_ = end;
    return true;
  }

  // Whether the brace after head_ opens something that code can run in.
  bool opens_function() const {
    static const std::regex kOutside(R"((^|[^\w])(namespace[^()]*|extern\s*"[^"]*"\s*)$)");
    return !std::regex_search(head_, kOutside);
  }

  // Replaces what stands from at_ to `end`, with as many lines.
  void replace(std::size_t end, std::string text) {
    const auto lines = std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                  source_.begin() + static_cast<std::ptrdiff_t>(end), '\n') -
                       std::count(text.begin(), text.end(), '\n');
    if (lines > 0) text.append(static_cast<std::size_t>(lines), '\n');
    out_ += text;
    at_ = end;
  }

  bool rewrite_shared() {
    const std::string_view rest = std::string_view(source_).substr(at_);
    if (!rest.starts_with("extern") || (at_ > 0 && is_word(source_[at_ - 1]))) return false;
    const std::size_t semicolon = rest.find(';');
    if (semicolon == std::string_view::npos) return false;
    static const std::regex kAligned(
        R"(__align__\s*\([^()]*\)|alignas\s*\(([^()]|\([^()]*\))*\)|__attribute__\s*\(\(([^()]|\([^()]*\))*\)\))");
    static const std::regex kArray(R"(^extern\s+__shared__\s+([\w:<>,\s*]+?)\s*(\w+)\s*\[\s*\]\s*$)");
    const std::string declaration = std::regex_replace(std::string(rest.substr(0, semicolon)), kAligned, " ");
    std::smatch match;
    if (!std::regex_match(declaration, match, kArray)) return false;
    const std::string type = match[1];
    const std::string name = match[2];
    const bool in_function = std::ranges::count(scopes_, true) != 0;
    replace(at_ + semicolon + 1,
            in_function
                ? fmt::format("{0}* const {1} = static_cast<{0}*>(::hipforge::cpu::dynamic_shared());", type,
                              name)
                : fmt::format("static const ::hipforge::cpu::DynamicShared<{}> {}{{}};", type, name));
    head_.clear();
    return true;
  }

  // Where `close` stands at the level of `begin`, which is behind an opening parenthesis or <<<; npos where
  // it does not come. Counts the commas of that level on the way.
  std::size_t find_close(std::size_t begin, std::string_view close, std::size_t& commas) const {
    int depth = 0;
    for (std::size_t at = begin; at < source_.size();) {
      if (const std::size_t next = skip(at); next != at) {
        at = next;
        continue;
      }
      const char c = source_[at];
      if (depth == 0 && source_.compare(at, close.size(), close) == 0) return at;
      if (c == '(' || c == '[' || c == '{') ++depth;
      if (c == ')' || c == ']' || c == '}') --depth;
      if (depth < 0 || c == ';') break;
      if (depth == 0 && c == ',') ++commas;
      ++at;
    }
    return std::string::npos;
  }

  // Where in out_ the name of the launched kernel begins, its template arguments included.
  std::size_t callee_begin() const {
    std::size_t at = out_.find_last_not_of(kSpace) + 1;
    if (at > 0 && out_[at - 1] == '>') {
      int depth = 0;
      while (at > 0) {
        --at;
        if (out_[at] == '>') ++depth;
        if (out_[at] == '<' && --depth == 0) break;
      }
    }
    while (at > 0 && (is_word(out_[at - 1]) || out_[at - 1] == ':')) --at;
    return at;
  }

  bool rewrite_launch() {
    if (source_.compare(at_, 3, "<<<") != 0) return false;
    std::size_t commas = 0;
    const std::size_t close = find_close(at_ + 3, ">>>", commas);
    if (close == std::string::npos || commas < 1 || commas > 3) return false;
    const std::size_t open = source_.find_first_not_of(kSpace, close + 3);
    if (open == std::string::npos || source_[open] != '(') return false;
    std::size_t others = 0;
    const std::size_t end = find_close(open + 1, ")", others);
    if (end == std::string::npos) return false;
    const std::size_t begin = callee_begin();
    const std::string callee = out_.substr(begin);
    if (callee.empty()) return false;
    out_.resize(begin);
    std::string call =
        fmt::format("hipLaunchKernelGGL(({}), {}", callee, source_.substr(at_ + 3, close - at_ - 3));
    for (; commas < 3; ++commas) call += ",0";
    const std::string arguments = source_.substr(open + 1, end - open - 1);
    if (arguments.find_first_not_of(kSpace) != std::string::npos) call += "," + arguments;
    replace(end + 1, call + ")");
    return true;
  }

  const std::string& source_;
  std::size_t at_ = 0;
  std::string out_;
  std::string head_;          // code since the last ; { or }
  std::vector<bool> scopes_;  // of the open braces: whether code runs in them
};

}  // namespace

std::string rewrite_for_cpu(const std::string& source) {
  return Rewriter(source).run();
}

}  // namespace hipforge::harness
