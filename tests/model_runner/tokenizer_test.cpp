#include "model_runner/tokenizer.h"

#include "model_runner/utf8.h"
#include "tests/model_runner/gguf_builder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <random>
#include <type_traits>

namespace hipforge::runner::testing {
namespace {

using Pieces = std::vector<std::string_view>;
using Ids = std::vector<TokenId>;

static_assert(std::is_nothrow_move_constructible_v<Tokenizer>);

Tokenizer make_tokenizer(const Vocabulary& vocabulary, std::string_view pre_tokenizer,
                         const std::function<void(GgufBuilder&)>& extra = {}) {
  GgufBuilder builder;
  vocabulary.write_to(builder, pre_tokenizer);
  builder.boolean("tokenizer.ggml.add_bos_token", false);
  if (extra) extra(builder);
  const Image image = builder.build();
  return Tokenizer(GgufFile::over(image));
}

std::string refusal(const GgufBuilder& builder) {
  const Image image = builder.build();
  try {
    const Tokenizer tokenizer(GgufFile::over(image));
    return "";
  } catch (const InputError& error) {
    EXPECT_EQ(error.fault(), InputFault::kFile);
    return error.what();
  }
}

// Tokens joined by '|', to compare encodings at a glance.
std::string encoded(const Tokenizer& tokenizer, std::string_view text, const EncodeOptions& options = {}) {
  std::string joined;
  for (const TokenId id : tokenizer.encode(text, options)) {
    if (!joined.empty()) joined += '|';
    joined += tokenizer.piece(id);
  }
  return joined;
}

TEST(Utf8, SequenceLengths) {
  EXPECT_EQ(utf8_sequence_length("a", 0), 1u);
  EXPECT_EQ(utf8_sequence_length("\xC3\xA9", 0), 2u);
  EXPECT_EQ(utf8_sequence_length("\xE4\xBD\xA0", 0), 3u);
  EXPECT_EQ(utf8_sequence_length("\xF0\x9F\x91\x8D", 0), 4u);
  // Continuations, overlong forms, surrogates, values above U+10FFFF, cut sequences.
  for (const char* bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE4\xBD", "\xF0\x9F\x91", "\xC3"}) {
    EXPECT_EQ(utf8_sequence_length(bad, 0), 0u);
    EXPECT_FALSE(utf8_is_valid(bad));
  }
  EXPECT_TRUE(utf8_is_valid("\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF"));
}

TEST(Utf8, IncompleteSuffix) {
  EXPECT_EQ(utf8_incomplete_suffix(""), 0u);
  EXPECT_EQ(utf8_incomplete_suffix("abc"), 0u);
  EXPECT_EQ(utf8_incomplete_suffix("a\xC3"), 1u);
  EXPECT_EQ(utf8_incomplete_suffix("a\xE4\xBD"), 2u);
  EXPECT_EQ(utf8_incomplete_suffix("a\xF0\x9F\x91"), 3u);
  EXPECT_EQ(utf8_incomplete_suffix("a\xF0\x9F\x91\x8D"), 0u);
  // Nothing can complete these any more.
  EXPECT_EQ(utf8_incomplete_suffix("a\xE0\x80"), 0u);
  EXPECT_EQ(utf8_incomplete_suffix("a\xFF"), 0u);
  EXPECT_EQ(utf8_incomplete_suffix("\x80\x80\x80\x80"), 0u);
}

struct SplitCase {
  std::string_view text;
  Pieces pieces;
};

void expect_splits(std::string_view name, const std::vector<SplitCase>& cases) {
  const PreTokenizer pre_tokenizer(name);
  for (const SplitCase& split : cases) {
    EXPECT_EQ(pre_tokenizer.split(split.text), split.pieces) << name << ": " << printable(split.text);
  }
}

TEST(PreTokenizer, Gpt2) {
  expect_splits(
      "gpt-2",
      {
          {"", {}},
          {"Hello world", {"Hello", " world"}},
          // Contractions are lower case only and come before anything else.
          {"I'll don't we've", {"I", "'ll", " don", "'t", " we", "'ve"}},
          {"'sab ''s", {"'s", "ab", " ''", "s"}},
          {"IT'S 'tis", {"IT", "'", "S", " '", "tis"}},
          // A run of white space leaves its last character to what follows, if that is no white space.
          {"a  b", {"a", " ", " b"}},
          {"a   \n b", {"a", "   \n", " b"}},
          {"x\n\ny", {"x", "\n", "\n", "y"}},
          {"end  ", {"end", "  "}},
          {"\t\tx", {"\t", "\t", "x"}},
          {"the   7", {"the", "  ", " 7"}},
          {"   ", {"   "}},
          // Digits are not split, and a space joins them.
          {"abc123def 12.5", {"abc", "123", "def", " 12", ".", "5"}},
          {"\xC2\xBD \xE2\x85\xA7 \xC2\xB2", {"\xC2\xBD", " \xE2\x85\xA7", " \xC2\xB2"}},  // ½ Ⅷ ²: all \p{N}
          // Letters of every script; marks are no letters.
          {"h\xC3\xA9llo w\xC3\xB6rld", {"h\xC3\xA9llo", " w\xC3\xB6rld"}},
          {"e\xCC\x81x", {"e", "\xCC\x81", "x"}},
          {"\xE4\xBD\xA0\xE5\xA5\xBD\xEF\xBC\x8C\xE4\xB8\x96",
           {"\xE4\xBD\xA0\xE5\xA5\xBD", "\xEF\xBC\x8C", "\xE4\xB8\x96"}},
          {"hi\xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD! ok", {"hi", "\xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD!", " ok"}},
          // No-break space, NEL and the ideographic space are white space; U+180E and U+200B are not.
          {"a\xC2\xA0"
           "b",
           {"a", "\xC2\xA0", "b"}},
          {" \xC2\x85"
           "b",
           {" ", "\xC2\x85", "b"}},
          {"\xE3\x80\x80\xE3\x80\x80"
           "b",
           {"\xE3\x80\x80", "\xE3\x80\x80", "b"}},
          {" \xE1\xA0\x8E"
           "b",
           {" \xE1\xA0\x8E", "b"}},
          {" \xE2\x80\x8B"
           "b",
           {" \xE2\x80\x8B", "b"}},
          {std::string_view("a\0b", 3), {"a", std::string_view("\0", 1), "b"}},
          // Bytes that are no UTF-8 are symbols, each by itself well kept.
          {"ab\xFF\xFE cd", {"ab", "\xFF\xFE", " cd"}},
          {" \xF0\x9F\x91", {" \xF0\x9F\x91"}},
          {"\xC3\xA9\xC3", {"\xC3\xA9", "\xC3"}},
          {"!\xED\xA0\x80\xE4\xBD\xA0", {"!\xED\xA0\x80", "\xE4\xBD\xA0"}},
      });
}

TEST(PreTokenizer, LlamaBpe) {
  const std::vector<SplitCase> cases = {
      {"", {}},
      {"Hello world", {"Hello", " world"}},
      // Contractions in either case.
      {"I'LL Don'T we'Ve", {"I", "'LL", " Don", "'T", " we", "'Ve"}},
      {"Hello World's 'tis", {"Hello", " World", "'s", " '", "tis"}},
      {"'tis", {"'t", "is"}},
      // Digits in threes from the left, a space before them apart.
      {"1234567", {"123", "456", "7"}},
      {"x 123", {"x", " ", "123"}},
      // One character that is neither letter, digit nor line end goes with the letters after it.
      {"hello!world", {"hello", "!world"}},
      {"(foo)", {"(foo", ")"}},
      {"\tfoo", {"\tfoo"}},
      {"\nfoo", {"\n", "foo"}},
      {"a--b", {"a", "--", "b"}},
      // Punctuation takes the line ends after it.
      {"foo...\n\nbar", {"foo", "...\n\n", "bar"}},
      {"x;\r\ny", {"x", ";\r\n", "y"}},
      // White space up to its last line end, then all but its last character.
      {"a \n\n  b", {"a", " \n\n", " ", " b"}},
      {"a   b", {"a", "  ", " b"}},
      {"a   ", {"a", "   "}},
      {"a\n", {"a", "\n"}},
      {"  \n  ", {"  \n", "  "}},
      {"   7", {"  ", " ", "7"}},
      {"\xE4\xBD\xA0\xE5\xA5\xBD\xEF\xBC\x8C\xE4\xB8\x96",
       {"\xE4\xBD\xA0\xE5\xA5\xBD", "\xEF\xBC\x8C\xE4\xB8\x96"}},
      {"e\xCC\x81x", {"e", "\xCC\x81x"}},
      {"\xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD ok", {"\xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD", " ok"}},
      {"\xFF"
       "abc",
       {"\xFF"
        "abc"}},
      {"\xFF\xFF"
       "abc",
       {"\xFF\xFF", "abc"}},
  };
  expect_splits("llama-bpe", cases);
  expect_splits("llama3", cases);
  expect_splits("llama-v3", cases);
}

TEST(PreTokenizer, SmolLm) {
  expect_splits("smollm", {
                              {"a12 b", {"a", "1", "2", " b"}},
                              {"x 42", {"x", " ", "4", "2"}},
                              {"3.14", {"3", ".", "1", "4"}},
                              // The white space ends where the digit's piece begins, so it stays whole.
                              {"the   7", {"the", "   ", "7"}},
                              {"the   x", {"the", "  ", " x"}},
                              {"I'll 2", {"I", "'ll", " ", "2"}},
                              {"'2's", {"'", "2", "'s"}},
                              {"\xD9\xA3\xD9\xA4", {"\xD9\xA3", "\xD9\xA4"}},  // Arabic-Indic digits
                              {"1\xFF"
                               "2",
                               {"1", "\xFF", "2"}},
                          });
}

TEST(PreTokenizer, OthersAreRefusedByName) {
  for (const char* name : {"qwen2", "default", "", "GPT-2", "deepseek-llm"}) {
    try {
      const PreTokenizer pre_tokenizer{std::string_view(name)};
      FAIL() << name;
    } catch (const InputError& error) {
      EXPECT_EQ(error.what(), "tokenizer: tokenizer.ggml.pre is \"" + std::string(name) +
                                  "\", supported are gpt-2, llama-bpe (also llama3, llama-v3) and smollm");
      EXPECT_EQ(error.exit_code(), 3);
    }
  }
}

TEST(Tokenizer, MergesByRankThenFromTheLeft) {
  Vocabulary vocabulary;
  vocabulary.merge("b", "c").merge("a", "b").merge("ab", "c").merge("a", "a").merge("aa", "aa");
  const Tokenizer tokenizer = make_tokenizer(vocabulary, "gpt-2");
  EXPECT_EQ(encoded(tokenizer, "abc"), "a|bc");  // "b c" ranks above "a b"
  EXPECT_EQ(encoded(tokenizer, "ab"), "ab");
  EXPECT_EQ(encoded(tokenizer, "aaa"), "aa|a");
  EXPECT_EQ(encoded(tokenizer, "aaaaa"), "aaaa|a");
  EXPECT_EQ(encoded(tokenizer, "aaab"), "aa|ab");  // the pair in the middle is gone once "a b" has merged
  EXPECT_EQ(encoded(tokenizer, "a bc"), "a| |bc");
  EXPECT_EQ(encoded(tokenizer, ""), "");
}

TEST(Tokenizer, KnownWords) {
  const Tokenizer tokenizer = make_tokenizer(TinyModel::default_vocabulary(), "gpt-2");
  EXPECT_EQ(encoded(tokenizer, "the thing's and"), "the| |th|ing|'s| and");  // "t h" ranks above " t"
  EXPECT_EQ(tokenizer.vocab_size(), TinyModel::default_vocabulary().tokens.size());
  EXPECT_EQ(tokenizer.type(0), TokenType::kNormal);
}

// The definition: merge the lowest-ranked, leftmost pair, over and over.
Ids naive_bpe(const Vocabulary& vocabulary, const std::map<std::string, std::size_t>& ranks,
              std::string_view bytes) {
  std::vector<std::string> parts;
  for (const char byte : bytes) parts.push_back(in_byte_characters(std::string(1, byte)));
  while (true) {
    std::size_t best_rank = ranks.size();
    std::size_t best = 0;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = ranks.find(parts[i] + " " + parts[i + 1]);
      if (found != ranks.end() && found->second < best_rank) {
        best_rank = found->second;
        best = i;
      }
    }
    if (best_rank == ranks.size()) break;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  Ids ids;
  for (const std::string& part : parts) ids.push_back(vocabulary.id(part));
  return ids;
}

TEST(Tokenizer, AgreesWithTheDefinitionOnRandomMerges) {
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    Vocabulary vocabulary;
    std::vector<std::string> known = {"a", "b", "c"};
    std::map<std::string, std::size_t> ranks;
    for (int i = 0; i < 40; ++i) {
      const std::string left = known[random() % known.size()];
      const std::string right = known[random() % known.size()];
      if (left.size() + right.size() > 8 ||
          !ranks.emplace(left + " " + right, vocabulary.merges.size()).second)
        continue;
      vocabulary.merge(left, right);
      known.push_back(left + right);
    }
    const Tokenizer tokenizer = make_tokenizer(vocabulary, "gpt-2");
    for (int i = 0; i < 50; ++i) {
      std::string text(1 + random() % 40, 'a');
      for (char& c : text) c = "abc"[random() % 3];
      EXPECT_EQ(tokenizer.encode(text), naive_bpe(vocabulary, ranks, text)) << text;
    }
  }
}

TEST(Tokenizer, WholePiecesFirstIsLlamas) {
  // "word" is a token that no merge makes.
  Vocabulary vocabulary;
  vocabulary.merge("w", "o");
  vocabulary.special("word", 1);
  EXPECT_EQ(encoded(make_tokenizer(vocabulary, "llama-bpe"), "word words"), "word| |wo|r|d|s");
  EXPECT_EQ(encoded(make_tokenizer(vocabulary, "gpt-2"), "word"), "wo|r|d");
}

TEST(Tokenizer, DecodeOfEncodeIsTheText) {
  std::mt19937 random(11);
  const std::vector<std::string> fragments = {"the ",     "'s",  "\xE4\xBD\xA0", "\xF0\x9F\x91\x8D", "\xFF",
                                              "\xF0\x9F", " 12", "\n\n",         "<|begin|>",        "<user>",
                                              "\xCC\x81", "   ", "ing",          "\xC2\xA0",         "a",
                                              "\r\n",     "<|b"};
  for (const char* pre : {"gpt-2", "llama-bpe", "smollm"}) {
    const Tokenizer tokenizer = make_tokenizer(TinyModel::default_vocabulary(), pre);
    for (int i = 0; i < 2000; ++i) {
      std::string text;
      if (i % 2 == 0) {
        text.resize(random() % 64);
        for (char& c : text) c = static_cast<char>(random());
      } else {
        for (std::size_t parts = random() % 20; parts > 0; --parts)
          text += fragments[random() % fragments.size()];
      }
      const bool parse_special = i % 4 < 2;
      const Ids ids = tokenizer.encode(text, {.parse_special = parse_special});
      ASSERT_EQ(tokenizer.decode(ids, true), text) << pre << ": " << printable(text, 1000);
      StreamDecoder decoder(tokenizer);
      std::string streamed;
      for (const TokenId id : ids) streamed += decoder.push(id);
      streamed += decoder.finish();
      ASSERT_EQ(streamed, tokenizer.decode(ids));
    }
  }
}

TEST(Tokenizer, EveryByteStandsForItself) {
  const Tokenizer tokenizer = make_tokenizer(Vocabulary(), "gpt-2");
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    EXPECT_EQ(tokenizer.encode(text), Ids{byte});
    EXPECT_EQ(tokenizer.piece(byte), text);
  }
}

