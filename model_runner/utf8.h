// UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hipforge::runner {

/// Length in bytes (1 to 4) of the well-formed sequence that starts at `text[position]`, or 0 where none
/// does. `position` must be below `text.size()`.
[[nodiscard]] std::size_t utf8_sequence_length(std::string_view text, std::size_t position) noexcept;

/// True if the whole of `text` is well formed.
[[nodiscard]] bool utf8_is_valid(std::string_view text) noexcept;

/// Number of bytes (0 to 3) at the end of `text` that begin a sequence which more bytes could complete.
[[nodiscard]] std::size_t utf8_incomplete_suffix(std::string_view text) noexcept;

/// The code point of the well-formed sequence of `length` bytes at `text[position]`.
[[nodiscard]] char32_t utf8_decode(std::string_view text, std::size_t position, std::size_t length) noexcept;

/// Appends the UTF-8 form of `code_point`, which must be a scalar value.
void utf8_append(std::string& text, char32_t code_point);

}  // namespace hipforge::runner
