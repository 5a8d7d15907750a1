#include "reference/kv_append.h"

#include "reference/matrix.h"

namespace hipforge::reference {

std::vector<double> kv_append(std::span<const double> rows, std::span<const double> cache,
                              std::span<const double> offsets, std::span<const double> kv_lens,
                              std::span<const double> block_table, const KvAppendSizes& sizes) {
  const auto as_index = [](double value) { return static_cast<std::int64_t>(value); };
  const auto source = map_matrix(rows, sizes.tokens, sizes.row);
  Matrix slots = map_matrix(cache, sizes.pages * sizes.page_size, sizes.row);
  const auto table = map_matrix(block_table, sizes.batch, sizes.max_pages);
  double previous = 0.0;
  for (double offset : offsets) {
    if (offset < previous || offset > static_cast<double>(sizes.tokens)) return to_std(slots);
    previous = offset;
  }
  for (std::int64_t b = 0; b < sizes.batch; ++b) {
    const auto at = static_cast<std::size_t>(b);
    const std::int64_t length = as_index(kv_lens[at]);
    const std::int64_t end = as_index(offsets[at + 1]);
    const std::int64_t added = end - as_index(offsets[at]);
    if (length < added || length > sizes.max_pages * sizes.page_size) continue;
    // Backwards from the newest token.
    for (std::int64_t back = 1; back <= added; ++back) {
      const std::int64_t token = length - back;
      const std::int64_t page = as_index(table(b, token / sizes.page_size));
      if (page < 0 || page >= sizes.pages) continue;
      slots.row(page * sizes.page_size + token % sizes.page_size) = source.row(end - back);
    }
  }
  return to_std(slots);
}

}  // namespace hipforge::reference