TEST(Tokenizer, SpecialTokens) {
  Vocabulary vocabulary;
  vocabulary.special("<|a|>", 3)
      .special("<|a|><|b|>", 3)
      .special("<|b|>", 2)
      .special("<tool>", 4)
      .special("<t", 4);
  const Tokenizer tokenizer = make_tokenizer(vocabulary, "gpt-2");
  const auto id = [&](std::string_view text) { return static_cast<TokenId>(vocabulary.id(text)); };
  const EncodeOptions parse = {.parse_special = true};
  EXPECT_EQ(tokenizer.encode("<|a|>x<|b|>", parse), (Ids{id("<|a|>"), 'x', id("<|b|>")}));
  // The longest name wins; at one place as over several.
  EXPECT_EQ(tokenizer.encode("<|a|><|b|><|b|>", parse), (Ids{id("<|a|><|b|>"), id("<|b|>")}));
  EXPECT_EQ(tokenizer.encode("<|a|><|b", parse).size(), 1u + 4u - 1u);
  EXPECT_EQ(tokenizer.encode("<tool><to", parse), (Ids{id("<tool>"), id("<t"), 'o'}));
  // Unless asked for, names of control tokens are text like any other; user-defined tokens never are.
  EXPECT_EQ(tokenizer.encode("<|a|>").size(), 5u);
  EXPECT_EQ(tokenizer.encode("<tool>"), Ids{id("<tool>")});
  // A piece ends where a special token begins: white space before it stays whole.
  EXPECT_EQ(tokenizer.encode("  <tool>  ", parse), (Ids{' ', ' ', id("<tool>"), ' ', ' '}));

  const Ids ids = {id("<|a|>"), 'x', id("<tool>"), id("<|b|>")};
  EXPECT_EQ(tokenizer.decode(ids), "x<tool>");
  EXPECT_EQ(tokenizer.decode(ids, true), "<|a|>x<tool><|b|>");
}

