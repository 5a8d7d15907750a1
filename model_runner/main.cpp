// The `model_runner` command.

#include "model_runner/command_line.h"
#include "model_runner/generate.h"
#include "model_runner/gguf.h"
#include "model_runner/inspect.h"
#include "model_runner/output.h"
#include "model_runner/tokenizer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <new>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace hipforge::runner {
namespace {

using Json = nlohmann::ordered_json;

std::filesystem::path executable_path() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored);
}

std::filesystem::path model_path(const std::filesystem::path& asked) {
  return asked.empty() ? embedded_model_path(executable_path()) : asked;
}

// Bytes that are no UTF-8 (a token may be half a character) become U+FFFD in JSON.
std::string json_text(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

int run(const InspectOptions& options) {
  const auto path = model_path(options.model);
  const GgufFile file = naming(path, [&] { return GgufFile::open(path); });
  write_output(options.json ? json_text(inspect_json(file, path)) : inspect_text(file, path));
  return kExitGood;
}

int run(const TokenizeOptions& options) {
  const auto path = model_path(options.model);
  const Tokenizer tokenizer = naming(path, [&] { return Tokenizer(GgufFile::open(path)); });
  std::vector<TokenId> ids;
  std::string text;
  if (options.decode) {
    ids = parse_token_ids(options.text);
    text = tokenizer.decode(ids, options.parse_special);
  } else {
    text = options.text;
    ids = tokenizer.encode(
        text, {.add_bos = !options.no_bos, .add_eos = true, .parse_special = options.parse_special});
  }
  if (options.json) {
    Json pieces = Json::array();
    for (const TokenId id : ids) pieces.push_back(std::string(tokenizer.piece(id)));
    write_output(json_text({{"text", text}, {"ids", ids}, {"pieces", pieces}}));
  } else if (options.decode) {
    write_output(text + "\n");
  } else {
    write_output(fmt::format("{}\n", fmt::join(ids, " ")));
  }
  return kExitGood;
}

int run(const ShowText& options) {
  write_output(options.text);
  return kExitGood;
}

std::string mib(std::size_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1024.0 * 1024.0));
}

std::string statistics_text(const GenerateResult& result) {
  const GenerateStatistics& s = result.statistics;
  return fmt::format(
      "weights   {:.2f} M parameters, {} of {}; activations {}\n"
      "load      {:.3f} s\n"
      "prefill   {} tokens in {:.3f} s, {:.1f} tokens/s\n"
      "decode    {} tokens in {:.3f} s, {:.1f} tokens/s{}; stopped by {}\n"
      "memory    {} peak, of it {} KV cache and {} activations\n"
      "logits    hash {:016x}\n",
      static_cast<double>(s.parameters) / 1e6, mib(s.weight_bytes), dtype_name(s.weight_dtype),
      dtype_name(s.activation_dtype), s.load_s, s.prompt_tokens, s.prefill_s, s.prefill_tokens_per_s(),
      s.decoded_tokens, s.decode_s, s.decode_tokens_per_s(), result.verifier ? " with every op verified" : "",
      stop_reason_text(result.stop), mib(s.peak_memory_bytes), mib(s.kv_cache_bytes), mib(s.activation_bytes),
      s.logits_hash);
}

Json result_json(const GenerateResult& result) {
  const GenerateStatistics& s = result.statistics;
  Json json = {{"text", result.text},
               {"ids", result.ids},
               {"prompt_ids", result.prompt_ids},
               {"stop", stop_reason_text(result.stop)},
               {"statistics",
                {{"load_s", s.load_s},
                 {"prefill_tokens", s.prompt_tokens},
                 {"prefill_s", s.prefill_s},
                 {"prefill_tokens_per_s", s.prefill_tokens_per_s()},
                 {"decode_tokens", s.decoded_tokens},
                 {"decode_s", s.decode_s},
                 {"decode_tokens_per_s", s.decode_tokens_per_s()},
                 {"parameters", s.parameters},
                 {"weight_bytes", s.weight_bytes},
                 {"weight_dtype", dtype_name(s.weight_dtype)},
                 {"activation_dtype", dtype_name(s.activation_dtype)},
                 {"kv_cache_bytes", s.kv_cache_bytes},
                 {"activation_bytes", s.activation_bytes},
                 {"peak_memory_bytes", s.peak_memory_bytes},
                 {"logits_hash", fmt::format("{:016x}", s.logits_hash)}}}};
  if (result.verifier) {
    Json ops = Json::array();
    for (const OpVerdict& verdict : result.verifier->verdicts()) {
      // JSON has no NaN; a share that is none is the worst there can be.
      ops.push_back(
          {{"op", verdict.op},
           {"launches", verdict.launches},
           {"elements", verdict.elements},
           {"worst_share", std::isfinite(verdict.worst_share) ? Json(verdict.worst_share) : Json("nan")},
           {"where", verdict.where},
           {"passed", verdict.passed}});
    }
    json["verify"] = {{"passed", result.verifier->passed()},
                      {"first_failure",
                       result.verifier->first_failure() ? Json(*result.verifier->first_failure()) : Json()},
                      {"ops", ops}};
  }
  return json;
}

int run(const GenerateOptions& options) {
  bool first = true;
  const GenerateResult result =
      generate(options, model_path(options.model), [&](TokenId id, std::string_view text) {
        if (options.json) return;
        if (options.ids) {
          if (id >= 0) write_output(fmt::format("{}{}", std::exchange(first, false) ? "" : " ", id));
        } else {
          write_output(text);
        }
      });
  write_output(options.json ? json_text(result_json(result)) : "\n");
  fmt::print(stderr, "{}", statistics_text(result));
  if (!result.verifier) return kExitGood;
  fmt::print(stderr, "{}", result.verifier->table());
  return result.verifier->passed() ? kExitGood : kExitCheckFailed;
}

// One line, whatever the message: a fault that the device reports may come with a text of several.
int report(int exit_code, std::string message) {
  while (!message.empty() && message.back() == '\n') message.pop_back();
  std::replace(message.begin(), message.end(), '\n', ' ');
  fmt::print(stderr, "model_runner: {}\n", message);
  return exit_code;
}

int run_command(int argument_count, char** arguments) {
  try {
    const Command command = parse_command_line({arguments + 1, arguments + argument_count});
    return std::visit([](const auto& options) { return run(options); }, command);
  } catch (const OutputClosed&) {
    return kExitGood;
  } catch (const InputError& error) {
    return report(error.exit_code(), error.what());
  } catch (const std::bad_alloc&) {
    return report(kExitCouldNotRun, "out of memory");
  } catch (const std::exception& error) {
    return report(kExitCouldNotRun, error.what());
  }
}

}  // namespace
}  // namespace hipforge::runner

int main(int argument_count, char** arguments) {
  hipforge::runner::ignore_sigpipe();
  return hipforge::runner::run_command(argument_count, arguments);
}
