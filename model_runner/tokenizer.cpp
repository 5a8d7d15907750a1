#include "model_runner/tokenizer.h"

#include "model_runner/utf8.h"

#include <fmt/format.h>

#include <algorithm>
#include <queue>
#include <tuple>
#include <utility>

namespace hipforge::runner {
namespace {

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw InputError(InputFault::kFile, "tokenizer: " + fmt::format(format, std::forward<Args>(args)...));
}

// GPT-2 writes every byte as a printable character. Bytes that are printable in Latin-1 stand for themselves,
// the other 68 for U+0100 onwards, in order.
constexpr char32_t kFirstSubstitute = 0x100;
constexpr std::size_t kSubstitutes = 68;

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// Byte of each character below U+0144, or -1.
constexpr std::array<int, kFirstSubstitute + kSubstitutes> make_character_bytes() {
  std::array<int, kFirstSubstitute + kSubstitutes> bytes{};
  bytes.fill(-1);
  std::size_t next = kFirstSubstitute;
  for (unsigned byte = 0; byte < 256; ++byte) {
    bytes[stands_for_itself(byte) ? byte : next++] = static_cast<int>(byte);
  }
  return bytes;
}
constexpr auto kCharacterBytes = make_character_bytes();

// Appends the bytes that `text` stands for; false, with `bytes` as it was, if some character stands for none.
bool append_bytes(std::string_view text, std::vector<char>& bytes) {
  const std::size_t before = bytes.size();
  for (std::size_t position = 0; position < text.size();) {
    const std::size_t length = utf8_sequence_length(text, position);
    const char32_t character = length == 0 ? kCharacterBytes.size() : utf8_decode(text, position, length);
    if (character >= kCharacterBytes.size() || kCharacterBytes[character] < 0) {
      bytes.resize(before);
      return false;
    }
    bytes.push_back(static_cast<char>(kCharacterBytes[character]));
    position += length;
  }
  return true;
}

// The byte of a token named like <0x0A>, or -1.
int byte_token_value(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  int value = 0;
  for (const char digit : text.substr(3, 2)) {
    const int nibble = digit >= '0' && digit <= '9'   ? digit - '0'
                       : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                       : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                                                      : -1;
    if (nibble < 0) return -1;
    value = value * 16 + nibble;
  }
  return value;
}

bool is_special(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUnknown || type == TokenType::kUserDefined;
}

// Control tokens that end a turn or a text in the chat formats of llama models, whatever the file's ids say.
constexpr std::array<std::string_view, 6> kEndNames = {"<|endoftext|>", "<|end_of_text|>", "<|eot_id|>",
                                                       "<|eom_id|>",    "<|im_end|>",      "</s>"};

}  // namespace

Tokenizer::Tokenizer(const GgufFile& file)
    : pre_tokenizer_([&] {
        const auto model = file.required_string("tokenizer.ggml.model");
        if (model != "gpt2") {
          fail("tokenizer.ggml.model is \"{}\", supported is gpt2 (byte-level byte pair encoding)",
               printable(model));
        }
        return PreTokenizer(file.required_string("tokenizer.ggml.pre"));
      }()) {
  TextToId ids;
  read_vocabulary(file, ids);
  read_merges(file, ids);
  read_special_ids(file, ids);
}

