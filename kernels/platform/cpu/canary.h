// The pattern written where nothing may be written. As 16, 32 or 64 bits it is a NaN in every floating
// type, so a read is seen too; it differs from the 0xFF that fills fresh memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hipforge::cpu {

inline constexpr unsigned char kPoisonByte = 0xff;

inline unsigned char canary_byte(const unsigned char* address) {
  return reinterpret_cast<uintptr_t>(address) % 2 == 0 ? 0xf7 : 0xff;
}

inline constexpr uint64_t kCanaryWord = 0xfff7fff7fff7fff7;

inline void write_canary(unsigned char* begin, const unsigned char* end) {
  for (; begin < end && reinterpret_cast<uintptr_t>(begin) % 8 != 0; ++begin) *begin = canary_byte(begin);
  for (; end - begin >= 8; begin += 8) __builtin_memcpy(begin, &kCanaryWord, sizeof(kCanaryWord));
  for (; begin < end; ++begin) *begin = canary_byte(begin);
}

/// The first byte that is not as written, or null.
inline const unsigned char* find_broken_canary(const unsigned char* begin, const unsigned char* end) {
  while (begin < end && reinterpret_cast<uintptr_t>(begin) % 8 != 0) {
    if (*begin != canary_byte(begin)) return begin;
    ++begin;
  }
  while (end - begin >= 8) {
    uint64_t word;
    __builtin_memcpy(&word, begin, sizeof(word));
    if (word != kCanaryWord) break;
    begin += 8;
  }
  for (; begin < end; ++begin) {
    if (*begin != canary_byte(begin)) return begin;
  }
  return nullptr;
}

}  // namespace hipforge::cpu
