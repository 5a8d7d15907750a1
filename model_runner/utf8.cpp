#include "model_runner/utf8.h"

#include "model_runner/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace hipforge::runner {
namespace {

struct Lead {
  std::size_t length;       // bytes of the whole sequence, 0 for a byte that cannot lead
  unsigned char low, high;  // range of the second byte: where overlong forms and surrogates are excluded
};

constexpr Lead classify_lead(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// How many bytes from `position` on agree with the sequence that the lead byte announces.
std::size_t matching_bytes(std::string_view text, std::size_t position, const Lead& lead) {
  std::size_t count = 1;
  while (count < lead.length && position + count < text.size()) {
    const auto byte = static_cast<unsigned char>(text[position + count]);
    const unsigned char low = count == 1 ? lead.low : 0x80;
    const unsigned char high = count == 1 ? lead.high : 0xBF;
    if (byte < low || byte > high) break;
    ++count;
  }
  return count;
}

}  // namespace

std::size_t utf8_sequence_length(std::string_view text, std::size_t position) noexcept {
  const Lead lead = classify_lead(static_cast<unsigned char>(text[position]));
  if (lead.length < 2) return lead.length;
  return matching_bytes(text, position, lead) == lead.length ? lead.length : 0;
}

bool utf8_is_valid(std::string_view text) noexcept {
  for (std::size_t position = 0; position < text.size();) {
    const std::size_t length = utf8_sequence_length(text, position);
    if (length == 0) return false;
    position += length;
  }
  return true;
}

std::size_t utf8_incomplete_suffix(std::string_view text) noexcept {
  const std::size_t most = std::min<std::size_t>(3, text.size());
  for (std::size_t back = 1; back <= most; ++back) {
    const std::size_t position = text.size() - back;
    const Lead lead = classify_lead(static_cast<unsigned char>(text[position]));
    if (lead.length == 0) continue;
    return lead.length > back && matching_bytes(text, position, lead) == back ? back : 0;
  }
  return 0;
}

char32_t utf8_decode(std::string_view text, std::size_t position, std::size_t length) noexcept {
  const auto lead = static_cast<unsigned char>(text[position]);
  if (length == 1) return lead;
  char32_t code_point = lead & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    code_point = (code_point << 6) | (static_cast<unsigned char>(text[position + i]) & 0x3Fu);
  }
  return code_point;
}

void utf8_append(std::string& text, char32_t code_point) {
  const auto tail = [&](unsigned shift) {
    text.push_back(static_cast<char>(0x80u | ((code_point >> shift) & 0x3Fu)));
  };
  if (code_point < 0x80) {
    text.push_back(static_cast<char>(code_point));
  } else if (code_point < 0x800) {
    text.push_back(static_cast<char>(0xC0u | (code_point >> 6)));
    tail(0);
  } else if (code_point < 0x10000) {
    text.push_back(static_cast<char>(0xE0u | (code_point >> 12)));
    tail(6);
    tail(0);
  } else {
    text.push_back(static_cast<char>(0xF0u | (code_point >> 18)));
    tail(12);
    tail(6);
    tail(0);
  }
}

std::string printable(std::string_view text, std::size_t limit) {
  std::string result;
  for (std::size_t position = 0; position < text.size();) {
    if (position >= limit) {
      result += "...";
      break;
    }
    const std::size_t length = utf8_sequence_length(text, position);
    const auto byte = static_cast<unsigned char>(text[position]);
    // C1 controls (C2 80 to C2 9F) move a terminal's cursor just as C0 controls do.
    const bool control = length == 2 ? byte == 0xC2 && static_cast<unsigned char>(text[position + 1]) < 0xA0
                                     : byte < 0x20 || byte == 0x7F;
    if (length == 0 || control) {
      const std::size_t escaped = std::max<std::size_t>(length, 1);
      for (std::size_t i = 0; i < escaped; ++i) {
        result += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[position + i]));
      }
      position += escaped;
    } else {
      result += text.substr(position, length);
      position += length;
    }
  }
  return result;
}

}  // namespace hipforge::runner
