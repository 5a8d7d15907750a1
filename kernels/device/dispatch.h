#pragma once

#include "kernels/device/dtype.h"
#include "kernels/device/wave.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/target.h"

#include <cstdint>
#include <type_traits>

namespace hipforge {

/// Most blocks that a launch asks for along x; kernels stride over what is left.
inline constexpr std::int64_t kMaxGrid = 0x7fffffff;

/// Calls visit.template operator()<T>() with the C++ type of a float dtype; returns its Status.
template <class Visit>
Status dispatch_float(const char* op, const char* name, DType dtype, Visit&& visit) {
  switch (dtype) {
    case DType::kF32:
      return visit.template operator()<float>();
    case DType::kF16:
      return visit.template operator()<F16>();
    case DType::kBF16:
      return visit.template operator()<BF16>();
    default:
      return unsupported(op, ": ", name, " has dtype ", dtype_name(dtype), ", supported: f32, f16, bf16");
  }
}

/// Calls visit.template operator()<kWave>() for the target's wave size.
template <class Visit>
Status dispatch_wave(const char* op, const Target& target, Visit&& visit) {
  switch (target.wave) {
    case kWave32:
      return visit.template operator()<kWave32>();
    case kWave64:
      return visit.template operator()<kWave64>();
    default:
      return unsupported(op, ": no kernel for waves of ", target.wave, ", supported: 32, 64");
  }
}

}  // namespace hipforge
