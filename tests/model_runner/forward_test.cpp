// The forward pass on small random models, against the same pass written as formulas in double.

#include "model_runner/forward.h"

#include "model_runner/device_values.h"
#include "model_runner/verify.h"
#include "tests/model_runner/gguf_builder.h"
#include "tests/model_runner/plain_llama.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

namespace hipforge::runner::testing {
namespace {

using Ids = std::vector<TokenId>;
using Logits = std::vector<double>;

// A model in memory and on the device.
struct LoadedModel {
  explicit LoadedModel(const GgufBuilder& builder)
      : image(builder.build()),
        file(GgufFile::over(image)),
        config(read_llama_config(file)),
        weights(file, config) {}

  Image image;
  GgufFile file;
  LlamaConfig config;
  Weights weights;
};

GgufBuilder random_builder(const TinyModel& model, std::uint64_t seed,
                           const std::function<void(GgufBuilder&)>& extra = {}) {
  GgufBuilder builder = model.builder();
  if (extra) extra(builder);
  fill_random(builder, seed);
  return builder;
}

Ids random_tokens(std::size_t count, std::int64_t vocab, unsigned seed) {
  std::mt19937 random(seed);
  Ids ids(count);
  for (TokenId& id : ids) id = static_cast<TokenId>(random() % static_cast<unsigned>(vocab));
  return ids;
}

KvCache make_cache(const LlamaConfig& config, DType dtype, std::int64_t page_size = 4,
                   std::int64_t max_pages = 64) {
  return KvCache({.layers = config.layers,
                  .kv_heads = config.kv_heads,
                  .head_dim = config.head_dim,
                  .page_size = page_size,
                  .max_pages = max_pages,
                  .dtype = dtype});
}

// Logits after the last token, with the tokens cut into steps of at most `chunk`.
Logits run(const LoadedModel& model, DType activations, std::span<const TokenId> tokens, std::int64_t chunk,
           std::int64_t page_size = 4, OpObserver* observer = nullptr) {
  KvCache cache = make_cache(model.config, activations, page_size);
  Forward forward(model.config, model.weights, cache, activations, {.max_rows = chunk, .max_sequences = 1},
                  nullptr);
  forward.ops().observe(observer);
  const SequenceId sequence = cache.create_sequence();
  Logits logits;
  while (!tokens.empty()) {
    const SequenceTokens part{sequence,
                              tokens.first(std::min(tokens.size(), static_cast<std::size_t>(chunk)))};
    tokens = tokens.subspan(part.tokens.size());
    logits = download_values(forward.step({&part, 1}));
  }
  forward.check_device_errors();
  return logits;
}

double largest_difference(const Logits& a, const Logits& b) {
  EXPECT_EQ(a.size(), b.size());
  double most = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    // Written so that NaN is the largest of all.
    if (!(std::abs(a[i] - b[i]) <= most)) most = std::abs(a[i] - b[i]);
  }
  return most;
}

double largest_magnitude(const Logits& values) {
  return largest_difference(values, Logits(values.size(), 0.0));
}

void expect_plain_logits(const GgufBuilder& builder, DType activations, double relative) {
  const LoadedModel model(builder);
  const Ids tokens = random_tokens(23, model.config.vocab, 9);
  const auto expected = plain_llama_logits(model.file, model.config, tokens);
  for (const std::size_t count : {std::size_t{1}, std::size_t{2}, tokens.size()}) {
    const Logits& plain = expected[count - 1];
    const Logits actual = run(model, activations, std::span(tokens).first(count), 8);
    EXPECT_LE(largest_difference(actual, plain), relative * largest_magnitude(plain)) << count << " tokens";
  }
}

TEST(Forward, AgreesWithTheFormulas) {
  const TinyModel model;
  expect_plain_logits(random_builder(model, 1), DType::kF32, 1e-5);
}

TEST(Forward, EveryWeightAndActivationType) {
  TinyModel model;
  for (const std::uint32_t type : {0u, 1u, 8u, 30u}) {
    model.type = type;
    SCOPED_TRACE(ggml_type_traits(type)->name);
    expect_plain_logits(random_builder(model, 2), DType::kF32, 1e-5);
    expect_plain_logits(random_builder(model, 2), DType::kF16, 1e-2);
    expect_plain_logits(random_builder(model, 2), DType::kBF16, 6e-2);
  }
}

TEST(Forward, OddShapes) {
  TinyModel model;
  model.layers = 3;
  model.hidden = 30;
  model.feed_forward = 41;
  model.q_heads = 6;
  model.kv_heads = 1;
  model.head_dim = 10;  // heads that together are wider than the residual stream
  model.tied = false;
  expect_plain_logits(random_builder(model, 3), DType::kF32, 1e-5);
  model.kv_heads = 6;
  expect_plain_logits(random_builder(model, 4), DType::kF32, 1e-5);
}

TEST(Forward, Biases) {
  expect_plain_logits(
      random_builder(TinyModel(), 5,
                     [](GgufBuilder& builder) {
                       builder.tensor("blk.0.attn_q.bias", {32}).tensor("blk.1.attn_k.bias", {16}, 1);
                       builder.tensor("blk.0.ffn_down.bias", {32}, 30);
                       builder.tensor("blk.1.attn_output.bias", {32}, 8);
                     }),
      DType::kF32, 1e-5);
}

TEST(Forward, RopeScaling) {
  expect_plain_logits(
      random_builder(TinyModel(), 6, [](GgufBuilder& builder) { builder.tensor("rope_freqs.weight", {4}); }),
      DType::kF32, 1e-5);
  const auto linear = [](GgufBuilder& builder) {
    builder.string("llama.rope.scaling.type", "linear").f32("llama.rope.scaling.factor", 4.0f);
  };
  expect_plain_logits(random_builder(TinyModel(), 7, linear), DType::kF32, 1e-5);
  expect_plain_logits(random_builder(TinyModel(), 7,
                                     [&](GgufBuilder& builder) {
                                       linear(builder);
                                       builder.tensor("rope_freqs.weight", {4});
                                     }),
                      DType::kF32, 1e-5);
}

TEST(Forward, ChunksAndPagesNeverChangeABit) {
  TinyModel tiny;
  tiny.type = 1;
  const LoadedModel model(random_builder(tiny, 8));
  const Ids tokens = random_tokens(37, model.config.vocab, 4);
  for (const DType activations : {DType::kF32, DType::kF16}) {
    const Logits whole = run(model, activations, tokens, 37, 64);
    for (const std::int64_t chunk : {1, 2, 5, 36}) {
      for (const std::int64_t page_size : {1, 3, 16}) {
        EXPECT_EQ(run(model, activations, tokens, chunk, page_size), whole) << chunk << " " << page_size;
      }
    }
  }
}

TEST(Forward, BatchMatesNeverChangeABit) {
  TinyModel tiny;
  tiny.type = 1;
  const LoadedModel model(random_builder(tiny, 10));
  const std::vector<Ids> prompts = {random_tokens(7, model.config.vocab, 1),
                                    random_tokens(1, model.config.vocab, 2),
                                    random_tokens(12, model.config.vocab, 3)};
  KvCache cache = make_cache(model.config, DType::kF16, 3);
  Forward forward(model.config, model.weights, cache, DType::kF16, {.max_rows = 32, .max_sequences = 3},
                  nullptr);
  // Ids and pages out of order: the last prompt's sequence is the first one, and a released one leaves a gap.
  std::vector<SequenceId> ids(3);
  ids[2] = cache.create_sequence();
  const SequenceId gone = cache.create_sequence();
  ASSERT_TRUE(cache.append(gone, 10).ok());
  ids[0] = cache.create_sequence();
  cache.release(gone);
  ids[1] = cache.create_sequence();

  // All prompts at once, then one step of one token each, in another order.
  const std::vector<SequenceTokens> prefill = {
      {ids[0], prompts[0]}, {ids[1], prompts[1]}, {ids[2], prompts[2]}};
  const Logits first = download_values(forward.step(prefill));
  const Ids next = {5, 6, 7};
  const std::vector<SequenceTokens> decode = {{ids[2], std::span(next).subspan(2, 1)},
                                              {ids[0], std::span(next).first(1)},
                                              {ids[1], std::span(next).subspan(1, 1)}};
  const Logits second = download_values(forward.step(decode));
  forward.check_device_errors();

  const auto vocab = static_cast<std::ptrdiff_t>(model.config.vocab);
  const auto row = [&](const Logits& logits, std::ptrdiff_t index) {
    return Logits(logits.begin() + index * vocab, logits.begin() + (index + 1) * vocab);
  };
  const std::vector<std::ptrdiff_t> place_in_decode = {1, 2, 0};
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(row(first, static_cast<std::ptrdiff_t>(i)), run(model, DType::kF16, prompts[i], 32)) << i;
    Ids longer = prompts[i];
    longer.push_back(next[i]);
    EXPECT_EQ(row(second, place_in_decode[i]), run(model, DType::kF16, longer, 32)) << i;
  }
}

