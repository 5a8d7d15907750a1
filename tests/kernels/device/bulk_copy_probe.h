#pragma once

#include "kernels/runtime/status.h"

#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::test {

/// What the probe moves: boxes of 16 rows of 64 elements of 2 bytes from a matrix of `rows` × `columns`, whose
/// rows are `row_elements` apart, to the same place of another, one added to each element; what begins before row or
/// column 0 goes to 0.
struct BulkProbe {
  int rows = 0;
  int columns = 0;
  int row_elements = 0;
  int first_row = 0;  ///< of the first box; may be negative, as the column
  int column = 0;
  int boxes = 0;  ///< one below the other
  bool swizzled = true;
};

/// By a producer warpgroup and a consumer warpgroup round a ring of mbarriers; `out` starts as all bits set.
/// kUnsupported where the device has no copy engine.
Status bulk_copy_probe(const BulkProbe& probe, std::span<const std::uint16_t> in,
                       std::vector<std::uint16_t>& out);

/// C [64, 128] = A [64, depth] · B [128, depth]ᵀ of bf16 by one warpgroup, straight from the boxes that swizzled
/// loads brought, each product while the next boxes come. `depth` is a multiple of 64. kUnsupported as above.
Status bulk_product_probe(int depth, std::span<const float> a, std::span<const float> b,
                          std::vector<float>& c);

}  // namespace hipforge::test
