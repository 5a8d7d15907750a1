#pragma once

#include "kernels/runtime/device_buffer.h"
#include "kernels/runtime/launch.h"
#include "kernels/runtime/operands.h"
#include "kernels/runtime/target.h"
#include "kernels/runtime/tensor.h"

#include <cstddef>
#include <cstdint>

namespace hipforge {

/// An additive attention mask as a tensor of its own. Attention itself never needs one: it masks by index.
///
///   mask[i, j] = 0 where query i sees key j, −inf where not
///   sees  ⇔  j < prefix_len  or  (j ≤ p  and  (window = 0  or  j > p − window)),  p = i + kv_len − q_len
///
/// p is the key beside query i when both are counted from the bottom right. Causal as in
/// Vaswani et al., 2017 (arXiv:1706.03762), section 3.2.3; the sliding window of Beltagy et al.,
/// "Longformer", 2020 (arXiv:2004.05150), section 3.1; the bidirectional prefix of Du et al., "GLM", 2021
/// (arXiv:2103.10360), section 2.1.
///
/// Tensors (strides in elements, last axis contiguous):
///   mask  [q_len, kv_len]   f32, f16, bf16; any row stride that keeps the rows apart
/// Alignment: that of the element; rows at multiples of 16 bytes take 16-byte accesses.
///
/// window: keys that a query sees, its own included; 0 for no limit. prefix_len: keys that every query sees,
/// before the causal part; 0 for none; one past kv_len shows all.
///
/// Nothing is computed in floating point: every element is exactly 0 or −inf. q_len > kv_len: the leading
/// q_len − kv_len rows see the prefix alone. Empty: q_len or kv_len = 0 launches nothing.
///
/// Errors: kInvalidArgument for a rank, shape, stride, size, rows that overlap, a negative window or
/// prefix_len; kUnsupported for a dtype; kHipError from the launch.
///
/// Bound: exact. Bytes: the mask once. FLOPs: none. Deterministic.
struct CausalMaskParams {
  TensorView mask;
  std::int64_t window = 0;
  std::int64_t prefix_len = 0;
};

constexpr const char* op_name(const CausalMaskParams&) {
  return "causal_mask";
}
template <ParamsOf<CausalMaskParams> P, class Visit>
void for_each_operand(P& p, Visit&& visit) {
  visit(OperandRole{"mask", kOut}, p.mask);
}
template <ParamsOf<CausalMaskParams> P, class Visit>
void for_each_scalar(P& p, Visit&& visit) {
  visit("window", p.window);
  visit("prefix_len", p.prefix_len);
}

/// Launches what causal_mask_plan plans for `target`.
[[nodiscard]] Status causal_mask(const CausalMaskParams& params, hipStream_t stream,
                                 const Target& target = kCurrentDevice);

/// What causal_mask would launch on `target`; grid 0 where it would launch nothing.
[[nodiscard]] Status causal_mask_plan(const CausalMaskParams& params, const Target& target, LaunchPlan& plan);

/// Bytes of a contiguous [q_len, kv_len] mask. kInvalidArgument where a size is negative or the product
/// overflows; kUnsupported for a dtype that a mask cannot have. `bytes` is written on success alone.
[[nodiscard]] Status causal_mask_bytes(std::int64_t q_len, std::int64_t kv_len, DType dtype,
                                       std::size_t& bytes);

/// Allocates a contiguous mask and fills it, ordered on `stream`. What the device's free memory cannot hold
/// is refused with kOutOfMemory, both numbers in the message, before anything is allocated; so is, with their
/// own errors, whatever causal_mask and causal_mask_bytes refuse. `buffer` is replaced on success alone.
[[nodiscard]] Status make_causal_mask(std::int64_t q_len, std::int64_t kv_len, DType dtype,
                                      std::int64_t window, std::int64_t prefix_len, hipStream_t stream,
                                      DeviceBuffer& buffer);

}  // namespace hipforge
