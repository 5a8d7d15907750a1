#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"
#include "kernels/device/online_softmax.h"
#include "kernels/device/vector_io.h"
#include "kernels/flash_attention/block.h"
#include "kernels/flash_attention/kernels.h"
#include "kernels/flash_attention/tile_products.h"

#include <algorithm>
#include <cmath>

namespace hipforge::flash_attention_detail {

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

// Loads the query tile, 0 where there is no row or dimension.
template <class T, int kHeadDim>
__device__ void load_queries(const FlashAttentionArgs& args, const Block& block, const Sequence& sequence,
                             float* query) {
  constexpr int kVector = kVectorSize<T>;
  constexpr int kChunks = kHeadDim / kVector;
  for (int index = static_cast<int>(threadIdx.x); index < args.tile_rows * kChunks;
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
  const SharedTiles<kHeadDim> shared(flash_attention_shared, args.tile_rows);

  Block block;
  Sequence sequence;
  if (!start_block<T>(args, block, sequence)) return;
  const BlockView view(args, block, sequence);

  const int pair = static_cast<int>(threadIdx.x) / Products::kThreadsPerPair;
  const int lane = static_cast<int>(threadIdx.x) % Products::kThreadsPerPair;
  const int first_row = pair * kPairRows;
  const bool active = first_row < block.rows;

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

  const auto place_tile = [&](std::int64_t base) {
    for (int n = static_cast<int>(threadIdx.x); n < kKeys; n += static_cast<int>(blockDim.x)) {
      const std::int64_t key = base + n;
      const KeyPlace place = view.needs(key) ? place_key(args, sequence, block.batch, block.kv_head, key)
                                             : KeyPlace{kAbsentKey, kAbsentKey};
      shared.k_places[n] = place.k;
      shared.v_places[n] = place.v;
    }
  };

  load_queries<T, kHeadDim>(args, block, sequence, shared.query);
  std::int64_t base = view.next_tile(0, kKeys);
  place_tile(base);
  __syncthreads();
  while (base < view.keys_end) {
    load_keys<T, kHeadDim>(args, shared.k_places, shared.keys);
    __syncthreads();

    typename Products::Scores scores;
    if (active) {
      Products::multiply_scores(shared.query + first_row * Products::kQueryStride, shared.keys, args.head_dim,
                                lane, scores);
#pragma unroll
      for (int r = 0; r < kPairRows; ++r) {
        const TileView row_view =
            view_tile(visible[r], first_row + r < block.rows ? view.prefix_end : 0, base, kKeys);
        shared.maxima[(first_row + r) * Products::kThreadsPerPair + lane] =
            finish_scores<T>(args, row_view, mask[r], base, lane, Products::kRunStep, scores[r]);
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
    // A NaN among the values may be visible to one row and removed for another.
    const bool select = __syncthreads_or(wild ? 1 : 0) != 0;

    const std::int64_t keys_left = view.keys_end - base;
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
    base = view.next_tile(base + kKeys, kKeys);
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

FLASH_ATTENTION_TILES(f32, 32)
FLASH_ATTENTION_TILES(f32, 64)
#if !defined(__CUDACC__) && !defined(__GFX11__) && !defined(__GFX12__)  // for RDNA 2, see uses_matrix_kernel
FLASH_ATTENTION_TILES(f16, 32)
FLASH_ATTENTION_TILES(bf16, 32)
#endif

Status choose_vector_kernel(const Target& target, DType dtype, std::int64_t head_dim, std::int64_t rows,
                            KernelChoice& choice) {
  return dispatch_wave(kOp, target, [&]<int kWave>() {
    return dispatch_float(kOp, "q", dtype, [&]<class T>() {
      return dispatch_head_dim(head_dim, [&]<int kHeadDim>() -> Status {
        using Products = TileProducts<kHeadDim>;
        choice.entry = kFlashAttentionEntry<T, kHeadDim, kWave>;
        // Whole waves, enough for all rows of a kv head, as many as the tile allows.
        choice.threads = kWave;
        while (Products::rows(choice.threads) < rows && 2 * choice.threads <= Products::kMaxThreads) {
          choice.threads *= 2;
        }
        choice.tile_rows = Products::rows(choice.threads);
        choice.shared_bytes = SharedTiles<kHeadDim>::bytes(choice.tile_rows);
        return {};
      });
    });
  });
}

FlashAttentionDepth vector_reduction_depth(std::int64_t kv_len, std::int64_t head_dim) {
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

}  // namespace hipforge::flash_attention_detail
