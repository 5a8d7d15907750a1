#include "harness/check/loose_bounds.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

namespace hipforge::harness {

std::vector<std::string> loose_bounds(const std::vector<CaseRecord>& records) {
  using Key = std::tuple<std::string, std::string, int, std::string>;
  std::vector<Key> order;
  std::map<Key, OutputShare> shares;
  for (const CaseRecord& record : records) {
    if (record.test->metamorphic) continue;  // of two bounds together
    for (const OutputShare& output : record.result.outputs) {
      const Key key{record.test->op, dtype_name(record.test->dtype), record.target.wave, output.output};
      const auto [at, is_new] = shares.emplace(key, output);
      if (is_new) {
        order.push_back(key);
        continue;
      }
      at->second.bounded = at->second.bounded || output.bounded;
      at->second.worst_share = std::max(at->second.worst_share, output.worst_share);
    }
  }
  std::vector<std::string> messages;
  for (const Key& key : order) {
    const OutputShare& share = shares.at(key);
    if (!share.bounded || share.worst_share >= kLooseShare) continue;
    const auto& [op, dtype, wave, output] = key;
    messages.push_back(fmt::format(
        "{} {} wave {}{}{}: no case comes near the bound (worst share {:.4f}, needs {}): it is too loose", op,
        dtype, wave, output.empty() ? "" : ", output ", output, share.worst_share, kLooseShare));
  }
  return messages;
}

}  // namespace hipforge::harness
