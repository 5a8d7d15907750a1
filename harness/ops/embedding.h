#pragma once

#include "harness/core/case.h"

#include <cstdint>
#include <span>

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kEmbeddingBound = R"(
The product's rounding in f32 unless f32 holds it, then the store's unless y's dtype holds the
oracle's value. Where both are absent the copy is exact: bound 0.)";

/// Host values of one lookup; the table row-major and already rounded to its dtype.
struct EmbeddingInputs {
  std::span<const double> table;
  std::span<const std::int32_t> ids;
  std::int64_t vocab = 0;
  std::int64_t hidden = 0;
  double scale = 1.0;
  DType y_dtype = DType::kF32;
};

/// Oracle and kEmbeddingBound.
[[nodiscard]] Expected embedding_expected(const EmbeddingInputs& inputs, const Target& target);

[[nodiscard]] OpSuite embedding_suite();

}  // namespace hipforge::harness