TEST(Forward, RefusesWhatDoesNotFitAndChangesNothing) {
  const LoadedModel model(random_builder(TinyModel(), 11));
  const Ids tokens = random_tokens(80, model.config.vocab, 1);
  KvCache cache = make_cache(model.config, DType::kF32, 4, 3);
  Forward forward(model.config, model.weights, cache, DType::kF32, {.max_rows = 70, .max_sequences = 2},
                  nullptr);
  const SequenceId a = cache.create_sequence();
  const SequenceId b = cache.create_sequence();
  const auto error_of = [&](const std::vector<SequenceTokens>& batch) {
    try {
      (void)forward.step(batch);
      return Status{};
    } catch (const Error& error) {
      return error.status();
    }
  };
  const auto first = [&](std::size_t count) { return std::span<const TokenId>(tokens).first(count); };
  EXPECT_EQ(error_of({}).code, StatusCode::kInvalidArgument);
  EXPECT_EQ(error_of({{a, {}}}).code, StatusCode::kInvalidArgument);
  EXPECT_EQ(error_of({{a, first(71)}}).code, StatusCode::kInvalidArgument);
  EXPECT_EQ(error_of({{a, first(1)}, {b, first(1)}, {b, first(1)}}).code, StatusCode::kInvalidArgument);
  EXPECT_EQ(error_of({{a, first(65)}}).message,
            "forward: 65 tokens of a sequence, the context of the model is 64");
  const Status full = error_of({{a, first(8)}, {b, first(5)}});
  EXPECT_EQ(full.code, StatusCode::kCapacity);
  EXPECT_EQ(full.message,
            "forward: 13 tokens of 2 sequences need 4 more pages of the kv cache, 3 of 3 are free");
  EXPECT_EQ(cache.length(a), 0);
  EXPECT_EQ(cache.free_pages(), 3);
  EXPECT_EQ(error_of({{a, first(8)}, {b, first(4)}}).code, StatusCode::kOk);

  KvCache other = make_cache(model.config, DType::kF16);
  EXPECT_THROW(
      Forward(model.config, model.weights, other, DType::kF32, {.max_rows = 1, .max_sequences = 1}, nullptr),
      Error);
  EXPECT_THROW(
      Forward(model.config, model.weights, cache, DType::kF32, {.max_rows = 1, .max_sequences = 2}, nullptr),
      Error);
}

