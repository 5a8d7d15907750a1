#pragma once

#include <string>

namespace hipforge::harness {

/// HIP source as a compiler of plain C++ takes it, for the cpu platform; lines keep their numbers:
///   kernel<<<grid, block, shared, stream>>>(arguments)   becomes hipLaunchKernelGGL((kernel), ...)
///   extern __shared__ T name[];                          becomes a pointer to the block's dynamic shared memory;
///                                                        outside of functions something that converts to one
/// What stands in comments and literals is left alone, and so is anything that is not of these forms.
[[nodiscard]] std::string rewrite_for_cpu(const std::string& source);

}  // namespace hipforge::harness
