#include "kernels/linear.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"
#include "kernels/device/reduce.h"
#include "kernels/device/vector_io.h"
#include "kernels/linear/args.h"
#include "kernels/linear/mma.h"
#include "kernels/linear/wgmma.h"

#include <algorithm>
#include <type_traits>

namespace hipforge {
// Not an unnamed namespace: the kernels' names must be visible outside.
namespace linear_detail {

constexpr int kPartials = 4;  // running sums of a lane and output: independent chains, and one host vector
constexpr int kColumns = 4;   // columns of y that a group of lanes reduces together
constexpr int kPacksPerLane = 8;         // a group grows until its lanes have no more packs than this
constexpr int kDotThreads = 128;         // threads of a block of the dot kernel
constexpr int kDotRows = 4;              // rows of its tile where there is more than one row
constexpr int kTiledMinRows = 32;        // fewest rows for which a tile of the tiled kernels is worth filling
constexpr std::int64_t kFullGrid = 128;  // fewest large tiles that keep a whole GPU busy

template <class X, class W>
__device__ inline void store_output(const LinearArgs& args, std::int64_t row, std::int64_t column,
                                    float sum) {
  if (args.bias != nullptr) sum += load_bias<W>(args, column);
  const std::int64_t at = row * args.y_stride + column;
  if (args.y_is_f32) {
    static_cast<float*>(args.y)[at] = sum;
  } else {
    static_cast<X*>(args.y)[at] = from_float<X>(sum);
  }
}

// A pack that lies inside its row.
template <bool kAligned>
struct FullPack {
  template <class T>
  __device__ void operator()(const T* source, float (&values)[kPack]) const {
    if constexpr (kAligned) {
      load_pack(source, values);
    } else {
      load_tail(source, kPack, values);
    }
  }
};

// The last pack of a row, 0 past its end.
struct TailPack {
  int count;
  template <class T>
  __device__ void operator()(const T* source, float (&values)[kPack]) const {
    load_tail(source, count, values);
  }
};

// Adds the products of one pack of every row and column. All loads of weights stand before their first use,
// so that they are in flight together: with one row, their latency is the whole cost.
template <int kRows, class X, class W, class Load>
__device__ inline void add_products(const X* const (&x)[kRows], const W* const (&weight)[kColumns],
                                    std::int64_t k, Load load, float (&partial)[kRows][kColumns][kPartials]) {
  float weights[kColumns][kPack];
#pragma unroll
  for (int column = 0; column < kColumns; ++column) load(weight[column] + k, weights[column]);
#pragma unroll
  for (int row = 0; row < kRows; ++row) {
    float values[kPack];
    load(x[row] + k, values);
#pragma unroll
    for (int column = 0; column < kColumns; ++column) {
#pragma unroll
      for (int at = 0; at < kPack; at += kPartials) {
#pragma unroll
        for (int i = 0; i < kPartials; ++i) {
          float& sum = partial[row][column][i];
          sum = fmaf(values[at + i], weights[column][at + i], sum);
        }
      }
    }
  }
}

// A group of lanes makes kRows × kColumns elements of y. Its lanes take the packs of the rows in turn, so
// that each weight is read once for kRows rows, in whole cache lines.
template <int kRows, int kWave, bool kAligned, class X, class W>
__device__ inline void dot_tile(const LinearArgs& args, std::int64_t first_row, std::int64_t first_column) {
  // Past the edge the last row or column is read again, and its result dropped: no lane leaves before a
  // shuffle.
  const X* x[kRows];
#pragma unroll
  for (int row = 0; row < kRows; ++row) {
    const std::int64_t at = first_row + row < args.rows ? first_row + row : args.rows - 1;
    x[row] = static_cast<const X*>(args.x) + at * args.x_stride;
  }
  const W* weight[kColumns];
#pragma unroll
  for (int column = 0; column < kColumns; ++column) {
    const std::int64_t at =
        first_column + column < args.out_features ? first_column + column : args.out_features - 1;
    weight[column] = static_cast<const W*>(args.weight) + at * args.weight_stride;
  }

  const int lane = lane_id<kWave>() & (args.lanes - 1);
  const std::int64_t step = static_cast<std::int64_t>(args.lanes) * kPack;
  float partial[kRows][kColumns][kPartials] = {};
  std::int64_t k = static_cast<std::int64_t>(lane) * kPack;
  for (; k + kPack <= args.in_features; k += step) {
    add_products<kRows>(x, weight, k, FullPack<kAligned>{}, partial);
  }
  if (k < args.in_features) {
    add_products<kRows>(x, weight, k, TailPack{static_cast<int>(args.in_features - k)}, partial);
  }

  const int lanes_per_column = args.lanes / kColumns;
  const std::int64_t column = first_column + lane / lanes_per_column;
#pragma unroll
  for (int row = 0; row < kRows; ++row) {
    float sums[kColumns];
#pragma unroll
    for (int i = 0; i < kColumns; ++i) {
      const float(&parts)[kPartials] = partial[row][i];
      sums[i] = (parts[0] + parts[1]) + (parts[2] + parts[3]);
    }
    const float sum = group_reduce_transposed<kWave>(sums, args.lanes, SumOp{});
    const bool inside = first_row + row < args.rows && column < args.out_features;
    if (inside && lane % lanes_per_column == 0) store_output<X, W>(args, first_row + row, column, sum);
  }
}

// The batch-invariant kernel: the order of additions depends on in_features and the wave alone.
template <class X, class W, int kRows, int kWave>
__device__ void linear_dot_kernel(const LinearArgs& args) {
  const std::int64_t groups = static_cast<int>(blockDim.x) / args.lanes;
  const std::int64_t group = static_cast<int>(threadIdx.x) / args.lanes;
  const std::int64_t block_columns = groups * kColumns;
  const std::int64_t row_tiles = (args.rows + kRows - 1) / kRows;
  const std::int64_t tiles = (args.out_features + block_columns - 1) / block_columns * row_tiles;
  // Neighbouring blocks share their columns, so that later row tiles find the weights in cache.
  for (std::int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const std::int64_t first_row = tile % row_tiles * kRows;
    const std::int64_t first_column = tile / row_tiles * block_columns + group * kColumns;
    if (args.vector_io) {
      dot_tile<kRows, kWave, true, X, W>(args, first_row, first_column);
    } else {
      dot_tile<kRows, kWave, false, X, W>(args, first_row, first_column);
    }
  }
}

// The product of a block's tiles on the vector ALU, for dtypes that matrix cores do not take.
class FmaTileProduct {
 public:
  static constexpr int kRows = 64;
  static constexpr int kColumns = 64;
  static constexpr int kDepth = 32;  // of in_features, per step
  static constexpr int kThreads = 256;
  static constexpr int kElements = kDepth * (kRows + kColumns + 8);  // of shared memory

