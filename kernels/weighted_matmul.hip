#include "kernels/weighted_matmul.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"
#include "kernels/device/vector_io.h"
#include "kernels/weighted_matmul/args.h"
#include "kernels/weighted_matmul/mma.h"
#include "kernels/weighted_matmul/wgmma.h"

#include <algorithm>
#include <cstddef>
#include <type_traits>

namespace hipforge {
// Not an unnamed namespace: the kernels' names must be visible outside.
namespace weighted_matmul_detail {

constexpr int kChunkKeys = 32;                       // keys that are added in order
constexpr int kSpanChunks = kSpanKeys / kChunkKeys;  // chunk sums that are added in order
constexpr int kBlock = 256;

// Prefill: a block makes a tile of kTileRows × kTileCols, a thread kMicro × kMicro of it.
constexpr int kTileRows = 64;
constexpr int kTileCols = 64;
constexpr int kMicro = 4;
// A row of the weights' tile in shared memory; the padding spreads its transposed stores over the banks.
constexpr int kTileRowsPadded = kTileRows + 4;

// Decode: a block makes kFewRows rows, its threads side by side over packs of columns and then over chunks of
// keys.
constexpr int kFewRows = 4;
constexpr int kMaxColumnThreads = 16;
constexpr int kMinColumnThreads = 4;
// Rows per kv head up to which decode's kernel reads the values again for every kFewRows rows.
constexpr std::int64_t kMaxDecodeRows = 16;

// The second and third level of the sum over keys.
template <int kCount>
struct SpanSum {
  float span[kCount];
  float total[kCount];

  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < kCount; ++i) span[i] = total[i] = 0.0f;
  }
  // Takes the sum of one chunk.
  __device__ void add(int i, float chunk) {
    span[i] += chunk;
  }
  // After chunk number `chunk` was added.
  __device__ void close(std::int64_t chunk) {
    if (chunk % kSpanChunks != kSpanChunks - 1) return;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      total[i] += span[i];
      span[i] = 0.0f;
    }
  }
  __device__ float result(int i) const {
    return total[i] + span[i];
  }
};

// What a thread of the tiled kernel does with two staged tiles: sums[r, c] = Σ_k weights[k, row + r] ·
// values[k, col + c] over one chunk of keys, in order. A matrix unit's product takes its place with the same
// three members.
struct PortableTileProduct {
  static constexpr int kSums = kMicro * kMicro;

  // First row and column, within the tile, of this thread's part.
  __device__ static int row() { return static_cast<int>(threadIdx.x) / (kTileCols / kMicro) * kMicro; }
  __device__ static int col() { return static_cast<int>(threadIdx.x) % (kTileCols / kMicro) * kMicro; }

  __device__ static void multiply(const float* weights, const float* values, float (&sums)[kSums]) {
    const float* weights_part = weights + row();
    const float* values_part = values + col();
#pragma unroll
    for (int i = 0; i < kSums; ++i) sums[i] = 0.0f;
#pragma unroll 8
    for (int k = 0; k < kChunkKeys; ++k) {
      float left[kMicro];
      float right[kMicro];
      load_pack<kMicro>(weights_part + k * kTileRowsPadded, left);
      load_pack<kMicro>(values_part + k * kTileCols, right);
#pragma unroll
      for (int r = 0; r < kMicro; ++r) {
#pragma unroll
        for (int c = 0; c < kMicro; ++c) {
          sums[r * kMicro + c] = fmaf(left[r], right[c], sums[r * kMicro + c]);
        }
      }
    }
  }
};

