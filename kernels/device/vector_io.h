#pragma once

#include "kernels/device/dtype.h"
#include "kernels/device/wave.h"
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
  narrow(values, pack.values);
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

/// kCount elements as they lie in memory, not yet looked at: in words, because a compiler gives each half of
/// a word that it sees a register of its own.
template <class T, int kCount>
struct alignas(pack_alignment(sizeof(T) * kCount)) RawPack {
  static constexpr int kPerWord = static_cast<int>(sizeof(std::uint32_t) / sizeof(T));
  static_assert(kPerWord > 0 && kCount % kPerWord == 0);
  std::uint32_t words[kCount / kPerWord];

  __device__ void widen_to(float (&values)[kCount]) const {
    T elements[kCount];
    __builtin_memcpy(elements, words, sizeof(elements));
    widen(elements, values);
  }
  __device__ static RawPack of(const float (&values)[kCount]) {
    T elements[kCount];
    narrow(values, elements);
    RawPack pack;
    __builtin_memcpy(pack.words, elements, sizeof(elements));
    return pack;
  }
  // Word by word: of two whole packs a compiler would choose the address, and keep both in memory for it.
  __device__ void take_if(bool chosen, const RawPack& other) {
#pragma unroll
    for (int i = 0; i < kCount / kPerWord; ++i) words[i] = chosen ? other.words[i] : words[i];
  }
};

/// kCount elements of a row of which `left` are inside, +0 past the end: one access where the row is aligned
/// and holds them all, else element by element.
template <int kCount, class T>
__device__ inline RawPack<T, kCount> take_row(const T* source, int left, bool aligned) {
  using Raw = RawPack<T, kCount>;
  if (aligned && left >= kCount) return *reinterpret_cast<const Raw*>(source);
  Raw pack{};
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (i >= left) continue;
    if constexpr (Raw::kPerWord == 1) {
      pack.words[i] = detail::bit_cast<std::uint32_t>(source[i]);
    } else {
      pack.words[i / 2] |= static_cast<std::uint32_t>(source[i].bits) << i % 2 * 16;
    }
  }
  return pack;
}

template <int kCount, class T>
__device__ inline void put_row(T* destination, int left, bool aligned, const RawPack<T, kCount>& pack) {
  using Raw = RawPack<T, kCount>;
  if (aligned && left >= kCount) {
    *reinterpret_cast<Raw*>(destination) = pack;
    return;
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (i >= left) continue;
    if constexpr (Raw::kPerWord == 1) {
      destination[i] = detail::bit_cast<T>(pack.words[i]);
    } else {
      destination[i].bits = static_cast<std::uint16_t>(pack.words[i / 2] >> i % 2 * 16);
    }
  }
}

/// take_row for kPacks packs whose starts are kStep elements apart, a multiple of kCount; `left` is counted
/// from the first. Nothing looks at a pack before the last one is asked for, so that all are under way
/// together.
template <int kStep, int kCount, int kPacks, class T>
__device__ inline void take_packs(const T* source, int left, bool aligned,
                                  RawPack<T, kCount> (&packs)[kPacks]) {
  if (aligned && (left >= (kPacks - 1) * kStep + kCount || left % kCount == 0)) {
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      packs[p] = RawPack<T, kCount>{};
      if (left > p * kStep) packs[p] = *reinterpret_cast<const RawPack<T, kCount>*>(source + p * kStep);
    }
    return;
  }
#pragma unroll
  for (int p = 0; p < kPacks; ++p) packs[p] = RawPack<T, kCount>{};
    // One after the other: registers are for the case above.
#pragma unroll 1
  for (int p = 0; p < kPacks; ++p) {
    const RawPack<T, kCount> taken = take_row<kCount>(source + p * kStep, left - p * kStep, aligned);
#pragma unroll
    for (int i = 0; i < kPacks; ++i) packs[i].take_if(i == p, taken);
  }
}

/// Stores kPacks packs, as take_packs takes them.
template <int kStep, int kCount, int kPacks, class T>
__device__ inline void put_packs(T* destination, int left, bool aligned,
                                 const RawPack<T, kCount> (&packs)[kPacks]) {
  using Raw = RawPack<T, kCount>;
  if (aligned && (left >= (kPacks - 1) * kStep + kCount || left % kCount == 0)) {
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      if (left > p * kStep) *reinterpret_cast<Raw*>(destination + p * kStep) = packs[p];
    }
    return;
  }
#pragma unroll 1
  for (int p = 0; p < kPacks; ++p) {
    Raw chosen = packs[0];
#pragma unroll
    for (int i = 1; i < kPacks; ++i) chosen.take_if(i == p, packs[i]);
    put_row(destination + p * kStep, left - p * kStep, aligned, chosen);
  }
}

/// How many of a row's `size` elements stand from `at` on, as far as an int counts them.
__device__ inline int elements_left(std::int64_t size, std::int64_t at) {
  constexpr std::int64_t kMost = 0x7fffffff;
  const std::int64_t left = size - at;
  return static_cast<int>(left < 0 ? 0 : (left < kMost ? left : kMost));
}

/// Where a thread's packs of a row begin, where each wave of a block takes kElements per lane side by side,
/// and a lane its packs kWave · kPack elements apart: a distance that the compiler knows costs no registers.
template <int kWave, int kElements, int kPack>
__device__ inline int first_element() {
  return wave_id<kWave>() * kWave * kElements + lane_id<kWave>() * kPack;
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