  // Depth outermost, so that a thread's four rows and four columns are one access each; the padding keeps
  // these aligned and spreads the depths over the banks.
  __device__ static int x_at(int row, int depth) { return depth * (kRows + 4) + row; }
  __device__ static int weight_at(int column, int depth) {
    return kDepth * (kRows + 4) + depth * (kColumns + 4) + column;
  }

  __device__ void multiply(const float* shared) {
#pragma unroll 4
    for (int depth = 0; depth < kDepth; ++depth) {
      float x[kThreadTile];
      float weight[kThreadTile];
      load_pack(shared + x_at(first_row(), depth), x);
      load_pack(shared + weight_at(first_column(), depth), weight);
#pragma unroll
      for (int row = 0; row < kThreadTile; ++row) {
#pragma unroll
        for (int column = 0; column < kThreadTile; ++column) {
          sums_[row][column] = fmaf(x[row], weight[column], sums_[row][column]);
        }
      }
    }
  }

  // visit(row, column, sum) for the elements of the tile that this thread holds.
  template <class Visit>
  __device__ void for_each(Visit visit) const {
#pragma unroll
    for (int row = 0; row < kThreadTile; ++row) {
#pragma unroll
      for (int column = 0; column < kThreadTile; ++column) {
        visit(first_row() + row, first_column() + column, sums_[row][column]);
      }
    }
  }