void Tokenizer::read_vocabulary(const GgufFile& file, TextToId& ids) {
  const auto texts = file.required_strings("tokenizer.ggml.tokens");
  if (texts.empty()) fail("tokenizer.ggml.tokens is empty");
  if (texts.size() > static_cast<std::size_t>(std::numeric_limits<TokenId>::max())) {
    fail("tokenizer.ggml.tokens has {} tokens, at most {} are supported", texts.size(),
         std::numeric_limits<TokenId>::max());
  }
  const auto types = file.optional_i32s("tokenizer.ggml.token_type");
  if (types && types->size() != texts.size()) {
    fail("tokenizer.ggml.token_type has {} elements, tokenizer.ggml.tokens has {}", types->size(),
         texts.size());
  }

  std::size_t pool_bytes = 0;
  for (const std::string_view text : texts) pool_bytes += text.size();
  pool_.reserve(pool_bytes);  // a token's bytes are never more than its text's, so views into it stay valid
  pieces_.reserve(texts.size());
  types_.reserve(texts.size());
  ids.reserve(texts.size());
  byte_ids_.fill(-1);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string_view text = texts[i];
    const auto id = static_cast<TokenId>(i);
    const std::int32_t type_number = types ? (*types)[i] : static_cast<std::int32_t>(TokenType::kNormal);
    if (type_number < 1 || type_number > 6) {
      fail("token {} (\"{}\") has type {}, legal are 1 to 6", id, printable(text), type_number);
    }
    const auto type = static_cast<TokenType>(type_number);
    if (!text.empty()) {
      const auto [other, added] = ids.emplace(text, id);
      if (!added) fail("tokens {} and {} are both \"{}\"", other->second, id, printable(text));
    }

    const std::size_t start = pool_.size();
    bool mapped = false;
    if (type == TokenType::kNormal || type == TokenType::kUnused) {
      mapped = append_bytes(text, pool_);
    } else if (type == TokenType::kByte) {
      const int value = byte_token_value(text);
      if (value < 0) fail("token {} of type 6 (byte) is \"{}\", not of the form <0x0A>", id, printable(text));
      pool_.push_back(static_cast<char>(value));
      mapped = true;
    }
    // A special token stands for its own name, and so does one that is not written in byte characters.
    if (!mapped) pool_.insert(pool_.end(), text.begin(), text.end());
    const std::string_view piece(pool_.data() + start, pool_.size() - start);
    pieces_.push_back(piece);
    types_.push_back(type);
    if (type == TokenType::kNormal && mapped) {
      if (piece.size() == 1) byte_ids_[static_cast<unsigned char>(piece[0])] = id;
      if (pre_tokenizer_.whole_tokens_first()) whole_tokens_.emplace(piece, id);
    }
    if (is_special(type) && !piece.empty()) {
      specials_.push_back(id);
      special_first_[static_cast<unsigned char>(piece[0])] = true;
    }
  }
  std::sort(specials_.begin(), specials_.end(), [&](TokenId a, TokenId b) {
    return pieces_[static_cast<std::size_t>(a)] < pieces_[static_cast<std::size_t>(b)];
  });
}

void Tokenizer::read_merges(const GgufFile& file, const TextToId& ids) {
  const auto texts = file.required_strings("tokenizer.ggml.merges");
  if (texts.size() > std::numeric_limits<std::uint32_t>::max()) {
    fail("tokenizer.ggml.merges has {} merges, at most {} are supported", texts.size(),
         std::numeric_limits<std::uint32_t>::max());
  }
  struct Pair {
    TokenId left;
    Merge merge;
  };
  std::vector<Pair> pairs;
  pairs.reserve(texts.size());
  std::string joined;
  for (std::size_t rank = 0; rank < texts.size(); ++rank) {
    const std::string_view text = texts[rank];
    // Byte characters never are a space, so the one space parts the halves.
    const std::size_t space = text.find(' ', 1);
    if (text.empty() || space == std::string_view::npos || space + 1 == text.size()) {
      fail("merge {} is \"{}\", not two tokens with a space between", rank, printable(text));
    }
    const std::string_view left = text.substr(0, space);
    const std::string_view right = text.substr(space + 1);
    joined.assign(left).append(right);
    const auto id_of = [&](std::string_view token) {
      const auto found = ids.find(token);
      if (found == ids.end()) {
        fail("merge {} (\"{}\") needs the token \"{}\", which is not in the vocabulary", rank,
             printable(text), printable(token));
      }
      return found->second;
    };
    pairs.push_back({id_of(left), {id_of(right), id_of(joined), static_cast<std::uint32_t>(rank)}});
  }
  std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) {
    return std::tie(a.left, a.merge.right, a.merge.rank) < std::tie(b.left, b.merge.right, b.merge.rank);
  });
  // Of a merge listed twice the first counts.
  pairs.erase(std::unique(pairs.begin(), pairs.end(),
                          [](const Pair& a, const Pair& b) {
                            return a.left == b.left && a.merge.right == b.merge.right;
                          }),
              pairs.end());
  merges_.reserve(pairs.size());
  merge_starts_.assign(types_.size() + 1, 0);
  for (const Pair& pair : pairs) {
    merges_.push_back(pair.merge);
    ++merge_starts_[static_cast<std::size_t>(pair.left) + 1];
  }
  for (std::size_t i = 1; i < merge_starts_.size(); ++i) merge_starts_[i] += merge_starts_[i - 1];
}

