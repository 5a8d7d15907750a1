#include "kernels/flash_attention.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"
#include "kernels/device/online_softmax.h"
#include "kernels/device/vector_io.h"
#include "kernels/flash_attention/layout.h"
#include "kernels/flash_attention/tile_products.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hipforge {
// Not an unnamed namespace: the kernels' names must be visible outside.
namespace flash_attention_detail {

// The shared memory of a block, in this order. Keys and values take turns in one tile.
template <int kHeadDim>
struct SharedTiles {
  using Products = TileProducts<kHeadDim>;
  std::int64_t* k_places;  // [keys]
  std::int64_t* v_places;  // [keys]
  float* keys;             // [dimension, key], then [key, dimension]
  float* query;            // [rows, kQueryStride], at the end the output
  float* weights;          // [rows, kWeightStride]
  float* maxima;           // [rows, kThreadsPerPair]
  float* totals;           // [rows, kThreadsPerPair]

  [[nodiscard]] static constexpr std::size_t bytes(int rows) {
    const int per_row = Products::kQueryStride + Products::kWeightStride + 2 * Products::kThreadsPerPair;
    return 2 * Products::kKeys * sizeof(std::int64_t) +
           static_cast<std::size_t>(Products::kKeys * kHeadDim + rows * per_row) * sizeof(float);
  }

  __device__ SharedTiles(void* base, int rows) {
    k_places = static_cast<std::int64_t*>(base);
    v_places = k_places + Products::kKeys;
    keys = reinterpret_cast<float*>(v_places + Products::kKeys);
    query = keys + Products::kKeys * kHeadDim;
    weights = query + rows * Products::kQueryStride;
    maxima = weights + rows * Products::kWeightStride;
    totals = maxima + rows * Products::kThreadsPerPair;
  }
};

// What a block works on: a tile of rows of one kv head, row r being query r / group of q head
// kv_head · group + r % group. The q heads of a kv head lie side by side, so that decoding reads each key
// once.
struct Block {
  std::int64_t batch;
  std::int64_t kv_head;
  std::int64_t first_row;  // of the sequence's q_len · group
  int rows;                // that exist
};

struct Place {
  std::int64_t query;
  std::int64_t head;
};

__device__ inline Place place_row(const FlashAttentionArgs& args, const Block& block, int row) {
  const std::int64_t flat = block.first_row + row;
  const std::int64_t query = flat / args.group;
  return {query, block.kv_head * args.group + (flat - query * args.group)};
}

__device__ inline std::int64_t row_offset(const Strides& strides, const Block& block,
                                          const Sequence& sequence, const Place& place) {
  return block.batch * strides.outer + (sequence.q_begin + place.query) * strides.row +
         place.head * strides.head;
}

template <class T>
__device__ inline void store_nan_row(const FlashAttentionArgs& args, std::int64_t o_at, std::int64_t lse_at) {
  T* o = static_cast<T*>(args.o) + o_at;
  for (int dim = 0; dim < args.head_dim; ++dim) o[dim] = from_float<T>(NAN);
  if (args.lse != nullptr) args.lse[lse_at] = NAN;
}

// The block's share of all packed rows becomes NaN: bad offsets do not say whose rows are whose.
template <class T>
__device__ void store_nan_everywhere(const FlashAttentionArgs& args) {
  const std::int64_t count = args.q_rows * args.q_heads;
  for (std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; at < count;
       at += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    const std::int64_t row = at / args.q_heads;
    const std::int64_t head = at - row * args.q_heads;
    store_nan_row<T>(args, row * args.o_strides.row + head * args.o_strides.head,
                     row * args.lse_strides.row + head * args.lse_strides.head);
  }
}

// Loads the query tile, 0 where there is no row or dimension.
template <class T, int kHeadDim>
__device__ void load_queries(const FlashAttentionArgs& args, const Block& block, const Sequence& sequence,
                             int tile_rows, float* query) {
  constexpr int kVector = kVectorSize<T>;
  constexpr int kChunks = kHeadDim / kVector;
  for (int index = static_cast<int>(threadIdx.x); index < tile_rows * kChunks;
       index += static_cast<int>(blockDim.x)) {
    const int row = index / kChunks;
    const int dim = (index - row * kChunks) * kVector;
    float values[kVector] = {};
    if (row < block.rows) {
      const std::int64_t at = row_offset(args.q_strides, block, sequence, place_row(args, block, row)) + dim;
      if (dim < args.head_dim) {
        load_row(static_cast<const T*>(args.q) + at, args.head_dim - dim, args.vector_q != 0, values);
      }
    }
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      query[row * TileProducts<kHeadDim>::kQueryStride + dim + i] = values[i];
    }
  }
}

