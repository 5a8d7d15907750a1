#include "model_runner/device_values.h"

#include "kernels/device/host_element.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/for_each_element.h"

#include <cstddef>

namespace hipforge::runner {
namespace {

// The view that starts `skipped` elements later.
TensorView from_element(const TensorView& tensor, std::int64_t skipped) {
  TensorView rest = tensor;
  rest.data =
      static_cast<std::byte*>(tensor.data) + static_cast<std::size_t>(skipped) * dtype_size(tensor.dtype);
  rest.elements = tensor.elements - skipped;
  return rest;
}

}  // namespace

TensorView row_range(const TensorView& matrix, std::int64_t first, std::int64_t count) {
  TensorView rows = from_element(matrix, first * matrix.strides[0]);
  rows.shape[0] = count;
  return rows;
}

TensorView column_range(const TensorView& matrix, std::int64_t first, std::int64_t count) {
  TensorView columns = from_element(matrix, first * matrix.strides[1]);
  columns.shape[1] = count;
  return columns;
}

std::vector<double> download_values(const TensorView& tensor) {
  std::vector<double> values(static_cast<std::size_t>(tensor.numel()));
  if (values.empty()) return values;
  const std::size_t size = dtype_size(tensor.dtype);
  std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.extent()) * size);
  HIPFORGE_HIP_CHECK(hipMemcpy(bytes.data(), tensor.data, bytes.size(), hipMemcpyDeviceToHost));
  for_each_element(tensor, [&](std::size_t index, std::size_t offset) {
    values[index] = load_element(tensor.dtype, bytes.data() + offset * size);
  });
  return values;
}

}  // namespace hipforge::runner