TEST(Forward, ABadTokenIsNoticed) {
  const LoadedModel model(random_builder(TinyModel(), 12));
  KvCache cache = make_cache(model.config, DType::kF32);
  Forward forward(model.config, model.weights, cache, DType::kF32, {.max_rows = 4, .max_sequences = 1},
                  nullptr);
  const SequenceId sequence = cache.create_sequence();
  const Ids tokens = {1, static_cast<TokenId>(model.config.vocab)};
  const SequenceTokens part{sequence, tokens};
  (void)forward.step({&part, 1});
  try {
    forward.check_device_errors();
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string_view(error.what()).find("token id"), std::string_view::npos) << error.what();
  }
}

TEST(Weights, HeldAsTheyAreOrAsHalves) {
  TinyModel tiny;
  for (const auto& [type, dtype] : {std::pair<std::uint32_t, DType>{0, DType::kF32},
                                    {1, DType::kF16},
                                    {30, DType::kBF16},
                                    {8, DType::kF16}}) {
    tiny.type = type;
    const LoadedModel model(random_builder(tiny, 13));
    EXPECT_EQ(model.weights.matrix_dtype(), dtype);
    const LayerWeights& layer = model.weights.layers()[1];
    EXPECT_EQ(layer.down.weight.dtype, dtype);
    EXPECT_EQ(layer.down.weight.shape_text(), "[32, 64]");
    EXPECT_EQ(layer.ffn_norm.dtype, DType::kF32);
    EXPECT_FALSE(layer.down.bias.present());
    EXPECT_EQ(download_values(layer.down.weight),
              tensor_values(model.file, model.file.tensor("blk.1.ffn_down.weight")));
    EXPECT_EQ(download_values(layer.q.weight),
              tensor_values(model.file, model.file.tensor("blk.1.attn_q.weight")));
    EXPECT_EQ(model.weights.output().data, model.weights.token_embedding().data);
    const std::int64_t vocab = model.config.vocab;
    EXPECT_EQ(model.weights.parameters(),
              vocab * 32 + 32 + 2 * (2 * 32 + 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64));
  }
}

