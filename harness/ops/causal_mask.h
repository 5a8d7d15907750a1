#pragma once

#include "harness/core/case.h"

#include <cstdint>

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kCausalMaskBound = R"(
Every element is exactly 0 or −inf: bound 0.)";

struct CausalMaskInputs {
  std::int64_t q_len = 0;
  std::int64_t kv_len = 0;
  std::int64_t window = 0;
  std::int64_t prefix_len = 0;
  DType dtype = DType::kF32;
};

/// Oracle and kCausalMaskBound.
[[nodiscard]] Expected causal_mask_expected(const CausalMaskInputs& inputs, const Target& target);

[[nodiscard]] OpSuite causal_mask_suite();

}  // namespace hipforge::harness
