#include "kernels/runtime/tensor.h"

namespace hipforge {

TensorView TensorView::contiguous(void* data, DType dtype, std::initializer_list<std::int64_t> shape) {
  TensorView view;
  view.data = data;
  view.dtype = dtype;
  for (std::int64_t size : shape) view.shape[static_cast<std::size_t>(view.rank++)] = size;
  std::int64_t stride = 1;
  for (int axis = view.rank - 1; axis >= 0; --axis) {
    const auto at = static_cast<std::size_t>(axis);
    view.strides[at] = stride;
    stride *= view.shape[at];
  }
  view.elements = view.numel();
  return view;
}

std::int64_t TensorView::numel() const {
  std::int64_t count = rank == 0 ? 0 : 1;
  for (int axis = 0; axis < rank; ++axis) count *= shape[static_cast<std::size_t>(axis)];
  return count;
}

std::int64_t TensorView::extent() const {
  if (numel() == 0) return 0;
  std::int64_t last = 0;
  for (int axis = 0; axis < rank; ++axis) {
    const auto at = static_cast<std::size_t>(axis);
    last += (shape[at] - 1) * strides[at];
  }
  return last + 1;
}

std::string TensorView::shape_text() const {
  std::string text = "[";
  for (int axis = 0; axis < rank; ++axis) {
    if (axis > 0) text += ", ";
    text += std::to_string(shape[static_cast<std::size_t>(axis)]);
  }
  return text + "]";
}

}  // namespace hipforge
