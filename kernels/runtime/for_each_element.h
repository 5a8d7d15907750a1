#pragma once

#include "kernels/runtime/tensor.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace hipforge {

/// Calls visit(row-major index, element offset) for every element.
template <class Visit>
void for_each_element(const TensorView& view, Visit&& visit) {
  const std::int64_t count = view.numel();
  std::array<std::int64_t, kMaxRank> at{};
  std::int64_t offset = 0;
  for (std::int64_t index = 0; index < count; ++index) {
    visit(static_cast<std::size_t>(index), static_cast<std::size_t>(offset));
    // The next index, as an odometer turns: the innermost axis first.
    for (int axis = view.rank - 1; axis >= 0; --axis) {
      const auto a = static_cast<std::size_t>(axis);
      offset += view.strides[a];
      if (++at[a] < view.shape[a]) break;
      offset -= view.strides[a] * view.shape[a];
      at[a] = 0;
    }
  }
}

}  // namespace hipforge
