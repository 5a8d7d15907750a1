#include "kernels/device/async_copy.h"
#include "kernels/device/dispatch.h"
#include "kernels/device/fast_math.h"
#include "kernels/device/matrix_core.h"
#include "kernels/device/online_softmax.h"
#include "kernels/device/reduce.h"
#include "kernels/device/vector_io.h"
#include "kernels/device/warpgroup_fragments.h"
#include "kernels/flash_attention/block.h"
#include "kernels/flash_attention/kernels.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <numbers>
#include <type_traits>

namespace hipforge::flash_attention_detail {

constexpr int kMmaMaxThreads = 256;

// Who multiplies 16 rows: a wave; a wave that has few registers (RDNA's 256 of 32 lanes); or, four times as
// many rows, a warpgroup.
enum class MmaTeam { kWave, kSmallWave, kWarpgroup };

template <MmaTeam kTeam>
inline constexpr int kMaxDims = kTeam == MmaTeam::kSmallWave ? 64 : 128;  // of values that a wave sums

// The geometry of a block. A wave owns 16 whole rows; where head_dim is large for its registers, two or four
// waves own the same rows, score them all, and sum their share of the values' dimensions each. What a row
// becomes depends on kHeadDim and on whether waves are small, not on how many rows, stages or waves a block
// has, nor on whether warpgroups multiply.
template <int kHeadDim_, MmaTeam kTeam>
struct MmaGeometry {
  static constexpr int kHeadDim = kHeadDim_;
  static constexpr bool kWarpgroups = kTeam == MmaTeam::kWarpgroup;
  static constexpr bool kSmall = kTeam == MmaTeam::kSmallWave;
  static constexpr int kRows = 16;                                  // of a wave
  static constexpr int kKeys = kSmall || kHeadDim > 128 ? 32 : 64;  // of a tile
  // Waves that own the same rows.
  static constexpr int kSplits = (kHeadDim + kMaxDims<kTeam> - 1) / kMaxDims<kTeam>;
  static constexpr int kDims = kHeadDim / kSplits;             // of values that a wave sums
  static constexpr int kStride = kHeadDim + kVectorSize<F16>;  // against bank conflicts
  static constexpr int kWeightStride = kKeys + kVectorSize<F16>;
  static constexpr int kMaxThreads = kMmaMaxThreads;
  static constexpr int kMinStages = kWarpgroups ? 3 : 1;
  static constexpr int kMaxStages = 4;
  // Matrix units need not round to nearest: sums over more keys than these move to ones that are rounded so.
  static constexpr int kSegmentKeys = 1024;
  static constexpr bool kSharedSums = kWarpgroups;  // those stand in shared memory, for few registers

  static constexpr std::size_t kWorkBytes = 160;
  static constexpr std::size_t kTileBytes = kKeys * kStride * sizeof(F16);

  [[nodiscard]] static constexpr std::size_t bytes(int row_waves, int stages) {
    const std::size_t rows = static_cast<std::size_t>(row_waves * kRows);
    return 4 * kKeys * sizeof(std::int64_t) + static_cast<std::size_t>(2 * stages) * kTileBytes +
           (rows * kStride + kSplits * rows * kWeightStride) * sizeof(F16) + sums_bytes(rows) + kWorkBytes;
  }
  [[nodiscard]] static constexpr std::size_t sums_bytes(std::size_t rows) {
    return kSharedSums ? rows * kHeadDim * sizeof(float) : 0;
  }

  // Elements from the start of a tile of keys or values to a pack of one of them.
  __device__ static int pack_at(int key, int pack) {
    if constexpr (kWarpgroups) {
      return WarpgroupFragments<F16, kKeys, kHeadDim>::pack_at(key, pack);
    } else {
      return key * kStride + pack * kVectorSize<F16>;
    }
  }

  // Elements from a pack to the same one of the key `count` further on, a multiple of 8.
  __device__ static constexpr int rows_on(int count) {
    if constexpr (kWarpgroups) {
      return WarpgroupFragments<F16, kKeys, kHeadDim>::rows_on(count);
    } else {
      return count * kStride;
    }
  }

  static_assert(!kWarpgroups || kSplits == 1);
};

// Tiles [first, end) and those before prefix_end, as numbers of tiles.
struct TileSpan {
  int first;
  int end;
  int prefix_end;

  [[nodiscard]] __device__ bool contains(int tile) const {
    return (tile >= first && tile < end) || tile < prefix_end;
  }
  // The first tile from `tile` on that the span may contain.
  [[nodiscard]] __device__ int next(int tile) const {
    return tile >= prefix_end && tile < first ? first : tile;
  }
};

// The tiles that hold a key of [first, end) or of the prefix.
__device__ inline TileSpan tiles_seen(std::int64_t first, std::int64_t end, std::int64_t prefix_end,
                                      int keys) {
  return {static_cast<int>(first / keys), static_cast<int>((end + keys - 1) / keys),
          static_cast<int>((prefix_end + keys - 1) / keys)};
}

// The tiles that hold nothing else.
__device__ inline TileSpan tiles_filled(std::int64_t first, std::int64_t end, std::int64_t prefix_end,
                                        int keys) {
  return {static_cast<int>((first + keys - 1) / keys), static_cast<int>(end / keys),
          static_cast<int>(prefix_end / keys)};
}

// What a block works on. Where threads have no scalar registers, each would hold a copy in its own, and there
// are none to spare: it stands in shared memory.
struct Work {
  Block block;
  Sequence sequence;
  BlockView view;
  TileSpan seen;
  TileSpan inside;  // filled with what some row sees
};
static_assert(sizeof(Work) <= MmaGeometry<32, MmaTeam::kWave>::kWorkBytes);
#if defined(__AMDGCN__)
inline constexpr bool kSharedWork = false;
#else
inline constexpr bool kSharedWork = true;
#endif

// The shared memory of a block, in this order.
template <class T, class Geometry>
struct MmaTiles {
  std::int64_t* places;  // [2, {key, value}, keys]: of the tile that is copied next, and of the one after it
  T* stages;             // [stages, {key, value}, keys, kStride]
  T* query;              // [rows, kStride], at the end the output
  T* weights;            // [waves, kRows, kWeightStride]
  float* sums;           // kSharedSums: [waves, values of a lane, lanes]
  Work* work;