// Many rows: tiles of weights (transposed) and values are staged in shared memory, chunk by chunk. Keys, rows
// and columns past the end are staged as 0.
template <class T, int kWave, class Product>
__device__ void weighted_matmul_tiled_kernel(const WeightedMatmulArgs& args) {
  static_assert(kTileRows * kChunkKeys == kBlock * kPack && kTileCols * kChunkKeys == kBlock * kPack,
                "a thread stages one pack of either tile");
  static_assert(kTileRows * kTileCols == kBlock * kMicro * kMicro, "the threads' parts cover the tile");
  HIP_DYNAMIC_SHARED(float, shared)
  float* weights_tile = shared;                                // [kChunkKeys, kTileRowsPadded]
  float* values_tile = shared + kChunkKeys * kTileRowsPadded;  // [kChunkKeys, kTileCols]
  constexpr int kPacksOfWeightsRow = kChunkKeys / kPack;
  constexpr int kPacksOfValuesRow = kTileCols / kPack;
  const int thread = static_cast<int>(threadIdx.x);
  const int load_row_at = thread / kPacksOfWeightsRow;
  const int load_key_at = thread % kPacksOfWeightsRow * kPack;
  const int value_key_at = thread / kPacksOfValuesRow;
  const int value_col_at = thread % kPacksOfValuesRow * kPack;
  const std::int64_t rows = args.group * args.q_len;
  const std::int64_t chunks = (args.kv_len + kChunkKeys - 1) / kChunkKeys;

  for (std::int64_t tile = blockIdx.x; tile < args.tiles; tile += gridDim.x) {
    const TilePlace place = find_tile(args, tile, kTileRows, kTileCols);
    // Without keys there may be no memory to point into.
    const bool loads_row = chunks > 0 && place.row + load_row_at < rows;
    const T* weights = loads_row ? weights_row<T>(args, place, place.row + load_row_at) : nullptr;
    const T* values = chunks > 0 ? values_head<T>(args, place) + place.col + value_col_at : nullptr;
    const std::int64_t value_cols = args.head_dim - place.col - value_col_at;

    SpanSum<Product::kSums> sum;
    sum.clear();
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      const std::int64_t key = chunk * kChunkKeys;
      float weights_pack[kPack] = {};
      float values_pack[kPack] = {};
      const std::int64_t keys = args.kv_len - key - load_key_at;
      if (loads_row && keys > 0)
        load_row(weights + key + load_key_at, keys, args.vector_weights != 0, weights_pack);
      if (key + value_key_at < args.kv_len && value_cols > 0) {
        load_row(values + (key + value_key_at) * args.values_strides[1], value_cols, args.vector_values != 0,
                 values_pack);
      }
      __syncthreads();  // the chunk before has been read
#pragma unroll
      for (int i = 0; i < kPack; ++i)
        weights_tile[(load_key_at + i) * kTileRowsPadded + load_row_at] = weights_pack[i];
      store_pack(values_tile + value_key_at * kTileCols + value_col_at, values_pack);
      __syncthreads();
      float sums[Product::kSums];
      Product::multiply(weights_tile, values_tile, sums);
#pragma unroll
      for (int i = 0; i < Product::kSums; ++i) sum.add(i, sums[i]);
      sum.close(chunk);
    }

    const std::int64_t col = place.col + Product::col();
    const std::int64_t left = args.head_dim - col;
#pragma unroll
    for (int r = 0; r < kMicro; ++r) {
      const std::int64_t row = place.row + Product::row() + r;
      if (row >= rows || left <= 0) continue;
      float results[kMicro];
#pragma unroll
      for (int c = 0; c < kMicro; ++c) results[c] = sum.result(r * kMicro + c);
      store_row(out_row<T>(args, place, row) + col, left, args.vector_out != 0, results);
    }
  }
}

