#include "kernels/device/async_copy.h"
#include "kernels/device/dispatch.h"
#include "kernels/device/fast_math.h"
#include "kernels/device/matrix_core.h"
#include "kernels/device/online_softmax.h"
#include "kernels/device/reduce.h"
#include "kernels/device/vector_io.h"
#include "kernels/flash_attention/block.h"
#include "kernels/flash_attention/kernels.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <numbers>
#include <type_traits>

namespace hipforge::flash_attention_detail {

// The geometry of a block. A wave owns 16 whole rows; where head_dim is large, two waves own the same rows,
// score them both, and sum half of the values' dimensions each, so that no wave runs out of registers. What a
// row becomes depends on kHeadDim alone, not on how many rows, stages or waves a block has.
template <int kHeadDim>
struct MmaGeometry {
  static constexpr int kRows = 16;                             // of a wave
  static constexpr int kKeys = kHeadDim <= 128 ? 64 : 32;      // of a tile
  static constexpr int kSplits = kHeadDim <= 128 ? 1 : 2;      // waves that own the same rows
  static constexpr int kDims = kHeadDim / kSplits;             // of values that a wave sums
  static constexpr int kStride = kHeadDim + kVectorSize<F16>;  // against bank conflicts
  static constexpr int kWeightStride = kKeys + kVectorSize<F16>;
  static constexpr int kMaxThreads = 256;
  static constexpr int kMaxStages = 4;
  // Matrix units need not round to nearest: sums over more keys than these move to ones that are rounded so.
  static constexpr int kSegmentKeys = 1024;

  static constexpr std::size_t kTileBytes = kKeys * kStride * sizeof(F16);

  [[nodiscard]] static constexpr std::size_t bytes(int row_waves, int stages) {
    const std::size_t rows = static_cast<std::size_t>(row_waves * kRows);
    return 4 * kKeys * sizeof(std::int64_t) + static_cast<std::size_t>(2 * stages) * kTileBytes +
           (rows * kStride + kSplits * rows * kWeightStride) * sizeof(F16);
  }
};

// The shared memory of a block, in this order.
template <class T, int kHeadDim>
struct MmaTiles {
  using Geometry = MmaGeometry<kHeadDim>;
  std::int64_t* places;  // [2, {key, value}, keys]: of the tile that is copied next, and of the one after it
  T* stages;             // [stages, {key, value}, keys, kStride]
  T* query;              // [rows, kStride], at the end the output
  T* weights;            // [waves, kRows, kWeightStride]

