#pragma once

#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace hipforge::harness {

/// The legal values of a number, both ends among them.
template <class T>
struct Range {
  T least = std::numeric_limits<T>::lowest();
  T most = std::numeric_limits<T>::max();
};

template <class T>
inline constexpr Range<T> kFromZero{T{0}};
template <class T>
inline constexpr Range<T> kAboveZero{std::is_floating_point_v<T> ? std::numeric_limits<T>::denorm_min()
                                                                 : T{1}};

/// `text`, all of it, as a decimal number in the range; nullopt for anything else: a sign that is no minus of
/// a signed type's, blanks, hexadecimal, nan, infinity.
template <class T>
[[nodiscard]] std::optional<T> parse_number(std::string_view text, Range<T> range = {}) {
  constexpr const char* kLegal = std::is_floating_point_v<T> ? "0123456789.eE+-" : "0123456789-";
  if (text.find_first_not_of(kLegal) != std::string_view::npos) return std::nullopt;
  T value{};
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
  if (!(value >= range.least && value <= range.most)) return std::nullopt;
  return value;
}

/// "a number from 0 to 1", "a number above 0"; a lowest or highest value of its type goes without saying.
[[nodiscard]] std::string number_in(Range<double> range);

/// "a whole number from 1 to 64".
[[nodiscard]] std::string whole_number_in(const std::string& least, const std::string& most);

/// "'-1' is not EXPECTED"; the text is shown in printable characters, and not at any length.
[[nodiscard]] std::string is_not(std::string_view text, const std::string& expected);

/// Why parse_number() refuses `text`.
template <class T>
[[nodiscard]] std::string number_fault(std::string_view text, Range<T> range = {}) {
  if constexpr (std::is_floating_point_v<T>) {
    constexpr Range<T> kAll;
    const double infinity = std::numeric_limits<double>::infinity();
    const bool above_zero = range.least == kAboveZero<T>.least;
    return is_not(text, number_in({range.least == kAll.least ? -infinity
                                   : above_zero              ? kAboveZero<double>.least
                                                             : range.least,
                                   range.most == kAll.most ? infinity : range.most}));
  } else {
    return is_not(text, whole_number_in(std::to_string(range.least), std::to_string(range.most)));
  }
}

}  // namespace hipforge::harness