  __device__ MmaTiles(void* base, int tile_rows, int stage_count) {
    places = static_cast<std::int64_t*>(base);
    stages = reinterpret_cast<T*>(places + 4 * Geometry::kKeys);
    query = stages + 2 * stage_count * (Geometry::kKeys * Geometry::kStride);
    weights = query + tile_rows * Geometry::kStride;
    sums = reinterpret_cast<float*>(weights + Geometry::kSplits * tile_rows * Geometry::kWeightStride);
    work = reinterpret_cast<Work*>(sums + (Geometry::kSharedSums ? tile_rows * Geometry::kHeadDim : 0));
  }
  [[nodiscard]] __device__ std::int64_t* tile_places(int slot, int which) const {
    return places + (2 * slot + which) * Geometry::kKeys;
  }
  [[nodiscard]] __device__ T* tile(int stage, int which) const {
    return stages + (2 * stage + which) * (Geometry::kKeys * Geometry::kStride);
  }
};

// The online softmax of one row in powers of two: weights are 2^(score − shift). The sum of the weights is
// this lane's share.
template <class T>
struct RowSum {
  // f16 loses bits below 2⁻¹⁴. Weights that are lifted by 2⁹ keep theirs down to 2⁻²³ of the largest, and
  // with the lag they still fit. Where a score's own unit is that large, there is nothing to lift.
  static constexpr float kLift = std::is_same_v<T, F16> ? 9.0f : 0.0f;
  static constexpr float kLiftedScores = 0x1p20f;
  static constexpr float kLag = 6.0f;  // as kMaxLag

  float shift = -INFINITY;
  float total = 0.0f;
  float excess = 0.0f;

  // Takes note of a tile's largest score; returns what everything summed so far is to be multiplied by.
  __device__ float raise(float largest) {
    if (!(largest > shift + (kLift + kLag))) return 1.0f;
    float next = fabsf(largest) < kLiftedScores ? largest - kLift : largest;
    if (!(next < INFINITY)) next = NAN;
    const float factor = fast_exp2(shift - next);
    shift = next;
    compensated_scale(total, excess, factor);
    return factor;
  }
  // A tile in which the lane sees nothing leaves the sum as it is, to the bit: whether the block visits the
  // tile at all depends on the other rows.
  __device__ void add(float sum) {
    if (sum != 0.0f) compensated_add(total, excess, sum);
  }
};

__device__ inline bool is_finite(float value) {
  return value - value == 0.0f;
}

// kCount elements as they lie in memory; 0 past the end.
template <class T>
using Chunk = Pack<T, kVectorSize<T>>;

template <class T>
__device__ inline Chunk<T> load_chunk(const T* source, int left, bool aligned) {
  constexpr int kVector = kVectorSize<T>;
  if (aligned && left >= kVector) return *reinterpret_cast<const Chunk<T>*>(source);
  Chunk<T> chunk{};
#pragma unroll
  for (int i = 0; i < kVector; ++i) {
    if (i < left) chunk.values[i] = source[i];
  }
  return chunk;
}

template <class T>
__device__ inline void store_chunk(T* destination, int left, bool aligned, const Chunk<T>& chunk) {
  constexpr int kVector = kVectorSize<T>;
  if (aligned && left >= kVector) {
    *reinterpret_cast<Chunk<T>*>(destination) = chunk;
    return;
  }
#pragma unroll
  for (int i = 0; i < kVector; ++i) {
    if (i < left) destination[i] = chunk.values[i];
  }
}

// Starts to copy one chunk of a row of `head_dim` elements to shared memory, 0 past its end or where there is
// no row.
template <class T>
__device__ inline void copy_chunk(const T* row, int dim, int head_dim, bool aligned, bool present,
                                  T* shared) {
  if (aligned && (dim + kVectorSize<T> <= head_dim || dim >= head_dim)) {
    const bool inside = present && dim < head_dim;
    async_copy_16(shared, inside ? row + dim : row, inside);
    return;
  }
  Chunk<T> chunk{};
  if (present && dim < head_dim) chunk = load_chunk(row + dim, head_dim - dim, aligned);
  *reinterpret_cast<Chunk<T>*>(shared) = chunk;
}

template <class T, class Geometry>
__device__ void copy_queries(const FlashAttentionArgs& args, const Block& block, const Sequence& sequence,
                             T* tile) {
  constexpr int kVector = kVectorSize<T>;
  constexpr int kChunks = Geometry::kHeadDim / kVector;
  const T* q = static_cast<const T*>(args.q);
  for (int index = static_cast<int>(threadIdx.x); index < args.tile_rows * kChunks;
       index += static_cast<int>(blockDim.x)) {
    const int row = index / kChunks;
    const int dim = (index - row * kChunks) * kVector;
    const bool present = row < block.rows;
    const std::int64_t at =
        present ? row_offset(args.q_strides, block, sequence, place_row(args, block, row)) : 0;
    copy_chunk(q + at, dim, args.head_dim, args.vector_q != 0, present, tile + row * Geometry::kStride + dim);
  }
}

// Copies a tile of keys or values. kSpoil: a key in a bad page is NaN, which makes a NaN score, and so a NaN
// row, for exactly those rows that see it.
template <class T, class Geometry, bool kSpoil>
__device__ void copy_rows(const T* rows, const std::int64_t* places, int head_dim, bool aligned, T* tile) {
  constexpr int kVector = kVectorSize<T>;
  constexpr int kChunks = Geometry::kHeadDim / kVector;
  const bool whole = aligned && head_dim % kVector == 0;  // no chunk lies across a row's end
#pragma unroll 4
  for (unsigned index = threadIdx.x; index < Geometry::kKeys * kChunks; index += blockDim.x) {
    const int key = static_cast<int>(index / kChunks);
    const int pack = static_cast<int>(index % kChunks);
    const int dim = pack * kVector;
    const std::int64_t place = places[key];
    T* shared = tile + Geometry::pack_at(key, pack);
    if (kSpoil && place == kBadPageKey) {
#pragma unroll
      for (int i = 0; i < kVector; ++i) shared[i] = from_float<T>(NAN);
    } else if (whole) {
      const bool inside = place >= 0 && dim < head_dim;
      async_copy_16(shared, rows + (inside ? place + dim : 0), inside);
    } else {
      const bool inside = place >= 0 && dim < head_dim;
      Chunk<T> chunk{};
      if (inside) chunk = load_chunk(rows + place + dim, head_dim - dim, aligned);
      *reinterpret_cast<Chunk<T>*>(shared) = chunk;
    }
  }
}

// Copies tiles of keys or values whose rows all exist and stand one stride apart: no look at where each is.
template <class T, class Geometry>
struct PlainRows {
  static constexpr int kVector = kVectorSize<T>;
  static constexpr int kChunks = Geometry::kHeadDim / kVector;
  static constexpr int kRowsAtOnce = Geometry::kMaxThreads / kChunks;
  static_assert(Geometry::kMaxThreads % kChunks == 0 && Geometry::kKeys % kRowsAtOnce == 0);

