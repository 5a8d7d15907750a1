#pragma once

#include "kernels/device/dtype.h"
#include "kernels/runtime/tensor.h"

#include <cstddef>
#include <cstdint>

namespace hipforge {

/// Bytes of the widest single access of a lane.
inline constexpr int kVectorBytes = 16;

/// Elements of T in one full-width access.
template <class T>
inline constexpr int kVectorSize = kVectorBytes / static_cast<int>(sizeof(T));

/// Alignment in bytes that a pack of `size` bytes wants: one access, or several of full width.
[[nodiscard]] __host__ __device__ constexpr std::size_t pack_alignment(std::size_t size) {
  return size < kVectorBytes ? size : kVectorBytes;
}

/// kCount elements moved by one aligned access, or by several of full width.
template <class T, int kCount>
struct alignas(pack_alignment(sizeof(T) * kCount)) Pack {
  T values[kCount];
};

/// Loads kCount elements, widened to f32. `source` is aligned to pack_alignment.
template <int kCount, class T>
__device__ inline void load_pack(const T* source, float (&values)[kCount]) {
  const auto pack = *reinterpret_cast<const Pack<T, kCount>*>(source);
  widen(pack.values, values);
}

/// Rounds and stores kCount elements. `destination` is aligned to pack_alignment.
template <int kCount, class T>
__device__ inline void store_pack(T* destination, const float (&values)[kCount]) {
  Pack<T, kCount> pack;
#pragma unroll
  for (int i = 0; i < kCount; ++i) pack.values[i] = from_float<T>(values[i]);
  *reinterpret_cast<Pack<T, kCount>*>(destination) = pack;
}

/// Loads the elements of [0, count) of a pack, 0 past them: the masked tail of a row, or any row whose
/// address is not aligned for load_pack.
template <int kCount, class T>
__device__ inline void load_tail(const T* source, int count, float (&values)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) values[i] = i < count ? to_float(source[i]) : 0.0f;
}

template <int kCount, class T>
__device__ inline void store_tail(T* destination, int count, const float (&values)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (i < count) destination[i] = from_float<T>(values[i]);
  }
}

/// kCount elements of a row of which `left` are inside: one access where the row is aligned and holds them
/// all, else element by element, 0 past the end.
template <int kCount, class T>
__device__ inline void load_row(const T* source, std::int64_t left, bool aligned, float (&values)[kCount]) {
  if (aligned && left >= kCount) {
    load_pack<kCount>(source, values);
  } else {
    load_tail<kCount>(source, left < kCount ? static_cast<int>(left) : kCount, values);
  }
}

template <int kCount, class T>
__device__ inline void store_row(T* destination, std::int64_t left, bool aligned,
                                 const float (&values)[kCount]) {
  if (aligned && left >= kCount) {
    store_pack<kCount>(destination, values);
  } else {
    store_tail<kCount>(destination, left < kCount ? static_cast<int>(left) : kCount, values);
  }
}

/// Whether every row of a view (along all axes but the last) starts where load_pack<kCount> may read.
[[nodiscard]] inline bool rows_are_aligned(const TensorView& tensor, int count) {
  const std::size_t bytes = pack_alignment(static_cast<std::size_t>(count) * dtype_size(tensor.dtype));
  const auto elements = static_cast<std::int64_t>(bytes / dtype_size(tensor.dtype));
  if (reinterpret_cast<std::uintptr_t>(tensor.data) % bytes != 0) return false;
  for (int axis = 0; axis + 1 < tensor.rank; ++axis) {
    const auto at = static_cast<std::size_t>(axis);
    if (tensor.shape[at] > 1 && tensor.strides[at] % elements != 0) return false;
  }
  return true;
}

}  // namespace hipforge
