// The command as a user meets it: exit codes, one line per error, clean output.

#include "model_runner/command_line.h"
#include "tests/model_runner/command.h"
#include "tests/model_runner/gguf_builder.h"
#include "tests/model_runner/process.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace hipforge::runner::testing {
namespace {

TEST(Cli, VersionAndHelp) {
  const ProcessResult version = model_runner({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.out.find("model_runner "), 0u);
  EXPECT_EQ(version.out.back(), '\n');
  const ProcessResult help = model_runner({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_NE(help.out.find("generate"), std::string::npos);
  const ProcessResult generate_help = model_runner({"generate", "--help"});
  EXPECT_EQ(generate_help.exit_code, 0);
  EXPECT_NE(generate_help.out.find("--top-p"), std::string::npos);
}

TEST(Cli, UsageErrors) {
  const struct {
    std::vector<std::string> arguments;
    const char* part;
  } cases[] = {
      {{}, "no command given"},
      {{"dance"}, "dance"},
      {{"--frobnicate"}, "--frobnicate"},
      {{"generate"}, "--prompt is required"},
      {{"generate", "--prompt"}, "--prompt"},
      {{"generate", "--prompt", ""}, "--prompt is empty"},
      {{"generate", "--prompt", "x", "--nonsense"}, "--nonsense"},
      {{"generate", "--prompt", "x", "more"}, "more"},
      {{"generate", "--prompt", "x", "-n", "many"}, "-n: 'many' is not a whole number from 1 to 16777216"},
      {{"generate", "--prompt", "x", "-n", "5x"}, "-n: '5x' is not a whole number from 1 to 16777216"},
      {{"generate", "--prompt", "x", "-n", "99999999999999999999"},
       "-n: '99999999999999999999' is not a whole number from 1 to 16777216"},
      {{"generate", "--prompt", "x", "-n", "0"}, "-n: '0' is not a whole number from 1 to 16777216"},
      {{"generate", "--prompt", "x", "-n", "-3"}, "-n: '-3' is not a whole number from 1 to 16777216"},
      {{"generate", "--prompt", "x", "-n", "+3"}, "-n: '+3' is not a whole number from 1 to 16777216"},
      {{"generate", "--prompt", "x", "-n", "0x10"}, "-n: '0x10' is not a whole number from 1 to 16777216"},
      {{"generate", "--prompt", "x", "-n", ""}, "-n: '' is not a whole number from 1 to 16777216"},
      {{"generate", "--prompt", "x", "-n", " 7"}, "-n: ' 7' is not a whole number from 1 to 16777216"},
      {{"generate", "--prompt", "x", "--temp", "-0.5"}, "--temp: '-0.5' is not a number from 0 to 100"},
      {{"generate", "--prompt", "x", "--temp", "nan"}, "--temp: 'nan' is not a number from 0 to 100"},
      {{"generate", "--prompt", "x", "--temp", "inf"}, "--temp: 'inf' is not a number from 0 to 100"},
      {{"generate", "--prompt", "x", "--temp", "0x1p1"}, "--temp: '0x1p1' is not a number from 0 to 100"},
      {{"generate", "--prompt", "x", "--temp", "1e400"}, "--temp: '1e400' is not a number from 0 to 100"},
      {{"generate", "--prompt", "x", "--temp", "1,5"}, "--temp: '1,5' is not a number from 0 to 100"},
      {{"generate", "--prompt", "x", "--temp", "101"}, "--temp: '101' is not a number from 0 to 100"},
      {{"generate", "--prompt", "x", "--top-k", "-1"},
       "--top-k: '-1' is not a whole number from 0 to 9223372036854775807"},
      {{"generate", "--prompt", "x", "--top-p", "0"}, "--top-p: '0' is not a number above 0, up to 1"},
      {{"generate", "--prompt", "x", "--top-p", "1.5"}, "--top-p: '1.5' is not a number above 0, up to 1"},
      {{"generate", "--prompt", "x", "--top-p", "nan"}, "--top-p: 'nan' is not a number above 0, up to 1"},
      {{"generate", "--prompt", "x", "--seed", "-1"},
       "--seed: '-1' is not a whole number from 0 to 18446744073709551615"},
      {{"generate", "--prompt", "x", "--seed", "99999999999999999999"},
       "--seed: '99999999999999999999' is not a whole number from 0 to 18446744073709551615"},
      {{"generate", "--prompt", "x", "--device", "-1"},
       "--device: '-1' is not a whole number from 0 to 2147483647"},
      {{"generate", "--prompt", "x", "--activations", "i32"},
       "--activations is \"i32\", legal are f32, f16 and bf16"},
      {{"generate", "--prompt", "x", "--ids", "--json"}, "--ids and --json exclude each other"},
      {{"inspect", "--prompt", "x"}, "--prompt"},
      {{"tokenize"}, "--text is required"},
  };
  for (const auto& wrong : cases) expect_error(model_runner(wrong.arguments), 2, wrong.part);
}

TEST(Cli, FilesThatCannotBeRead) {
  for (const char* command : {"inspect", "tokenize", "generate"}) {
    const auto with_model = [&](const std::string& path) {
      std::vector<std::string> arguments = {command, "--model", path};
      if (std::string(command) == "tokenize") arguments.insert(arguments.end(), {"--text", "x"});
      if (std::string(command) == "generate") arguments.insert(arguments.end(), {"--prompt", "x"});
      return model_runner(arguments);
    };
    expect_error(with_model("/nonexistent/model.gguf"), 3,
                 "/nonexistent/model.gguf: cannot open: No such file");
    expect_error(with_model("/tmp"), 3, "/tmp: is a directory");
    const Image whole = TinyModel().builder().build();
    const Image cut(whole.begin(), whole.begin() + 1000);
    const ScratchFile file(cut);
    expect_error(
        with_model(file.path()), 3,
        file.path() + ": gguf: tokenizer.ggml.tokens announces 270 elements of type string at byte 646");
    const Image shorter(whole.begin(), whole.end() - 1);
    const ScratchFile short_file(shorter);
    expect_error(with_model(short_file.path()), 3, "file has " + std::to_string(shorter.size()));
  }
}

TEST(Cli, Inspect) {
  const ScratchFile file(TinyModel().builder().build());
  const ProcessResult text = model_runner({"inspect", "--model", file.path()});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_EQ(text.err, "");
  EXPECT_NE(text.out.find("token_embd.weight"), std::string::npos);
  EXPECT_NE(text.out.find("llama.block_count"), std::string::npos);
  const ProcessResult json = model_runner({"inspect", "--json", "--model", file.path()});
  EXPECT_EQ(json.exit_code, 0);
  EXPECT_EQ(nlohmann::json::parse(json.out)["tensors"][0]["name"], "token_embd.weight");
}

TEST(Cli, InspectListsWhatCannotBeRun) {
  GgufBuilder builder;
  builder.string("general.architecture", "mystery").tensor("w", {256}, 12);
  const ScratchFile file(builder.build());
  EXPECT_EQ(model_runner({"inspect", "--model", file.path()}).exit_code, 0);
  expect_error(model_runner({"generate", "--model", file.path(), "--prompt", "x"}), 3,
               "general.architecture is \"mystery\", supported is llama");
}

TEST(Cli, Tokenize) {
  const ScratchFile file(TinyModel().builder().build());
  const auto tokenize = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"tokenize", "--model", file.path()});
    return model_runner(more);
  };
  const Vocabulary vocabulary = TinyModel::default_vocabulary();
  const std::string bos = std::to_string(vocabulary.id("<|begin|>"));
  const std::string the = std::to_string(vocabulary.id("the"));
  EXPECT_EQ(tokenize({"--text", "the"}).out, bos + " " + the + "\n");
  EXPECT_EQ(tokenize({"--text", "the", "--no-bos"}).out, the + "\n");
  EXPECT_EQ(tokenize({"--text", "", "--no-bos"}).out, "\n");
  EXPECT_EQ(tokenize({"--text=-the", "--no-bos"}).out, "45 " + the + "\n");
  EXPECT_EQ(tokenize({"--text", "<|begin|>", "--no-bos", "--special"}).out, bos + "\n");
  EXPECT_EQ(tokenize({"--decode", "--text", the + ", 33 " + bos}).out, "the!\n");
  EXPECT_EQ(tokenize({"--decode", "--special", "--text", bos}).out, "<|begin|>\n");
  const auto json = nlohmann::json::parse(tokenize({"--text", "the\xF0", "--json"}).out);
  EXPECT_EQ(json["ids"].size(), 3u);
  EXPECT_EQ(json["pieces"][1], "the");
  EXPECT_EQ(json["pieces"][2], "\xEF\xBF\xBD");
  expect_error(tokenize({"--decode", "--text", "1 two"}), 2, "\"two\" is not a token id");
  expect_error(tokenize({"--decode", "--text", "-1"}), 2, "\"-1\" is not a token id");
  expect_error(tokenize({"--decode", "--text", "100000"}), 2, "token id 100000 is outside the vocabulary");
}

TEST(Cli, OutputThatCannotBeWritten) {
  const ScratchFile file(TinyModel().builder().build());
  const std::vector<std::string> inspect = {MODEL_RUNNER_EXECUTABLE, "inspect", "--model", file.path()};
  const ProcessResult full = run_process(inspect, {.out_path = "/dev/full"});
  EXPECT_EQ(full.exit_code, 3);
  EXPECT_EQ(full.err, "model_runner: cannot write to standard output: No space left on device\n");
  const ProcessResult closed = run_process(inspect, {.out_closed = true});
  EXPECT_EQ(closed.exit_code, 0);
  EXPECT_EQ(closed.err, "");
}

TEST(CommandLine, Defaults) {
  const auto command = std::get<GenerateOptions>(parse_command_line({"generate", "--prompt", "x"}));
  EXPECT_TRUE(command.model.empty());
  EXPECT_EQ(command.prompt, "x");
  EXPECT_EQ(command.max_new_tokens, 128);
  EXPECT_FALSE(command.verify);
  EXPECT_FALSE(command.sampling.greedy());
  EXPECT_EQ(command.sampling.seed, 0u);
}

TEST(CommandLine, Everything) {
  const auto command = std::get<GenerateOptions>(parse_command_line({"generate",
                                                                     "--model",
                                                                     "m.gguf",
                                                                     "--prompt",
                                                                     "a b",
                                                                     "-n",
                                                                     "7",
                                                                     "--temp",
                                                                     "0",
                                                                     "--top-k",
                                                                     "5",
                                                                     "--top-p",
                                                                     "0.5",
                                                                     "--seed",
                                                                     "18446744073709551615",
                                                                     "--device",
                                                                     "1",
                                                                     "--verify",
                                                                     "--ids",
                                                                     "--special",
                                                                     "--ignore-eos",
                                                                     "--activations",
                                                                     "bf16"}));
  EXPECT_EQ(command.model, "m.gguf");
  EXPECT_EQ(command.prompt, "a b");
  EXPECT_EQ(command.max_new_tokens, 7);
  EXPECT_TRUE(command.sampling.greedy());
  EXPECT_EQ(command.sampling.top_k, 5);
  EXPECT_EQ(command.sampling.top_p, 0.5f);
  EXPECT_EQ(command.sampling.seed, 18446744073709551615u);
  EXPECT_EQ(command.device, 1);
  EXPECT_EQ(command.activations, DType::kBF16);
  EXPECT_TRUE(command.verify && command.ids && command.parse_special && command.ignore_eos);
}

TEST(CommandLine, TokenIds) {
  EXPECT_EQ(parse_token_ids("1, 2 3\n4"), (std::vector<std::int32_t>{1, 2, 3, 4}));
  EXPECT_EQ(parse_token_ids(" "), std::vector<std::int32_t>{});
  for (const char* wrong : {"x", "1.5", "-1", "99999999999", "0x10", "1;2"}) {
    EXPECT_THROW((void)parse_token_ids(wrong), InputError) << wrong;
  }
}

}  // namespace
}  // namespace hipforge::runner::testing
