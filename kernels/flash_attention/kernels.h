#pragma once

#include "kernels/device/kernel.h"
#include "kernels/flash_attention/depth.h"
#include "kernels/runtime/dtype.h"
#include "kernels/runtime/target.h"

#include <cstddef>
#include <cstdint>

namespace hipforge::flash_attention_detail {

inline constexpr const char* kOp = "flash_attention";

/// A kernel and the shape of its blocks; what a row becomes depends on the kernel alone.
struct KernelChoice {
  KernelEntry entry;
  int threads = 0;    // of a block
  int tile_rows = 0;  // of a block
  bool matrix = false;
  int stages = 1;  // key and value tiles that a block holds at once
  std::size_t shared_bytes = 0;
};

/// Whether the target has the matrix kernel for f16 and bf16. RDNA before its third generation has not:
/// without a matrix unit, tiles for one only cost.
inline bool uses_matrix_kernel(const Target& target, DType dtype) {
  const bool rdna = target.wave == 32 && target.architecture.starts_with("gfx");
  return dtype != DType::kF32 && (!rdna || target.matrix_unit == MatrixUnit::kWmma);
}

/// `rows` is how many rows a sequence and kv head have at most.
Status choose_vector_kernel(const Target& target, DType dtype, std::int64_t head_dim, std::int64_t rows,
                            KernelChoice& choice);
Status choose_mma_kernel(const Target& target, DType dtype, std::int64_t head_dim, std::int64_t rows,
                         KernelChoice& choice);

FlashAttentionDepth vector_reduction_depth(std::int64_t kv_len, std::int64_t head_dim);
FlashAttentionDepth mma_reduction_depth(DType dtype, std::int64_t kv_len, std::int64_t head_dim);

/// Calls visit.template operator()<kHeadDim>() with the smallest tile that holds head_dim.
template <class Visit>
auto dispatch_head_dim(std::int64_t head_dim, Visit&& visit) {
  if (head_dim <= 32) return visit.template operator()<32>();
  if (head_dim <= 64) return visit.template operator()<64>();
  if (head_dim <= 96) return visit.template operator()<96>();
  if (head_dim <= 128) return visit.template operator()<128>();
  return visit.template operator()<256>();
}

}  // namespace hipforge::flash_attention_detail