  __device__ MmaTiles(void* base, int tile_rows, int stage_count) {
    places = static_cast<std::int64_t*>(base);
    stages = reinterpret_cast<T*>(places + 4 * Geometry::kKeys);
    query = stages + 2 * stage_count * (Geometry::kKeys * Geometry::kStride);
    weights = query + tile_rows * Geometry::kStride;
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
    const float next = fabsf(largest) < kLiftedScores ? largest - kLift : largest;
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

template <class T, int kHeadDim>
__device__ void copy_queries(const FlashAttentionArgs& args, const Block& block, const Sequence& sequence,
                             T* tile) {
  constexpr int kVector = kVectorSize<T>;
  constexpr int kChunks = kHeadDim / kVector;
  const T* q = static_cast<const T*>(args.q);
  for (int index = static_cast<int>(threadIdx.x); index < args.tile_rows * kChunks;
       index += static_cast<int>(blockDim.x)) {
    const int row = index / kChunks;
    const int dim = (index - row * kChunks) * kVector;
    const bool present = row < block.rows;
    const std::int64_t at =
        present ? row_offset(args.q_strides, block, sequence, place_row(args, block, row)) : 0;
    copy_chunk(q + at, dim, args.head_dim, args.vector_q != 0, present,
               tile + row * MmaGeometry<kHeadDim>::kStride + dim);
  }
}

// Copies a tile of keys or values. kSpoil: a key in a bad page is NaN, which makes a NaN score, and so a NaN
// row, for exactly those rows that see it.
template <class T, int kHeadDim, bool kSpoil>
__device__ void copy_rows(const T* rows, const std::int64_t* places, int head_dim, bool aligned, T* tile) {
  constexpr int kVector = kVectorSize<T>;
  constexpr int kChunks = kHeadDim / kVector;
  const bool whole = aligned && head_dim % kVector == 0;  // no chunk lies across a row's end
#pragma unroll 4
  for (unsigned index = threadIdx.x; index < MmaGeometry<kHeadDim>::kKeys * kChunks; index += blockDim.x) {
    const unsigned key = index / kChunks;
    const int dim = static_cast<int>(index % kChunks) * kVector;
    const std::int64_t place = places[key];
    T* shared = tile + key * MmaGeometry<kHeadDim>::kStride + dim;
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

// Puts 0 for whatever is not finite in a value tile.
template <class T, int kHeadDim>
__device__ void clean_values(T* tile) {
  constexpr int kVector = kVectorSize<T>;
  constexpr int kChunks = kHeadDim / kVector;
  for (int index = static_cast<int>(threadIdx.x); index < MmaGeometry<kHeadDim>::kKeys * kChunks;
       index += static_cast<int>(blockDim.x)) {
    T* values = tile + index / kChunks * MmaGeometry<kHeadDim>::kStride + index % kChunks * kVector;
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
template <class T, int kHeadDim, int kWave>
class MmaRows {
  using Geometry = MmaGeometry<kHeadDim>;
  using Core = MatrixCore<T, kWave>;
  static constexpr int kTile = Core::kTile;
  static constexpr int kStride = Geometry::kStride;
  static constexpr int kSteps = kHeadDim / kTile;
  static constexpr int kKeyTiles = Geometry::kKeys / kTile;
  static constexpr int kDimTiles = Geometry::kDims / kTile;
  // Where the query's fragments are small they stay in registers.
  static constexpr bool kKeepQueries = kSteps * sizeof(typename Core::A) <= 64;

 public:
  __device__ __forceinline__ MmaRows(const FlashAttentionArgs& args, const Block& block,
                                     const Sequence& sequence, const BlockView& view,
                                     const MmaTiles<T, kHeadDim>& tiles)
      : args_(args), block_(block), sequence_(sequence), prefix_end_(view.prefix_end) {
    const int wave = wave_id<kWave>();
    first_row_ = wave / Geometry::kSplits * Geometry::kRows;
    first_dim_ = wave % Geometry::kSplits * Geometry::kDims;
    active_ = first_row_ < block.rows;
    if (!active_) return;
    const int rows_left = block.rows - first_row_;
    last_row_ = first_row_ + (rows_left < Geometry::kRows ? rows_left : Geometry::kRows) - 1;
    const Visible earliest = visible_keys(args, sequence, place_row(args, block, first_row_).query);
    const Visible latest = visible_keys(args, sequence, place_row(args, block, last_row_).query);
    seen_ = tiles_seen(earliest.first, latest.end, view.prefix_end, Geometry::kKeys);
    filled_ = tiles_filled(latest.first, earliest.end, view.prefix_end, Geometry::kKeys);
    query_ = tiles.query + first_row_ * kStride;
    weights_ = tiles.weights + wave * (Geometry::kRows * Geometry::kWeightStride);
  }

  // Once the query's tile is there.
  __device__ __forceinline__ void load_queries() {
    if constexpr (kKeepQueries) {
      if (!active_) return;
#pragma unroll
      for (int step = 0; step < kSteps; ++step) queries_[step] = Core::load_a(query_ + step * kTile, kStride);
    }
  }

  __device__ __forceinline__ void reset() {
#pragma unroll
    for (int r = 0; r < Core::kRows; ++r) rows_[r] = {};
#pragma unroll
    for (int d = 0; d < kDimTiles; ++d) sums_[d] = outputs_[d] = {};
    segment_ = 0;
  }

  __device__ __forceinline__ void add_tile(int tile, const T* keys, const T* values) {
    if (!active_ || !seen_.contains(tile)) return;
    const bool idle = Core::kRowsApart && first_row_ + Core::row(0) > last_row_;

    Accumulator scores[kKeyTiles];
    if (!idle) multiply_scores(keys, scores);
    float largest[Core::kRows];
#pragma unroll
    for (int r = 0; r < Core::kRows; ++r) largest[r] = -INFINITY;
    if (!idle) finish_scores(tile, scores, largest);
    constexpr int kSegmentTiles = Geometry::kSegmentKeys / Geometry::kKeys;
    if (tile / kSegmentTiles != segment_) {
      segment_ = tile / kSegmentTiles;
      close_segment();
    }
    rescale(largest);
    if (!idle) {
      float shift[Core::kRows];
      float sum[Core::kRows];
#pragma unroll
      for (int r = 0; r < Core::kRows; ++r) {
        shift[r] = rows_[r].shift == -INFINITY ? 0.0f : rows_[r].shift;
        sum[r] = 0.0f;
      }
      for_each_score(scores, [&](int r, int, float& score) {
        score = fast_exp2(score - shift[r]);
        sum[r] += score;
      });
#pragma unroll
      for (int r = 0; r < Core::kRows; ++r) rows_[r].add(sum[r]);
    }
    multiply_values(scores, values, idle);
  }

  // Leaves the rows' output in the query's tile, whose queries nobody needs any more. Returns whether this
  // lane met a number that is not finite.
  __device__ __forceinline__ bool finish() {
    if (!active_) return false;
    close_segment();
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
        float& output = sums_[d].values[i];
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
            from_float<T>(sums_[d].values[i]);
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

  // In steps, each small enough to be unrolled on every compiler: scores must stay in registers.
  __device__ __forceinline__ void finish_scores(int tile, Accumulator (&scores)[kKeyTiles],
                                                float (&largest)[Core::kRows]) {
    for_each_score(scores, [&](int, int, float& score) { score *= args_.scale; });
    if (args_.soft_cap > 0.0f) {
      for_each_score(scores, [&](int, int, float& score) { score = args_.soft_cap * tanhf(score); });
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
        view = view_tile(visible_keys(args_, sequence_, place.query), prefix_end_, base, Geometry::kKeys);
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

  __device__ __forceinline__ void rescale(float (&largest)[Core::kRows]) {
    float factor[Core::kRows];
    bool any = false;
#pragma unroll
    for (int r = 0; r < Core::kRows; ++r) {
      factor[r] = rows_[r].raise(wave_reduce<kWave, Core::kRowLanes>(largest[r], MaxOp{}));
      any = any || factor[r] != 1.0f;
    }
    if (!any) return;
#pragma unroll
    for (int d = 0; d < kDimTiles; ++d) {
#pragma unroll
      for (int i = 0; i < Core::kValues; ++i) {
        outputs_[d].values[i] *= factor[Core::slot(i)];
        sums_[d].values[i] *= factor[Core::slot(i)];
      }
    }
  }

  __device__ __forceinline__ void multiply_values(const Accumulator (&weights)[kKeyTiles], const T* values,
                                                  bool idle) {
    if constexpr (Core::kScratch > 0) {
      wave_barrier<kWave>();  // the last tile's products have read theirs
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
      if (idle) return;
    }
#pragma unroll
    for (int n = 0; n < kKeyTiles; ++n) {
      typename Core::A weight;
      if constexpr (Core::kScratch > 0) {
        weight = Core::load_a(weights_ + n * kTile, Geometry::kWeightStride);
      } else {
        weight = Core::to_a(weights[n], nullptr);
      }
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
        sums_[d].values[i] += outputs_[d].values[i];
        outputs_[d].values[i] = 0.0f;
      }
    }
  }

  const FlashAttentionArgs& args_;
  const Block& block_;
  const Sequence& sequence_;
  const std::int64_t prefix_end_;
  bool active_ = false;  // the wave has rows
  int first_row_ = 0;
  int last_row_ = -1;
  int first_dim_ = 0;
  TileSpan seen_{};    // by some row
  TileSpan filled_{};  // with keys that all rows see
  T* query_ = nullptr;
  T* weights_ = nullptr;
  int segment_ = 0;
  typename Core::A queries_[kKeepQueries ? kSteps : 1];
  Accumulator outputs_[kDimTiles];  // of the segment
  Accumulator sums_[kDimTiles];     // of the segments before
  RowSum<T> rows_[Core::kRows];
  float totals_[Core::kRows];
};

// One block takes a tile of rows and all of their keys, tile by tile from key 0 on. With more than one stage
// the next tiles are on their way while one is worked on.
template <class T, int kHeadDim, int kWave>
__device__ __forceinline__ void flash_attention_mma_kernel(const FlashAttentionArgs& args) {
  using Geometry = MmaGeometry<kHeadDim>;
  constexpr int kKeys = Geometry::kKeys;
  HIP_DYNAMIC_SHARED(Chunk<F16>, flash_attention_mma_shared)
  Block block;
  Sequence sequence;
  if (!start_block<T>(args, block, sequence)) return;
  const BlockView view(args, block, sequence);
  const MmaTiles<T, kHeadDim> tiles(flash_attention_mma_shared, args.tile_rows, args.stages);
  MmaRows<T, kHeadDim, kWave> rows(args, block, sequence, view, tiles);

  const TileSpan seen = tiles_seen(view.earliest.first, view.latest.end, view.prefix_end, kKeys);
  const int tiles_end = seen.end > seen.prefix_end ? seen.end : seen.prefix_end;

  const auto place_tile = [&](int tile, int slot) {
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
      copy_rows<T, kHeadDim, true>(static_cast<const T*>(args.k), tiles.tile_places(slot, 0), args.head_dim,
                                   args.vector_k != 0, tiles.tile(next_stage, 0));
      copy_rows<T, kHeadDim, false>(static_cast<const T*>(args.v), tiles.tile_places(slot, 1), args.head_dim,
                                    args.vector_v != 0, tiles.tile(next_stage, 1));
      next = seen.next(next + 1);
      next_stage = next_stage + 1 < args.stages ? next_stage + 1 : 0;
      slot ^= 1;
      if (next < tiles_end) place_tile(next, slot);
    }
    async_copy_commit();
  };

  copy_queries<T, kHeadDim>(args, block, sequence, tiles.query);
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
    if (next < tiles_end) place_tile(next, slot);
    for (int ahead = 1; ahead < args.stages; ++ahead) {
      __syncthreads();
      copy_next();
    }
    wait_for_copies(args.stages - 1);
    __syncthreads();
    rows.load_queries();
    int stage = 0;
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
        clean_values<T, kHeadDim>(tiles.tile(stage, 1));
        __syncthreads();
      }
      rows.add_tile(tile, tiles.tile(stage, 0), tiles.tile(stage, 1));
      stage = stage + 1 < args.stages ? stage + 1 : 0;
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

template <class T, int kHeadDim, int kWave>
inline constexpr KernelEntry kFlashAttentionMmaEntry{};

#define FLASH_ATTENTION_MMA_KERNEL(T, HEAD_DIM, WAVE)                                                 \
  HIPFORGE_WAVE_KERNEL(WAVE, kFlashAttentionMmaEntry, (T, HEAD_DIM, WAVE),                            \
                       flash_attention_##T##_d##HEAD_DIM##_w##WAVE##_mma, flash_attention_mma_kernel, \
                       FlashAttentionArgs, MmaGeometry<HEAD_DIM>::kMaxThreads)

#define FLASH_ATTENTION_MMA_TILES(T, WAVE) \
  FLASH_ATTENTION_MMA_KERNEL(T, 32, WAVE)  \
  FLASH_ATTENTION_MMA_KERNEL(T, 64, WAVE)  \
  FLASH_ATTENTION_MMA_KERNEL(T, 96, WAVE)  \
  FLASH_ATTENTION_MMA_KERNEL(T, 128, WAVE) FLASH_ATTENTION_MMA_KERNEL(T, 256, WAVE)

#if !defined(__AMDGCN__)  // uses_matrix_kernel
FLASH_ATTENTION_MMA_TILES(f16, 32)
FLASH_ATTENTION_MMA_TILES(bf16, 32)
#endif
FLASH_ATTENTION_MMA_TILES(f16, 64)
FLASH_ATTENTION_MMA_TILES(bf16, 64)

namespace {

// Above this, a target is taken to have asynchronous copies, and shared memory for several stages.
constexpr std::size_t kPlainSharedBytes = std::size_t{64} << 10;

template <int kHeadDim>
void choose_block(const Target& target, std::int64_t rows, KernelChoice& choice) {
  using Geometry = MmaGeometry<kHeadDim>;
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

}  // namespace

Status choose_mma_kernel(const Target& target, DType dtype, std::int64_t head_dim, std::int64_t rows,
                         KernelChoice& choice) {
  return dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_head_dim(head_dim, [&]<int kHeadDim>() -> Status {
      choice.entry = dtype == DType::kF16 ? kFlashAttentionMmaEntry<F16, kHeadDim, kWave>
                                          : kFlashAttentionMmaEntry<BF16, kHeadDim, kWave>;
      choose_block<kHeadDim>(target, rows, choice);
      return {};
    });
  });
}

FlashAttentionDepth mma_reduction_depth(DType dtype, std::int64_t kv_len, std::int64_t head_dim) {
  return dispatch_head_dim(head_dim, [&]<int kHeadDim>() {
    using Geometry = MmaGeometry<kHeadDim>;
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
