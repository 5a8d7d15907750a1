#pragma once

#include <cstdint>
#include <vector>

namespace hipforge::harness {

/// FNV-1a over the f32 bits of the first 1,000 normals of seed 42, tensor 0.
inline constexpr std::uint64_t kNormalHash = 0x932fecd7dbf93acbull;

/// rocrand_normal's first draw of the generator state that element i of a tensor uses, made in a kernel.
std::vector<float> rocrand_normals(std::int64_t count, std::uint64_t seed, std::uint64_t tensor_id);

}  // namespace hipforge::harness
