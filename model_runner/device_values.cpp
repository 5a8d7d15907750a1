#include "model_runner/device_values.h"

#include "kernels/device/dtype.h"
#include "kernels/runtime/check.h"

#include <array>
#include <cstddef>
#include <cstring>

namespace hipforge::runner {
namespace {

template <class T>
T load(const std::vector<std::byte>& bytes, std::int64_t index) {
  T value;
  std::memcpy(&value, bytes.data() + static_cast<std::size_t>(index) * sizeof(T), sizeof(T));
  return value;
}

double load_value(const std::vector<std::byte>& bytes, DType dtype, std::int64_t index) {
  switch (dtype) {
    case DType::kF32:
      return static_cast<double>(load<float>(bytes, index));
    case DType::kF16:
      return static_cast<double>(to_float(load<F16>(bytes, index)));
    case DType::kBF16:
      return static_cast<double>(to_float(load<BF16>(bytes, index)));
    case DType::kI32:
      return load<std::int32_t>(bytes, index);
    case DType::kU32:
      return load<std::uint32_t>(bytes, index);
    case DType::kU8:
      return load<std::uint8_t>(bytes, index);
  }
  return 0.0;
}

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
  std::vector<double> values;
  const std::int64_t count = tensor.numel();
  if (count == 0) return values;
  std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.extent()) * dtype_size(tensor.dtype));
  HIPFORGE_HIP_CHECK(hipMemcpy(bytes.data(), tensor.data, bytes.size(), hipMemcpyDeviceToHost));
  values.reserve(static_cast<std::size_t>(count));
  std::array<std::int64_t, kMaxRank> index{};
  std::int64_t at = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    values.push_back(load_value(bytes, tensor.dtype, at));
    // The next index, as an odometer turns: the innermost axis first.
    for (int axis = tensor.rank - 1; axis >= 0; --axis) {
      const auto a = static_cast<std::size_t>(axis);
      at += tensor.strides[a];
      if (++index[a] < tensor.shape[a]) break;
      at -= tensor.strides[a] * tensor.shape[a];
      index[a] = 0;
    }
  }
  return values;
}

}  // namespace hipforge::runner
