// Whole generations: on a small random model for what a request can ask, on the embedded model for what it
// must reach.

#include "model_runner/generate.h"
#include "model_runner/device_values.h"
#include "model_runner/forward.h"
#include "tests/model_runner/command.h"
#include "tests/model_runner/gguf_builder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

namespace hipforge::runner::testing {
namespace {

using Json = nlohmann::json;
using Ids = std::vector<TokenId>;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

const std::string kTinyDir = EMBEDDED_MODEL_DIR;
const std::string kTinyModel = kTinyDir + "/hipforge-tiny-f16.gguf";

// A random model with room for 64 tokens; its vocabulary is the bytes and a few words.
Image random_model(std::optional<std::uint32_t> eos = {}, float poison = 0.0f) {
  TinyModel tiny;
  tiny.type = 1;
  tiny.eos = eos;
  GgufBuilder builder = tiny.builder();
  fill_random(builder, 21);
  if (std::isnan(poison)) {
    for (BuilderTensor& tensor : builder.tensors) {
      if (tensor.name == "blk.1.ffn_norm.weight") std::memcpy(tensor.data.data(), &poison, sizeof poison);
    }
  }
  return builder.build();
}

ProcessResult generate_with(const std::string& model, std::vector<std::string> more,
                            const ProcessOptions& options = {}) {
  more.insert(more.begin(), {"generate", "--model", model});
  return model_runner(more, options);
}

Json generate_json(const std::string& model, std::vector<std::string> more,
                   const ProcessOptions& options = {}) {
  more.push_back("--json");
  const ProcessResult result = generate_with(model, more, options);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return Json::parse(result.out, nullptr, false);
}

TEST(Generate, OneSeedOneText) {
  const ScratchFile model(random_model());
  const auto run = [&](const char* seed) {
    return generate_json(model.path(), {"--prompt", "the thing", "-n", "20", "--temp", "1", "--seed", seed});
  };
  const Json first = run("5");
  const Json again = run("5");
  EXPECT_EQ(first["ids"], again["ids"]);
  EXPECT_EQ(first["text"], again["text"]);
  EXPECT_EQ(first["statistics"]["logits_hash"], again["statistics"]["logits_hash"]);
  EXPECT_NE(first["ids"], run("6")["ids"]);
  EXPECT_EQ(first["ids"].size(), 20u);
  EXPECT_EQ(first["stop"], "token limit");
}

TEST(Generate, GreedyIgnoresTheSeedAndTopOneIsGreedy) {
  const ScratchFile model(random_model());
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"--prompt", "the", "-n", "12"});
    return generate_json(model.path(), more)["ids"];
  };
  const Json greedy = run({"--temp", "0", "--seed", "1"});
  EXPECT_EQ(run({"--temp", "0", "--seed", "2"}), greedy);
  EXPECT_EQ(run({"--temp", "0.7", "--top-k", "1", "--seed", "3"}), greedy);
  EXPECT_EQ(run({"--temp", "0.7", "--top-k", "0", "--top-p", "1e-6", "--seed", "4"}), greedy);
}

TEST(Generate, TextIdsAndJsonAgree) {
  const ScratchFile model(random_model());
  const std::vector<std::string> request = {"--prompt", "and the", "-n", "30", "--temp", "1", "--seed", "9"};
  const Json json = generate_json(model.path(), request);
  const ProcessResult text = generate_with(model.path(), request);
  EXPECT_EQ(text.exit_code, 0);
  std::vector<std::string> with_ids = request;
  with_ids.push_back("--ids");
  const ProcessResult ids = generate_with(model.path(), with_ids);
  std::string joined;
  for (const auto& id : json["ids"]) joined += (joined.empty() ? "" : " ") + id.dump();
  EXPECT_EQ(ids.out, joined + "\n");
  const ProcessResult decoded =
      model_runner({"tokenize", "--model", model.path(), "--decode", "--text", joined});
  EXPECT_EQ(decoded.out, text.out);
  for (const char* part : {"load ", "prefill ", "decode ", "memory ", "logits    hash ", "tokens/s"}) {
    EXPECT_NE(text.err.find(part), std::string::npos) << text.err;
  }
}