 private:
  static constexpr int kThreadTile = 4;
  static_assert(kThreads == (kRows / kThreadTile) * (kColumns / kThreadTile));

  __device__ static int first_row() {
    return static_cast<int>(threadIdx.x) / (kColumns / kThreadTile) * kThreadTile;
  }
  __device__ static int first_column() {
    return static_cast<int>(threadIdx.x) % (kColumns / kThreadTile) * kThreadTile;
  }

  float sums_[kThreadTile][kThreadTile] = {};
};

// Copies rows [first, first + kCount) × [k, k + kDepth) of a matrix to shared memory, 0 outside it: x and
// weight are both 0 past in_features, so that nothing there, NaN included, counts.
template <int kCount, class T, class At>
__device__ inline void fill_tile(const T* matrix, std::int64_t stride, std::int64_t first, std::int64_t count,
                                 std::int64_t k, std::int64_t in_features, bool vector_io, float* shared,
                                 At at) {
  constexpr int kPacksPerRow = FmaTileProduct::kDepth / kPack;
  for (int index = static_cast<int>(threadIdx.x); index < kCount * kPacksPerRow;
       index += FmaTileProduct::kThreads) {
    const int row = index / kPacksPerRow;
    const int depth = index % kPacksPerRow * kPack;
    const std::int64_t left = first + row < count ? in_features - k - depth : 0;
    float values[kPack] = {};
    if (left > 0) load_row(matrix + (first + row) * stride + k + depth, left, vector_io, values);
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      shared[at(row, depth + i)] = values[i];
    }
  }
}

// Many rows, any order: tiles of x and weight pass through shared memory.
template <class X, class W>
__device__ void linear_tiled_kernel(const LinearArgs& args) {
  HIP_DYNAMIC_SHARED(float, shared)
  const std::int64_t row_tiles = (args.rows + FmaTileProduct::kRows - 1) / FmaTileProduct::kRows;
  const std::int64_t column_tiles =
      (args.out_features + FmaTileProduct::kColumns - 1) / FmaTileProduct::kColumns;
  const bool vector_io = args.vector_io != 0;
  for (std::int64_t tile = blockIdx.x; tile < row_tiles * column_tiles; tile += gridDim.x) {
    const std::int64_t first_row = tile % row_tiles * FmaTileProduct::kRows;
    const std::int64_t first_column = tile / row_tiles * FmaTileProduct::kColumns;
    FmaTileProduct product;
    for (std::int64_t k = 0; k < args.in_features; k += FmaTileProduct::kDepth) {
      fill_tile<FmaTileProduct::kRows>(static_cast<const X*>(args.x), args.x_stride, first_row, args.rows, k,
                                       args.in_features, vector_io, shared,
                                       [](int row, int depth) { return FmaTileProduct::x_at(row, depth); });
      fill_tile<FmaTileProduct::kColumns>(
          static_cast<const W*>(args.weight), args.weight_stride, first_column, args.out_features, k,
          args.in_features, vector_io, shared,
          [](int column, int depth) { return FmaTileProduct::weight_at(column, depth); });
      __syncthreads();
      product.multiply(shared);
      __syncthreads();  // the next step overwrites the tiles
    }
    product.for_each([&](int row, int column, float sum) {
      if (first_row + row < args.rows && first_column + column < args.out_features) {
        store_output<X, W>(args, first_row + row, first_column + column, sum);
      }
    });
  }
}

// Two stages, 64 KiB and few registers suit every GPU.
template <int kWave>
using SmallTile = MmaTile<64, 64, 32, 32, kWave, 2, kWave>;
template <int kWave>
using WideTile = MmaTile<128, 128, 32, kWave, 64, 2, kWave>;
// For those that have more shared memory, and copy to it asynchronously.
using LargeTile = MmaTile<128, 256, 64, 64, 64, 3, kWave32>;
using SmallWgmmaTile = WgmmaTile<128, 6>;
using LargeWgmmaTile = WgmmaTile<256, 4>;

template <class X, class W, int kRows, int kWave>
inline constexpr KernelEntry kLinearDotEntry{};
template <class X, class W>
inline constexpr KernelEntry kLinearTiledEntry{};
template <class T, class Tile, bool kAlignedOnly>
inline constexpr KernelEntry kLinearMmaEntry{};
template <class T, class Tile>
inline constexpr KernelEntry kLinearWgmmaEntry{};

#define LINEAR_DOT(X, W, ROWS, WAVE)                                                                       \
  HIPFORGE_WAVE_KERNEL(WAVE, kLinearDotEntry, (X, W, ROWS, WAVE), linear_##X##_##W##_w##WAVE##_rows##ROWS, \
                       linear_dot_kernel, LinearArgs, kDotThreads)
#define LINEAR_DOTS(X, W) \
  LINEAR_DOT(X, W, 1, 32) \
  LINEAR_DOT(X, W, 1, 64) \
  LINEAR_DOT(X, W, 4, 32) \
  LINEAR_DOT(X, W, 4, 64)
// Without a wave in the name: nothing in the product depends on it.
#define LINEAR_FMA(X, W)                                                                          \
  HIPFORGE_KERNEL(kLinearTiledEntry, (X, W), linear_##X##_##W##_fma64x64x32, linear_tiled_kernel, \
                  LinearArgs, FmaTileProduct::kThreads)
#define LINEAR_MMA(KERNEL, T, WAVE, TILE, SIZES, ALIGNED_ONLY)                                    \
  KERNEL(WAVE, kLinearMmaEntry, (T, TILE, ALIGNED_ONLY), linear_##T##_##T##_w##WAVE##_mma##SIZES, \
         linear_mma_kernel, LinearArgs, TILE::kThreads)
#define LINEAR_WGMMA(T, TILE, SIZES)                                                                  \
  HIPFORGE_LARGE_SHARED_KERNEL(32, kLinearWgmmaEntry, (T, TILE), linear_##T##_##T##_w32_wgmma##SIZES, \
                               linear_wgmma_kernel, LinearArgs, TILE::kThreads)
#define LINEAR_MMAS(T)                                                              \
  LINEAR_MMA(HIPFORGE_WAVE_KERNEL, T, 32, SmallTile<32>, 64x64x32_s2, false)        \
  LINEAR_MMA(HIPFORGE_WAVE_KERNEL, T, 64, SmallTile<64>, 64x64x32_s2, false)        \
  LINEAR_MMA(HIPFORGE_MATRIX_UNIT_KERNEL, T, 32, WideTile<32>, 128x128x32_s2, true) \
  LINEAR_MMA(HIPFORGE_MATRIX_UNIT_KERNEL, T, 64, WideTile<64>, 128x128x32_s2, true) \
  LINEAR_MMA(HIPFORGE_LARGE_SHARED_KERNEL, T, 32, LargeTile, 128x256x64_s3, true)   \
  LINEAR_WGMMA(T, SmallWgmmaTile, 128x128x64_s6)                                    \
  LINEAR_WGMMA(T, LargeWgmmaTile, 128x256x64_s4)

LINEAR_DOTS(f32, f32)
LINEAR_DOTS(f32, f16)
LINEAR_DOTS(f32, bf16)
LINEAR_DOTS(f16, f32)
LINEAR_DOTS(f16, f16)
LINEAR_DOTS(f16, bf16)
LINEAR_DOTS(bf16, f32)
LINEAR_DOTS(bf16, f16)
LINEAR_DOTS(bf16, bf16)

LINEAR_FMA(f32, f32)
LINEAR_FMA(f32, f16)
LINEAR_FMA(f32, bf16)
LINEAR_FMA(f16, f32)
LINEAR_FMA(f16, bf16)
LINEAR_FMA(bf16, f32)
LINEAR_FMA(bf16, f16)

LINEAR_MMAS(f16)
LINEAR_MMAS(bf16)

}  // namespace linear_detail

