#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::reference {

/// rows [tokens, kv_heads · head_dim]; cache [pages, page_size, kv_heads · head_dim]; block_table [batch,
/// max_pages].
struct KvAppendSizes {
  std::int64_t tokens = 0;
  std::int64_t row = 0;  ///< kv_heads · head_dim
  std::int64_t pages = 0;
  std::int64_t page_size = 0;
  std::int64_t batch = 0;
  std::int64_t max_pages = 0;
};

/// The cache after the append: a sequence's rows become its last tokens. Where an offset is bad the cache is
/// returned as it was; a sequence whose length is bad, and a token whose page is bad, are left out.
[[nodiscard]] std::vector<double> kv_append(std::span<const double> rows, std::span<const double> cache,
                                            std::span<const double> offsets, std::span<const double> kv_lens,
                                            std::span<const double> block_table, const KvAppendSizes& sizes);

}  // namespace hipforge::reference