// Loads a key tile transposed, to [dimension, key]: neighbouring threads take neighbouring keys, so that the
// transposed stores do not collide.
template <class T, int kHeadDim>
__device__ void load_keys(const FlashAttentionArgs& args, const std::int64_t* places, float* keys) {
  constexpr int kKeys = TileProducts<kHeadDim>::kKeys;
  constexpr int kVector = kVectorSize<T>;
  for (int index = static_cast<int>(threadIdx.x); index / kKeys * kVector < args.head_dim;
       index += static_cast<int>(blockDim.x)) {
    const int key = index % kKeys;
    const int dim = index / kKeys * kVector;
    const std::int64_t place = places[key];
    float values[kVector];
    if (place >= 0) {
      load_row(static_cast<const T*>(args.k) + place + dim, args.head_dim - dim, args.vector_k != 0, values);
    } else {
      // A NaN key makes a NaN score, and so a NaN row, for exactly those rows that see it.
#pragma unroll
      for (int i = 0; i < kVector; ++i) values[i] = place == kBadPageKey ? NAN : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < kVector; ++i) keys[(dim + i) * kKeys + key] = values[i];
  }
}

// Loads a value tile as it lies, [key, dimension], 0 where there is no key or dimension. Returns whether this
// thread met a number that is not finite.
template <class T, int kHeadDim>
__device__ bool load_values(const FlashAttentionArgs& args, const std::int64_t* places, float* tile) {
  constexpr int kVector = kVectorSize<T>;
  constexpr int kChunks = kHeadDim / kVector;
  bool wild = false;
  for (int index = static_cast<int>(threadIdx.x); index < TileProducts<kHeadDim>::kKeys * kChunks;
       index += static_cast<int>(blockDim.x)) {
    const int key = index / kChunks;
    const int dim = (index - key * kChunks) * kVector;
    const std::int64_t place = places[key];
    float values[kVector] = {};
    if (place >= 0 && dim < args.head_dim) {
      load_row(static_cast<const T*>(args.v) + place + dim, args.head_dim - dim, args.vector_v != 0, values);
    }
    float spread = 0.0f;
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      tile[key * kHeadDim + dim + i] = values[i];
      spread += values[i] - values[i];  // 0 for numbers, NaN for NaN and infinity
    }
    wild = wild || spread != 0.0f;
  }
  return wild;
}

// A row's keys, relative to a tile's first one.
struct TileView {
  int first;
  int end;
  int prefix_end;

  [[nodiscard]] __device__ bool sees(int key) const {
    return (key >= first && key < end) || key < prefix_end;
  }
};

__device__ inline int clamp_to_tile(std::int64_t key, int keys) {
  return key < 0 ? 0 : (key < keys ? static_cast<int>(key) : keys);
}

__device__ inline TileView view_tile(const Visible& visible, std::int64_t prefix_end, std::int64_t base,
                                     int keys) {
  return {clamp_to_tile(visible.first - base, keys), clamp_to_tile(visible.end - base, keys),
          clamp_to_tile(prefix_end - base, keys)};
}

// One row's dot products become scores: scale, soft cap, mask, in this order; −inf where removed.
template <class T, int kRuns, int kRun>
__device__ inline float finish_scores(const FlashAttentionArgs& args, const TileView& view, const void* mask,
                                      std::int64_t base, int lane, int run_step,
                                      float (&scores)[kRuns][kRun]) {
  float largest = -INFINITY;
#pragma unroll
  for (int run = 0; run < kRuns; ++run) {
#pragma unroll
    for (int i = 0; i < kRun; ++i) {
      const int key = run * run_step + lane * kRun + i;
      float score = -INFINITY;
      if (view.sees(key)) {
        score = scores[run][i] * args.scale;
        if (args.soft_cap > 0.0f) score = args.soft_cap * tanhf(score / args.soft_cap);
        if (mask != nullptr) {
          const std::int64_t at = (base + key) * args.mask_strides[3];
          const float added = args.mask_is_f32 != 0 ? static_cast<const float*>(mask)[at]
                                                    : to_float(static_cast<const T*>(mask)[at]);
          score = added == -INFINITY ? -INFINITY : score + added;
        }
      }
      scores[run][i] = score;
      largest = score > largest ? score : largest;  // a NaN shows in the weights, not here
    }
  }
  return largest;
}

// Stores the outputs' tile, which lies where the queries did.
template <class T, int kHeadDim>
__device__ void store_outputs(const FlashAttentionArgs& args, const Block& block, const Sequence& sequence,
                              const float* tile) {
  constexpr int kVector = kVectorSize<T>;
  constexpr int kChunks = kHeadDim / kVector;
  for (int index = static_cast<int>(threadIdx.x); index < block.rows * kChunks;
       index += static_cast<int>(blockDim.x)) {
    const int row = index / kChunks;
    const int dim = (index - row * kChunks) * kVector;
    if (dim >= args.head_dim) continue;
    float values[kVector];
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      values[i] = tile[row * TileProducts<kHeadDim>::kQueryStride + dim + i];
    }
    const std::int64_t at = row_offset(args.o_strides, block, sequence, place_row(args, block, row)) + dim;
    store_row(static_cast<T*>(args.o) + at, args.head_dim - dim, args.vector_o != 0, values);
  }
}