namespace {

using namespace linear_detail;

constexpr const char* kOp = "linear";

Status check_params(const LinearParams& params) {
  const Dim rows{params.x.shape[0], "rows of x"};
  const Dim in_features{params.x.shape[1], "in_features of x"};
  const Dim out_features{params.weight.shape[0], "out_features of weight"};
  return check_operands(kOp, params,
                        {{"x", {rows, in_features}, kFloats},
                         {"weight", {out_features, in_features}, kFloats},
                         {"bias", {out_features}, {params.weight.dtype, DType::kF32}},
                         {"y", {rows, out_features}, {params.x.dtype, DType::kF32}}});
}

bool is_tiled(const LinearParams& params) {
  return !params.batch_invariant && params.x.shape[0] >= kTiledMinRows;
}

// Tiles of one 16-bit dtype go to the matrix cores; f32 and mixed pairs to the vector ALU.
bool is_mma(const LinearParams& params) {
  return is_tiled(params) && params.x.dtype == params.weight.dtype && params.x.dtype != DType::kF32;
}

bool has_vector_io(const LinearParams& params) {
  return rows_are_aligned(params.x, kPack) && rows_are_aligned(params.weight, kPack);
}

// Lanes of a group: a function of in_features and the wave alone, because the order of additions follows from
// it. Short rows are shared by few lanes, which spares shuffles; long ones by a whole wave, for whole cache
// lines and enough waves in flight.
int group_lanes(std::int64_t in_features, int wave) {
  const std::int64_t packs = ceil_div(in_features, kPack);
  int lanes = kColumns;
  while (lanes < wave && packs > static_cast<std::int64_t>(lanes) * kPacksPerLane) lanes *= 2;
  return lanes;
}

template <class Tile>
std::int64_t tiles_of(const LinearParams& params) {
  return ceil_div(params.x.shape[0], Tile::kRows) * ceil_div(params.weight.shape[0], Tile::kColumns);
}

template <class Tile>
LaunchPlan plan_tiles(const KernelEntry& entry, const LinearParams& params) {
  return make_plan(entry, tiles_of<Tile>(params), Tile::kThreads, Tile::kSharedBytes);
}

template <class T, int kWave>
LaunchPlan plan_mma(const LinearParams& params, const Target& target) {
  using Small = SmallTile<kWave>;
  using Wide = WideTile<kWave>;
  if (!has_vector_io(params) || target.matrix_unit == MatrixUnit::kNone) {
    return plan_tiles<Small>(kLinearMmaEntry<T, Small, false>, params);
  }
  const bool large = tiles_of<LargeTile>(params) >= kFullGrid;
  if (target.matrix_unit == MatrixUnit::kWgmma) {
    return large ? plan_tiles<LargeWgmmaTile>(kLinearWgmmaEntry<T, LargeWgmmaTile>, params)
                 : plan_tiles<SmallWgmmaTile>(kLinearWgmmaEntry<T, SmallWgmmaTile>, params);
  }
  if (large && target.matrix_unit == MatrixUnit::kMma && target.shared_bytes >= LargeTile::kSharedBytes) {
    return plan_tiles<LargeTile>(kLinearMmaEntry<T, LargeTile, true>, params);
  }
  if (params.x.shape[0] >= Wide::kRows && params.weight.shape[0] >= Wide::kColumns) {
    return plan_tiles<Wide>(kLinearMmaEntry<T, Wide, true>, params);
  }
  return plan_tiles<Small>(kLinearMmaEntry<T, Small, false>, params);
}

template <class X, class W, int kWave>
LaunchPlan plan_for(const LinearParams& params, const Target& target) {
  const std::int64_t rows = params.x.shape[0];
  const std::int64_t out_features = params.weight.shape[0];
  if (!is_tiled(params)) {
    const bool single = rows <= 1;
    const KernelEntry& entry =
        single ? kLinearDotEntry<X, W, 1, kWave> : kLinearDotEntry<X, W, kDotRows, kWave>;
    const std::int64_t block_columns = kDotThreads / group_lanes(params.x.shape[1], kWave) * kColumns;
    const std::int64_t blocks = ceil_div(rows, single ? 1 : kDotRows) * ceil_div(out_features, block_columns);
    return make_plan(entry, blocks, kDotThreads);
  }
  if constexpr (std::is_same_v<X, W> && !std::is_same_v<X, float>) {
    return plan_mma<X, kWave>(params, target);
  } else {
    return make_plan(kLinearTiledEntry<X, W>, tiles_of<FmaTileProduct>(params), FmaTileProduct::kThreads,
                     FmaTileProduct::kElements * sizeof(float));
  }
}

LinearArgs make_args(const LinearParams& params, const LaunchPlan& plan) {
  LinearArgs args{};
  args.x = params.x.data;
  args.weight = params.weight.data;
  args.bias = params.bias.data;
  args.y = params.y.data;
  args.x_stride = params.x.strides[0];
  args.weight_stride = params.weight.strides[0];
  args.y_stride = params.y.strides[0];
  args.rows = params.x.shape[0];
  args.in_features = params.x.shape[1];
  args.out_features = params.weight.shape[0];
  args.lanes = group_lanes(args.in_features, plan.target.wave);
  args.vector_io = has_vector_io(params);
  args.vector_store = rows_are_aligned(params.y, kPack);
  args.bias_is_f32 = params.bias.present() && params.bias.dtype == DType::kF32;
  args.y_is_f32 = params.y.dtype == DType::kF32;
  return args;
}

}  // namespace