TEST(Weights, AQ80TensorLargerThanTheStage) {
  TinyModel tiny;
  tiny.type = 8;
  tiny.layers = 1;
  tiny.feed_forward = 8192;  // 262,144 elements a matrix: two stages
  const LoadedModel model(random_builder(tiny, 14));
  EXPECT_EQ(download_values(model.weights.layers()[0].up.weight),
            tensor_values(model.file, model.file.tensor("blk.0.ffn_up.weight")));
}

TEST(Weights, BadFrequencyFactorsAreRefused) {
  GgufBuilder builder =
      random_builder(TinyModel(), 15, [](GgufBuilder& b) { b.tensor("rope_freqs.weight", {4}); });
  for (BuilderTensor& tensor : builder.tensors) {
    if (tensor.name == "rope_freqs.weight")
      tensor.data = ByteWriter().put(1.0f).put(0.0f).put(1.0f).put(1.0f).image;
  }
  EXPECT_THROW(LoadedModel{builder}, Error);
}

TEST(Verifier, EveryOpOfARightPassIsWithinItsBound) {
  TinyModel tiny;
  for (const std::uint32_t type : {0u, 1u, 30u}) {
    tiny.type = type;
    const LoadedModel model(
        random_builder(tiny, 16, [](GgufBuilder& builder) { builder.tensor("blk.0.attn_q.bias", {32}); }));
    const Ids tokens = random_tokens(11, model.config.vocab, 6);
    for (const DType activations : {DType::kF32, DType::kF16, DType::kBF16}) {
      Verifier verifier;
      (void)run(model, activations, tokens, 6, 4, &verifier);
      EXPECT_TRUE(verifier.passed()) << verifier.table();
      ASSERT_EQ(verifier.verdicts().size(), 7u);
      for (const OpVerdict& verdict : verifier.verdicts()) {
        EXPECT_TRUE(verdict.passed && verdict.worst_share <= 1.0) << verdict.op;
        EXPECT_GT(verdict.elements, 0) << verdict.op;
      }
      EXPECT_EQ(verifier.verdicts()[0].op, "embedding");
      EXPECT_EQ(verifier.verdicts()[0].launches, 2);
      EXPECT_EQ(verifier.verdicts()[2].op, "linear");
      EXPECT_EQ(verifier.verdicts()[2].launches, 2 * (2 * 7 + 1));
    }
  }
}