// One block takes a tile of rows and all of their keys, tile by tile from key 0 on. Four barriers a tile.
template <class T, int kHeadDim, int kWave>
__device__ void flash_attention_kernel(const FlashAttentionArgs& args) {
  using Products = TileProducts<kHeadDim>;
  constexpr int kKeys = Products::kKeys;
  constexpr int kPairRows = Products::kPairRows;
  static_assert(kWave % Products::kThreadsPerPair == 0);
  HIP_DYNAMIC_SHARED(std::int64_t, flash_attention_shared)
  const int tile_rows = Products::rows(static_cast<int>(blockDim.x));
  const SharedTiles<kHeadDim> shared(flash_attention_shared, tile_rows);

  if (args.q_offsets != nullptr && !query_offsets_are_valid(args)) {
    store_nan_everywhere<T>(args);
    return;
  }
  // The last tile of a causal sequence has the most keys: it starts first.
  const std::int64_t plane = blockIdx.x / args.q_tiles;
  const std::int64_t tile = args.q_tiles - 1 - (blockIdx.x - plane * args.q_tiles);
  Block block{plane / args.kv_heads, plane % args.kv_heads, tile * tile_rows, 0};
  const Sequence sequence = find_sequence(args, block.batch);
  const std::int64_t rows_left = sequence.q_len * args.group - block.first_row;
  if (rows_left <= 0) return;
  block.rows = rows_left < tile_rows ? static_cast<int>(rows_left) : tile_rows;
  if (!sequence.valid) {
    for (int row = static_cast<int>(threadIdx.x); row < block.rows; row += static_cast<int>(blockDim.x)) {
      const Place place = place_row(args, block, row);
      store_nan_row<T>(args, row_offset(args.o_strides, block, sequence, place),
                       row_offset(args.lse_strides, block, sequence, place));
    }
    return;
  }

  const int pair = static_cast<int>(threadIdx.x) / Products::kThreadsPerPair;
  const int lane = static_cast<int>(threadIdx.x) % Products::kThreadsPerPair;
  const int first_row = pair * kPairRows;
  const bool active = first_row < block.rows;

  // What the block's rows see together: [seen.first, seen.end) and the prefix. Nothing else is read.
  const std::int64_t prefix_end = args.prefix_len < sequence.kv_len ? args.prefix_len : sequence.kv_len;
  const Visible earliest = visible_keys(args, sequence, place_row(args, block, 0).query);
  const Visible latest = visible_keys(args, sequence, place_row(args, block, block.rows - 1).query);
  const Visible seen{earliest.first, latest.end};
  const bool same_view = earliest.first == latest.first && earliest.end == latest.end;

  Visible visible[kPairRows];
  const void* mask[kPairRows];
  OnlineReference reference[kPairRows];
  float total[kPairRows];
  float total_excess[kPairRows];
#pragma unroll
  for (int r = 0; r < kPairRows; ++r) {
    const int row = first_row + r;
    visible[r] = {0, 0};
    mask[r] = nullptr;
    total[r] = 0.0f;
    total_excess[r] = 0.0f;
    if (row >= block.rows) continue;
    const Place place = place_row(args, block, row);
    visible[r] = visible_keys(args, sequence, place.query);
    if (args.mask != nullptr) {
      const std::int64_t at = block.batch * args.mask_strides[0] + place.head * args.mask_strides[1] +
                              place.query * args.mask_strides[2];
      mask[r] = args.mask_is_f32 != 0 ? static_cast<const void*>(static_cast<const float*>(args.mask) + at)
                                      : static_cast<const void*>(static_cast<const T*>(args.mask) + at);
    }
  }
  typename Products::Outputs outputs = {};
  typename Products::Outputs excess = {};

  const auto next_tile = [&](std::int64_t base) {
    const bool between = base >= prefix_end && base + kKeys <= seen.first;
    return between ? seen.first / kKeys * kKeys : base;
  };
  const auto place_tile = [&](std::int64_t base) {
    for (int n = static_cast<int>(threadIdx.x); n < kKeys; n += static_cast<int>(blockDim.x)) {
      const std::int64_t key = base + n;
      const bool needed = (key >= seen.first && key < seen.end) || key < prefix_end;
      const KeyPlace place = needed ? place_key(args, sequence, block.batch, block.kv_head, key)
                                    : KeyPlace{kAbsentKey, kAbsentKey};
      shared.k_places[n] = place.k;
      shared.v_places[n] = place.v;
    }
  };
  const std::int64_t keys_end = seen.end > prefix_end ? seen.end : prefix_end;

  load_queries<T, kHeadDim>(args, block, sequence, tile_rows, shared.query);
  std::int64_t base = next_tile(0);
  place_tile(base);
  __syncthreads();
  while (base < keys_end) {
    load_keys<T, kHeadDim>(args, shared.k_places, shared.keys);
    __syncthreads();

    typename Products::Scores scores;
    if (active) {
      Products::multiply_scores(shared.query + first_row * Products::kQueryStride, shared.keys, args.head_dim,
                                lane, scores);
#pragma unroll
      for (int r = 0; r < kPairRows; ++r) {
        const TileView view = view_tile(visible[r], first_row + r < block.rows ? prefix_end : 0, base, kKeys);
        shared.maxima[(first_row + r) * Products::kThreadsPerPair + lane] =
            finish_scores<T>(args, view, mask[r], base, lane, Products::kRunStep, scores[r]);
      }
    }
    __syncthreads();

    const bool wild = load_values<T, kHeadDim>(args, shared.v_places, shared.keys);
    float factor[kPairRows] = {};
    if (active) {
#pragma unroll
      for (int r = 0; r < kPairRows; ++r) {
        const int row = first_row + r;
        float largest = -INFINITY;
#pragma unroll
        for (int i = 0; i < Products::kThreadsPerPair; ++i) {
          const float other = shared.maxima[row * Products::kThreadsPerPair + i];
          largest = other > largest ? other : largest;
        }
        factor[r] = reference[r].raise(largest);
        float sum = kRemovedWeight;
#pragma unroll
        for (int run = 0; run < Products::kKeyRuns; ++run) {
          Pack<float, Products::kRun> weights;
#pragma unroll
          for (int i = 0; i < Products::kRun; ++i) {
            weights.values[i] = reference[r].weight(scores[r][run][i]);
            sum += weights.values[i];
          }
          *reinterpret_cast<Pack<float, Products::kRun>*>(shared.weights + row * Products::kWeightStride +
                                                          run * Products::kRunStep + lane * Products::kRun) =
              weights;
        }
        shared.totals[row * Products::kThreadsPerPair + lane] = sum;
      }
    }
    // A NaN among the values may be visible to one row and removed for another, but only where rows differ.
    const bool rows_differ = args.mask != nullptr || !same_view;
    bool select = false;
    if (rows_differ) {
      select = __syncthreads_or(wild ? 1 : 0) != 0;
    } else {
      __syncthreads();
    }

    const std::int64_t keys_left = keys_end - base;
    if (active) {
      bool adds[kPairRows];
#pragma unroll
      for (int r = 0; r < kPairRows; ++r) {
        float sum = kRemovedWeight;
#pragma unroll
        for (int i = 0; i < Products::kThreadsPerPair; ++i) {
          sum += shared.totals[(first_row + r) * Products::kThreadsPerPair + i];
        }
        if (factor[r] != 1.0f) {
          compensated_scale(total[r], total_excess[r], factor[r]);
#pragma unroll
          for (int run = 0; run < Products::kDimRuns; ++run) {
#pragma unroll
            for (int i = 0; i < Products::kRun; ++i) {
              compensated_scale(outputs[r][run][i], excess[r][run][i], factor[r]);
            }
          }
        }
        // A tile in which a row sees nothing leaves it as it is, to the bit: whether the block visits the
        // tile at all depends on the other rows.
        adds[r] = !weight_is_removed(sum);
        if (adds[r]) compensated_add(total[r], total_excess[r], sum);
      }
      const float* weights = shared.weights + first_row * Products::kWeightStride;
      const int keys = keys_left < kKeys ? static_cast<int>(keys_left) : kKeys;
      if (select) {
        Products::template multiply_values<true>(weights, shared.keys, keys, args.head_dim, lane, adds,
                                                 outputs, excess);
      } else {
        Products::template multiply_values<false>(weights, shared.keys, keys, args.head_dim, lane, adds,
                                                  outputs, excess);
      }
    }
    base = next_tile(base + kKeys);
    place_tile(base);
    __syncthreads();
  }

  if (active) {
#pragma unroll
    for (int r = 0; r < kPairRows; ++r) {
      const int row = first_row + r;
      const bool empty = total[r] == 0.0f;
#pragma unroll
      for (int run = 0; run < Products::kDimRuns; ++run) {
#pragma unroll
        for (int i = 0; i < Products::kRun; ++i) {
          shared.query[row * Products::kQueryStride + run * Products::kRunStep + lane * Products::kRun + i] =
              empty ? 0.0f : outputs[r][run][i] / total[r];
        }
      }
      if (args.lse != nullptr && lane == 0 && row < block.rows) {
        args.lse[row_offset(args.lse_strides, block, sequence, place_row(args, block, row))] =
            empty ? -INFINITY : reference[r].value + logf(total[r]);
      }
    }
  }
  __syncthreads();
  store_outputs<T, kHeadDim>(args, block, sequence, shared.query);
}