TEST(Generate, StopsAtTheEndToken) {
  const ScratchFile endless(random_model());
  const std::vector<std::string> request = {"--prompt", "x", "-n", "25", "--temp", "1", "--seed", "2"};
  const Json whole = generate_json(endless.path(), request);
  ASSERT_EQ(whole["ids"].size(), 25u);
  // The same weights in a file that names one of these tokens as its end.
  const auto end = whole["ids"][10].get<std::uint32_t>();
  const auto first = static_cast<std::size_t>(std::find(whole["ids"].begin(), whole["ids"].end(), end) -
                                              whole["ids"].begin());
  const ScratchFile model(random_model(end));
  const Json stopped = generate_json(model.path(), request);
  EXPECT_EQ(stopped["stop"], "end of text");
  EXPECT_EQ(stopped["ids"].size(), first);
  EXPECT_TRUE(std::equal(stopped["ids"].begin(), stopped["ids"].end(), whole["ids"].begin()));
  std::vector<std::string> on = request;
  on.push_back("--ignore-eos");
  EXPECT_EQ(generate_json(model.path(), on)["ids"], whole["ids"]);
}

TEST(Generate, TheContextIsTheLimit) {
  const ScratchFile model(random_model());
  const auto prompt_of = [](std::size_t tokens) { return std::string(tokens - 1, 'z'); };  // and BOS
  const Json full = generate_json(model.path(), {"--prompt", prompt_of(60), "-n", "100", "--ignore-eos"});
  EXPECT_EQ(full["stop"], "context full");
  EXPECT_EQ(full["ids"].size(), 5u);  // the last one is chosen, never run
  const Json last = generate_json(model.path(), {"--prompt", prompt_of(64), "-n", "100", "--ignore-eos"});
  EXPECT_EQ(last["ids"].size(), 1u);
  expect_error(generate_with(model.path(), {"--prompt", prompt_of(65)}), 2,
               "the prompt has 65 tokens, the context of the model is 64");
}

TEST(Generate, EmptyPrompts) {
  TinyModel tiny;
  GgufBuilder builder = tiny.builder();
  fill_random(builder, 1);
  const ScratchFile model(builder.build());
  expect_error(generate_with(model.path(), {"--prompt", ""}), 2, "--prompt is empty");
}

TEST(Generate, WhatCannotRun) {
  const ScratchFile model(random_model());
  expect_error(generate_with(model.path(), {"--prompt", "x", "--device", "1000"}), 3,
               "there is no device 1000");
  const ScratchFile damaged(random_model({}, std::numeric_limits<float>::quiet_NaN()));
  expect_error(generate_with(damaged.path(), {"--prompt", "x"}), 3, "hold NaN");
  TinyModel tiny;
  tiny.type = 2;
  const ScratchFile quantized(tiny.builder().build());
  expect_error(generate_with(quantized.path(), {"--prompt", "x"}), 3,
               quantized.path() + ": model: tensor token_embd.weight is of type Q4_0");
  GgufBuilder wrong = TinyModel().builder();
  wrong.tensors[2].dims = {16, 2};
  const ScratchFile misshapen(wrong.build());
  expect_error(generate_with(misshapen.path(), {"--prompt", "x"}), 3, "has shape [16, 2], [32] is needed");
}

TEST(Generate, OutputThatCannotBeWritten) {
  const ScratchFile model(random_model());
  const std::vector<std::string> request = {"--prompt", "x", "-n", "20"};
  const ProcessResult full = generate_with(model.path(), request, {.out_path = "/dev/full"});
  EXPECT_EQ(full.exit_code, 3);
  EXPECT_EQ(full.err, "model_runner: cannot write to standard output: No space left on device\n");
  const ProcessResult closed = generate_with(model.path(), request, {.out_closed = true});
  EXPECT_EQ(closed.exit_code, 0);
  EXPECT_EQ(closed.err, "");
}

TEST(Generate, VerifyChecksSampledAndGreedyTokens) {
  const ScratchFile model(random_model());
  for (const char* temperature : {"0", "1"}) {
    const Json json =
        generate_json(model.path(), {"--prompt", "the and", "-n", "6", "--temp", temperature, "--verify"});
    EXPECT_EQ(json["verify"]["passed"], true);
    EXPECT_TRUE(json["verify"]["first_failure"].is_null());
    ASSERT_EQ(json["verify"]["ops"].size(), 8u);
    EXPECT_EQ(json["verify"]["ops"][7]["op"], std::string(temperature) == "0" ? "argmax" : "sample");
    EXPECT_EQ(json["verify"]["ops"][7]["launches"], 6);
    for (const Json& op : json["verify"]["ops"]) EXPECT_LE(op["worst_share"].get<double>(), 1.0) << op;
  }
}

