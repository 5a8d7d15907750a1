#include "model_runner/config.h"

#include "tests/model_runner/gguf_builder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

namespace hipforge::runner::testing {
namespace {

LlamaConfig read(const GgufBuilder& builder) {
  const Image image = builder.build();
  return read_llama_config(GgufFile::over(image));
}

std::string refusal(const GgufBuilder& builder) {
  try {
    (void)read(builder);
    return "";
  } catch (const InputError& error) {
    EXPECT_EQ(error.exit_code(), 3);
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos);
    return error.what();
  }
}

#define EXPECT_REFUSED(builder, text)                                            \
  do {                                                                           \
    const std::string said = refusal(builder);                                   \
    EXPECT_NE(said.find(text), std::string::npos) << "said: \"" << said << "\""; \
  } while (false)

// A valid model but for one metadata key, which `set` writes instead.
GgufBuilder with_key(const std::string& key, const std::function<void(GgufBuilder&)>& set) {
  TinyModel model;
  GgufBuilder builder;
  const auto u32 = [&](const char* name, std::uint32_t value) {
    if (key != name) builder.u32(name, value);
  };
  if (key != "general.architecture") builder.string("general.architecture", "llama");
  u32("llama.block_count", model.layers);
  u32("llama.context_length", model.context);
  u32("llama.embedding_length", model.hidden);
  u32("llama.feed_forward_length", model.feed_forward);
  u32("llama.attention.head_count", model.q_heads);
  u32("llama.attention.head_count_kv", model.kv_heads);
  if (key != "llama.attention.layer_norm_rms_epsilon")
    builder.f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  if (key != "tokenizer.ggml.tokens") builder.strings("tokenizer.ggml.tokens", model.vocabulary.tokens);
  builder.tensors = model.builder().tensors;
  if (set) set(builder);
  return builder;
}

TEST(Config, ReadsAModel) {
  TinyModel model;
  const LlamaConfig config = read(model.builder());
  EXPECT_EQ(config.name, "tiny");
  EXPECT_EQ(config.layers, 2);
  EXPECT_EQ(config.context_length, 64);
  EXPECT_EQ(config.hidden, 32);
  EXPECT_EQ(config.feed_forward, 64);
  EXPECT_EQ(config.q_heads, 4);
  EXPECT_EQ(config.kv_heads, 2);
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_EQ(config.q_width(), 32);
  EXPECT_EQ(config.kv_width(), 16);
  EXPECT_EQ(config.vocab, static_cast<std::int64_t>(model.vocabulary.tokens.size()));
  EXPECT_EQ(config.rms_eps, 1e-5f);
  EXPECT_EQ(config.rope.rotary_dim, 8);
  EXPECT_EQ(config.rope.theta, 10000.0);
  EXPECT_EQ(config.rope.scaling, RopeScalingType::kNone);
  EXPECT_EQ(config.rope.magnitude, 1.0);
  EXPECT_FALSE(config.rope.file_factors);
  EXPECT_TRUE(config.tied_output);
  model.tied = false;
  EXPECT_FALSE(read(model.builder()).tied_output);
}

TEST(Config, Defaults) {
  const LlamaConfig config = read(with_key("", {}));
  EXPECT_EQ(config.head_dim, 8);  // hidden over heads
  EXPECT_EQ(config.rope.rotary_dim, 8);
  EXPECT_EQ(config.rope.theta, 10000.0);
  // Without head_count_kv every query head has its own keys, which the tensors of this file do not fit.
  EXPECT_REFUSED(with_key("llama.attention.head_count_kv", {}),
                 "tensor blk.0.attn_k.weight has shape [32, 16], [32, 32] is needed");
}

TEST(Config, HeadsNeedNotFillTheResidualStream) {
  TinyModel model;
  model.head_dim = 12;
  const LlamaConfig config = read(model.builder());
  EXPECT_EQ(config.q_width(), 48);
  EXPECT_EQ(config.head_dim, 12);
}

TEST(Config, EveryLoadableType) {
  for (const std::uint32_t type : {0u, 1u, 8u, 30u}) {
    TinyModel model;
    model.type = type;
    EXPECT_EQ(refusal(model.builder()), "") << type;
  }
  TinyModel model;
  model.type = 2;
  EXPECT_REFUSED(model.builder(),
                 "tensor token_embd.weight is of type Q4_0, supported are F32, F16, BF16, Q8_0");
}

TEST(Config, ArchitecturesAreRefusedByName) {
  for (const char* name : {"qwen2", "gemma", "LLAMA", ""}) {
    EXPECT_EQ(refusal(with_key("general.architecture",
                               [&](GgufBuilder& builder) { builder.string("general.architecture", name); })),
              "model: general.architecture is \"" + std::string(name) + "\", supported is llama");
  }
  EXPECT_EQ(refusal(with_key("general.architecture", {})), "gguf: general.architecture is missing");
  EXPECT_REFUSED(with_key("", [](GgufBuilder& b) { b.u32("llama.expert_count", 8); }),
                 "llama.expert_count is 8: mixtures of experts are not supported");
  EXPECT_EQ(refusal(with_key("", [](GgufBuilder& b) { b.u32("llama.expert_count", 0); })), "");
  EXPECT_REFUSED(with_key("", [](GgufBuilder& b) { b.u32("split.count", 3); }), "split.count is 3");
}

TEST(Config, SizesAreRequiredAndBounded) {
  struct Size {
    const char* key;
    std::uint32_t over;
  };
  for (const Size& size :
       {Size{"llama.block_count", 1025}, Size{"llama.context_length", (1u << 24) + 1},
        Size{"llama.embedding_length", (1u << 20) + 1}, Size{"llama.feed_forward_length", (1u << 20) + 1},
        Size{"llama.attention.head_count", 1025}}) {
    EXPECT_EQ(refusal(with_key(size.key, {})), "gguf: " + std::string(size.key) + " is missing");
    for (const std::uint32_t value : {0u, size.over, std::numeric_limits<std::uint32_t>::max()}) {
      EXPECT_REFUSED(with_key(size.key, [&](GgufBuilder& b) { b.u32(size.key, value); }),
                     std::string(size.key) + " is " + std::to_string(value) + ", supported are 1 to");
    }
    EXPECT_REFUSED(with_key(size.key, [&](GgufBuilder& b) { b.string(size.key, "8"); }),
                   std::string(size.key) + " is of type string, an integer from 0");
    EXPECT_REFUSED(with_key(size.key,
                            [&](GgufBuilder& b) {
                              b.i32s(size.key, {8, 8});
                            }),
                   std::string(size.key) + " is an array of 2 i32, an integer from 0");
  }
}

TEST(Config, NumbersThatDisagree) {
  const auto with = [](const char* key, std::uint32_t value) {
    return with_key(key, [=](GgufBuilder& b) { b.u32(key, value); });
  };
  EXPECT_REFUSED(with("llama.attention.head_count_kv", 3),
                 "head_count is 4, which is not a multiple of head_count_kv, 3");
  EXPECT_REFUSED(with("llama.attention.head_count_kv", 8),
                 "head_count is 4, which is not a multiple of head_count_kv, 8");
  EXPECT_REFUSED(with("llama.attention.head_count", 6),
                 "llama.embedding_length 32 over llama.attention.head_count 6");
  EXPECT_REFUSED(with("llama.attention.key_length", 257),
                 "llama.attention.key_length is 257, supported are 1 to 256");
  EXPECT_REFUSED(with("llama.attention.value_length", 16), "llama.attention.value_length is 16, keys have 8");
  EXPECT_EQ(refusal(with("llama.attention.value_length", 8)), "");
  EXPECT_REFUSED(with("llama.vocab_size", 5), "llama.vocab_size is 5, tokenizer.ggml.tokens has");
  for (const std::uint32_t dims : {0u, 3u, 10u}) {
    EXPECT_REFUSED(with("llama.rope.dimension_count", dims),
                   "llama.rope.dimension_count is " + std::to_string(dims) +
                       ", an even number from 2 to the head dimension 8");
  }
  for (const float eps : {-1e-6f, 1.0f}) {
    EXPECT_REFUSED(with_key("llama.attention.layer_norm_rms_epsilon",
                            [&](GgufBuilder& b) { b.f32("llama.attention.layer_norm_rms_epsilon", eps); }),
                   "a number from 0 to 1 is needed");
  }
  EXPECT_REFUSED(with_key("llama.attention.layer_norm_rms_epsilon",
                          [](GgufBuilder& b) {
                            b.f32("llama.attention.layer_norm_rms_epsilon",
                                  std::numeric_limits<float>::quiet_NaN());
                          }),
                 "a finite f32 is needed");
  EXPECT_REFUSED(with_key("tokenizer.ggml.tokens", {}), "tokenizer.ggml.tokens, an array, is missing");
  EXPECT_REFUSED(
      with_key("tokenizer.ggml.tokens", [](GgufBuilder& b) { b.strings("tokenizer.ggml.tokens", {}); }),
      "tokenizer.ggml.tokens has 0 tokens");
}

TEST(Config, WrongTensors) {
  const auto with_tensor = [](std::string_view name,
                              const std::function<void(GgufBuilder&, std::size_t)>& change) {
    GgufBuilder builder = TinyModel().builder();
    for (std::size_t i = 0; i < builder.tensors.size(); ++i) {
      if (builder.tensors[i].name == name) {
        change(builder, i);
        return builder;
      }
    }
    ADD_FAILURE() << name;
    return builder;
  };
  const auto reshape = [&](std::string_view name, const std::vector<std::uint64_t>& dims) {
    return with_tensor(name, [&](GgufBuilder& builder, std::size_t i) {
      GgufBuilder other;
      other.tensor(name, dims);
      builder.tensors[i] = other.tensors[0];
    });
  };
  EXPECT_EQ(refusal(reshape("blk.1.ffn_down.weight", {32, 64})),
            "model: tensor blk.1.ffn_down.weight has shape [32, 64], [64, 32] is needed");
  EXPECT_EQ(refusal(reshape("blk.0.attn_norm.weight", {31})),
            "model: tensor blk.0.attn_norm.weight has shape [31], [32] is needed");
  EXPECT_EQ(refusal(reshape("blk.0.attn_norm.weight", {32, 1})),
            "model: tensor blk.0.attn_norm.weight has shape [32, 1], [32] is needed");
  EXPECT_REFUSED(reshape("token_embd.weight", {32, 5}), "tensor token_embd.weight has shape [32, 5]");
  for (const char* name :
       {"token_embd.weight", "output_norm.weight", "blk.1.attn_q.weight", "blk.0.ffn_up.weight"}) {
    EXPECT_EQ(
        refusal(with_tensor(name,
                            [](GgufBuilder& builder, std::size_t i) {
                              builder.tensors.erase(builder.tensors.begin() + static_cast<std::ptrdiff_t>(i));
                            })),
        "gguf: tensor " + std::string(name) + " is missing");
  }
  EXPECT_EQ(refusal(TinyModel().builder().tensor("blk.2.attn_q.weight", {32, 32})),
            "model: tensor blk.2.attn_q.weight is not part of the llama architecture as supported");
  EXPECT_EQ(
      refusal(TinyModel().builder().tensor("blk.0.attn_q.bias", {32}).tensor("blk.1.ffn_down.bias", {32})),
      "");
  EXPECT_EQ(refusal(TinyModel().builder().tensor("blk.0.attn_k.bias", {32})),
            "model: tensor blk.0.attn_k.bias has shape [32], [16] is needed");
  EXPECT_EQ(refusal(TinyModel().builder().tensor("output.weight", {32, 5}))
                .find("model: tensor output.weight has shape"),
            0u);
}

TEST(Config, RopeFactorsOfTheFile) {
  EXPECT_TRUE(read(TinyModel().builder().tensor("rope_freqs.weight", {4})).rope.file_factors);
  EXPECT_EQ(refusal(TinyModel().builder().tensor("rope_freqs.weight", {8})),
            "model: tensor rope_freqs.weight has shape [8], [4] is needed");
  EXPECT_EQ(refusal(TinyModel().builder().tensor("rope_freqs.weight", {4}, 1)),
            "model: tensor rope_freqs.weight is of type F16, supported are F32");
  const auto with_scaling = [](const char* type) {
    return TinyModel()
        .builder()
        .tensor("rope_freqs.weight", {4})
        .string("llama.rope.scaling.type", type)
        .f32("llama.rope.scaling.factor", 2.0f);
  };
  const RopeConfig linear = read(with_scaling("linear")).rope;
  EXPECT_TRUE(linear.file_factors);
  EXPECT_EQ(linear.factor, 2.0);
  EXPECT_REFUSED(with_scaling("yarn"),
                 "llama.rope.scaling.type is \"yarn\" and rope_freqs.weight is there too");
}

TEST(Config, RopeScaling) {
  const auto rope = [](const std::function<void(GgufBuilder&)>& set) {
    GgufBuilder builder = TinyModel().builder();
    set(builder);
    return read(builder).rope;
  };
  EXPECT_EQ(rope([](GgufBuilder& b) { b.string("llama.rope.scaling.type", "none"); }).scaling,
            RopeScalingType::kNone);
  for (const bool old_key : {false, true}) {
    const RopeConfig linear = rope([&](GgufBuilder& b) {
      if (old_key) {
        b.f32("llama.rope.scale_linear", 4.0f);
      } else {
        b.string("llama.rope.scaling.type", "linear").f32("llama.rope.scaling.factor", 4.0f);
      }
    });
    EXPECT_EQ(linear.scaling, RopeScalingType::kLinear);
    EXPECT_EQ(linear.factor, 4.0);
    EXPECT_EQ(linear.magnitude, 1.0);
  }
  EXPECT_EQ(rope([](GgufBuilder& b) {
              b.string("llama.rope.scaling.type", "linear").f32("llama.rope.scaling.factor", 1.0f);
            }).scaling,
            RopeScalingType::kNone);
  const RopeConfig yarn = rope([](GgufBuilder& b) {
    b.string("llama.rope.scaling.type", "yarn").f32("llama.rope.scaling.factor", 8.0f);
    b.u32("llama.rope.scaling.original_context_length", 32).f32("llama.rope.scaling.attn_factor", 2.0f);
    b.f32("llama.rope.scaling.yarn_beta_fast", 16.0f);
  });
  EXPECT_EQ(yarn.scaling, RopeScalingType::kYarn);
  EXPECT_EQ(yarn.original_context_length, 32);
  EXPECT_EQ(yarn.beta_fast, 16.0);
  EXPECT_EQ(yarn.beta_slow, 1.0);
  EXPECT_DOUBLE_EQ(yarn.magnitude, 2.0 * (0.1 * std::log(8.0) + 1.0));
  EXPECT_EQ(rope([](GgufBuilder& b) {
              b.string("llama.rope.scaling.type", "yarn").f32("llama.rope.scaling.factor", 8.0f);
            }).original_context_length,
            64);

  const auto refused = [](const std::function<void(GgufBuilder&)>& set) {
    GgufBuilder builder = TinyModel().builder();
    set(builder);
    return refusal(builder);
  };
  EXPECT_EQ(refused([](GgufBuilder& b) { b.string("llama.rope.scaling.type", "longrope"); }),
            "model: llama.rope.scaling.type is \"longrope\", supported are none, linear and yarn");
  for (const float factor : {0.0f, -2.0f}) {
    EXPECT_NE(refused([&](GgufBuilder& b) {
                b.string("llama.rope.scaling.type", "linear").f32("llama.rope.scaling.factor", factor);
              }).find("a number above 0 is needed"),
              std::string::npos);
  }
  EXPECT_EQ(refused([](GgufBuilder& b) {
              b.string("llama.rope.scaling.type", "linear").f32("llama.rope.scaling.factor", 0.5f);
            }),
            "model: llama.rope.scaling.factor is 0.5, at least 1 is needed");
  EXPECT_NE(refused([](GgufBuilder& b) {
              b.string("llama.rope.scaling.type", "yarn").f32("llama.rope.scaling.yarn_ext_factor", 0.5f);
            }).find("yarn_ext_factor is 0.5"),
            std::string::npos);
  EXPECT_NE(refused([](GgufBuilder& b) {
              b.string("llama.rope.scaling.type", "yarn").f32("llama.rope.scaling.yarn_beta_slow", 40.0f);
            }).find("must be above yarn_beta_slow"),
            std::string::npos);
  // rope.freq_base is in the builder's model already.
  GgufBuilder builder = with_key("", [](GgufBuilder& b) { b.f32("llama.rope.freq_base", 0.0f); });
  EXPECT_EQ(refusal(builder), "model: llama.rope.freq_base is 0, a number above 0 is needed");
  builder = with_key("", [](GgufBuilder& b) {
    b.f32("llama.rope.freq_base", 1.0f).string("llama.rope.scaling.type", "yarn");
  });
  EXPECT_EQ(refusal(builder), "model: llama.rope.freq_base is 1, YaRN needs more than 1");
}

}  // namespace
}  // namespace hipforge::runner::testing
