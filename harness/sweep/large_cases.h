#pragma once

#include "harness/core/case.h"

#include <cstdint>
#include <string>
#include <vector>

/// Cases of the sizes that GPUs are measured at. Their operands stay on the device; the oracle judges samples
/// of the output that are spread over all of it, and every element must be finite (no poison left anywhere).
/// Each carries the floor that the design asks of it.
namespace hipforge::harness {

/// `count` of 0 … size − 1, ascending: the first, the last, and a pseudo-random one out of each equal part
/// between; all of them where size <= count.
[[nodiscard]] std::vector<std::int64_t> spread(std::int64_t size, std::int64_t count, std::uint64_t seed);

/// Row-major indices of all elements of these rows of `row_size` elements.
[[nodiscard]] std::vector<std::int64_t> row_indices(const std::vector<std::int64_t>& rows,
                                                    std::int64_t row_size);

/// Puts `part` behind `whole`: values and bounds of samples that were worked out apart.
void append(Expected& whole, const Expected& part);

/// Compares the elements at `indices` with what they must be, and every element with NaN and infinity. The
/// message and place name the element in the whole output.
[[nodiscard]] Comparison judge_samples(const Rig& rig, const std::string& output,
                                       const std::vector<std::int64_t>& indices, const Expected& expected);

/// op/dtype/large/shape/what.
[[nodiscard]] Case large_case(const std::string& op, DType dtype, const std::string& shape,
                              const std::string& what,
                              std::function<PreparedCase(const CaseEnvironment&)> prepare);

}  // namespace hipforge::harness