template <class T, int kHeadDim, int kWave>
inline constexpr KernelEntry kFlashAttentionEntry{};

#define FLASH_ATTENTION_KERNEL(T, HEAD_DIM, WAVE)                                           \
  HIPFORGE_WAVE_KERNEL(WAVE, kFlashAttentionEntry, (T, HEAD_DIM, WAVE),                     \
                       flash_attention_##T##_d##HEAD_DIM##_w##WAVE, flash_attention_kernel, \
                       FlashAttentionArgs, TileProducts<HEAD_DIM>::kMaxThreads)

#define FLASH_ATTENTION_TILES(T, WAVE) \
  FLASH_ATTENTION_KERNEL(T, 32, WAVE)  \
  FLASH_ATTENTION_KERNEL(T, 64, WAVE)  \
  FLASH_ATTENTION_KERNEL(T, 96, WAVE)  \
  FLASH_ATTENTION_KERNEL(T, 128, WAVE) FLASH_ATTENTION_KERNEL(T, 256, WAVE)

HIPFORGE_FOR_EACH_FLOAT_AND_WAVE(FLASH_ATTENTION_TILES)

}  // namespace flash_attention_detail

namespace {

using namespace flash_attention_detail;

constexpr const char* kOp = "flash_attention";
constexpr std::int64_t kMaxHeadDim = 256;
constexpr std::int64_t kMaxBlocks = std::numeric_limits<std::int32_t>::max();

// The sizes of a launch, wherever its layout keeps them.
struct Sizes {
  std::int64_t batch = 0;
  std::int64_t q_len = 0;   // packed: the most of a sequence
  std::int64_t kv_len = 0;  // packed and paged: the most of a sequence
  std::int64_t q_rows = 0;  // packed
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
};

bool packed_queries(const FlashAttentionParams& params) {
  return params.q_offsets.present();
}
bool packed_keys(const FlashAttentionParams& params) {
  return params.kv_offsets.present();
}
bool paged_keys(const FlashAttentionParams& params) {
  return params.block_table.present();
}

Sizes sizes_of(const FlashAttentionParams& params) {
  Sizes sizes;
  const auto& q = params.q.shape;
  const auto& k = params.k.shape;
  if (packed_queries(params)) {
    sizes.batch = params.q_offsets.shape[0] - 1;
    sizes.q_rows = q[0];
    sizes.q_len = params.max_q_len > 0 ? params.max_q_len : q[0];
    sizes.q_heads = q[1];
    sizes.head_dim = q[2];
  } else {
    sizes.batch = q[0];
    sizes.q_len = q[1];
    sizes.q_heads = q[2];
    sizes.head_dim = q[3];
  }
  sizes.kv_heads = packed_keys(params) ? k[1] : k[2];
  sizes.kv_len = k[1];
  if (packed_keys(params)) sizes.kv_len = k[0];
  if (paged_keys(params)) sizes.kv_len = params.block_table.shape[1] * k[1];
  const bool bounded = packed_keys(params) || paged_keys(params);
  if (bounded && params.max_kv_len > 0) sizes.kv_len = std::min(sizes.kv_len, params.max_kv_len);
  return sizes;
}

Status check_index_tensor(const char* name, const TensorView& tensor, int rank) {
  HIPFORGE_TRY(check_tensor(kOp, name, tensor, rank));
  HIPFORGE_TRY(check_dtype(kOp, name, tensor, {DType::kI32}));
  return check_innermost_contiguous(kOp, name, tensor);
}

Status check_layout(const FlashAttentionParams& params) {
  if (params.kv_offsets.present() && params.block_table.present()) {
    return invalid_argument(kOp, ": kv_offsets and block_table are both given, keys are packed or paged");
  }
  if (params.block_table.present() != params.kv_lens.present()) {
    return invalid_argument(kOp, ": block_table and kv_lens go together, got ",
                            params.block_table.present() ? "block_table" : "kv_lens", " alone");
  }
  if (params.kv_offsets.present() && !params.q_offsets.present()) {
    return invalid_argument(kOp, ": kv_offsets need q_offsets, packed keys go with packed queries");
  }
  if (params.q_offsets.present() && !params.kv_offsets.present() && !params.block_table.present()) {
    return invalid_argument(kOp,
                            ": q_offsets need kv_offsets or block_table, packed queries go with packed or "
                            "paged keys");
  }
  if (params.mask.present() && (params.q_offsets.present() || params.block_table.present())) {
    return invalid_argument(kOp, ": mask goes with dense queries and dense keys only, got ",
                            params.q_offsets.present() ? "q_offsets" : "block_table");
  }
  return {};
}

Status check_shapes(const FlashAttentionParams& params) {
  const auto floats = {DType::kF32, DType::kF16, DType::kBF16};
  const int q_rank = packed_queries(params) ? 3 : 4;
  const int kv_rank = packed_keys(params) ? 3 : 4;
  HIPFORGE_TRY(check_tensor(kOp, "q", params.q, q_rank));
  HIPFORGE_TRY(check_tensor(kOp, "k", params.k, kv_rank));
  HIPFORGE_TRY(check_tensor(kOp, "v", params.v, kv_rank));
  HIPFORGE_TRY(check_tensor(kOp, "o", params.o, q_rank));
  HIPFORGE_TRY(check_dtype(kOp, "q", params.q, floats));
  HIPFORGE_TRY(check_dtype(kOp, "k", params.k, {params.q.dtype}));
  HIPFORGE_TRY(check_dtype(kOp, "v", params.v, {params.q.dtype}));
  HIPFORGE_TRY(check_dtype(kOp, "o", params.o, {params.q.dtype}));
  HIPFORGE_TRY(check_innermost_contiguous(kOp, "q", params.q));
  HIPFORGE_TRY(check_innermost_contiguous(kOp, "k", params.k));
  HIPFORGE_TRY(check_innermost_contiguous(kOp, "v", params.v));
  HIPFORGE_TRY(check_innermost_contiguous(kOp, "o", params.o));

  if (packed_queries(params)) {
    HIPFORGE_TRY(check_index_tensor("q_offsets", params.q_offsets, 1));
    if (params.q_offsets.shape[0] < 1) {
      return invalid_argument(kOp, ": q_offsets is empty, needs batch + 1 elements");
    }
    HIPFORGE_TRY(check_range(kOp, "max_q_len", params.max_q_len, 0, params.q.shape[0]));
  }
  const Sizes sizes = sizes_of(params);
  if (sizes.head_dim < 1 || sizes.head_dim > kMaxHeadDim) {
    return unsupported(kOp, ": head_dim is ", sizes.head_dim, ", supported: 1 to ", kMaxHeadDim);
  }
  const int k_heads_axis = kv_rank - 2;
  HIPFORGE_TRY(check_dim(kOp, "k", params.k, kv_rank - 1, sizes.head_dim, "head_dim of q"));
  for (int axis = 0; axis < kv_rank; ++axis) {
    HIPFORGE_TRY(
        check_dim(kOp, "v", params.v, axis, params.k.shape[static_cast<std::size_t>(axis)], "as in k"));
  }
  for (int axis = 0; axis < q_rank; ++axis) {
    HIPFORGE_TRY(
        check_dim(kOp, "o", params.o, axis, params.q.shape[static_cast<std::size_t>(axis)], "as in q"));
  }
  if (sizes.kv_heads == 0 ? sizes.q_heads != 0 : sizes.q_heads % sizes.kv_heads != 0) {
    return invalid_argument(kOp, ": q has ", sizes.q_heads, " heads, k has ", sizes.kv_heads, " (axis ",
                            k_heads_axis, "), needs a divisor of ", sizes.q_heads);
  }
  if (packed_keys(params)) {
    HIPFORGE_TRY(check_index_tensor("kv_offsets", params.kv_offsets, 1));
    HIPFORGE_TRY(
        check_dim(kOp, "kv_offsets", params.kv_offsets, 0, sizes.batch + 1, "batch + 1, as q_offsets"));
  } else if (paged_keys(params)) {
    HIPFORGE_TRY(check_index_tensor("block_table", params.block_table, 2));
    HIPFORGE_TRY(check_index_tensor("kv_lens", params.kv_lens, 1));
    HIPFORGE_TRY(check_dim(kOp, "block_table", params.block_table, 0, sizes.batch, "batch"));
    HIPFORGE_TRY(check_dim(kOp, "kv_lens", params.kv_lens, 0, sizes.batch, "batch"));
    if (params.k.shape[1] < 1) {
      return invalid_argument(kOp, ": k has shape ", params.k.shape_text(), ", page_size 0, needs 1 or more");
    }
  } else {
    HIPFORGE_TRY(check_dim(kOp, "k", params.k, 0, sizes.batch, "batch of q"));
  }
  return {};
}

Status check_lse(const FlashAttentionParams& params) {
  if (!params.lse.present()) return {};
  const Sizes sizes = sizes_of(params);
  HIPFORGE_TRY(check_tensor(kOp, "lse", params.lse, packed_queries(params) ? 2 : 3));
  HIPFORGE_TRY(check_dtype(kOp, "lse", params.lse, {DType::kF32}));
  if (packed_queries(params)) {
    HIPFORGE_TRY(check_dim(kOp, "lse", params.lse, 0, sizes.q_heads, "q_heads of q"));
    HIPFORGE_TRY(check_dim(kOp, "lse", params.lse, 1, sizes.q_rows, "rows of q"));
  } else {
    HIPFORGE_TRY(check_dim(kOp, "lse", params.lse, 0, sizes.batch, "batch of q"));
    HIPFORGE_TRY(check_dim(kOp, "lse", params.lse, 1, sizes.q_heads, "q_heads of q"));
    HIPFORGE_TRY(check_dim(kOp, "lse", params.lse, 2, sizes.q_len, "q_len of q"));
  }
  return check_no_self_overlap(kOp, "lse", params.lse);
}

Status check_mask(const FlashAttentionParams& params) {
  if (!params.mask.present()) return {};
  const Sizes sizes = sizes_of(params);
  HIPFORGE_TRY(check_tensor(kOp, "mask", params.mask, 4));
  HIPFORGE_TRY(check_dtype(kOp, "mask", params.mask, {DType::kF32, params.q.dtype}));
  const std::int64_t expected[] = {sizes.batch, sizes.q_heads, sizes.q_len, sizes.kv_len};
  constexpr const char* kAxes[] = {"1, or batch of q", "1, or q_heads of q", "1, or q_len of q",
                                   "kv_len of k"};
  for (int axis = 0; axis < 4; ++axis) {
    if (axis < 3 && params.mask.shape[static_cast<std::size_t>(axis)] == 1) continue;
    HIPFORGE_TRY(check_dim(kOp, "mask", params.mask, axis, expected[axis], kAxes[axis]));
  }
  return {};
}

Status check_overlaps(const FlashAttentionParams& params) {
  HIPFORGE_TRY(check_no_self_overlap(kOp, "o", params.o));
  const auto check_against = [&](const char* name, const TensorView& output) -> Status {
    const std::pair<const char*, const TensorView*> inputs[] = {{"q", &params.q},
                                                                {"k", &params.k},
                                                                {"v", &params.v},
                                                                {"mask", &params.mask},
                                                                {"q_offsets", &params.q_offsets},
                                                                {"kv_offsets", &params.kv_offsets},
                                                                {"kv_lens", &params.kv_lens},
                                                                {"block_table", &params.block_table}};
    for (const auto& [input_name, input] : inputs) {
      HIPFORGE_TRY(check_no_overlap(kOp, input_name, *input, name, output, false));
    }
    return {};
  };
  HIPFORGE_TRY(check_against("o", params.o));
  if (!params.lse.present()) return {};
  HIPFORGE_TRY(check_against("lse", params.lse));
  return check_no_overlap(kOp, "o", params.o, "lse", params.lse, false);
}

Status check_params(const FlashAttentionParams& params) {
  HIPFORGE_TRY(check_layout(params));
  HIPFORGE_TRY(check_shapes(params));
  HIPFORGE_TRY(check_lse(params));
  HIPFORGE_TRY(check_mask(params));
  HIPFORGE_TRY(check_overlaps(params));
  HIPFORGE_TRY(check_finite(kOp, "scale", static_cast<double>(params.scale)));
  HIPFORGE_TRY(check_finite(kOp, "soft_cap", static_cast<double>(params.soft_cap)));
  if (params.soft_cap < 0.0f) {
    return invalid_argument(kOp, ": soft_cap is ", params.soft_cap, ", needs 0 (none) or more");
  }
  constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();
  HIPFORGE_TRY(check_range(kOp, "window", params.window, 0, kUnlimited));
  HIPFORGE_TRY(check_range(kOp, "prefix_len", params.prefix_len, 0, kUnlimited));
  return check_range(kOp, "max_kv_len", params.max_kv_len, 0, kUnlimited);
}

// Calls visit.template operator()<kHeadDim>() with the smallest tile that holds head_dim.
template <class Visit>
auto dispatch_head_dim(std::int64_t head_dim, Visit&& visit) {
  if (head_dim <= 32) return visit.template operator()<32>();
  if (head_dim <= 64) return visit.template operator()<64>();
  if (head_dim <= 96) return visit.template operator()<96>();
  if (head_dim <= 128) return visit.template operator()<128>();
  return visit.template operator()<256>();
}

// Threads of a block: whole waves, enough for all rows of a kv head, as many as the tile allows.
template <int kHeadDim>
int block_threads(std::int64_t rows, int wave) {
  int threads = wave;
  while (TileProducts<kHeadDim>::rows(threads) < rows && 2 * threads <= TileProducts<kHeadDim>::kMaxThreads) {
    threads *= 2;
  }
  return threads;
}

Strides strides_of(const TensorView& tensor) {
  if (tensor.rank == 3) return {0, tensor.strides[0], tensor.strides[1]};
  return {tensor.strides[0], tensor.strides[1], tensor.strides[2]};
}

FlashAttentionArgs make_args(const FlashAttentionParams& params, const LaunchPlan& plan) {
  const Sizes sizes = sizes_of(params);
  FlashAttentionArgs args{};
  args.q = params.q.data;
  args.k = params.k.data;
  args.v = params.v.data;
  args.o = params.o.data;
  args.lse = params.lse.as<float>();
  args.mask = params.mask.data;
  args.q_offsets = params.q_offsets.as<std::int32_t>();
  args.kv_offsets = params.kv_offsets.as<std::int32_t>();
  args.kv_lens = params.kv_lens.as<std::int32_t>();
  args.block_table = params.block_table.as<std::int32_t>();
  args.error_word = params.error_word;
  args.q_strides = strides_of(params.q);
  args.k_strides = strides_of(params.k);
  args.v_strides = strides_of(params.v);
  args.o_strides = strides_of(params.o);
  // lse has its head before its row.
  const auto& lse = params.lse.strides;
  args.lse_strides = packed_queries(params) ? Strides{0, lse[1], lse[0]} : Strides{lse[0], lse[2], lse[1]};
  for (std::size_t axis = 0; axis < 4; ++axis) {
    const bool broadcast = axis < 3 && params.mask.shape[axis] == 1;
    args.mask_strides[axis] = broadcast ? 0 : params.mask.strides[axis];
  }
  args.block_table_stride = params.block_table.strides[0];
  args.batch = sizes.batch;
  args.q_len = sizes.q_len;
  args.kv_len = sizes.kv_len;
  args.q_rows = sizes.q_rows;
  args.kv_rows = packed_keys(params) ? params.k.shape[0] : 0;
  args.pages = paged_keys(params) ? params.k.shape[0] : 0;
  args.page_size = paged_keys(params) ? params.k.shape[1] : 0;
  args.q_tiles = plan.grid.x / (sizes.batch * sizes.kv_heads);
  args.window = params.window;
  args.causal = params.causal || params.window > 0 ? 1 : 0;
  args.prefix_len = args.causal != 0 ? params.prefix_len : 0;
  args.q_heads = static_cast<int>(sizes.q_heads);
  args.kv_heads = static_cast<int>(sizes.kv_heads);
  args.group = static_cast<int>(sizes.q_heads / sizes.kv_heads);
  args.head_dim = static_cast<int>(sizes.head_dim);
  args.scale = params.scale != 0.0f
                   ? params.scale
                   : static_cast<float>(1.0 / std::sqrt(static_cast<double>(sizes.head_dim)));
  args.soft_cap = params.soft_cap;
  args.mask_is_f32 = params.mask.dtype == DType::kF32 ? 1 : 0;
  const int vector = kVectorBytes / static_cast<int>(dtype_size(params.q.dtype));
  args.vector_q = rows_are_aligned(params.q, vector) ? 1 : 0;
  args.vector_k = rows_are_aligned(params.k, vector) ? 1 : 0;
  args.vector_v = rows_are_aligned(params.v, vector) ? 1 : 0;
  args.vector_o = rows_are_aligned(params.o, vector) ? 1 : 0;
  return args;
}

}  // namespace