// Spoils one element of what one launch wrote, behind the verifier's back.
class Saboteur : public OpObserver {
 public:
  Saboteur(Verifier& verifier, std::string part, std::int64_t layer, double factor)
      : verifier_(verifier), part_(std::move(part)), layer_(layer), factor_(factor) {}

  void before(const OpSite& site, const OpParams& params) override { verifier_.before(site, params); }
  void after(const OpSite& site, const OpParams& params) override {
    if (site.part == part_ && site.layer == layer_)
      std::visit([&](const auto& op) { spoil(output(op)); }, params);
    verifier_.after(site, params);
  }

 private:
  template <class Params>
  static TensorView output(const Params& params) {
    if constexpr (std::is_same_v<Params, FlashAttentionParams>) {
      return params.o;
    } else if constexpr (std::is_same_v<Params, KvAppendParams>) {
      return params.v_cache;
    } else if constexpr (std::is_same_v<Params, ArgmaxParams> || std::is_same_v<Params, SampleParams>) {
      return {};
    } else {
      return params.y;
    }
  }
  void spoil(const TensorView& y) const {
    float value = 0.0f;
    ASSERT_EQ(y.dtype, DType::kF32);
    ASSERT_EQ(hipMemcpy(&value, y.data, sizeof value, hipMemcpyDeviceToHost), hipSuccess);
    value = std::isnan(factor_) ? std::nanf("") : static_cast<float>(static_cast<double>(value) * factor_);
    ASSERT_EQ(hipMemcpy(y.data, &value, sizeof value, hipMemcpyHostToDevice), hipSuccess);
  }

  Verifier& verifier_;
  std::string part_;
  std::int64_t layer_;
  double factor_;
};

TEST(Verifier, NamesTheFirstOpThatIsOff) {
  const LoadedModel model(random_builder(TinyModel(), 17));
  const Ids tokens = random_tokens(5, model.config.vocab, 6);
  const struct {
    const char* part;
    std::int64_t layer;
    const char* op;
    const char* site;
  } cases[] = {
      {"token_embd", -1, "embedding", "token_embd"},
      {"attn_norm", 1, "rms_norm", "blk.1 attn_norm"},
      {"attn_v", 0, "linear", "blk.0 attn_v"},
      {"rope_k", 1, "rope", "blk.1 rope_k"},
      {"kv_append", 0, "kv_append", "blk.0 kv_append"},
      {"attention", 1, "flash_attention", "blk.1 attention"},
      {"glu", 0, "glu", "blk.0 glu"},
      {"output", -1, "linear", "output"},
  };
  for (const auto& wrong : cases) {
    for (const double factor : {1.001, std::nan("")}) {
      Verifier verifier;
      Saboteur saboteur(verifier, wrong.part, wrong.layer, factor);
      (void)run(model, DType::kF32, tokens, 8, 4, &saboteur);
      EXPECT_FALSE(verifier.passed()) << wrong.part;
      ASSERT_TRUE(verifier.first_failure().has_value()) << wrong.part;
      EXPECT_EQ(verifier.first_failure()->find(std::string(wrong.op) + " at " + wrong.site + ", step 1: "),
                0u)
          << *verifier.first_failure();
      EXPECT_NE(verifier.table().find("verify: FAILED"), std::string::npos);
      if (std::isnan(factor)) continue;
      // The reference follows what the kernels got: one spoiled launch is one failure.
      for (const OpVerdict& verdict : verifier.verdicts())
        EXPECT_EQ(verdict.passed, verdict.op != wrong.op) << verdict.op;
    }
  }
}

}  // namespace
}  // namespace hipforge::runner::testing