TEST(Tokenizer, BosAndEos) {
  Vocabulary vocabulary;
  vocabulary.special("<s>", 3).special("<e>", 3);
  const auto with_flags = [&](std::string_view pre, std::optional<bool> bos, std::optional<bool> eos) {
    GgufBuilder builder;
    vocabulary.write_to(builder, pre);
    builder.u32("tokenizer.ggml.bos_token_id", 256).u32("tokenizer.ggml.eos_token_id", 257);
    if (bos) builder.boolean("tokenizer.ggml.add_bos_token", *bos);
    if (eos) builder.boolean("tokenizer.ggml.add_eos_token", *eos);
    const Image image = builder.build();
    return Tokenizer(GgufFile::over(image));
  };
  const EncodeOptions both = {.add_bos = true, .add_eos = true};
  EXPECT_EQ(with_flags("gpt-2", true, true).encode("x", both), (Ids{256, 'x', 257}));
  EXPECT_EQ(with_flags("gpt-2", true, true).encode("x"), (Ids{256, 'x'}));
  EXPECT_EQ(with_flags("gpt-2", true, true).encode("x", {.add_bos = false}), Ids{'x'});
  EXPECT_EQ(with_flags("gpt-2", false, false).encode("x", both), Ids{'x'});
  // Where the file says nothing, only the Llama 3 tokenizer prepends BOS.
  EXPECT_EQ(with_flags("gpt-2", {}, {}).encode("x", both), Ids{'x'});
  EXPECT_EQ(with_flags("smollm", {}, {}).encode("x", both), Ids{'x'});
  EXPECT_EQ(with_flags("llama-bpe", {}, {}).encode("x", both), (Ids{256, 'x'}));
  EXPECT_EQ(with_flags("gpt-2", true, {}).encode(""), Ids{256});
}

