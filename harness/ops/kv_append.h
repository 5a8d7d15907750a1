#pragma once

#include "harness/sweep/metamorphic.h"
#include "kernels/kv_append.h"

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kKvAppendBound = R"(
The cache after the append is exact: bound 0.)";

/// Oracle and kKvAppendBound: k_cache and v_cache.
[[nodiscard]] Oracle<KvAppendParams> expect;

}  // namespace hipforge::harness