TEST(EmbeddedModel, VerifiesAtBothWavesAndOutOfOrder) {
  for (const ProcessOptions& options :
       {ProcessOptions{},
        ProcessOptions{.environment = {"HIPFORGE_CPU_WAVE=64", "HIPFORGE_CPU_SCHEDULE=7"}}}) {
    const ProcessResult result =
        model_runner({"generate", "--prompt", "In the beginning", "-n", "4", "--verify"}, options);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_NE(result.err.find("verify: every op of every layer is within its bound"), std::string::npos)
        << result.err;
  }
}

TEST(EmbeddedModel, StaysWithinItsMemoryAndLoadsAtOnce) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's shadow and slowness are its own";
#if !defined(HIPFORGE_PLATFORM_CPU)
  GTEST_SKIP() << "a GPU driver's own memory and start are most of the process's";
#endif
  const Json json = generate_json(kTinyModel, {"--prompt", "We the people", "-n", "200", "--ignore-eos"});
  const Json& statistics = json["statistics"];
  const auto bytes = [&](const char* key) { return statistics[key].get<std::uint64_t>(); };
  EXPECT_LT(statistics["load_s"].get<double>(), 0.5);
  EXPECT_LE(bytes("peak_memory_bytes"), 2 * bytes("weight_bytes") + bytes("kv_cache_bytes") + (32u << 20));
}

// Logits that PyTorch computed in f32 from the same file, stored by the script that trained it.
class PyTorchLogits : public ::testing::Test {
 protected:
  PyTorchLogits() : expected_(read()), model_(load_model(kTinyModel)) {}

  static Json read() {
    std::ifstream file(kTinyDir + "/expected_logits.json");
    EXPECT_TRUE(file.good()) << "model_runner/tiny/expected_logits.json is missing";
    return Json::parse(file, nullptr, false);
  }

  // Logits after every token, one token a step.
  std::vector<std::vector<double>> logits_of(const Ids& ids, DType activations) {
    KvCache cache({.layers = model_.config.layers,
                   .kv_heads = model_.config.kv_heads,
                   .head_dim = model_.config.head_dim,
                   .page_size = 16,
                   .max_pages = 32,
                   .dtype = activations});
    Forward forward(model_.config, model_.weights, cache, activations, {.max_rows = 1, .max_sequences = 1},
                    nullptr);
    const SequenceId sequence = cache.create_sequence();
    std::vector<std::vector<double>> rows;
    for (const TokenId& id : ids) {
      const SequenceTokens step{sequence, {&id, 1}};
      rows.push_back(download_values(forward.step({&step, 1})));
    }
    return rows;
  }

  Json expected_;
  Model model_;
};

TEST_F(PyTorchLogits, AreOurs) {
  ASSERT_GE(expected_["prompts"].size(), 3u);
  // Two orders of f32 summation differ by 1.3e-5 at most, f16 activations, rounded in every layer, by 0.005:
  // room for other orders of summation, none for another formula.
  for (const auto& [activations, tolerance] :
       {std::pair<DType, double>{DType::kF32, 5e-5}, {DType::kF16, 0.02}}) {
    for (const Json& prompt : expected_["prompts"]) {
      const auto ids = prompt["ids"].get<Ids>();
      EXPECT_EQ(model_.tokenizer.encode(prompt["text"].get<std::string>()), ids);
      const auto rows = logits_of(ids, activations);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const Json& top_ids = prompt["top_ids"][i];
        for (std::size_t rank = 0; rank < top_ids.size(); ++rank) {
          EXPECT_NEAR(rows[i][top_ids[rank].get<std::size_t>()], prompt["top_logits"][i][rank].get<double>(),
                      tolerance)
              << dtype_name(activations) << " token " << i;
        }
      }
      const auto last = prompt["last_logits"].get<std::vector<double>>();
      ASSERT_EQ(rows.back().size(), last.size());
      for (std::size_t i = 0; i < last.size(); ++i) {
        ASSERT_NEAR(rows.back()[i], last[i], tolerance) << dtype_name(activations) << " id " << i;
      }
    }
  }
}

TEST_F(PyTorchLogits, GiveTheSameGreedyText) {
  for (const Json& prompt : expected_["prompts"]) {
    for (const char* activations : {"f32", "f16"}) {
      const Json json =
          generate_json(kTinyModel, {"--prompt", prompt["text"], "--temp", "0", "--activations", activations,
                                     "-n", std::to_string(prompt["greedy_ids"].size())});
      EXPECT_EQ(json["ids"], prompt["greedy_ids"]) << activations;
      EXPECT_EQ(json["text"], prompt["greedy_text"]) << activations;
    }
  }
}

}  // namespace
}  // namespace hipforge::runner::testing
