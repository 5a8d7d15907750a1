#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::reference {

/// scale · table[ids[t], :] in double, row-major [tokens, hidden]; a row of NaN for an id outside [0, vocab).
/// table [vocab, hidden].
[[nodiscard]] std::vector<double> embedding(std::span<const double> table, std::span<const std::int32_t> ids,
                                            std::int64_t vocab, std::int64_t hidden, double scale);

}  // namespace hipforge::reference
