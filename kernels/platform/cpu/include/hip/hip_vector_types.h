// Vector types with the sizes of HIP's, aligned to their size up to 16 bytes: an alignment that every
// platform's shared memory gives.
#pragma once

#include <sys/types.h>  // uint, ushort, ulong

#define HIPFORGE_CPU_VECTOR_TYPES(name, T)                          \
  struct name##1 {                                                  \
    T x;                                                            \
  };                                                                \
  struct alignas(2 * sizeof(T)) name##2 {                           \
    T x, y;                                                         \
  };                                                                \
  struct name##3 {                                                  \
    T x, y, z;                                                      \
  };                                                                \
  struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) name##4 { \
    T x, y, z, w;                                                   \
  };                                                                \
  constexpr name##1 make_##name##1(T x) {                           \
    return name##1 {x};                                             \
  }                                                                 \
  constexpr name##2 make_##name##2(T x, T y) {                      \
    return name##2 {x, y};                                          \
  }                                                                 \
  constexpr name##3 make_##name##3(T x, T y, T z) {                 \
    return name##3 {x, y, z};                                       \
  }                                                                 \
  constexpr name##4 make_##name##4(T x, T y, T z, T w) {            \
    return name##4 {x, y, z, w};                                    \
  }

HIPFORGE_CPU_VECTOR_TYPES(char, signed char)
HIPFORGE_CPU_VECTOR_TYPES(uchar, unsigned char)
HIPFORGE_CPU_VECTOR_TYPES(short, short)
HIPFORGE_CPU_VECTOR_TYPES(ushort, unsigned short)
HIPFORGE_CPU_VECTOR_TYPES(int, int)
HIPFORGE_CPU_VECTOR_TYPES(uint, unsigned int)
HIPFORGE_CPU_VECTOR_TYPES(long, long)
HIPFORGE_CPU_VECTOR_TYPES(ulong, unsigned long)
HIPFORGE_CPU_VECTOR_TYPES(longlong, long long)
HIPFORGE_CPU_VECTOR_TYPES(ulonglong, unsigned long long)
HIPFORGE_CPU_VECTOR_TYPES(float, float)
HIPFORGE_CPU_VECTOR_TYPES(double, double)

#undef HIPFORGE_CPU_VECTOR_TYPES

/// Extents of a grid or a block; what is left out is 1.
struct dim3 {
  unsigned int x, y, z;
  // NOLINTNEXTLINE(google-explicit-constructor): HIP converts from plain numbers.
  constexpr dim3(unsigned int x_extent = 1, unsigned int y_extent = 1, unsigned int z_extent = 1)
      : x(x_extent), y(y_extent), z(z_extent) {}
  constexpr dim3(uint3 extents) : x(extents.x), y(extents.y), z(extents.z) {}
  constexpr operator uint3() const { return uint3{x, y, z}; }
};