  const T* first;  // this thread's pack of its first row of tile 0
  std::int64_t stride;

  __device__ PlainRows(const void* rows, std::int64_t place, std::int64_t row_stride)
      : first(static_cast<const T*>(rows) + place + thread_row() * row_stride + thread_pack() * kVector),
        stride(row_stride) {}

  __device__ void copy(int tile, T* shared) const {
    const T* source = first + static_cast<std::int64_t>(tile) * Geometry::kKeys * stride;
    T* destination = shared + Geometry::pack_at(thread_row(), thread_pack());
#pragma unroll
    for (int row = 0; row < Geometry::kKeys; row += kRowsAtOnce) {
      async_copy_16(destination + Geometry::rows_on(row), source, true);
      source += kRowsAtOnce * stride;
    }
  }

 private:
  __device__ static int thread_row() {
    return static_cast<int>(threadIdx.x) / kChunks;
  }
  __device__ static int thread_pack() {
    return static_cast<int>(threadIdx.x) % kChunks;
  }
};

// Puts 0 for whatever is not finite in a value tile.
template <class T, class Geometry>
__device__ void clean_values(T* tile) {
  constexpr int kVector = kVectorSize<T>;
  constexpr int kChunks = Geometry::kHeadDim / kVector;
  for (int index = static_cast<int>(threadIdx.x); index < Geometry::kKeys * kChunks;
       index += static_cast<int>(blockDim.x)) {
    T* values = tile + Geometry::pack_at(index / kChunks, index % kChunks);
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      if (!is_finite(to_float(values[i]))) values[i] = T{};
    }
  }
}

__device__ inline std::int64_t mask_offset(const FlashAttentionArgs& args, const Block& block,
                                           const Place& place, std::int64_t key) {
  return block.batch * args.mask_strides[0] + place.head * args.mask_strides[1] +
         place.query * args.mask_strides[2] + key * args.mask_strides[3];
}

template <class T>
__device__ inline float mask_at(const FlashAttentionArgs& args, std::int64_t at) {
  return args.mask_is_f32 != 0 ? static_cast<const float*>(args.mask)[at]
                               : to_float(static_cast<const T*>(args.mask)[at]);
}

// A dot product as a score in powers of two: scale, soft cap, mask, in this order.
__device__ inline float score_of(const FlashAttentionArgs& args, float dot) {
  const float score = dot * args.scale;
  return args.soft_cap > 0.0f ? args.soft_cap * tanhf(score) : score;
}

__device__ inline float add_mask(float score, float added) {
  if (added == -INFINITY) return -INFINITY;
  const float sum = fmaf(added, std::numbers::log2e_v<float>, score);
  // What is finite stays so: the lowest finite number is a usual mask.
  if (fabsf(added) < INFINITY && fabsf(score) < INFINITY) return fminf(fmaxf(sum, -FLT_MAX), FLT_MAX);
  return sum;
}

// Brings the NaN and infinities among the values to the rows that see them; the block has stored its output
// without them. Slow, and rare: the output of a model that works has none.
template <class T>
__device__ void add_wild_values(const FlashAttentionArgs& args, const Block& block, const Sequence& sequence,
                                const BlockView& view, int tile_keys) {
  const T* q = static_cast<const T*>(args.q);
  const T* k = static_cast<const T*>(args.k);
  const T* v = static_cast<const T*>(args.v);
  const auto place_of = [&](std::int64_t key) {
    return place_key(args, sequence, block.batch, block.kv_head, key);
  };
  for (std::int64_t base = view.next_tile(0, tile_keys); base < view.keys_end;
       base = view.next_tile(base + tile_keys, tile_keys)) {
    bool wild = false;
    for (int index = static_cast<int>(threadIdx.x); index < tile_keys * args.head_dim;
         index += static_cast<int>(blockDim.x)) {
      const std::int64_t key = base + index / args.head_dim;
      if (!view.needs(key)) continue;
      const std::int64_t place = place_of(key).v;
      wild = wild || (place >= 0 && !is_finite(to_float(v[place + index % args.head_dim])));
    }
    if (__syncthreads_or(wild ? 1 : 0) == 0) continue;
    for (int row = static_cast<int>(threadIdx.x); row < block.rows; row += static_cast<int>(blockDim.x)) {
      const Place at = place_row(args, block, row);
      const TileView sees =
          view_tile(visible_keys(args, sequence, at.query), view.prefix_end, base, tile_keys);
      T* o = static_cast<T*>(args.o) + row_offset(args.o_strides, block, sequence, at);
      for (int n = 0; n < tile_keys; ++n) {
        if (!sees.sees(n)) continue;
        const KeyPlace place = place_of(base + n);
        if (place.v < 0) continue;
        const float added =
            args.mask != nullptr ? mask_at<T>(args, mask_offset(args, block, at, base + n)) : 0.0f;
        float dot = 0.0f;
        for (int dim = 0; dim < args.head_dim; ++dim) {
          dot = fmaf(to_float(q[row_offset(args.q_strides, block, sequence, at) + dim]),
                     to_float(k[place.k + dim]), dot);
        }
        if (add_mask(score_of(args, dot), added) == -INFINITY) continue;
        for (int dim = 0; dim < args.head_dim; ++dim) {
          const float value = to_float(v[place.v + dim]);
          if (!is_finite(value)) o[dim] = from_float<T>(to_float(o[dim]) + value);
        }
      }
    }
  }
}

__device__ inline void wait_for_copies(int pending) {
  switch (pending) {
    case 0:
      return async_copy_wait<0>();
    case 1:
      return async_copy_wait<1>();
    case 2:
      return async_copy_wait<2>();
    default:
      return async_copy_wait<3>();
  }
}

// The rows of one wave: their scores, weights and sums. Inline all of it: an object that a call sees the
// address of lives in memory, not in registers.
template <class T, class Geometry, int kWave>
class MmaRows {
  using Core = MatrixCore<T, kWave>;
  static constexpr int kHeadDim = Geometry::kHeadDim;
  static constexpr bool kWarpgroups = Geometry::kWarpgroups;
  static constexpr int kTile = Core::kTile;
  static constexpr int kStride = Geometry::kStride;
  static constexpr int kSteps = kHeadDim / kTile;
  static constexpr int kKeyTiles = Geometry::kKeys / kTile;
  static constexpr int kDimTiles = Geometry::kDims / kTile;
  // Where the query's fragments are small they stay in registers.
  static constexpr bool kKeepQueries = kWarpgroups || kSteps * sizeof(typename Core::A) <= 64;

