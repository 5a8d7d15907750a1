// Lists what a GGUF file holds.
#pragma once

#include "model_runner/gguf.h"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <string>

namespace hipforge::runner {

/// Metadata and tensors as lines of text. Arrays are cut to their first elements, long strings to their
/// beginning.
[[nodiscard]] std::string inspect_text(const GgufFile& file, const std::filesystem::path& path);

/// The same as one object: {"file", "bytes", "version", "alignment", "metadata": [{"key", "type", "value"}],
/// "tensors": [{"name", "type", "shape", "offset", "bytes"}]}. A value that is an array is {"element_type",
/// "count", "first": [...]}; shapes are innermost first, as in the file. Strings are whole.
[[nodiscard]] nlohmann::ordered_json inspect_json(const GgufFile& file, const std::filesystem::path& path);

}  // namespace hipforge::runner
