#pragma once

#include "kernels/runtime/dtype.h"
#include "kernels/runtime/status.h"

#include <span>
#include <vector>

namespace hipforge::test {

/// How the probe's second operand lies in shared memory, and where its first comes from.
enum class ProbeProduct : int {
  kColumns,      ///< A · B with load_b
  kRows,         ///< A · B with load_b_rows
  kAccumulator,  ///< (A · B) rounded to the dtype, · B again, with to_a and load_b_rows
};

/// C [16, 16] of one wave, from row-major A and B [16, 16] (k by n) whose values the dtype holds exactly,
/// added to `start` everywhere.
std::vector<float> matrix_core_product(DType dtype, ProbeProduct product, std::span<const float> a,
                                       std::span<const float> b, float start);

/// The sums of C's rows that every lane group finds by wave_reduce: [16].
std::vector<float> matrix_core_row_sums(DType dtype, std::span<const float> a, std::span<const float> b);

}  // namespace hipforge::test