 public:
  __device__ __forceinline__ MmaRows(const FlashAttentionArgs& args, const Block& block,
                                     const Sequence& sequence, const BlockView& view,
                                     const MmaTiles<T, Geometry>& tiles)
      : args_(args),
        block_(block),
        sequence_(sequence),
        view_(view),
        factor_(scores_are_products() ? args.scale : 1.0f) {
    const int wave = wave_id<kWave>();
    first_row_ = wave / Geometry::kSplits * Geometry::kRows;
    first_dim_ = wave % Geometry::kSplits * Geometry::kDims;
    active_ = first_row_ < block.rows;
    query_ = tiles.query + first_row_ * kStride;
    weights_ = tiles.weights + wave * (Geometry::kRows * Geometry::kWeightStride);
    shared_sums_ = tiles.sums + wave * (Geometry::kRows * Geometry::kDims) + lane_id<kWave>();
    if (!active_) return;
    const int rows_left = block.rows - first_row_;
    last_row_ = first_row_ + (rows_left < Geometry::kRows ? rows_left : Geometry::kRows) - 1;
    const Visible earliest = visible_keys(args, sequence, place_row(args, block, first_row_).query);
    const Visible latest = visible_keys(args, sequence, place_row(args, block, last_row_).query);
    seen_ = tiles_seen(earliest.first, latest.end, view.prefix_end, Geometry::kKeys);
    filled_ = tiles_filled(latest.first, earliest.end, view.prefix_end, Geometry::kKeys);
  }

  // Once the query's tile is there.
  __device__ __forceinline__ void load_queries() {
    if constexpr (kKeepQueries) {
      if (!active_ && !kWarpgroups) return;
#pragma unroll
      for (int step = 0; step < kSteps; ++step) queries_[step] = Core::load_a(query_ + step * kTile, kStride);
    }
  }

  __device__ __forceinline__ void reset() {
#pragma unroll
    for (int r = 0; r < Core::kRows; ++r) rows_[r] = {};
#pragma unroll
    for (int d = 0; d < kDimTiles; ++d) {
      outputs_[d] = {};
#pragma unroll
      for (int i = 0; i < Core::kValues; ++i) sum(d, i) = 0.0f;
    }
    segment_ = 0;
  }

  __device__ __forceinline__ void add_tile(int tile, const T* keys, const T* values) {
    if (!active_ || !seen_.contains(tile)) return;
    const bool idle = is_idle();
    Accumulator scores[kKeyTiles];
    if (!idle) multiply_scores(keys, scores);
    float factor[Core::kRows];
    weigh(tile, idle, scores, factor);
    rescale(tile, factor);
    multiply_values(scores, values, idle);
  }

  // The same in steps, between which products are under way. All waves take part in them, those without rows
  // too.
  __device__ __forceinline__ void start_scores(const T* keys) {
    Fragments::multiply_columns(queries_, keys, scores_);
  }
  template <int kPending>
  __device__ __forceinline__ void finish_scores(int tile, float (&factor)[Core::kRows]) {
    Fragments::template wait<kPending>(scores_);
    weigh(tile, false, scores_, factor);
    Fragments::hold(scores_);
  }
  __device__ __forceinline__ void start_values(const T* values) {
    Fragments::multiply_rows(weight_fragments_, values, outputs_);
  }
  __device__ __forceinline__ void finish_values() {
    Fragments::template wait<0>(outputs_);
  }
  // Of what finish_scores has left.
  __device__ __forceinline__ void settle(int tile, const float (&factor)[Core::kRows]) {
    rescale(tile, factor);
    write_weights(scores_, false);
#pragma unroll
    for (int n = 0; n < kKeyTiles; ++n) weight_fragments_[n] = read_weights(scores_, n);
  }

  // Leaves the rows' output in the query's tile, whose queries nobody needs any more. Returns whether this
  // lane met a number that is not finite.
  __device__ __forceinline__ bool finish() {
    if (!active_) return false;
    bool wild = false;
    float inverse[Core::kRows];
#pragma unroll
    for (int r = 0; r < Core::kRows; ++r) {
      const float total = wave_reduce<kWave, Core::kRowLanes>(rows_[r].total, SumOp{});
      const int row = first_row_ + Core::row(r);
      // Zeros, whatever was added to the sums of a row that sees nothing.
      inverse[r] = total == 0.0f ? 0.0f : 1.0f / total;
      totals_[r] = total;
      wild = wild || (row <= last_row_ && !is_finite(total));
    }
#pragma unroll
    for (int d = 0; d < kDimTiles; ++d) {
#pragma unroll
      for (int i = 0; i < Core::kValues; ++i) {
        const int r = Core::slot(i);
        float& output = outputs_[d].values[i];
        output += sum(d, i);
        output = inverse[r] == 0.0f ? 0.0f : output * inverse[r];
        wild = wild || (first_row_ + Core::row(r) <= last_row_ && !is_finite(output));
      }
    }
    return wild;
  }

  __device__ __forceinline__ void store() {
    if (!active_) return;
#pragma unroll
    for (int d = 0; d < kDimTiles; ++d) {
#pragma unroll
      for (int i = 0; i < Core::kValues; ++i) {
        query_[Core::row(Core::slot(i)) * kStride + first_dim_ + d * kTile + Core::column(i)] =
            from_float<T>(outputs_[d].values[i]);
      }
    }
    wave_barrier<kWave>();
    constexpr int kVector = kVectorSize<T>;
    constexpr int kChunks = Geometry::kDims / kVector;
    for (int index = lane_id<kWave>(); index < (last_row_ - first_row_ + 1) * kChunks; index += kWave) {
      const int row = index / kChunks;
      const int dim = first_dim_ + (index - row * kChunks) * kVector;
      if (dim >= args_.head_dim) continue;
      const Place place = place_row(args_, block_, first_row_ + row);
      store_chunk(static_cast<T*>(args_.o) + row_offset(args_.o_strides, block_, sequence_, place) + dim,
                  args_.head_dim - dim, args_.vector_o != 0,
                  *reinterpret_cast<const Chunk<T>*>(query_ + row * kStride + dim));
    }
    if (args_.lse == nullptr || first_dim_ != 0 || lane_id<kWave>() % Core::kRowLanes != 0) return;
#pragma unroll
    for (int r = 0; r < Core::kRows; ++r) {
      const int row = first_row_ + Core::row(r);
      if (row > last_row_) continue;
      const Place place = place_row(args_, block_, row);
      args_.lse[row_offset(args_.lse_strides, block_, sequence_, place)] =
          totals_[r] == 0.0f ? -INFINITY : fmaf(rows_[r].shift, std::numbers::ln2_v<float>, logf(totals_[r]));
    }
  }

