#pragma once

#include "harness/sweep/metamorphic.h"
#include "kernels/linear.h"

namespace hipforge::harness {

/// The error bound.
inline constexpr const char* kLinearBound = R"(
U·(depth + 1)·(Σ|x·weight| + |bias|) with u = 2⁻²⁴ and the kernel's own depth, because
each term of the sum passes at most depth additions, of which each loses at most u of what it adds (those
of a matrix unit 2·u: they count twice); the products of flushed operands; then the store.
Where all operands are integers and Σ|x·weight| + |bias| stays within 2²⁴ the sum makes no error: y is the
oracle's value rounded once, exactly.)";

/// Oracle and kLinearBound: y.
[[nodiscard]] Oracle<LinearParams> expect;
[[nodiscard]] Relations<LinearParams> linear_metamorphic_cases;

}  // namespace hipforge::harness
