// libFuzzer target: everything that reads a file, on any bytes. Seed it with small GGUF files.

#include "model_runner/config.h"
#include "model_runner/gguf.h"
#include "model_runner/inspect.h"
#include "model_runner/tokenizer.h"

#include <nlohmann/json.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hipforge::runner;
  try {
    const GgufFile file = GgufFile::over(std::as_bytes(std::span(data, size)));
    (void)inspect_text(file, "fuzz");
    (void)inspect_json(file, "fuzz");
    try {
      const Tokenizer tokenizer(file);
      const auto ids = tokenizer.encode("the thing's <user> 12 \xFF", {.parse_special = true});
      (void)tokenizer.decode(ids, true);
    } catch (const InputError&) {
    }
    (void)read_llama_config(file);
  } catch (const InputError&) {
  }
  return 0;
}
