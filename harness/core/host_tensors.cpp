#include "harness/core/host_tensors.h"

#include "kernels/runtime/status.h"

#include <algorithm>
#include <cstddef>

namespace hipforge::harness {

const TensorView& HostTensors::view(const std::string& name) const {
  const auto at = views_.find(name);
  if (at == views_.end()) throw Error(invalid_argument("the launch has no tensor ", name));
  return at->second;
}

const HostTensor& HostTensors::operator[](const std::string& name) const {
  const auto at = fetched_.find(name);
  if (at != fetched_.end()) return at->second;
  const TensorView& whole = view(name);
  return fetched_.emplace(name, HostTensor{whole.dtype, shape_of(whole), fetch_(whole)}).first->second;
}

std::span<const double> HostTensors::values(const std::string& name) const {
  if (views_.count(name) == 0) return {};
  return (*this)[name].values;
}

HostTensor HostTensors::rows(const std::string& name, std::int64_t first, std::int64_t count) const {
  const TensorView part = slice_axis(view(name), 0, first, count);
  return {part.dtype, shape_of(part), fetch_(part)};
}

TensorView slice_axis(TensorView view, std::size_t axis, std::int64_t first, std::int64_t count,
                      std::int64_t step) {
  const std::int64_t offset = first * view.strides[axis];
  if (view.numel() > 0) {
    view.data =
        static_cast<std::byte*>(view.data) + static_cast<std::size_t>(offset) * dtype_size(view.dtype);
    view.elements = std::max<std::int64_t>(view.elements - offset, 0);
  }
  view.shape[axis] = count;
  view.strides[axis] *= step;
  return view;
}

Shape shape_of(const TensorView& view) {
  return Shape(view.shape.begin(), view.shape.begin() + view.rank);
}

}  // namespace hipforge::harness
