#pragma once

#include "kernels/runtime/status.h"
#include "kernels/runtime/tensor.h"

#include <hip/hip_runtime.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// What the harness asks of operands that are too large to bring to the host: answered on the device.
/// All of them synchronise and throw Error.
namespace hipforge::harness {

/// A sum over all 32-bit words, each weighted by an odd number of its own, modulo 2⁶⁴: any single changed
/// word changes it. `bytes` is a multiple of 4.
[[nodiscard]] std::uint64_t checksum(const void* data, std::size_t bytes, hipStream_t stream);

/// Elements of a contiguous float view that are NaN or infinite.
[[nodiscard]] std::uint64_t count_not_finite(const TensorView& tensor, hipStream_t stream);

/// The bytes of the elements at these offsets (in elements, from `data`), one after the other.
[[nodiscard]] std::vector<std::byte> gather_elements(const TensorView& tensor,
                                                     std::span<const std::int64_t> offsets,
                                                     hipStream_t stream);

}  // namespace hipforge::harness
