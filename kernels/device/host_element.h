#pragma once

#include "kernels/device/dtype.h"

#include <cstddef>
#include <cstring>
#include <type_traits>

namespace hipforge {

/// One element in the host's memory as a double, whatever its dtype.
inline double load_element(DType dtype, const std::byte* source) {
  const auto as = [source]<class T>(T value) {
    std::memcpy(&value, source, sizeof(T));
    if constexpr (std::is_arithmetic_v<T>) {
      return static_cast<double>(value);
    } else {
      return static_cast<double>(to_float(value));
    }
  };
  switch (dtype) {
    case DType::kF32:
      return as(float{});
    case DType::kF16:
      return as(F16{});
    case DType::kBF16:
      return as(BF16{});
    case DType::kI32:
      return as(std::int32_t{});
    case DType::kU32:
      return as(std::uint32_t{});
    case DType::kU8:
      return as(std::uint8_t{});
  }
  return 0.0;
}

/// Puts a value there that the dtype holds exactly.
inline void store_element(DType dtype, double value, std::byte* destination) {
  const auto put = [destination](auto stored) { std::memcpy(destination, &stored, sizeof(stored)); };
  switch (dtype) {
    case DType::kF32:
      return put(static_cast<float>(value));
    case DType::kF16:
      return put(from_float<F16>(static_cast<float>(value)));
    case DType::kBF16:
      return put(from_float<BF16>(static_cast<float>(value)));
    case DType::kI32:
      return put(static_cast<std::int32_t>(value));
    case DType::kU32:
      return put(static_cast<std::uint32_t>(value));
    case DType::kU8:
      return put(static_cast<std::uint8_t>(value));
  }
}

}  // namespace hipforge
