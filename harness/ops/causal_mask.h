#pragma once

#include "harness/case.h"

#include <cstdint>

namespace hipforge::harness {

struct CausalMaskInputs {
  std::int64_t q_len = 0;
  std::int64_t kv_len = 0;
  std::int64_t window = 0;
  std::int64_t prefix_len = 0;
  DType dtype = DType::kF32;
};

/// The oracle's mask; every element is exact, so every bound is 0.
[[nodiscard]] Expected causal_mask_expected(const CausalMaskInputs& inputs, const Target& target);

[[nodiscard]] OpSuite causal_mask_suite();

}  // namespace hipforge::harness