 private:
  using Accumulator = typename Core::Accumulator;
  using Fragments = WarpgroupFragments<T, kWarpgroups ? Geometry::kKeys : 64, kWarpgroups ? kHeadDim : 64>;

  // A score is a product times a positive factor.
  [[nodiscard]] __device__ __forceinline__ bool scores_are_products() const {
    return args_.scale > 0.0f && args_.soft_cap == 0.0f && args_.mask == nullptr;
  }

  // No row of this lane exists.
  [[nodiscard]] __device__ __forceinline__ bool is_idle() const {
    return Core::kRowsApart && first_row_ + Core::row(0) > last_row_;
  }

  // What was summed before the segment.
  [[nodiscard]] __device__ __forceinline__ float& sum(int d, int i) {
    if constexpr (Geometry::kSharedSums) {
      return shared_sums_[(d * Core::kValues + i) * kWave];
    } else {
      return sums_[d].values[i];
    }
  }

  // visit(row slot, key of the tile, score) for this lane's scores.
  template <class Visit>
  __device__ __forceinline__ static void for_each_score(Accumulator (&scores)[kKeyTiles], Visit&& visit) {
#pragma unroll
    for (int n = 0; n < kKeyTiles; ++n) {
#pragma unroll
      for (int i = 0; i < Core::kValues; ++i) {
        visit(Core::slot(i), n * kTile + Core::column(i), scores[n].values[i]);
      }
    }
  }

  __device__ __forceinline__ void multiply_scores(const T* keys, Accumulator (&scores)[kKeyTiles]) {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      typename Core::A query;
      if constexpr (kKeepQueries) {
        query = queries_[step];
      } else {
        query = Core::load_a(query_ + step * kTile, kStride);
      }
#pragma unroll
      for (int n = 0; n < kKeyTiles; ++n) {
        Core::multiply_add(query, Core::load_b(keys + n * kTile * kStride + step * kTile, kStride),
                           scores[n]);
      }
    }
  }

  // Turns products into weights. `factor` is what everything summed so far is to be multiplied by.
  __device__ __forceinline__ void weigh(int tile, bool idle, Accumulator (&scores)[kKeyTiles],
                                        float (&factor)[Core::kRows]) {
    float largest[Core::kRows];
#pragma unroll
    for (int r = 0; r < Core::kRows; ++r) largest[r] = -INFINITY;
    if (!idle) score(tile, scores, largest);
#pragma unroll
    for (int r = 0; r < Core::kRows; ++r) {
      factor[r] = rows_[r].raise(wave_reduce<kWave, Core::kRowLanes>(largest[r], MaxOp{}) * factor_);
    }
    if (idle) return;
    float shift[Core::kRows];
    float scale[Core::kRows];
    float total[Core::kRows];
    bool huge = false;
#pragma unroll
    for (int r = 0; r < Core::kRows; ++r) {
      shift[r] = rows_[r].shift == -INFINITY ? 0.0f : rows_[r].shift;
      scale[r] = factor_;
      total[r] = 0.0f;
      huge = huge || !(fabsf(shift[r]) < RowSum<T>::kLiftedScores);
    }
    if (huge) {
      // The shift is a rounded product, and so far from the exact one that the largest weight would be far
      // from 1: scores are rounded like it.
#pragma unroll
      for (int r = 0; r < Core::kRows; ++r) {
        if (fabsf(shift[r]) < RowSum<T>::kLiftedScores) continue;
        for_each_score(scores, [&](int slot, int, float& score) {
          if (slot == r) score *= factor_;
        });
        scale[r] = 1.0f;
      }
    }
    for_each_score(scores, [&](int r, int, float& score) {
      score = fast_exp2(fmaf(score, scale[r], -shift[r]));
      total[r] += score;
    });
#pragma unroll
    for (int r = 0; r < Core::kRows; ++r) rows_[r].add(total[r]);
  }

  // Scores but for factor_. In steps, each small enough to be unrolled on every compiler: scores must stay in
  // registers.
  __device__ __forceinline__ void score(int tile, Accumulator (&scores)[kKeyTiles],
                                        float (&largest)[Core::kRows]) {
    if (!scores_are_products()) {
      for_each_score(scores, [&](int, int, float& score) { score *= args_.scale; });
      if (args_.soft_cap > 0.0f) {
        for_each_score(scores, [&](int, int, float& score) { score = args_.soft_cap * tanhf(score); });
      }
    }
    if (args_.mask != nullptr || !filled_.contains(tile)) hide_scores(tile, scores);
    for_each_score(scores, [&](int r, int, float& score) {
      largest[r] = fmaxf(largest[r], score);  // a NaN shows in the weights, not here
    });
  }

  // One row at a time, for few registers.
  __device__ __forceinline__ void hide_scores(int tile, Accumulator (&scores)[kKeyTiles]) {
    const std::int64_t base = static_cast<std::int64_t>(tile) * Geometry::kKeys;
#pragma unroll
    for (int r = 0; r < Core::kRows; ++r) {
      const int row = first_row_ + Core::row(r);
      const Place place = place_row(args_, block_, row);
      TileView view{0, 0, 0};
      if (row <= last_row_) {
        view =
            view_tile(visible_keys(args_, sequence_, place.query), view_.prefix_end, base, Geometry::kKeys);
      }
      const std::int64_t mask = mask_offset(args_, block_, place, base);
#pragma unroll
      for (int n = 0; n < kKeyTiles; ++n) {
#pragma unroll
        for (int i = 0; i < Core::kValues; ++i) {
          if (Core::slot(i) != r) continue;
          const int key = n * kTile + Core::column(i);
          float& score = scores[n].values[i];
          if (!view.sees(key)) {
            score = -INFINITY;
          } else if (args_.mask != nullptr) {
            score = add_mask(score, mask_at<T>(args_, mask + key * args_.mask_strides[3]));
          }
        }
      }
    }
  }

  // Makes the sums ready for a tile's products.
  __device__ __forceinline__ void rescale(int tile, const float (&factor)[Core::kRows]) {
    constexpr int kSegmentTiles = Geometry::kSegmentKeys / Geometry::kKeys;
    if (tile / kSegmentTiles != segment_) {
      segment_ = tile / kSegmentTiles;
      close_segment();
    }
    bool any = false;
#pragma unroll
    for (int r = 0; r < Core::kRows; ++r) any = any || factor[r] != 1.0f;
    if (!any) return;
#pragma unroll
    for (int d = 0; d < kDimTiles; ++d) {
#pragma unroll
      for (int i = 0; i < Core::kValues; ++i) {
        outputs_[d].values[i] *= factor[Core::slot(i)];
        sum(d, i) *= factor[Core::slot(i)];
      }
    }
  }

  // Where the weights pass through shared memory: writes them, once the last tile's products have read
  // theirs.
  __device__ __forceinline__ void write_weights(const Accumulator (&weights)[kKeyTiles], bool idle) {
    if constexpr (Core::kScratch > 0) {
      wave_barrier<kWave>();
      if (!idle) {
#pragma unroll
        for (int n = 0; n < kKeyTiles; ++n) {
#pragma unroll
          for (int i = 0; i < Core::kValues; ++i) {
            weights_[Core::row(Core::slot(i)) * Geometry::kWeightStride + n * kTile + Core::column(i)] =
                from_float<T>(weights[n].values[i]);
          }
        }
      }
      wave_barrier<kWave>();
    }
  }

  __device__ __forceinline__ typename Core::A read_weights(const Accumulator (&weights)[kKeyTiles], int n) {
    if constexpr (Core::kScratch > 0) {
      return Core::load_a(weights_ + n * kTile, Geometry::kWeightStride);
    } else {
      return Core::to_a(weights[n], nullptr);
    }
  }

  __device__ __forceinline__ void multiply_values(const Accumulator (&weights)[kKeyTiles], const T* values,
                                                  bool idle) {
    write_weights(weights, idle);
    if (idle) return;
#pragma unroll
    for (int n = 0; n < kKeyTiles; ++n) {
      const typename Core::A weight = read_weights(weights, n);
#pragma unroll
      for (int d = 0; d < kDimTiles; ++d) {
        Core::multiply_add(weight,
                           Core::load_b_rows(values + n * kTile * kStride + first_dim_ + d * kTile, kStride),
                           outputs_[d]);
      }
    }
  }

  // Adds what the matrix unit summed to sums that are rounded to nearest.
  __device__ __forceinline__ void close_segment() {
#pragma unroll
    for (int d = 0; d < kDimTiles; ++d) {
#pragma unroll
      for (int i = 0; i < Core::kValues; ++i) {
        sum(d, i) += outputs_[d].values[i];
        outputs_[d].values[i] = 0.0f;
      }
    }
  }

  const FlashAttentionArgs& args_;
  const Block& block_;
  const Sequence& sequence_;
  const BlockView& view_;
  const float factor_;   // of what weigh takes for scores
  bool active_ = false;  // the wave has rows
  int first_row_ = 0;
  int last_row_ = -1;
  int first_dim_ = 0;
  TileSpan seen_{};  // by some row
  // With keys that all rows see: no tile is hidden from a wave that has none.
  TileSpan filled_{0, std::numeric_limits<int>::max(), 0};
  T* query_ = nullptr;
  T* weights_ = nullptr;
  int segment_ = 0;
  typename Core::A queries_[kKeepQueries ? kSteps : 1];
  Accumulator outputs_[kDimTiles];                           // of the segment
  Accumulator sums_[Geometry::kSharedSums ? 1 : kDimTiles];  // of the segments before
  float* shared_sums_ = nullptr;
  Accumulator scores_[kWarpgroups ? kKeyTiles : 1];
  typename Core::A weight_fragments_[kWarpgroups ? kKeyTiles : 1];
  RowSum<T> rows_[Core::kRows];
  float totals_[Core::kRows];
};

