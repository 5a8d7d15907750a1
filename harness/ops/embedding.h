#pragma once

#include "harness/sweep/metamorphic.h"
#include "kernels/embedding.h"

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kEmbeddingBound = R"(
The product's rounding in f32 unless f32 holds it, then the store's unless y's dtype holds the
oracle's value. Where both are absent the copy is exact: bound 0.)";

/// Oracle and kEmbeddingBound: y.
[[nodiscard]] Oracle<EmbeddingParams> expect;

}  // namespace hipforge::harness