TEST(Tokenizer, TokensThatEndAGeneration) {
  Vocabulary vocabulary;
  vocabulary.special("<stop>", 3).special("<|eot_id|>", 3).special("<|im_end|>", 1).special("<turn>", 3);
  const Tokenizer tokenizer = make_tokenizer(vocabulary, "gpt-2", [](GgufBuilder& builder) {
    builder.u32("tokenizer.ggml.eos_token_id", 256).u32("tokenizer.ggml.eot_token_id", 259);
  });
  EXPECT_TRUE(tokenizer.ends_generation(256));
  EXPECT_TRUE(tokenizer.ends_generation(257));   // by its name
  EXPECT_FALSE(tokenizer.ends_generation(258));  // the name, but no control token
  EXPECT_TRUE(tokenizer.ends_generation(259));
  EXPECT_FALSE(tokenizer.ends_generation(0));
  EXPECT_FALSE(tokenizer.ends_generation(-1));
}

TEST(Tokenizer, OddTokens) {
  // A normal token that is not written in byte characters stands for its own text and is never produced.
  Vocabulary vocabulary;
  vocabulary.special("two words", 1).special("<0x41>", 6).special("", 5).special("", 5).special("[PAD1]", 5);
  const Tokenizer tokenizer = make_tokenizer(vocabulary, "gpt-2");
  EXPECT_EQ(tokenizer.piece(256), "two words");
  EXPECT_EQ(tokenizer.piece(257), "A");
  EXPECT_EQ(tokenizer.piece(258), "");
  EXPECT_EQ(tokenizer.piece(260), "[PAD1]");
  EXPECT_EQ(tokenizer.encode("A"), Ids{'A'});
  for (const TokenId id : {-1, 261, 1 << 30}) {
    EXPECT_THROW((void)tokenizer.piece(id), InputError);
    EXPECT_THROW((void)tokenizer.decode(Ids{id}), InputError);
  }
}

