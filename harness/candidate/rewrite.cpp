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

bool is_space(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

class Rewriter {
 public:
  explicit Rewriter(const std::string& source) : source_(source) {}

  std::string run() {
    while (at_ < source_.size()) {
      if (copy_comment_or_literal()) continue;
      if (rewrite_shared() || rewrite_launch()) continue;
      const char c = source_[at_];
      if (c == '{') {
        scopes_.push_back(opens_function());
        head_.clear();
      } else if (c == '}') {
        if (!scopes_.empty()) scopes_.pop_back();
        head_.clear();
      } else if (c == ';') {
        head_.clear();
      } else {
        head_ += c;
      }
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

  bool in_function() const { return std::find(scopes_.begin(), scopes_.end(), true) != scopes_.end(); }

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
    replace(at_ + semicolon + 1,
            in_function()
                ? fmt::format("{0}* const {1} = static_cast<{0}*>(::hipforge::cpu::dynamic_shared());", type,
                              name)
                : fmt::format("static const ::hipforge::cpu::DynamicShared<{}> {}{{}};", type, name));
    head_.clear();
    return true;
  }

  // From `begin`, behind an opening parenthesis or <<<, the parts between top-level commas up to `close`;
  // `end` is behind that. False where it does not come.
  bool split(std::size_t begin, std::string_view close, std::vector<std::string>& parts,
             std::size_t& end) const {
    int depth = 0;
    std::size_t from = begin;
    const auto take = [&](std::size_t to) {
      std::string part = source_.substr(from, to - from);
      if (!parts.empty() || std::any_of(part.begin(), part.end(), [](char c) { return !is_space(c); })) {
        parts.push_back(std::move(part));
      }
    };
    for (std::size_t at = begin; at < source_.size();) {
      if (const std::size_t next = skip(at); next != at) {
        at = next;
        continue;
      }
      const char c = source_[at];
      if (depth == 0 && source_.compare(at, close.size(), close) == 0) {
        take(at);
        end = at + close.size();
        return true;
      }
      if (c == '(' || c == '[' || c == '{') ++depth;
      if (c == ')' || c == ']' || c == '}') --depth;
      if (depth < 0 || c == ';') return false;
      if (c == ',' && depth == 0) {
        take(at);
        from = at + 1;
      }
      ++at;
    }
    return false;
  }

  // Where in out_ the name of the launched kernel begins, its template arguments included.
  std::size_t callee_begin() const {
    std::size_t at = out_.size();
    while (at > 0 && is_space(out_[at - 1])) --at;
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
    std::vector<std::string> config;
    std::size_t end = 0;
    if (!split(at_ + 3, ">>>", config, end) || config.size() < 2 || config.size() > 4) return false;
    while (end < source_.size() && is_space(source_[end])) ++end;
    if (end >= source_.size() || source_[end] != '(') return false;
    std::vector<std::string> arguments;
    if (!split(end + 1, ")", arguments, end)) return false;
    const std::size_t begin = callee_begin();
    const std::string callee = out_.substr(begin);
    if (callee.empty()) return false;
    while (config.size() < 4) config.emplace_back("0");
    out_.resize(begin);
    std::string call = fmt::format("hipLaunchKernelGGL(({}), {}", callee, fmt::join(config, ","));
    for (const std::string& argument : arguments) call += "," + argument;
    replace(end, call + ")");
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