void Tokenizer::read_special_ids(const GgufFile& file, const TextToId& ids) {
  const auto read_id = [&](std::string_view key) -> std::optional<TokenId> {
    const auto id = file.optional_u32(key);
    if (!id) return std::nullopt;
    if (*id >= types_.size()) fail("{} is {}, the vocabulary has {} tokens", key, *id, types_.size());
    return static_cast<TokenId>(*id);
  };
  bos_ = read_id("tokenizer.ggml.bos_token_id");
  eos_ = read_id("tokenizer.ggml.eos_token_id");
  for (const auto id :
       {eos_, read_id("tokenizer.ggml.eot_token_id"), read_id("tokenizer.ggml.eom_token_id")}) {
    if (id) end_ids_.push_back(*id);
  }
  for (const std::string_view name : kEndNames) {
    const auto found = ids.find(name);
    if (found != ids.end() && type(found->second) == TokenType::kControl) end_ids_.push_back(found->second);
  }
  std::sort(end_ids_.begin(), end_ids_.end());
  end_ids_.erase(std::unique(end_ids_.begin(), end_ids_.end()), end_ids_.end());

  adds_bos_ =
      file.optional_bool("tokenizer.ggml.add_bos_token").value_or(pre_tokenizer_.adds_bos_by_default());
  adds_eos_ = file.optional_bool("tokenizer.ggml.add_eos_token").value_or(false);
  if (adds_bos_ && !bos_) fail("texts are to begin with BOS, but tokenizer.ggml.bos_token_id is missing");
  if (adds_eos_ && !eos_) fail("texts are to end with EOS, but tokenizer.ggml.eos_token_id is missing");
}

void Tokenizer::check_id(TokenId id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= types_.size()) {
    throw InputError(
        InputFault::kUsage,
        fmt::format("tokenizer: token id {} is outside the vocabulary of {} tokens", id, types_.size()));
  }
}

std::string_view Tokenizer::piece(TokenId id) const {
  check_id(id);
  return pieces_[static_cast<std::size_t>(id)];
}

TokenType Tokenizer::type(TokenId id) const {
  check_id(id);
  return types_[static_cast<std::size_t>(id)];
}

bool Tokenizer::ends_generation(TokenId id) const {
  return std::binary_search(end_ids_.begin(), end_ids_.end(), id);
}

const Tokenizer::Merge* Tokenizer::find_merge(TokenId left, TokenId right) const {
  const auto first = merges_.begin() + merge_starts_[static_cast<std::size_t>(left)];
  const auto last = merges_.begin() + merge_starts_[static_cast<std::size_t>(left) + 1];
  const auto found =
      std::lower_bound(first, last, right, [](const Merge& merge, TokenId id) { return merge.right < id; });
  return found != last && found->right == right ? &*found : nullptr;
}

std::pair<TokenId, std::size_t> Tokenizer::special_at(std::string_view text, std::size_t position,
                                                      bool parse_special) const {
  std::pair<TokenId, std::size_t> best{-1, 0};
  const auto name_of = [&](TokenId id) { return pieces_[static_cast<std::size_t>(id)]; };
  // The names that agree with the text so far are a range of the sorted list; each byte narrows it. Those
  // that end here come first in the range, being prefixes of the others.
  auto first = specials_.begin();
  auto last = specials_.end();
  for (std::size_t depth = 0; first != last && position + depth < text.size(); ++depth) {
    const auto byte = static_cast<unsigned char>(text[position + depth]);
    const auto byte_of = [&](TokenId id) { return static_cast<unsigned char>(name_of(id)[depth]); };
    first =
        std::lower_bound(first, last, byte, [&](TokenId id, unsigned char key) { return byte_of(id) < key; });
    last =
        std::upper_bound(first, last, byte, [&](unsigned char key, TokenId id) { return key < byte_of(id); });
    for (; first != last && name_of(*first).size() == depth + 1; ++first) {
      const bool allowed =
          parse_special || types_[static_cast<std::size_t>(*first)] == TokenType::kUserDefined;
      if (allowed) best = {*first, depth + 1};
    }
  }
  return best;
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  if (text.size() > kMaxTextBytes) {
    throw InputError(InputFault::kUsage,
                     fmt::format("tokenizer: the text has {} bytes, at most {} are supported", text.size(),
                                 kMaxTextBytes));
  }
  std::vector<TokenId> ids;
  if (options.add_bos && adds_bos_) ids.push_back(*bos_);
  std::size_t start = 0;  // of the text since the last special token
  for (std::size_t position = 0; position < text.size();) {
    if (special_first_[static_cast<unsigned char>(text[position])]) {
      const auto [id, length] = special_at(text, position, options.parse_special);
      if (length != 0) {
        encode_text(text.substr(start, position - start), ids);
        ids.push_back(id);
        position += length;
        start = position;
        continue;
      }
    }
    ++position;
  }
  encode_text(text.substr(start), ids);
  if (options.add_eos && adds_eos_) ids.push_back(*eos_);
  return ids;
}

