#pragma once

#include <cstdint>
#include <vector>

namespace hipforge::reference {

/// The additive mask [q_len, kv_len], row-major: 0 where query i sees key j, −inf where not. window 0: no
/// limit.
[[nodiscard]] std::vector<double> causal_mask(std::int64_t q_len, std::int64_t kv_len, std::int64_t window,
                                              std::int64_t prefix_len);

}  // namespace hipforge::reference