TEST(Tokenizer, ByteWithoutAToken) {
  Vocabulary vocabulary;
  vocabulary.types[0x80] = 5;
  const Tokenizer tokenizer = make_tokenizer(vocabulary, "gpt-2");
  EXPECT_EQ(tokenizer.encode("abc"), (Ids{'a', 'b', 'c'}));
  try {
    (void)tokenizer.encode("abc \x80");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "tokenizer: the vocabulary has no token for byte 0x80 of \" \\x80\"");
    EXPECT_EQ(error.exit_code(), 2);
  }
}

TEST(Tokenizer, FilesThatAreRefused) {
  const auto with = [](const Vocabulary& vocabulary, std::string_view model = "gpt2",
                       std::string_view pre = "gpt-2") {
    GgufBuilder builder;
    builder.string("tokenizer.ggml.model", model).string("tokenizer.ggml.pre", pre);
    builder.strings("tokenizer.ggml.tokens", vocabulary.tokens)
        .i32s("tokenizer.ggml.token_type", vocabulary.types);
    builder.strings("tokenizer.ggml.merges", vocabulary.merges);
    return builder;
  };
  for (const char* model : {"llama", "bert", "t5", "rwkv", "none"}) {
    EXPECT_EQ(refusal(with({}, model)), "tokenizer: tokenizer.ggml.model is \"" + std::string(model) +
                                            "\", supported is gpt2 (byte-level byte pair encoding)");
  }
  EXPECT_NE(refusal(with({}, "gpt2", "tekken")).find("tokenizer.ggml.pre is \"tekken\""), std::string::npos);
  EXPECT_EQ(refusal(GgufBuilder()), "gguf: tokenizer.ggml.model is missing");
  EXPECT_EQ(refusal(GgufBuilder().string("tokenizer.ggml.model", "gpt2")),
            "gguf: tokenizer.ggml.pre is missing");
  EXPECT_EQ(
      refusal(GgufBuilder().string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", "gpt-2")),
      "gguf: tokenizer.ggml.tokens is missing");

  Vocabulary vocabulary;
  vocabulary.special("a", 1);
  EXPECT_EQ(refusal(with(vocabulary)), "tokenizer: tokens 97 and 256 are both \"a\"");
  vocabulary = {};
  vocabulary.types.pop_back();
  EXPECT_EQ(refusal(with(vocabulary)),
            "tokenizer: tokenizer.ggml.token_type has 255 elements, tokenizer.ggml.tokens has 256");
  vocabulary = {};
  vocabulary.types[65] = 7;
  EXPECT_EQ(refusal(with(vocabulary)), "tokenizer: token 65 (\"A\") has type 7, legal are 1 to 6");
  vocabulary.types[65] = 6;
  EXPECT_EQ(refusal(with(vocabulary)),
            "tokenizer: token 65 of type 6 (byte) is \"A\", not of the form <0x0A>");
  vocabulary = {};
  vocabulary.tokens.clear();
  vocabulary.types.clear();
  EXPECT_EQ(refusal(with(vocabulary)), "tokenizer: tokenizer.ggml.tokens is empty");
  for (const char* merge : {"", "ab", "a ", " b", "a"}) {
    vocabulary = {};
    vocabulary.merges = {merge};
    EXPECT_EQ(refusal(with(vocabulary)),
              "tokenizer: merge 0 is \"" + std::string(merge) + "\", not two tokens with a space between");
  }
  vocabulary.merges = {"a b"};
  EXPECT_EQ(refusal(with(vocabulary)),
            "tokenizer: merge 0 (\"a b\") needs the token \"ab\", which is not in the vocabulary");
  vocabulary.merges = {"xy b"};
  EXPECT_EQ(refusal(with(vocabulary)),
            "tokenizer: merge 0 (\"xy b\") needs the token \"xy\", which is not in the vocabulary");

  EXPECT_EQ(refusal(with({}).u32("tokenizer.ggml.bos_token_id", 256)),
            "tokenizer: tokenizer.ggml.bos_token_id is 256, the vocabulary has 256 tokens");
  EXPECT_EQ(refusal(with({}).boolean("tokenizer.ggml.add_bos_token", true)),
            "tokenizer: texts are to begin with BOS, but tokenizer.ggml.bos_token_id is missing");
  EXPECT_EQ(refusal(with({}).boolean("tokenizer.ggml.add_eos_token", true)),
            "tokenizer: texts are to end with EOS, but tokenizer.ggml.eos_token_id is missing");
}

TEST(StreamDecoder, HoldsBackUnfinishedCharacters) {
  const Tokenizer tokenizer = make_tokenizer(Vocabulary(), "gpt-2");
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push('a'), "a");
  EXPECT_EQ(decoder.push(0xF0), "");
  EXPECT_EQ(decoder.push(0x9F), "");
  EXPECT_EQ(decoder.push(0x91), "");
  EXPECT_EQ(decoder.push(0x8D), "\xF0\x9F\x91\x8D");
  // A sequence that the next byte breaks off comes out as it is.
  EXPECT_EQ(decoder.push(0xE4), "");
  EXPECT_EQ(decoder.push('b'),
            "\xE4"
            "b");
  EXPECT_EQ(decoder.push(0xC3), "");
  EXPECT_EQ(decoder.finish(), "\xC3");
  EXPECT_EQ(decoder.finish(), "");
}

