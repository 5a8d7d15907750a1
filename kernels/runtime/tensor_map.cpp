#include "kernels/runtime/tensor_map.h"

#include "kernels/runtime/check.h"

#include <algorithm>

#if defined(HIPFORGE_PLATFORM_NVIDIA)
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstring>
#endif

namespace hipforge {
namespace {

constexpr std::uint64_t kAlignment = 16;
constexpr std::uint64_t kMaxExtent = std::uint64_t{1} << 32;
constexpr std::uint64_t kMaxStride = (std::uint64_t{1} << 40) - 1;
constexpr std::uint32_t kMaxBox = 256;
constexpr std::uint64_t kSwizzleBytes = 128;

Status check(const TensorMapParams& params) {
  const std::size_t rank = params.extents.size();
  const auto unsupported = [](const auto&... parts) {
    return failure(StatusCode::kUnsupported, "tensor map: ", parts...);
  };
  if (rank < 2 || rank > 5 || params.strides.size() + 1 != rank || params.box.size() != rank) {
    return unsupported(rank, " extents, ", params.strides.size(), " strides and ", params.box.size(),
                       " sides of a box; supported: 2 to 5 extents, one stride less, as many sides");
  }
  if (params.element_bytes != 1 && params.element_bytes != 2 && params.element_bytes != 4) {
    return unsupported("elements of ", params.element_bytes, " bytes, supported: 1, 2, 4");
  }
  if (params.base == nullptr || reinterpret_cast<std::uintptr_t>(params.base) % kAlignment != 0) {
    return unsupported("the tensor starts at ", params.base, ", which is not a multiple of ", kAlignment);
  }
  for (std::size_t i = 0; i < rank; ++i) {
    if (params.extents[i] == 0 || params.extents[i] > kMaxExtent) {
      return unsupported("extent ", i, " is ", params.extents[i], ", supported: 1 to ", kMaxExtent);
    }
    if (params.box[i] == 0 || params.box[i] > kMaxBox) {
      return unsupported("side ", i, " of the box is ", params.box[i], ", supported: 1 to ", kMaxBox);
    }
    if (i > 0 && (params.strides[i - 1] % kAlignment != 0 || params.strides[i - 1] > kMaxStride)) {
      return unsupported("the stride of dimension ", i, " is ", params.strides[i - 1],
                         " bytes, supported: multiples of ", kAlignment, " up to ", kMaxStride);
    }
  }
  // A store that ends within 16 bytes of a row writes all of them.
  if (params.extents[0] * params.element_bytes % kAlignment != 0) {
    return unsupported("a row of the tensor has ", params.extents[0] * params.element_bytes,
                       " bytes, supported: multiples of ", kAlignment);
  }
  const std::uint64_t row = params.box[0] * params.element_bytes;
  if (row % kAlignment != 0 || (params.swizzled && row != kSwizzleBytes)) {
    return unsupported("a row of the box has ", row, " bytes, supported: ",
                       params.swizzled ? "128 where it is swizzled" : "multiples of 16");
  }
  return {};
}

#if defined(HIPFORGE_PLATFORM_NVIDIA)

using Encode = decltype(&cuTensorMapEncodeTiled);

// The driver's function by its name, so that nothing links against the driver.
Encode find_encode() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
#if CUDART_VERSION >= 12050
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found);
#else
  const cudaError_t error =
      cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &function, cudaEnableDefault, &found);
#endif
  if (error != cudaSuccess) (void)cudaGetLastError();
  return error == cudaSuccess && found == cudaDriverEntryPointSuccess ? reinterpret_cast<Encode>(function)
                                                                      : nullptr;
}

Status encode(const TensorMapParams& params, TensorMap& map) {
  static const Encode encode_tiled = find_encode();
  if (encode_tiled == nullptr) {
    return failure(StatusCode::kUnsupported, "tensor map: the driver has no cuTensorMapEncodeTiled");
  }
  const CUtensorMapDataType type = params.element_bytes == 1   ? CU_TENSOR_MAP_DATA_TYPE_UINT8
                                   : params.element_bytes == 2 ? CU_TENSOR_MAP_DATA_TYPE_UINT16
                                                               : CU_TENSOR_MAP_DATA_TYPE_UINT32;
  constexpr cuuint32_t kNeighbours[5] = {1, 1, 1, 1, 1};
  cuuint64_t extents[5]{};
  cuuint64_t strides[4]{};
  std::copy(params.extents.begin(), params.extents.end(), extents);
  std::copy(params.strides.begin(), params.strides.end(), strides);
  CUtensorMap encoded;
  const CUresult result = encode_tiled(
      &encoded, type, static_cast<cuuint32_t>(params.extents.size()), const_cast<void*>(params.base), extents,
      strides, params.box.data(), kNeighbours, CU_TENSOR_MAP_INTERLEAVE_NONE,
      params.swizzled ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_NONE,
      CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    return failure(StatusCode::kUnsupported, "tensor map: cuTensorMapEncodeTiled returned ",
                   static_cast<int>(result));
  }
  static_assert(sizeof(encoded) == sizeof(map.words));
  std::memcpy(map.words, &encoded, sizeof(encoded));
  return {};
}

#elif defined(HIPFORGE_PLATFORM_CPU)

Status encode(const TensorMapParams& params, TensorMap& map) {
  map = TensorMap{};
  cpu::TensorShape& shape = map.shape;
  shape.base = const_cast<void*>(params.base);
  std::copy(params.extents.begin(), params.extents.end(), shape.extents);
  shape.strides[0] = params.element_bytes;
  std::copy(params.strides.begin(), params.strides.end(), shape.strides + 1);
  std::copy(params.box.begin(), params.box.end(), shape.box);
  shape.rank = static_cast<std::uint16_t>(params.extents.size());
  shape.element_bytes = static_cast<std::uint8_t>(params.element_bytes);
  shape.swizzled = params.swizzled ? 1 : 0;
  return {};
}

#else

Status encode(const TensorMapParams&, TensorMap&) {
  return failure(StatusCode::kUnsupported, "tensor map: there is no copy engine on this platform");
}

#endif

}  // namespace

Status make_tensor_map(const TensorMapParams& params, TensorMap& map) {
  HIPFORGE_TRY(check(params));
  return encode(params, map);
}

}  // namespace hipforge