// One block takes a tile of rows and all of their keys, tile by tile from key 0 on. With more than one stage
// the next tiles are on their way while one is worked on.
template <class T, class Geometry, int kWave>
__device__ __forceinline__ void flash_attention_tiles(const FlashAttentionArgs& args) {
  constexpr int kHeadDim = Geometry::kHeadDim;
  constexpr int kKeys = Geometry::kKeys;
  HIP_DYNAMIC_SHARED(Chunk<F16>, flash_attention_mma_shared)
  Block own_block;
  Sequence own_sequence;
  if (!start_block<T>(args, own_block, own_sequence)) return;
  const MmaTiles<T, Geometry> tiles(flash_attention_mma_shared, args.tile_rows, args.stages);
  const BlockView own_view(args, own_block, own_sequence);
  const Work own{own_block, own_sequence, own_view,
                 tiles_seen(own_view.earliest.first, own_view.latest.end, own_view.prefix_end, kKeys),
                 tiles_filled(own_view.earliest.first, own_view.latest.end, own_view.prefix_end, kKeys)};
  if constexpr (kSharedWork) {
    if (threadIdx.x == 0) *tiles.work = own;
    __syncthreads();
  }
  const Work& work = kSharedWork ? *tiles.work : own;
  const Block& block = work.block;
  const Sequence& sequence = work.sequence;
  const BlockView& view = work.view;
  MmaRows<T, Geometry, kWave> rows(args, block, sequence, view, tiles);

  const TileSpan& seen = work.seen;
  const int tiles_end = seen.end > seen.prefix_end ? seen.end : seen.prefix_end;

  // Tiles that PlainRows copies, where there is arithmetic to spare for and registers to do it.
  const TileSpan& inside = work.inside;
  const bool plain = Geometry::kWarpgroups && args.block_table == nullptr && args.vector_k != 0 &&
                     args.vector_v != 0 && args.head_dim == kHeadDim;
  const KeyPlace origin = plain ? place_key(args, sequence, block.batch, block.kv_head, 0) : KeyPlace{0, 0};

  const auto place_tile = [&](int tile, int slot) {
    if (tile >= tiles_end || (plain && inside.contains(tile))) return;
    // From the last thread on: where the block is larger than its rows need, the last waves have time.
    for (int n = static_cast<int>(blockDim.x - 1 - threadIdx.x); n < kKeys;
         n += static_cast<int>(blockDim.x)) {
      const std::int64_t key = static_cast<std::int64_t>(tile) * kKeys + n;
      const KeyPlace place = view.needs(key) ? place_key(args, sequence, block.batch, block.kv_head, key)
                                             : KeyPlace{kAbsentKey, kAbsentKey};
      tiles.tile_places(slot, 0)[n] = place.k;
      tiles.tile_places(slot, 1)[n] = place.v;
    }
  };
  // The tile that is copied next, where it goes, and where its rows' places are.
  int next = 0;
  int next_stage = 0;
  int slot = 0;
  const auto copy_next = [&] {
    if (next < tiles_end) {
      bool copied = false;
      if constexpr (Geometry::kWarpgroups) {
        copied = plain && inside.contains(next);
        if (copied) {
          PlainRows<T, Geometry>(args.k, origin.k, args.k_strides.row).copy(next, tiles.tile(next_stage, 0));
          PlainRows<T, Geometry>(args.v, origin.v, args.v_strides.row).copy(next, tiles.tile(next_stage, 1));
        }
      }
      if (!copied) {
        copy_rows<T, Geometry, true>(static_cast<const T*>(args.k), tiles.tile_places(slot, 0), args.head_dim,
                                     args.vector_k != 0, tiles.tile(next_stage, 0));
        copy_rows<T, Geometry, false>(static_cast<const T*>(args.v), tiles.tile_places(slot, 1),
                                      args.head_dim, args.vector_v != 0, tiles.tile(next_stage, 1));
      }
      next = seen.next(next + 1);
      next_stage = next_stage + 1 < args.stages ? next_stage + 1 : 0;
      slot ^= 1;
      place_tile(next, slot);
    }
    async_copy_commit();
  };

  copy_queries<T, Geometry>(args, block, sequence, tiles.query);
  async_copy_commit();
  // A removed weight is 0, and 0 times a value that is not finite would reach a row that does not see it. But
  // whatever a sum meets that is not finite stays in it to the end: where all are finite, nothing did. Else
  // the block starts again, with 0 for such values, and lets each row have those that it sees. The others
  // come out with the same bits both ways.
  bool wild = false;
  bool again = true;
#pragma unroll 1
  while (again) {
    rows.reset();
    next = seen.next(0);
    next_stage = slot = 0;
    place_tile(next, slot);
    for (int ahead = 1; ahead < args.stages; ++ahead) {
      __syncthreads();
      copy_next();
    }
    wait_for_copies(args.stages - 1);
    __syncthreads();
    rows.load_queries();
    int stage = 0;
    const auto next_of = [&](int which) { return which + 1 < args.stages ? which + 1 : 0; };
    if constexpr (Geometry::kWarpgroups) {
      using Fragments = WarpgroupFragments<T, kKeys, kHeadDim>;
      int tile = seen.next(0);
      if (tile < tiles_end) {
        float factor[MatrixCore<T, kWave>::kRows];
        wait_for_copies(args.stages - 2);
        Fragments::publish();
        __syncthreads();
        rows.start_scores(tiles.tile(0, 0));
        rows.template finish_scores<0>(tile, factor);
        rows.settle(tile, factor);
#pragma unroll 1
        while (true) {
          const int following = seen.next(tile + 1);
          wait_for_copies(args.stages - 3);
          Fragments::publish();
          __syncthreads();  // the following tile is there, and all have done with the one before this
          copy_next();
          if (wild) {
            clean_values<T, Geometry>(tiles.tile(stage, 1));
            Fragments::publish();
            __syncthreads();
          }
          const T* values = tiles.tile(stage, 1);
          stage = next_of(stage);
          if (following >= tiles_end) {
            rows.start_values(values);
            rows.finish_values();
            break;
          }
          // The weights of the following tile are made while the values of this one are summed.
          rows.start_scores(tiles.tile(stage, 0));
          rows.start_values(values);
          rows.template finish_scores<1>(following, factor);
          rows.finish_values();
          rows.settle(following, factor);
          tile = following;
        }
      }
    } else {
#pragma unroll 1
      for (int tile = seen.next(0); tile < tiles_end; tile = seen.next(tile + 1)) {
        if (args.stages > 1) wait_for_copies(args.stages - 2);
        __syncthreads();  // the tile is there, and all have done with the one before
        copy_next();
        if (args.stages == 1) {
          async_copy_wait<0>();
          __syncthreads();
        }
        if (wild) {
          clean_values<T, Geometry>(tiles.tile(stage, 1));
          __syncthreads();
        }
        rows.add_tile(tile, tiles.tile(stage, 0), tiles.tile(stage, 1));
        stage = next_of(stage);
      }
    }
    const bool found = __syncthreads_or(rows.finish() ? 1 : 0) != 0;
    again = found && !wild;
    wild = wild || found;
  }
  rows.store();
  if (wild) {
    __syncthreads();
    add_wild_values<T>(args, block, sequence, view, kKeys);
  }
}