// Few rows: every group of threads adds one chunk of keys for all columns of the tile, then the chunk sums
// are added in the order of the keys, as the tiled kernel adds them.
template <class T, int kWave>
__device__ void weighted_matmul_decode_kernel(const WeightedMatmulArgs& args) {
  HIP_DYNAMIC_SHARED(float, chunk_sums)  // [groups, kFewRows, tile_cols]
  const int tile_cols = args.column_threads * kPack;
  const int tile_size = kFewRows * tile_cols;
  const int groups = kBlock / args.column_threads;
  const int thread = static_cast<int>(threadIdx.x);
  const int group = thread / args.column_threads;
  const int col_at = thread % args.column_threads * kPack;
  const std::int64_t rows = args.group * args.q_len;
  const std::int64_t chunks = (args.kv_len + kChunkKeys - 1) / kChunkKeys;
  // Sums of the tile that a thread adds up and stores: at most two.
  constexpr int kOwned = kFewRows * kMaxColumnThreads * kPack / kBlock;

  for (std::int64_t tile = blockIdx.x; tile < args.tiles; tile += gridDim.x) {
    const TilePlace place = find_tile(args, tile, kFewRows, tile_cols);
    const T* weights[kFewRows];
#pragma unroll
    for (int r = 0; r < kFewRows; ++r) {
      const bool inside = chunks > 0 && place.row + r < rows;
      weights[r] = inside ? weights_row<T>(args, place, place.row + r) : nullptr;
    }
    const T* values = chunks > 0 ? values_head<T>(args, place) + place.col + col_at : nullptr;
    const std::int64_t value_cols = args.head_dim - place.col - col_at;
    bool owned[kOwned];
#pragma unroll
    for (int i = 0; i < kOwned; ++i) {
      const int at = thread + i * kBlock;
      owned[i] =
          at < tile_size && place.row + at / tile_cols < rows && place.col + at % tile_cols < args.head_dim;
    }

    SpanSum<kOwned> sum;
    sum.clear();
    for (std::int64_t first = 0; first < chunks; first += groups) {
      const std::int64_t chunk = first + group;
      if (chunk < chunks && value_cols > 0) {
        float sums[kFewRows][kPack] = {};
        const auto add_key = [&](const float(&left)[kFewRows], const float(&right)[kPack]) {
#pragma unroll
          for (int r = 0; r < kFewRows; ++r) {
#pragma unroll
            for (int c = 0; c < kPack; ++c) sums[r][c] = fmaf(left[r], right[c], sums[r][c]);
          }
        };
        const std::int64_t end =
            (chunk + 1) * kChunkKeys < args.kv_len ? (chunk + 1) * kChunkKeys : args.kv_len;
        const bool whole_packs = args.vector_weights != 0 && args.vector_values != 0 && value_cols >= kPack;
        std::int64_t key = chunk * kChunkKeys;
        for (; whole_packs && key + kPack <= end; key += kPack) {
          float packs[kFewRows][kPack] = {};
#pragma unroll
          for (int r = 0; r < kFewRows; ++r) {
            if (weights[r] != nullptr) load_pack(weights[r] + key, packs[r]);
          }
#pragma unroll
          for (int k = 0; k < kPack; ++k) {
            float left[kFewRows];
            float right[kPack];
#pragma unroll
            for (int r = 0; r < kFewRows; ++r) left[r] = packs[r][k];
            load_pack(values + (key + k) * args.values_strides[1], right);
            add_key(left, right);
          }
        }
        for (; key < end; ++key) {
          float left[kFewRows];
          float right[kPack];
#pragma unroll
          for (int r = 0; r < kFewRows; ++r)
            left[r] = weights[r] == nullptr ? 0.0f : to_float(weights[r][key]);
          load_row(values + key * args.values_strides[1], value_cols, args.vector_values != 0, right);
          add_key(left, right);
        }
#pragma unroll
        for (int r = 0; r < kFewRows; ++r)
          store_pack(chunk_sums + group * tile_size + r * tile_cols + col_at, sums[r]);
      }
      __syncthreads();
      for (int g = 0; g < groups && first + g < chunks; ++g) {
#pragma unroll
        for (int i = 0; i < kOwned; ++i) {
          if (owned[i]) sum.add(i, chunk_sums[g * tile_size + thread + i * kBlock]);
        }
        sum.close(first + g);
      }
      __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < kOwned; ++i) {
      if (!owned[i]) continue;
      const int at = thread + i * kBlock;
      T* out = out_row<T>(args, place, place.row + at / tile_cols) + place.col;
      out[at % tile_cols] = from_float<T>(sum.result(i));
    }
  }
}

// Two stages, 64 KiB and few registers suit every GPU.
template <int kWave>
using SmallTile = MmaTile<64, 64, 32, 32, kWave, 2, kWave>;
template <int kWave>
using WideTile = MmaTile<128, 128, 32, kWave, 64, 2, kWave>;
// A warpgroup has one kernel for all, because its sums may have other bits than those of a wave.
using LargeTile = WgmmaTile<6>;

template <class T, int kWave>
inline constexpr KernelEntry kDecodeEntry{};
template <class T, int kWave, class Product>
inline constexpr KernelEntry kTiledEntry{};
template <class T, class Tile, bool kAlignedOnly>
inline constexpr KernelEntry kMmaEntry{};
template <class T, class Tile>
inline constexpr KernelEntry kWgmmaEntry{};

#define WEIGHTED_MATMUL_FMA(T, WAVE)                                                                \
  HIPFORGE_WAVE_KERNEL(WAVE, kDecodeEntry, (T, WAVE), weighted_matmul_##T##_w##WAVE##_decode_4,     \
                       weighted_matmul_decode_kernel, WeightedMatmulArgs, kBlock)                   \
  HIPFORGE_WAVE_KERNEL(WAVE, kTiledEntry, (T, WAVE, PortableTileProduct),                           \
                       weighted_matmul_##T##_w##WAVE##_tile_64x64x32, weighted_matmul_tiled_kernel, \
                       WeightedMatmulArgs, kBlock)
#define WEIGHTED_MATMUL_MMA(KERNEL, T, WAVE, TILE, SIZES, ALIGNED_ONLY)                              \
  KERNEL(WAVE, kMmaEntry, (T, TILE<WAVE>, ALIGNED_ONLY), weighted_matmul_##T##_w##WAVE##_mma##SIZES, \
         weighted_matmul_mma_kernel, WeightedMatmulArgs, TILE<WAVE>::kThreads)
