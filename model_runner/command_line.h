// What `model_runner` was asked to do.
#pragma once

#include "kernels/runtime/dtype.h"
#include "model_runner/error.h"
#include "model_runner/sampling_params.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace hipforge::runner {

inline constexpr std::int64_t kMaxNewTokens = std::int64_t{1} << 24;

struct GenerateOptions {
  std::filesystem::path model;  // empty: the embedded model
  std::string prompt;
  std::int64_t max_new_tokens = 128;
  SamplingParams sampling;
  int device = 0;
  std::optional<DType> activations;  // none: the dtype of the weights
  bool verify = false;               // run the reference beside the kernels
  bool ids = false;                  // print token ids, not text
  bool json = false;                 // print one JSON object at the end, not text as it comes
  bool parse_special = false;        // take names of control tokens in the prompt as those tokens
  std::filesystem::path record;      // a new folder for every launch; empty: none
  bool ignore_eos = false;           // go on after a token that ends a generation
};

struct InspectOptions {
  std::filesystem::path model;
  bool json = false;
};

struct TokenizeOptions {
  std::filesystem::path model;
  std::string text;
  bool json = false;
  bool no_bos = false;
  bool decode = false;  // the text is a list of token ids, to be turned into text
  bool parse_special = false;
};

/// Help or the version was asked for: `text` goes to stdout.
struct ShowText {
  std::string text;
};

using Command = std::variant<GenerateOptions, InspectOptions, TokenizeOptions, ShowText>;

/// Parses the arguments, without the program's name. Throws InputError (kUsage) for anything that is not a
/// legal request: an unknown flag or command, a missing or malformed value, a number out of its range, an
/// empty prompt.
[[nodiscard]] Command parse_command_line(std::vector<std::string> arguments);

/// "1, 2 3" as {1, 2, 3}. Throws InputError (kUsage) for anything that is not a list of token ids.
[[nodiscard]] std::vector<std::int32_t> parse_token_ids(const std::string& text);

/// Where the embedded model is: in the source tree that this was built from, or where an installed
/// model_runner keeps it, relative to `executable`. Throws InputError (kFile) that names both places.
[[nodiscard]] std::filesystem::path embedded_model_path(const std::filesystem::path& executable);

}  // namespace hipforge::runner
