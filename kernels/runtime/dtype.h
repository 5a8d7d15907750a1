#pragma once

#include <cstddef>

namespace hipforge {

/// Element types of tensors. Activations and weights are kF32, kF16 or kBF16; indices are kI32.
enum class DType : unsigned char { kF32, kF16, kBF16, kI32, kU32, kU8 };

/// "f32", "f16", "bf16", "i32", "u32", "u8".
[[nodiscard]] constexpr const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "f32";
    case DType::kF16:
      return "f16";
    case DType::kBF16:
      return "bf16";
    case DType::kI32:
      return "i32";
    case DType::kU32:
      return "u32";
    case DType::kU8:
      return "u8";
  }
  return "unknown";
}

/// Bytes of one element.
[[nodiscard]] constexpr std::size_t dtype_size(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kI32:
    case DType::kU32:
      return 4;
    case DType::kF16:
    case DType::kBF16:
      return 2;
    case DType::kU8:
      return 1;
  }
  return 0;
}

[[nodiscard]] constexpr bool dtype_is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

}  // namespace hipforge
