#pragma once

#include "kernels/runtime/dtype.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace hipforge {

inline constexpr int kMaxRank = 4;

/// A view of device memory: who owns it is somebody else's business.
///   shape    sizes, outermost first; entries at and past rank are unused
///   strides  elements (not bytes) between neighbours along each axis; never negative
///   elements how many elements the memory at `data` holds, counted from `data`: launchers refuse a view
///            that reaches past it ("query holds 16 elements, shape [1, 2, 2, 4] needs 32")
/// A default-made view (data null, rank 0) stands for "absent" where a parameter is optional.
struct TensorView {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int rank = 0;
  std::array<std::int64_t, kMaxRank> shape{};
  std::array<std::int64_t, kMaxRank> strides{};
  std::int64_t elements = 0;

  /// Row-major contiguous view of exactly its shape's elements.
  [[nodiscard]] static TensorView contiguous(void* data, DType dtype,
                                             std::initializer_list<std::int64_t> shape);

  [[nodiscard]] bool present() const { return rank != 0; }
  /// Product of the shape; 0 where an axis is empty.
  [[nodiscard]] std::int64_t numel() const;
  /// Elements from `data` to the last element of the shape, inclusive; 0 for an empty shape.
  [[nodiscard]] std::int64_t extent() const;
  /// "[1, 2, 2, 4]".
  [[nodiscard]] std::string shape_text() const;
  template <class T>
  [[nodiscard]] T* as() const {
    return static_cast<T*>(data);
  }
};

}  // namespace hipforge
