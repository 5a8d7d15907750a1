#pragma once

#include "kernels/runtime/for_each_element.h"
#include "kernels/runtime/operands.h"
#include "kernels/runtime/tensor.h"

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace hipforge::harness {

using Shape = std::vector<std::int64_t>;

/// One tensor's values on the host, row-major, as doubles, rounded to its dtype.
struct HostTensor {
  DType dtype = DType::kF32;
  Shape shape;
  std::vector<double> values;
};

/// The tensors of one launch as they were before it, by the names of for_each_operand. Each is fetched when
/// it is first asked for, so that an oracle which needs a few rows of a table reads no more of it.
class HostTensors {
 public:
  /// Row-major values of a view into an operand.
  using Fetch = std::function<std::vector<double>(const TensorView&)>;

  template <class Params>
  HostTensors(const Params& params, Fetch fetch) : fetch_(std::move(fetch)) {
    for_each_operand(params, [&](const OperandRole& role, const TensorView& view) {
      if (view.present()) views_.emplace(role.name, view);
    });
  }

  /// Throws Error{kInvalidArgument} for a tensor that the launch does not have.
  [[nodiscard]] const HostTensor& operator[](const std::string& name) const;
  /// Its values; empty where the launch does not have it.
  [[nodiscard]] std::span<const double> values(const std::string& name) const;
  /// Indices [first, first + count) of its outermost axis, fetched anew each time.
  [[nodiscard]] HostTensor rows(const std::string& name, std::int64_t first, std::int64_t count) const;

 private:
  const TensorView& view(const std::string& name) const;

  Fetch fetch_;
  std::map<std::string, TensorView> views_;
  mutable std::map<std::string, HostTensor> fetched_;
};

/// Least traffic of a launch: every tensor read once, every output written once, whole views.
template <class Params>
[[nodiscard]] std::int64_t moved_bytes(const Params& params) {
  std::int64_t bytes = 0;
  for_each_operand(params, [&](const OperandRole& role, const TensorView& view) {
    if (!view.present()) return;
    const std::int64_t times = (role.in() ? 1 : 0) + (role.out() ? 1 : 0);
    bytes += times * view.numel() * static_cast<std::int64_t>(dtype_size(view.dtype));
  });
  return bytes;
}

/// `count` indices of an axis from `first` on, `step` apart.
[[nodiscard]] TensorView slice_axis(TensorView view, std::size_t axis, std::int64_t first, std::int64_t count,
                                    std::int64_t step = 1);

/// A view's shape as a Shape.
[[nodiscard]] Shape shape_of(const TensorView& view);

}  // namespace hipforge::harness