void Tokenizer::encode_text(std::string_view text, std::vector<TokenId>& ids) const {
  for (const std::string_view piece : pre_tokenizer_.split(text)) encode_piece(piece, ids);
}

void Tokenizer::encode_piece(std::string_view piece, std::vector<TokenId>& ids) const {
  if (pre_tokenizer_.whole_tokens_first()) {
    const auto whole = whole_tokens_.find(piece);
    if (whole != whole_tokens_.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  // The piece as a list of tokens, linked so that a merge is O(1); the possible merges in a heap, lowest rank
  // first and leftmost first among equals.
  constexpr std::int32_t kNone = -1;
  struct Symbol {
    TokenId id;
    std::int32_t previous, next;
  };
  struct Candidate {
    std::uint32_t rank;
    std::int32_t position;  // of the left symbol
    TokenId left, right, result;
    bool operator<(const Candidate& other) const {
      return std::tie(rank, position) > std::tie(other.rank, other.position);
    }
  };
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  for (std::size_t i = 0; i < piece.size(); ++i) {
    const auto byte = static_cast<unsigned char>(piece[i]);
    if (byte_ids_[byte] < 0) {
      throw InputError(InputFault::kUsage,
                       fmt::format("tokenizer: the vocabulary has no token for byte 0x{:02x} of \"{}\"", byte,
                                   printable(piece)));
    }
    const auto position = static_cast<std::int32_t>(i);
    symbols.push_back({byte_ids_[byte], position - 1, i + 1 < piece.size() ? position + 1 : kNone});
  }
  const auto symbol = [&](std::int32_t position) -> Symbol& {
    return symbols[static_cast<std::size_t>(position)];
  };
  std::priority_queue<Candidate> candidates;
  const auto consider = [&](std::int32_t position) {
    if (position == kNone || symbol(position).next == kNone) return;
    const TokenId left = symbol(position).id;
    const TokenId right = symbol(symbol(position).next).id;
    if (const Merge* const merge = find_merge(left, right)) {
      candidates.push({merge->rank, position, left, right, merge->result});
    }
  };
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(symbols.size()); ++i) consider(i);
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    Symbol& left = symbol(best.position);
    // A merge since then may have taken either side away; merged-away symbols hold kNone.
    if (left.id != best.left || left.next == kNone || symbol(left.next).id != best.right) continue;
    Symbol& right = symbol(left.next);
    left.id = best.result;
    left.next = right.next;
    right.id = kNone;
    if (left.next != kNone) symbol(left.next).previous = best.position;
    consider(left.previous);
    consider(best.position);
  }
  for (std::int32_t i = 0; i != kNone; i = symbol(i).next) ids.push_back(symbol(i).id);
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool render_special) const {
  std::string text;
  for (const TokenId id : ids) {
    const TokenType kind = type(id);
    if (!render_special && (kind == TokenType::kControl || kind == TokenType::kUnknown)) continue;
    text += piece(id);
  }
  return text;
}

std::string StreamDecoder::push(TokenId id) {
  held_ += tokenizer_->decode({&id, 1});
  const std::size_t complete = held_.size() - utf8_incomplete_suffix(held_);
  std::string text = held_.substr(0, complete);
  held_.erase(0, complete);
  return text;
}

std::string StreamDecoder::finish() {
  return std::exchange(held_, {});
}

}  // namespace hipforge::runner
