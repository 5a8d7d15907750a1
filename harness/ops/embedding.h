#pragma once

#include "harness/core/case.h"
#include "kernels/embedding.h"

#include <vector>

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kEmbeddingBound = R"(
The product's rounding in f32 unless f32 holds it, then the store's unless y's dtype holds the
oracle's value. Where both are absent the copy is exact: bound 0.)";

/// Oracle and kEmbeddingBound: y.
[[nodiscard]] std::vector<OutputExpectation> expect(const EmbeddingParams& part, const HostTensors& host,
                                                    const Target& target, const EmbeddingParams& whole);

[[nodiscard]] OpSuite embedding_suite();

}  // namespace hipforge::harness