#define WEIGHTED_MATMUL_MMAS(T)                                                                            \
  WEIGHTED_MATMUL_MMA(HIPFORGE_WAVE_KERNEL, T, 32, SmallTile, 64x64x32_s2, false)                          \
  WEIGHTED_MATMUL_MMA(HIPFORGE_WAVE_KERNEL, T, 64, SmallTile, 64x64x32_s2, false)                          \
  WEIGHTED_MATMUL_MMA(HIPFORGE_MATRIX_UNIT_KERNEL, T, 32, WideTile, 128x128x32_s2, true)                   \
  WEIGHTED_MATMUL_MMA(HIPFORGE_MATRIX_UNIT_KERNEL, T, 64, WideTile, 128x128x32_s2, true)                   \
  HIPFORGE_LARGE_SHARED_KERNEL(32, kWgmmaEntry, (T, LargeTile),                                            \
                               weighted_matmul_##T##_w32_wgmma128x128x64_s6, weighted_matmul_wgmma_kernel, \
                               WeightedMatmulArgs, LargeTile::kThreads)

WEIGHTED_MATMUL_FMA(f32, 32)
WEIGHTED_MATMUL_FMA(f32, 64)
WEIGHTED_MATMUL_MMAS(f16)
WEIGHTED_MATMUL_MMAS(bf16)

}  // namespace weighted_matmul_detail

namespace {

using namespace weighted_matmul_detail;

constexpr const char* kOp = "weighted_matmul";

Status check_params(const WeightedMatmulParams& params) {
  const Dim batch{params.weights.shape[0], "batch of weights"};
  const Dim q_heads{params.weights.shape[1], "q_heads of weights"};
  const Dim q_len{params.weights.shape[2], "q_len of weights"};
  const Dim kv_len{params.weights.shape[3], "kv_len of weights"};
  const Dim kv_heads{params.values.shape[2], "kv_heads of values"};
  const Dim head_dim{params.values.shape[3], "head_dim of values"};
  const DType dtype = params.weights.dtype;
  HIPFORGE_TRY(check_operands(kOp, params,
                              {{"weights", {batch, q_heads, q_len, kv_len}, kFloats},
                               {"values", {batch, kv_len, kv_heads, head_dim}, {dtype}},
                               {"out", {batch, q_len, q_heads, head_dim}, {dtype}}}));
  if (q_heads.size > 0 && (kv_heads.size == 0 || q_heads.size % kv_heads.size != 0)) {
    return invalid_argument(kOp, ": weights have ", q_heads.size, " heads, values ", kv_heads.size,
                            ", needs a multiple of the values' heads");
  }
  return {};
}

// How the output is cut into blocks' tiles, and who makes them.
struct Tiling {
  KernelEntry entry;
  int rows = 0;
  int cols = 0;
  int threads = 0;
  std::size_t shared_bytes = 0;
  int column_threads = 0;
};

// Query heads of a kv head.
std::int64_t group_of(const WeightedMatmulParams& params) {
  return params.weights.shape[1] / params.values.shape[2];
}

template <int kWave>
Tiling fma_tiling(const WeightedMatmulParams& params) {
  Tiling tiling;
  tiling.threads = kBlock;
  if (group_of(params) * params.weights.shape[2] > kMaxDecodeRows) {
    tiling.entry = kTiledEntry<float, kWave, PortableTileProduct>;
    tiling.rows = kTileRows;
    tiling.cols = kTileCols;
    tiling.shared_bytes = kChunkKeys * (kTileRowsPadded + kTileCols) * sizeof(float);
    return tiling;
  }
  tiling.entry = kDecodeEntry<float, kWave>;
  tiling.column_threads = kMinColumnThreads;
  while (tiling.column_threads < kMaxColumnThreads && tiling.column_threads * kPack < params.out.shape[3]) {
    tiling.column_threads *= 2;
  }
  tiling.rows = kFewRows;
  tiling.cols = tiling.column_threads * kPack;
  tiling.shared_bytes = kBlock * kPack * kFewRows * sizeof(float);
  return tiling;
}

template <class Tile>
Tiling tiling_of(const KernelEntry& entry) {
  return {entry, Tile::kRows, Tile::kColumns, Tile::kThreads, Tile::kSharedBytes, 0};
}

// Whichever of the tiles of one target makes an element, its bits are the same.
template <class T, int kWave>
Tiling mma_tiling(const WeightedMatmulParams& params, const Target& target) {
  using Small = SmallTile<kWave>;
  using Wide = WideTile<kWave>;
  if (target.matrix_unit == MatrixUnit::kWgmma) return tiling_of<LargeTile>(kWgmmaEntry<T, LargeTile>);
  const bool fills_wide =
      group_of(params) * params.weights.shape[2] >= Wide::kRows && params.out.shape[3] > Small::kColumns;
  if (target.matrix_unit != MatrixUnit::kNone && fills_wide && rows_are_aligned(params.weights, kPack) &&
      rows_are_aligned(params.values, kPack)) {
    return tiling_of<Wide>(kMmaEntry<T, Wide, true>);
  }
  return tiling_of<Small>(kMmaEntry<T, Small, false>);
}

Status choose_tiling(const WeightedMatmulParams& params, const Target& target, Tiling& tiling) {
  return dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_float(kOp, "weights", params.weights.dtype, [&]<class T>() -> Status {
      if (params.out.numel() == 0) return {};
      if constexpr (std::is_same_v<T, float>) {
        tiling = fma_tiling<kWave>(params);
      } else {
        tiling = mma_tiling<T, kWave>(params, target);
      }
      return {};
    });
  });
}

