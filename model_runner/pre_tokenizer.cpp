#include "model_runner/pre_tokenizer.h"

#include "model_runner/error.h"
#include "model_runner/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <array>
#include <new>
#include <stdexcept>

namespace hipforge::runner {
namespace {

// Inside a bracket: the White_Space property, as controls and the separator categories.
#define WHITE_SPACE "\\x09-\\x0d\\x{85}\\p{Z}"

constexpr std::string_view kGpt2Words =
    "'s|'t|'re|'ve|'m|'ll|'d"
    "| ?\\p{L}+| ?\\p{N}+| ?[^" WHITE_SPACE
    "\\p{L}\\p{N}]+"
    "|[" WHITE_SPACE "]+(?![^" WHITE_SPACE "])|[" WHITE_SPACE "]+";

constexpr std::string_view kLlama3Words =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^" WHITE_SPACE
    "\\p{L}\\p{N}]+[\\r\\n]*"
    "|[" WHITE_SPACE "]*[\\r\\n]+|[" WHITE_SPACE "]+(?![^" WHITE_SPACE "])|[" WHITE_SPACE "]+";

#undef WHITE_SPACE

constexpr std::string_view kSingleDigits = "\\p{N}";

constexpr std::uint32_t kMatchLimit = 50'000'000;
constexpr std::uint32_t kHeapLimitKib = 256 * 1024;
constexpr std::size_t kJitStackStartBytes = 32 * 1024;
constexpr std::size_t kJitStackMostBytes = 1024 * 1024;

template <class T, void (*release)(T*)>
struct Release {
  void operator()(T* object) const { release(object); }
};
using Code = std::unique_ptr<pcre2_code, Release<pcre2_code, pcre2_code_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Release<pcre2_match_data, pcre2_match_data_free>>;
using MatchContext =
    std::unique_ptr<pcre2_match_context, Release<pcre2_match_context, pcre2_match_context_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Release<pcre2_jit_stack, pcre2_jit_stack_free>>;

std::string pcre2_error_text(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

}  // namespace

class PreTokenizer::Regex {
 public:
  explicit Regex(std::string_view pattern) {
    int error = 0;
    PCRE2_SIZE error_offset = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              PCRE2_UTF | PCRE2_UCP, &error, &error_offset, nullptr));
    if (!code_) {
      throw std::runtime_error(fmt::format("tokenizer: PCRE2 cannot compile a pattern, at {}: {}",
                                           error_offset, pcre2_error_text(error)));
    }
    // Where the library or the machine has no JIT, pcre2_match interprets; the results are the same.
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
  }

  /// Appends the pieces of `text`, which must be well-formed UTF-8, to `pieces`.
  void split(const std::vector<std::string_view>& texts, std::vector<std::string_view>& pieces) const {
    const MatchData match(pcre2_match_data_create_from_pattern(code_.get(), nullptr));
    const MatchContext context(pcre2_match_context_create(nullptr));
    if (!match || !context) throw std::bad_alloc();
    pcre2_set_match_limit(context.get(), kMatchLimit);
    pcre2_set_heap_limit(context.get(), kHeapLimitKib);
    const JitStack stack(pcre2_jit_stack_create(kJitStackStartBytes, kJitStackMostBytes, nullptr));
    if (stack) pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
    for (const std::string_view text : texts) split_one(text, *match, *context, pieces);
  }

 private:
  void split_one(std::string_view text, pcre2_match_data& match, pcre2_match_context& context,
                 std::vector<std::string_view>& pieces) const {
    const auto* const subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    const PCRE2_SIZE* const found = pcre2_get_ovector_pointer(&match);
    std::size_t done = 0;
    while (done < text.size()) {
      int result = pcre2_match(code_.get(), subject, text.size(), done, PCRE2_NO_UTF_CHECK, &match, &context);
      if (result == PCRE2_ERROR_JIT_STACKLIMIT) {
        result = pcre2_match(code_.get(), subject, text.size(), done, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                             &match, &context);
      }
      if (result == PCRE2_ERROR_NOMATCH) break;
      if (result < 0) {
        throw InputError(InputFault::kUsage,
                         fmt::format("tokenizer: cannot split the text after byte {} of {}: {}", done,
                                     text.size(), pcre2_error_text(result)));
      }
      if (found[0] > done) pieces.push_back(text.substr(done, found[0] - done));
      pieces.push_back(text.substr(found[0], found[1] - found[0]));
      done = found[1];
    }
    if (done < text.size()) pieces.push_back(text.substr(done));
  }

  Code code_;
};

PreTokenizer::PreTokenizer(std::string_view name) {
  if (name == "gpt-2") {
    stages_.push_back(std::make_unique<Regex>(kGpt2Words));
  } else if (name == "llama-bpe" || name == "llama3" || name == "llama-v3") {
    stages_.push_back(std::make_unique<Regex>(kLlama3Words));
    whole_tokens_first_ = true;
    adds_bos_by_default_ = true;
  } else if (name == "smollm") {
    // Every digit by itself first, so that no later expression can join digits or put a space before one.
    stages_.push_back(std::make_unique<Regex>(kSingleDigits));
    stages_.push_back(std::make_unique<Regex>(kGpt2Words));
  } else {
    throw InputError(
        InputFault::kFile,
        fmt::format("tokenizer: tokenizer.ggml.pre is \"{}\", supported are gpt-2, llama-bpe (also "
                    "llama3, llama-v3) and smollm",
                    printable(name)));
  }
}

PreTokenizer::~PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  if (text.empty()) return {};
  // PCRE2 wants well-formed UTF-8: each stray byte is matched as U+FFFD in a copy, and the copy's pieces are
  // measured back onto the text.
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string copy;
  std::vector<std::size_t> replaced;  // where in `copy` each replacement starts
  std::string_view subject = text;
  if (!utf8_is_valid(text)) {
    copy.reserve(text.size() + 64);
    for (std::size_t position = 0; position < text.size();) {
      const std::size_t length = utf8_sequence_length(text, position);
      if (length == 0) {
        replaced.push_back(copy.size());
        copy += kReplacement;
        ++position;
      } else {
        copy += text.substr(position, length);
        position += length;
      }
    }
    subject = copy;
  }

  std::vector<std::string_view> pieces = {subject};
  for (const auto& stage : stages_) {
    std::vector<std::string_view> next;
    stage->split(pieces, next);
    pieces = std::move(next);
  }

  if (!replaced.empty()) {
    std::size_t position = 0;  // in `text`
    std::size_t copy_end = 0;
    auto stray = replaced.begin();
    for (std::string_view& piece : pieces) {
      copy_end += piece.size();
      std::size_t length = piece.size();
      for (; stray != replaced.end() && *stray < copy_end; ++stray) length -= kReplacement.size() - 1;
      piece = text.substr(position, length);
      position += length;
    }
  }
  return pieces;
}

}  // namespace hipforge::runner
