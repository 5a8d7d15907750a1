// For the race detector: what g++ does not instrument, unlike clang. Included before all else in a kernel
// source of such a build. A copy of one register becomes an access that the compiler tells; any other stays
// silent.
#pragma once

#include <stddef.h>
#include <string.h>

extern "C" void __tsan_read_range(void* pointer, size_t bytes);
extern "C" void __tsan_write_range(void* pointer, size_t bytes);

/// Whether the compiler makes one access of it, and tells that.
#define HIPFORGE_ONE_ACCESS(bytes) \
  (__builtin_constant_p(bytes) && (bytes) <= 16 && ((bytes) & ((bytes)-1)) == 0)

inline __attribute__((always_inline)) void* hipforge_told_memcpy(void* to, const void* from, size_t bytes) {
  if (!HIPFORGE_ONE_ACCESS(bytes)) {
    __tsan_read_range(const_cast<void*>(from), bytes);
    __tsan_write_range(to, bytes);
  }
  return __builtin_memcpy(to, from, bytes);
}

inline __attribute__((always_inline)) void* hipforge_told_memmove(void* to, const void* from, size_t bytes) {
  if (!HIPFORGE_ONE_ACCESS(bytes)) {
    __tsan_read_range(const_cast<void*>(from), bytes);
    __tsan_write_range(to, bytes);
  }
  return __builtin_memmove(to, from, bytes);
}

inline __attribute__((always_inline)) void* hipforge_told_memset(void* to, int value, size_t bytes) {
  if (!HIPFORGE_ONE_ACCESS(bytes)) __tsan_write_range(to, bytes);
  return __builtin_memset(to, value, bytes);
}

#undef HIPFORGE_ONE_ACCESS

namespace std {
using ::hipforge_told_memcpy;
using ::hipforge_told_memmove;
using ::hipforge_told_memset;
}  // namespace std

#define memcpy(...) hipforge_told_memcpy(__VA_ARGS__)
#define memmove(...) hipforge_told_memmove(__VA_ARGS__)
#define memset(...) hipforge_told_memset(__VA_ARGS__)
#define __builtin_memcpy(...) ::hipforge_told_memcpy(__VA_ARGS__)
#define __builtin_memmove(...) ::hipforge_told_memmove(__VA_ARGS__)
#define __builtin_memset(...) ::hipforge_told_memset(__VA_ARGS__)
