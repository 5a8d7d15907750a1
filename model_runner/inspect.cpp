#include "model_runner/inspect.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace hipforge::runner {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kShownElements = 8;
constexpr std::size_t kShownCharacters = 80;

Json value_json(const MetaValue& value) {
  switch (value.type) {
    case MetaType::kBool:
      return value.as_bool();
    case MetaType::kString:
      return std::string(value.as_string());
    case MetaType::kF32:
    case MetaType::kF64: {
      const double number = value.as_double();
      // JSON has no NaN or infinity.
      if (!std::isfinite(number)) return fmt::format("{}", number);
      if (value.type == MetaType::kF64) return number;
      // The shortest decimal of the f32, not the long one of its widening.
      return Json::parse(fmt::format("{}", static_cast<float>(number)));
    }
    case MetaType::kU64:
    case MetaType::kI64:
      return Json::parse(value.integer_text());
    case MetaType::kArray: {
      Json first = Json::array();
      MetaArrayReader reader(value);
      while (!reader.done() && first.size() < kShownElements) first.push_back(value_json(reader.next()));
      return {{"element_type", meta_type_name(value.element_type)}, {"count", value.count}, {"first", first}};
    }
    default:
      return static_cast<std::int64_t>(value.as_double());
  }
}

std::string value_text(const MetaValue& value) {
  switch (value.type) {
    case MetaType::kBool:
      return value.as_bool() ? "true" : "false";
    case MetaType::kString:
      return fmt::format("\"{}\"", printable(value.as_string(), kShownCharacters));
    case MetaType::kF32:
      return fmt::format("{}", static_cast<float>(value.as_double()));
    case MetaType::kF64:
      return fmt::format("{}", value.as_double());
    case MetaType::kArray: {
      std::string text = "[";
      MetaArrayReader reader(value);
      for (std::uint64_t shown = 0; !reader.done(); ++shown) {
        if (shown > 0) text += ", ";
        if (shown == kShownElements) {
          text += "...";
          break;
        }
        text += value_text(reader.next());
      }
      return text + "]";
    }
    default:
      return value.integer_text();
  }
}

std::string type_text(const MetaValue& value) {
  if (value.type != MetaType::kArray) return std::string(meta_type_name(value.type));
  return fmt::format("{}[{}]", meta_type_name(value.element_type), value.count);
}

std::string bytes_text(std::uint64_t bytes) {
  if (bytes < 1024 * 1024) return fmt::format("{} bytes", bytes);
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1024.0 * 1024.0));
}

}  // namespace

std::string inspect_text(const GgufFile& file, const std::filesystem::path& path) {
  std::string text = fmt::format("{}\nGGUF version {}, {}, alignment {}\n", printable(path.string(), 4096),
                                 file.version(), bytes_text(file.size_bytes()), file.alignment());
  text += fmt::format("\n{} metadata entries\n", file.metadata().size());
  std::size_t key_width = 0;
  for (const MetaEntry& entry : file.metadata()) key_width = std::max(key_width, printable(entry.key).size());
  for (const MetaEntry& entry : file.metadata()) {
    text += fmt::format("  {:<{}}  {:<12}  {}\n", printable(entry.key), key_width, type_text(entry.value),
                        value_text(entry.value));
  }
  std::size_t name_width = 0;
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
  for (const TensorInfo& tensor : file.tensors()) {
    name_width = std::max(name_width, printable(tensor.name).size());
    elements += tensor.elements;
    bytes += tensor.bytes;
  }
  text += fmt::format("\n{} tensors, {} elements, {}; shapes innermost first\n", file.tensors().size(),
                      elements, bytes_text(bytes));
  for (const TensorInfo& tensor : file.tensors()) {
    text += fmt::format("  {:<{}}  {:<7}  {:<20}  {} bytes at {}\n", printable(tensor.name), name_width,
                        tensor.type->name, tensor.shape_text(), tensor.bytes, tensor.offset);
  }
  return text;
}

nlohmann::ordered_json inspect_json(const GgufFile& file, const std::filesystem::path& path) {
  Json metadata = Json::array();
  for (const MetaEntry& entry : file.metadata()) {
    metadata.push_back({{"key", std::string(entry.key)},
                        {"type", meta_type_name(entry.value.type)},
                        {"value", value_json(entry.value)}});
  }
  Json tensors = Json::array();
  for (const TensorInfo& tensor : file.tensors()) {
    Json shape = Json::array();
    for (std::size_t i = 0; i < tensor.dim_count; ++i) shape.push_back(tensor.dims[i]);
    tensors.push_back({{"name", std::string(tensor.name)},
                       {"type", tensor.type->name},
                       {"shape", shape},
                       {"offset", tensor.offset},
                       {"bytes", tensor.bytes}});
  }
  return {{"file", path.string()},         {"bytes", file.size_bytes()}, {"version", file.version()},
          {"alignment", file.alignment()}, {"metadata", metadata},       {"tensors", tensors}};
}

}  // namespace hipforge::runner
