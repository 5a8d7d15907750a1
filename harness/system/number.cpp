#include "harness/system/number.h"

#include <fmt/format.h>

#include <cmath>

namespace hipforge::harness {

std::string number_in(Range<double> range) {
  std::string text = "a number";
  const bool above_zero = range.least == kAboveZero<double>.least;
  if (above_zero) {
    text += " above 0";
  } else if (std::isfinite(range.least)) {
    text += fmt::format(" from {:g}", range.least);
  }
  if (std::isfinite(range.most))
    return text + fmt::format("{} to {:g}", above_zero ? ", up" : "", range.most);
  return text + (above_zero || !std::isfinite(range.least) ? "" : " up");
}

std::string whole_number_in(const std::string& least, const std::string& most) {
  return fmt::format("a whole number from {} to {}", least, most);
}

std::string is_not(std::string_view text, const std::string& expected) {
  constexpr std::size_t kShown = 40;
  std::string shown;
  for (const char c : text.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    shown += byte < 0x20 || byte > 0x7e ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  return fmt::format("'{}{}' is not {}", shown, text.size() > kShown ? "..." : "", expected);
}

}  // namespace hipforge::harness