std::int64_t linear_reduction_depth(const LinearParams& params, const Target& target) {
  const std::int64_t in_features = params.x.shape[1];
  const std::int64_t bias = params.bias.present() ? 1 : 0;
  if (is_mma(params)) {
    // A matrix unit may truncate each of its additions. Ordinary arithmetic adds the 16 products of a step in
    // a tree of 5 levels, then the step to the sum.
    const std::int64_t steps = ceil_div(in_features, kMmaDepth);
    return bias + (target.matrix_unit == MatrixUnit::kNone ? 5 + steps : 2 * kMmaDepth * steps);
  }
  if (is_tiled(params)) return in_features + bias;
  const int lanes = group_lanes(in_features, target.wave);
  const std::int64_t packs = ceil_div(ceil_div(in_features, kPack), lanes);
  std::int64_t depth = packs * (kPack / kPartials) + bias;
  for (int sums = kPartials * lanes; sums > 1; sums /= 2) ++depth;
  return depth;
}

Status linear_plan(const LinearParams& params, const Target& target, LaunchPlan& plan) {
  HIPFORGE_TRY(check_params(params));
  return dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_float(kOp, "x", params.x.dtype, [&]<class X>() {
      return dispatch_float(kOp, "weight", params.weight.dtype, [&]<class W>() -> Status {
        plan = plan_for<X, W, kWave>(params, target);
        return {};
      });
    });
  });
}

Status linear(const LinearParams& params, hipStream_t stream, const Target& target) {
  return launch_op(params, stream, target, linear_plan, make_args);
}

}  // namespace hipforge