WeightedMatmulArgs make_args(const WeightedMatmulParams& params, const Tiling& tiling) {
  WeightedMatmulArgs args{};
  args.weights = params.weights.data;
  args.values = params.values.data;
  args.out = params.out.data;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    args.weights_strides[axis] = params.weights.strides[axis];
    args.values_strides[axis] = params.values.strides[axis];
    args.out_strides[axis] = params.out.strides[axis];
  }
  args.batch = params.weights.shape[0];
  args.q_len = params.weights.shape[2];
  args.kv_len = params.weights.shape[3];
  args.kv_heads = params.values.shape[2];
  args.group = group_of(params);
  args.head_dim = params.out.shape[3];
  args.row_tiles = ceil_div(args.group * args.q_len, tiling.rows);
  args.col_tiles = ceil_div(args.head_dim, tiling.cols);
  args.tiles = args.batch * args.kv_heads * args.row_tiles * args.col_tiles;
  args.column_threads = tiling.column_threads;
  args.vector_weights = rows_are_aligned(params.weights, kPack);
  args.vector_values = rows_are_aligned(params.values, kPack);
  args.vector_out = rows_are_aligned(params.out, params.out.dtype == DType::kF32 ? kMicro : kPack);
  return args;
}

Status plan_launch(const WeightedMatmulParams& params, const Target& target, LaunchPlan& plan,
                   WeightedMatmulArgs& args) {
  HIPFORGE_TRY(check_params(params));
  Tiling tiling;
  HIPFORGE_TRY(choose_tiling(params, target, tiling));
  if (tiling.threads > 0) args = make_args(params, tiling);
  plan = make_plan(tiling.entry, args.tiles, tiling.threads, tiling.shared_bytes);
  return {};
}

}  // namespace

std::int64_t weighted_matmul_reduction_depth(DType dtype, std::int64_t kv_len, const Target& target) {
  const std::int64_t spans = ceil_div(kv_len, kSpanKeys);
  // The first addition of each level, to 0, is exact.
  const auto additions = [](std::int64_t terms) { return std::max<std::int64_t>(terms - 1, 0); };
  if (dtype != DType::kF32) {
    // A matrix unit may truncate each of its additions, those to 0 too, where their terms are aligned.
    const std::int64_t keys = std::min<std::int64_t>(kv_len, kSpanKeys);
    const std::int64_t span =
        target.matrix_unit == MatrixUnit::kNone ? additions(keys) : 2 * kMmaDepth * ceil_div(keys, kMmaDepth);
    return span + additions(spans);
  }
  const std::int64_t chunks = ceil_div(kv_len, kChunkKeys);
  return additions(std::min<std::int64_t>(kv_len, kChunkKeys)) +
         additions(std::min<std::int64_t>(chunks, kSpanChunks)) + additions(spans);
}

Status weighted_matmul_plan(const WeightedMatmulParams& params, const Target& target, LaunchPlan& plan) {
  WeightedMatmulArgs args{};
  return plan_launch(params, target, plan, args);
}

Status weighted_matmul(const WeightedMatmulParams& params, hipStream_t stream, const Target& target) {
  WeightedMatmulArgs args{};
  return launch_op(
      params, stream, target,
      [&](const WeightedMatmulParams&, const Target& planned, LaunchPlan& plan) {
        return plan_launch(params, planned, plan, args);
      },
      [&](const WeightedMatmulParams&, const LaunchPlan&) { return args; });
}

}  // namespace hipforge
