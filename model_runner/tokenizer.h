// Byte-level byte pair encoding with the vocabulary, merges and token types of a GGUF file.
#pragma once

#include "model_runner/gguf.h"
#include "model_runner/pre_tokenizer.h"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hipforge::runner {

using TokenId = std::int32_t;

/// The longest text that encode() takes, in bytes.
inline constexpr std::size_t kMaxTextBytes = std::size_t{1} << 28;

/// Types of a token, numbered as in `tokenizer.ggml.token_type`.
enum class TokenType : std::int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // never comes from text unless asked for; decodes to nothing unless asked for
  kUserDefined = 4,  // found in text before anything else looks at it
  kUnused = 5,
  kByte = 6,
};

struct EncodeOptions {
  bool add_bos = true;         // prepend BOS, if the file's flag says that texts begin with it
  bool add_eos = false;        // append EOS, if the file's flag says that texts end with it
  bool parse_special = false;  // take the names of control tokens in the text as those tokens
};

class Tokenizer {
 public:
  /// Reads tokenizer.ggml.{model, pre, tokens, merges, token_type, bos_token_id, eos_token_id, eot_token_id,
  /// eom_token_id, add_bos_token, add_eos_token}. Keeps no reference to `file`. Throws InputError (kFile),
  /// with a text that starts with "tokenizer: " or "gguf: ", for a model other than gpt2, an unknown
  /// pre-tokenizer, two tokens of one text, a merge of or into what is no token, an id outside the
  /// vocabulary.
  explicit Tokenizer(const GgufFile& file);

  /// The tokens of `text`, which may hold any bytes: decode(encode(text)) is `text` again. Time grows with
  /// n log n in the longest piece. Throws InputError (kUsage) if the text is longer than kMaxTextBytes or
  /// holds a byte that the vocabulary has no token for.
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const;

  /// The bytes that the tokens stand for. Control tokens are left out unless `render_special`. Throws
  /// InputError (kUsage) for an id outside the vocabulary.
  [[nodiscard]] std::string decode(std::span<const TokenId> ids, bool render_special = false) const;

  /// The bytes of one token; those of a control token are its name. Throws like decode().
  [[nodiscard]] std::string_view piece(TokenId id) const;
  [[nodiscard]] TokenType type(TokenId id) const;

  [[nodiscard]] std::size_t vocab_size() const { return types_.size(); }
  [[nodiscard]] std::optional<TokenId> bos() const { return bos_; }
  [[nodiscard]] std::optional<TokenId> eos() const { return eos_; }
  /// Whether the file's flags, or the pre-tokenizer where the file says nothing, ask for BOS and EOS.
  [[nodiscard]] bool adds_bos() const { return adds_bos_; }
  [[nodiscard]] bool adds_eos() const { return adds_eos_; }
  /// True for the tokens that end a generation: EOS, end of turn, end of message.
  [[nodiscard]] bool ends_generation(TokenId id) const;

  [[nodiscard]] const PreTokenizer& pre_tokenizer() const { return pre_tokenizer_; }

 private:
  struct Merge {
    TokenId right;
    TokenId result;
    std::uint32_t rank;
  };
  using TextToId = std::unordered_map<std::string_view, TokenId>;

  void read_vocabulary(const GgufFile& file, TextToId& ids);
  void read_merges(const GgufFile& file, const TextToId& ids);
  void read_special_ids(const GgufFile& file, const TextToId& ids);
  void check_id(TokenId id) const;
  [[nodiscard]] const Merge* find_merge(TokenId left, TokenId right) const;
  /// Longest special token that starts at `text[position]`: its id and length, or length 0.
  [[nodiscard]] std::pair<TokenId, std::size_t> special_at(std::string_view text, std::size_t position,
                                                           bool parse_special) const;
  void encode_text(std::string_view text, std::vector<TokenId>& ids) const;
  void encode_piece(std::string_view piece, std::vector<TokenId>& ids) const;

  PreTokenizer pre_tokenizer_;
  // One pool for the bytes of all tokens. A vector, because moving one keeps views of it valid.
  std::vector<char> pool_;
  std::vector<std::string_view> pieces_;
  std::vector<TokenType> types_;
  std::array<TokenId, 256> byte_ids_{};  // token of each single byte, or -1
  TextToId whole_tokens_;  // normal tokens by their bytes; filled only if whole pieces are looked up
  // Merges grouped by their left token and sorted by their right one: those of token t are
  // merges_[merge_starts_[t]] up to merges_[merge_starts_[t + 1]].
  std::vector<Merge> merges_;
  std::vector<std::uint32_t> merge_starts_;
  std::vector<TokenId> specials_;          // control, unknown and user-defined tokens, sorted by their text
  std::array<bool, 256> special_first_{};  // bytes that such a text starts with
  std::vector<TokenId> end_ids_;           // sorted
  std::optional<TokenId> bos_;
  std::optional<TokenId> eos_;
  bool adds_bos_ = false;
  bool adds_eos_ = false;
};

/// Turns tokens into text as they come, holding back the bytes of an unfinished UTF-8 sequence. What push()
/// and finish() return, put together, is what decode() returns for all tokens at once.
class StreamDecoder {
 public:
  /// Keeps a reference to `tokenizer`.
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  [[nodiscard]] std::string push(TokenId id);
  /// What is held back, complete or not.
  [[nodiscard]] std::string finish();

 private:
  const Tokenizer* tokenizer_;
  std::string held_;
};

}  // namespace hipforge::runner