template <class T, int kHeadDim, int kWave, MmaTeam kTeam>
__device__ __forceinline__ void flash_attention_mma_kernel(const FlashAttentionArgs& args) {
  flash_attention_tiles<T, MmaGeometry<kHeadDim, kTeam>, kWave>(args);
}

template <class T, int kHeadDim, int kWave, MmaTeam kTeam>
inline constexpr KernelEntry kFlashAttentionMmaEntry{};

#define FLASH_ATTENTION_MMA_KERNEL(KERNEL, T, HEAD_DIM, WAVE, TEAM, NAME)                  \
  KERNEL(WAVE, kFlashAttentionMmaEntry, (T, HEAD_DIM, WAVE, MmaTeam::TEAM),                \
         flash_attention_##T##_d##HEAD_DIM##_w##WAVE##_##NAME, flash_attention_mma_kernel, \
         FlashAttentionArgs, kMmaMaxThreads)

#define FLASH_ATTENTION_MMA_KERNELS(T, WAVE, TEAM, NAME)                     \
  FLASH_ATTENTION_MMA_KERNEL(HIPFORGE_WAVE_KERNEL, T, 32, WAVE, TEAM, NAME)  \
  FLASH_ATTENTION_MMA_KERNEL(HIPFORGE_WAVE_KERNEL, T, 64, WAVE, TEAM, NAME)  \
  FLASH_ATTENTION_MMA_KERNEL(HIPFORGE_WAVE_KERNEL, T, 96, WAVE, TEAM, NAME)  \
  FLASH_ATTENTION_MMA_KERNEL(HIPFORGE_WAVE_KERNEL, T, 128, WAVE, TEAM, NAME) \
  FLASH_ATTENTION_MMA_KERNEL(HIPFORGE_WAVE_KERNEL, T, 256, WAVE, TEAM, NAME)

