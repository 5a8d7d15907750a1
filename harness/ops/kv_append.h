#pragma once

#include "harness/core/case.h"
#include "reference/kv_append.h"

#include <span>

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kKvAppendBound = R"(
The cache after the append is exact: bound 0.)";

/// Host values of one append, row-major; `rows` and `cache` are both of the keys or both of the values.
struct KvAppendInputs {
  std::span<const double> rows;   ///< [tokens, kv_heads, head_dim]
  std::span<const double> cache;  ///< [pages, page_size, kv_heads, head_dim] before the append
  std::span<const double> offsets;
  std::span<const double> kv_lens;
  std::span<const double> block_table;
  reference::KvAppendSizes sizes;
  DType dtype = DType::kF32;
};

/// The cache after the append, and kKvAppendBound.
[[nodiscard]] Expected kv_append_expected(const KvAppendInputs& inputs, const Target& target);

[[nodiscard]] OpSuite kv_append_suite();

}  // namespace hipforge::harness
