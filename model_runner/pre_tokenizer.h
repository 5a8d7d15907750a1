// Splits text into the pieces that byte pair encoding works on, one after the other.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hipforge::runner {

/// The pre-tokenizers of GPT-2, Llama 3 and SmolLM, named as `tokenizer.ggml.pre` names them.
///
/// A pre-tokenizer is a chain of regular expressions. Each takes the pieces of the one before it and, within
/// each piece, makes every match and every stretch between matches a piece of its own; lookahead ends where
/// the piece ends. Concatenated, the pieces are the text.
///
/// White space is Unicode's White_Space property: PCRE2's own \s counts U+180E as well. A byte that is not
/// part of well-formed UTF-8 is treated as U+FFFD would be, a symbol, and stays as it is.
class PreTokenizer {
 public:
  /// `name`: "gpt-2", "llama-bpe" (also "llama3", "llama-v3") or "smollm". Throws InputError (kFile) that
  /// lists these for any other.
  explicit PreTokenizer(std::string_view name);
  ~PreTokenizer();
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;

  /// Views of `text`, none empty. Linear in the text's length. May be called from several threads at once.
  [[nodiscard]] std::vector<std::string_view> split(std::string_view text) const;

  /// Whether a piece that is itself a token is taken whole, without looking at merges (Llama 3).
  [[nodiscard]] bool whole_tokens_first() const { return whole_tokens_first_; }
  /// Whether a BOS token is prepended where the file does not say (Llama 3).
  [[nodiscard]] bool adds_bos_by_default() const { return adds_bos_by_default_; }

 private:
  class Regex;

  std::vector<std::unique_ptr<Regex>> stages_;
  bool whole_tokens_first_ = false;
  bool adds_bos_by_default_ = false;
};

}  // namespace hipforge::runner
