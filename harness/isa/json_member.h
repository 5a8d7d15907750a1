#pragma once

#include "kernels/runtime/status.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

namespace hipforge::harness {

/// A text in JSON that nobody vouches for. Throws Error{kInvalidArgument}: "PLACE: KEY is missing".
inline std::string text_member(const nlohmann::json& object, const char* key, const std::string& place) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) {
    throw Error(invalid_argument(place, ": ", key, " is missing"));
  }
  return found->get<std::string>();
}

/// The same of a count, every one of which fits an int; `absent` where it may be left out.
inline int count_member(const nlohmann::json& object, const char* key, const std::string& place,
                        std::optional<int> absent = std::nullopt) {
  const auto found = object.find(key);
  if (found == object.end() && absent) return *absent;
  if (found == object.end() || !found->is_number_unsigned() ||
      found->get<std::uint64_t>() > std::numeric_limits<int>::max()) {
    throw Error(invalid_argument(place, ": ", key, " is missing or no count"));
  }
  return found->get<int>();
}

}  // namespace hipforge::harness
