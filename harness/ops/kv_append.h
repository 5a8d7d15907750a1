#pragma once

#include "harness/core/case.h"
#include "kernels/kv_append.h"

#include <vector>

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kKvAppendBound = R"(
The cache after the append is exact: bound 0.)";

/// Oracle and kKvAppendBound: k_cache and v_cache.
[[nodiscard]] std::vector<OutputExpectation> expect(const KvAppendParams& part, const HostTensors& host,
                                                    const Target& target, const KvAppendParams& whole);

[[nodiscard]] OpSuite kv_append_suite();

}  // namespace hipforge::harness