std::size_t flash_attention_workspace_bytes(const FlashAttentionParams&) {
  return 0;
}

FlashAttentionDepth flash_attention_reduction_depth(std::int64_t kv_len, std::int64_t head_dim) {
  return dispatch_head_dim(head_dim, [&]<int kHeadDim>() {
    using Products = TileProducts<kHeadDim>;
    FlashAttentionDepth depth;
    depth.score = head_dim;
    depth.weights = Products::kKeyRuns * Products::kRun + Products::kThreadsPerPair + 2;
    depth.values = std::min<std::int64_t>(Products::kKeys, kv_len) + 2;
    depth.lag = static_cast<double>(kMaxLag);
    return depth;
  });
}

Status flash_attention_plan(const FlashAttentionParams& params, const Target& target, LaunchPlan& plan) {
  HIPFORGE_TRY(check_params(params));
  const Sizes sizes = sizes_of(params);
  return dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_float(kOp, "q", params.q.dtype, [&]<class T>() {
      return dispatch_head_dim(sizes.head_dim, [&]<int kHeadDim>() -> Status {
        const KernelEntry entry = kFlashAttentionEntry<T, kHeadDim, kWave>;
        plan = {};
        plan.kernel = entry.name;
        plan.function = entry.function;
        plan.grid = dim3(0, 1, 1);
        if (params.o.numel() == 0) return {};
        const std::int64_t rows = sizes.q_len * (sizes.q_heads / sizes.kv_heads);
        const int threads = block_threads<kHeadDim>(rows, kWave);
        const int tile_rows = TileProducts<kHeadDim>::rows(threads);
        const std::int64_t planes = sizes.batch * sizes.kv_heads;
        const std::int64_t q_tiles = (rows + tile_rows - 1) / tile_rows;
        if (planes > 0 && q_tiles > kMaxBlocks / planes) {
          return unsupported(kOp, ": ", q_tiles, " tiles of ", tile_rows, " rows for each of ", planes,
                             " sequences and kv heads, supported: ", kMaxBlocks, " in all");
        }
        plan.grid = dim3(static_cast<unsigned>(planes * q_tiles), 1, 1);
        plan.block = dim3(static_cast<unsigned>(threads), 1, 1);
        plan.shared_bytes = static_cast<unsigned>(SharedTiles<kHeadDim>::bytes(tile_rows));
        return {};
      });
    });
  });
}

Status flash_attention(const FlashAttentionParams& params, hipStream_t stream) {
  Target target;
  HIPFORGE_TRY(current_target(target));
  LaunchPlan plan;
  HIPFORGE_TRY(flash_attention_plan(params, target, plan));
  if (plan.grid.x == 0) return {};
  return launch(plan, make_args(params, plan), stream);
}

}  // namespace hipforge
