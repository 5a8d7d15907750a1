#include "model_runner/command_line.h"

#include "harness/cli/number_option.h"

#include <fmt/format.h>

#include <algorithm>

#ifndef HIPFORGE_VERSION
#error "the build defines HIPFORGE_VERSION, the project's version as a string"
#endif
#ifndef HIPFORGE_EMBEDDED_MODEL
#error "the build defines HIPFORGE_EMBEDDED_MODEL, the embedded model's path in the source tree"
#endif
#ifndef HIPFORGE_INSTALLED_MODEL
#error "the build defines HIPFORGE_INSTALLED_MODEL, the installed model's path from the executable's folder"
#endif

namespace hipforge::runner {
namespace {

using harness::add_number;
using harness::kFromZero;

[[noreturn]] void refuse(const std::string& message) {
  throw InputError(InputFault::kUsage, message);
}

std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return printable(text, 400);
}

DType parse_activations(const std::string& text) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    if (text == dtype_name(dtype)) return dtype;
  }
  refuse(fmt::format("--activations is \"{}\", legal are f32, f16 and bf16", printable(text)));
}

void check_generate(const GenerateOptions& options) {
  if (options.prompt.empty()) refuse("--prompt is empty");
  if (options.ids && options.json) refuse("--ids and --json exclude each other: the JSON holds the ids");
  check_sampling_params(options.sampling);
}

}  // namespace

std::vector<std::int32_t> parse_token_ids(const std::string& text) {
  const auto is_separator = [](char c) { return c == ' ' || c == ',' || c == '\t' || c == '\n'; };
  std::vector<std::int32_t> ids;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    at = std::find_if_not(at, end, is_separator);
    if (at == end) return ids;
    const char* const word_end = std::find_if(at, end, is_separator);
    const std::string_view word(at, static_cast<std::size_t>(word_end - at));
    const auto id = harness::parse_number(word, harness::kFromZero<std::int32_t>);
    if (!id) refuse(fmt::format("\"{}\" is not a token id", printable(word)));
    ids.push_back(*id);
    at = word_end;
  }
}

std::filesystem::path embedded_model_path(const std::filesystem::path& executable) {
  const std::filesystem::path in_source = HIPFORGE_EMBEDDED_MODEL;
  const std::filesystem::path installed =
      (executable.parent_path() / HIPFORGE_INSTALLED_MODEL).lexically_normal();
  std::error_code ignored;
  if (std::filesystem::exists(in_source, ignored)) return in_source;
  if (std::filesystem::exists(installed, ignored)) return installed;
  throw InputError(InputFault::kFile,
                   fmt::format("the embedded model is neither at {} nor at {}; name a model with --model",
                               in_source.string(), installed.string()));
}

Command parse_command_line(std::vector<std::string> arguments) {
  CLI::App app("Generates text from a llama model in a GGUF file with hipforge's kernels.", "model_runner");
  app.require_subcommand(0, 1);
  bool version = false;
  app.add_flag("--version", version, "Print the version");

  GenerateOptions generate;
  std::string model;
  CLI::App* const generate_app =
      app.add_subcommand("generate", "Continue a prompt; text to stdout, statistics to stderr");
  generate_app->add_option("--model", model, "GGUF file; without it the embedded model");
  generate_app->add_option("--prompt", generate.prompt, "Text to continue")->required();
  add_number(*generate_app, "-n", generate.max_new_tokens, "Tokens to generate at most", {1, kMaxNewTokens});
  add_number(*generate_app, "--temp", generate.sampling.temperature,
             "Temperature; 0 takes the most likely token", {0.0f, kMaxTemperature});
  add_number(*generate_app, "--top-k", generate.sampling.top_k, "Keep the k most likely tokens; 0 keeps all",
             kFromZero<std::int64_t>);
  add_number(*generate_app, "--top-p", generate.sampling.top_p,
             "Keep the fewest tokens whose probabilities reach p", {harness::kAboveZero<float>.least, 1.0f});
  add_number(*generate_app, "--seed", generate.sampling.seed, "Seed; the same seed gives the same text");
  add_number(*generate_app, "--device", generate.device, "Device number", kFromZero<int>);
  generate_app->add_option_function<std::string>(
      "--activations", [&](const std::string& text) { generate.activations = parse_activations(text); },
      "f32, f16 or bf16; without it that of the weights");
  generate_app->add_flag("--verify", generate.verify,
                         "Check every op of every layer against the reference; exit 1 if one is off");
  generate_app->add_flag("--ids", generate.ids, "Print token ids, not text");
  generate_app->add_flag("--json", generate.json, "Print one JSON object with text, ids and statistics");
  generate_app->add_flag("--special", generate.parse_special,
                         "Take names of control tokens in the prompt as those tokens");
  std::string record;
  generate_app->add_option("--record", record,
                           "Write every launch to this new folder, for hipforge replay; much slower");
  generate_app->add_flag("--ignore-eos", generate.ignore_eos, "Go on after a token that ends a text");

  InspectOptions inspect;
  CLI::App* const inspect_app = app.add_subcommand("inspect", "List a file's metadata and tensors");
  inspect_app->add_option("--model", model, "GGUF file; without it the embedded model");
  inspect_app->add_flag("--json", inspect.json, "Print JSON");

  TokenizeOptions tokenize;
  CLI::App* const tokenize_app = app.add_subcommand("tokenize", "Turn a text into token ids");
  tokenize_app->add_option("--model", model, "GGUF file; without it the embedded model");
  tokenize_app->add_option("--text", tokenize.text, "The text")->required();
  tokenize_app->add_flag("--json", tokenize.json, "Print JSON with ids and pieces");
  tokenize_app->add_flag("--no-bos", tokenize.no_bos, "Do not prepend the BOS token");
  tokenize_app->add_flag("--decode", tokenize.decode,
                         "The text is a list of token ids; print what they stand for");
  tokenize_app->add_flag("--special", tokenize.parse_special,
                         "Take names of control tokens in the text as those tokens");

  // The vector form of parse() takes its arguments from the back.
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    const auto asked = app.get_subcommands();
    return ShowText{asked.empty() ? app.help() : asked.front()->help("model_runner")};
  } catch (const CLI::ParseError& error) {
    refuse(one_line(error.what()));
  }
  if (version) return ShowText{"model_runner " HIPFORGE_VERSION "\n"};
  if (generate_app->parsed()) {
    generate.model = model;
    generate.record = record;
    check_generate(generate);
    return generate;
  }
  if (inspect_app->parsed()) {
    inspect.model = model;
    return inspect;
  }
  if (tokenize_app->parsed()) {
    tokenize.model = model;
    return tokenize;
  }
  refuse("no command given; commands are generate, inspect and tokenize, and --help explains them");
}

}  // namespace hipforge::runner