class LongTexts : public ::testing::TestWithParam<const char*> {};

TEST_P(LongTexts, InBoundedTime) {
  Vocabulary vocabulary = TinyModel::default_vocabulary();
  for (std::string word = "a"; word.size() <= 64; word += word) vocabulary.merge(word, word);
  vocabulary.merge("a", "b").merge("b", "a").merge("ab", "ab");
  std::mt19937 random(3);
  const auto repeat = [](std::string_view unit) {
    std::string text;
    while (text.size() < (1u << 20)) text += unit;
    return text;
  };
  std::string letters(1 << 20, 'a');
  for (char& c : letters) c = "ab"[random() % 2];
  std::string noise(1 << 20, ' ');
  for (char& c : noise) c = static_cast<char>(random());
  const std::vector<std::string> texts = {repeat("a"),       repeat(" "),
                                          repeat("\n"),      repeat("\r\n "),
                                          repeat("'"),       repeat("\xF0\x9F\x91\x8D"),
                                          repeat("7"),       repeat("<|begin|"),
                                          repeat("\xFF"),    repeat("a1 "),
                                          letters,           noise,
                                          repeat(" ") + "x", repeat("\xE3\x80\x80") + "\nx"};
  const Tokenizer tokenizer = make_tokenizer(vocabulary, GetParam());
  for (const std::string& text : texts) {
    const auto start = std::chrono::steady_clock::now();
    const Ids ids = tokenizer.encode(text, {.parse_special = true});
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(tokenizer.decode(ids, true), text);
    // Quadratic time would be hours; sanitizers and a busy machine need slack.
    EXPECT_LT(seconds.count(), 20.0) << printable(text, 20);
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizer, LongTexts, ::testing::Values("gpt-2", "llama-bpe", "smollm"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace hipforge::runner::testing
