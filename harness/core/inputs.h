#pragma once

#include "kernels/runtime/status.h"
#include "kernels/runtime/tensor.h"

#include <hip/hip_runtime.h>

#include <cstdint>

namespace hipforge::harness {

/// Families of input data. Element i of a tensor depends on (seed, tensor_id, i) alone, i being its row-major
/// index: neither strides nor platform change a bit.
enum class Family {
  kNormal,     ///< scale · N(0, 1)
  kUniform,    ///< uniform in (−scale, scale]
  kPositive,   ///< uniform in (0, scale]
  kOutliers,   ///< normal, one element in 64 multiplied by 20
  kIntegers,   ///< integers in [−8, 8] · scale: products and short sums are exact
  kSubnormal,  ///< below the smallest normal number of the dtype
  kEqual,      ///< every element is scale
  kOneHot,     ///< scale at one index of each innermost row, else 0
  kCancel,     ///< pairs +a, −a(1 + tiny): sums far below their magnitude
};

[[nodiscard]] const char* family_name(Family family);

/// Fills every element of a float view on the device, asynchronously.
/// kUnsupported for a dtype that is not f32, f16 or bf16.
Status fill(const TensorView& tensor, Family family, double scale, std::uint64_t seed,
            std::uint64_t tensor_id, hipStream_t stream);

}  // namespace hipforge::harness