FLASH_ATTENTION_MMA_KERNELS(f16, 64, kWave, mma)
FLASH_ATTENTION_MMA_KERNELS(bf16, 64, kWave, mma)
#if !defined(__AMDGCN__)
FLASH_ATTENTION_MMA_KERNELS(f16, 32, kWave, mma)
FLASH_ATTENTION_MMA_KERNELS(bf16, 32, kWave, mma)
#endif
// RDNA's, from its third generation on.
#if !defined(__CUDACC__) && (!defined(__AMDGCN__) || defined(__GFX11__) || defined(__GFX12__))
FLASH_ATTENTION_MMA_KERNELS(f16, 32, kSmallWave, mma_small)
FLASH_ATTENTION_MMA_KERNELS(bf16, 32, kSmallWave, mma_small)
#endif

FLASH_ATTENTION_MMA_KERNEL(HIPFORGE_LARGE_SHARED_KERNEL, f16, 64, 32, kWarpgroup, wgmma)
FLASH_ATTENTION_MMA_KERNEL(HIPFORGE_LARGE_SHARED_KERNEL, f16, 128, 32, kWarpgroup, wgmma)
FLASH_ATTENTION_MMA_KERNEL(HIPFORGE_LARGE_SHARED_KERNEL, bf16, 64, 32, kWarpgroup, wgmma)
FLASH_ATTENTION_MMA_KERNEL(HIPFORGE_LARGE_SHARED_KERNEL, bf16, 128, 32, kWarpgroup, wgmma)

namespace {

// Above this, a target is taken to have asynchronous copies, and shared memory for several stages.
constexpr std::size_t kPlainSharedBytes = std::size_t{64} << 10;

template <int kHeadDim, MmaTeam kTeam>
void choose_block(const Target& target, std::int64_t rows, KernelChoice& choice) {
  using Geometry = MmaGeometry<kHeadDim, kTeam>;
  const bool deep = target.shared_bytes > kPlainSharedBytes;
  const int waves_of_rows = Geometry::kSplits * target.wave;  // threads for 16 rows
  int row_waves = 1;
  while (row_waves * Geometry::kRows < rows && (row_waves + 1) * waves_of_rows <= Geometry::kMaxThreads &&
         Geometry::bytes(row_waves + 1, deep ? 2 : 1) <= target.shared_bytes) {
    ++row_waves;
  }
  choice.tile_rows = row_waves * Geometry::kRows;
  choice.threads = row_waves * waves_of_rows;
  choice.stages = 1;
  if (deep) {
    // Few rows wait for memory, not for arithmetic: two blocks share a processor (each takes 1 KiB more than
    // it asks for), with as many tiles on their way as fit, and waves that do nothing but copy.
    constexpr std::size_t kReserved = 1024;
    const bool few = row_waves == 1;
    const std::size_t budget = few ? (target.shared_bytes - kReserved) / 2 : target.shared_bytes;
    const int most = few ? Geometry::kMaxStages : 2;
    while (choice.stages < most && Geometry::bytes(row_waves, choice.stages + 1) <= budget) ++choice.stages;
    choice.threads = std::max(choice.threads, 4 * target.wave);
  }
  choice.shared_bytes = Geometry::bytes(row_waves, choice.stages);
}

// Blocks of two warpgroups.
template <int kHeadDim>
void choose_warpgroups(const Target& target, KernelChoice& choice) {
  using Geometry = MmaGeometry<kHeadDim, MmaTeam::kWarpgroup>;
  const int row_waves = Geometry::kMaxThreads / target.wave;
  choice.tile_rows = row_waves * Geometry::kRows;
  choice.threads = Geometry::kMaxThreads;
  choice.stages = Geometry::kMinStages;
  while (choice.stages < Geometry::kMaxStages &&
         Geometry::bytes(row_waves, choice.stages + 1) <= target.shared_bytes) {
    ++choice.stages;
  }
  choice.shared_bytes = Geometry::bytes(row_waves, choice.stages);
}

// Fewer rows wait for memory whatever multiplies them, and would leave most of a warpgroup idle.
constexpr std::int64_t kMinWarpgroupRows = 17;

}  // namespace

Status choose_mma_kernel(const Target& target, DType dtype, std::int64_t head_dim, std::int64_t rows,
                         KernelChoice& choice) {
  return dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_head_dim(head_dim, [&]<int kHeadDim>() -> Status {
      const auto entry_of = [&]<MmaTeam kTeam>() {
        return dtype == DType::kF16 ? kFlashAttentionMmaEntry<F16, kHeadDim, kWave, kTeam>
                                    : kFlashAttentionMmaEntry<BF16, kHeadDim, kWave, kTeam>;
      };
      if constexpr (kWave == kWave32) {
        if (target.matrix_unit == MatrixUnit::kWmma) {
          choice.entry = entry_of.template operator()<MmaTeam::kSmallWave>();
          choose_block<kHeadDim, MmaTeam::kSmallWave>(target, rows, choice);
          return {};
        }
        if constexpr (kHeadDim == 64 || kHeadDim == 128) {
          if (target.matrix_unit == MatrixUnit::kWgmma && rows >= kMinWarpgroupRows) {
            choice.entry = entry_of.template operator()<MmaTeam::kWarpgroup>();
            choose_warpgroups<kHeadDim>(target, choice);
            return {};
          }
        }
      }
      choice.entry = entry_of.template operator()<MmaTeam::kWave>();
      choose_block<kHeadDim, MmaTeam::kWave>(target, rows, choice);
      return {};
    });
  });
}

FlashAttentionDepth mma_reduction_depth(DType dtype, std::int64_t kv_len, std::int64_t head_dim) {
  return dispatch_head_dim(head_dim, [&]<int kHeadDim>() {
    using Geometry = MmaGeometry<kHeadDim, MmaTeam::kWave>;
    FlashAttentionDepth depth;
    depth.factor = 2.0;
    depth.score = head_dim;
    // A lane sums at most half of a tile's weights, and a row's lanes are one more addition each.
    depth.weights = Geometry::kKeys / 2 + 8;
    depth.values =
        std::min<std::int64_t>(kv_len, Geometry::kSegmentKeys) + kv_len / Geometry::kSegmentKeys + 1;
    const bool half = dtype == DType::kF16;
    depth.lag = std::numbers::ln2 * static_cast<double>(half ? RowSum<F16>::kLag : RowSum<BF16>::kLag);
    depth.lift = std::numbers::ln2 * static_cast<double>(half ? RowSum<F16>::kLift : RowSum<BF16>::kLift);
    return depth;
  });
}

}  // namespace hipforge::flash_attention_detail
