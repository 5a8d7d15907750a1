#pragma once

#include "harness/case.h"

#include <cstdint>
#include <span>

namespace hipforge::harness {

/// Host values of one lookup; the table row-major and already rounded to its dtype.
struct EmbeddingInputs {
  std::span<const double> table;
  std::span<const std::int32_t> ids;
  std::int64_t vocab = 0;
  std::int64_t hidden = 0;
  double scale = 1.0;
  DType table_dtype = DType::kF32;
  DType y_dtype = DType::kF32;
};

/// Oracle and bound: the product's rounding in f32 unless scale is 1, then the store's unless y holds every
/// f32 or the product was exact and y has the table's dtype. Where both are absent the copy is exact: bound
/// 0.
[[nodiscard]] Expected embedding_expected(const EmbeddingInputs& inputs, const Target& target);

[[nodiscard]] OpSuite embedding_suite();

}  // namespace hipforge::harness
