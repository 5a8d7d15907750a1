#include "harness/check/check_options.h"

#include "harness/system/number.h"

#include <algorithm>

namespace hipforge::harness {

bool parse_shard(const std::string& text, CheckOptions& options) {
  const std::size_t slash = std::min(text.find('/'), text.size() - 1);
  const auto shards = parse_number(text.substr(slash + 1), kAboveZero<std::size_t>);
  if (!shards) return false;
  const auto shard = parse_number<std::size_t>(text.substr(0, slash), {0, *shards - 1});
  if (!shard) return false;
  options.shard = *shard;
  options.shards = *shards;
  return true;
}

}  // namespace hipforge::harness
