#include "kernels/kv_append.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"
#include "kernels/device/vector_io.h"
#include "kernels/runtime/device_error.h"

#include <algorithm>
#include <bit>

namespace hipforge {
// Not an unnamed namespace: the kernels' names must be visible outside.
namespace kv_append_detail {

constexpr int kMaxBlock = 256;

struct KvAppendArgs {
  const void* source[2];  // k, v
  void* cache[2];
  std::int64_t source_strides[2][2];  // token, head
  std::int64_t cache_strides[2][3];   // page, slot, head
  const std::int32_t* offsets;
  const std::int32_t* kv_lens;
  const std::int32_t* block_table;
  std::int64_t offsets_stride;
  std::int64_t kv_lens_stride;
  std::int64_t block_table_strides[2];
  std::int64_t tokens;
  std::int64_t batch;
  std::int64_t kv_heads;
  std::int64_t head_dim;
  std::int64_t pages;
  std::int64_t page_size;
  std::int64_t max_pages;
  int lanes_per_row;  // a power of two up to the block
  std::uint32_t* error_word;
};

// The last sequence that starts at or before row t, −1 where none does; offsets do not decrease.
__device__ inline std::int64_t sequence_of(const KvAppendArgs& args, std::int64_t t) {
  std::int64_t low = -1;
  std::int64_t high = args.batch + 1;
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    if (args.offsets[middle * args.offsets_stride] <= t) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

// A block takes a token with all its heads, keys first, then values. Word: an unsigned integer of the
// element's size. kPack: elements of one access, 1 where rows are not aligned for more.
template <class Word, int kPack, int kWave>
__device__ void kv_append_kernel(const KvAppendArgs& args) {
  const int threads = static_cast<int>(blockDim.x);
  const int thread = static_cast<int>(threadIdx.x);
  const auto report = [&](DeviceError error) {
    if (thread == 0 && args.error_word != nullptr)
      atomicOr(args.error_word, static_cast<std::uint32_t>(error));
  };

  // One bad offset may give a row to two sequences: then nothing is safe to write.
  int bad = 0;
  for (std::int64_t b = thread; b < args.batch; b += threads) {
    const std::int32_t begin = args.offsets[b * args.offsets_stride];
    const std::int32_t end = args.offsets[(b + 1) * args.offsets_stride];
    if (begin < 0 || end < begin || end > args.tokens) bad = 1;
  }
  if (__syncthreads_or(bad) != 0) {
    report(kDeviceErrorOffsets);
    return;
  }

  const int lane = thread & (args.lanes_per_row - 1);
  const int rows_at_once = threads / args.lanes_per_row;
  for (std::int64_t t = blockIdx.x; t < args.tokens; t += gridDim.x) {
    const std::int64_t b = sequence_of(args, t);
    if (b < 0 || b >= args.batch) continue;
    const std::int64_t begin = args.offsets[b * args.offsets_stride];
    const std::int64_t end = args.offsets[(b + 1) * args.offsets_stride];
    const std::int64_t kv_len = args.kv_lens[b * args.kv_lens_stride];
    if (kv_len < end - begin || kv_len > args.max_pages * args.page_size) {
      report(kDeviceErrorLength);
      continue;
    }
    const std::int64_t n = kv_len - (end - t);
    const std::int64_t slot = n % args.page_size;
    const std::int64_t page =
        args.block_table[b * args.block_table_strides[0] + n / args.page_size * args.block_table_strides[1]];
    if (page < 0 || page >= args.pages) {
      report(kDeviceErrorPage);
      continue;
    }
    for (std::int64_t row = thread / args.lanes_per_row; row < 2 * args.kv_heads; row += rows_at_once) {
      const int which = row < args.kv_heads ? 0 : 1;
      const std::int64_t head = row - which * args.kv_heads;
      const Word* from = static_cast<const Word*>(args.source[which]) + t * args.source_strides[which][0] +
                         head * args.source_strides[which][1];
      Word* to = static_cast<Word*>(args.cache[which]) + page * args.cache_strides[which][0] +
                 slot * args.cache_strides[which][1] + head * args.cache_strides[which][2];
      for (std::int64_t at = static_cast<std::int64_t>(lane) * kPack; at < args.head_dim;
           at += static_cast<std::int64_t>(args.lanes_per_row) * kPack) {
        *reinterpret_cast<Pack<Word, kPack>*>(to + at) =
            *reinterpret_cast<const Pack<Word, kPack>*>(from + at);
      }
    }
  }
}

using b32 = std::uint32_t;
using b16 = std::uint16_t;

template <class Word, int kPack, int kWave>
inline constexpr KernelEntry kKvAppendEntry{};

#define KV_APPEND_KERNEL(WORD, WAVE, PACK)                                                             \
  HIPFORGE_WAVE_KERNEL(WAVE, kKvAppendEntry, (WORD, PACK, WAVE), kv_append_##WORD##_w##WAVE##_v##PACK, \
                       kv_append_kernel, KvAppendArgs, kMaxBlock)

KV_APPEND_KERNEL(b32, 32, 1)
KV_APPEND_KERNEL(b32, 64, 1)
KV_APPEND_KERNEL(b32, 32, 4)
KV_APPEND_KERNEL(b32, 64, 4)
KV_APPEND_KERNEL(b16, 32, 1)
KV_APPEND_KERNEL(b16, 64, 1)
KV_APPEND_KERNEL(b16, 32, 8)
KV_APPEND_KERNEL(b16, 64, 8)

}  // namespace kv_append_detail

namespace {

using namespace kv_append_detail;

constexpr const char* kOp = "kv_append";

Status check_params(const KvAppendParams& params) {
  const DType dtype = params.k.dtype;
  const Dim tokens{params.k.shape[0], "tokens of k"};
  const Dim kv_heads{params.k.shape[1], "kv_heads of k"};
  const Dim head_dim{params.k.shape[2], "head_dim of k"};
  const Dim pages{params.k_cache.shape[0], "pages of k_cache"};
  const Dim page_size{params.k_cache.shape[1], "page_size of k_cache"};
  const Dim batch{params.kv_lens.shape[0], "batch of kv_lens"};
  const Dim max_pages{params.block_table.shape[1], "max_pages of block_table"};
  HIPFORGE_TRY(check_operands(
      kOp, params,
      {{"k", {tokens, kv_heads, head_dim}, kFloats},
       {"v", {tokens, kv_heads, head_dim}, {dtype}},
       {"k_cache", {pages, page_size, kv_heads, head_dim}, {dtype}},
       {"v_cache", {pages, page_size, kv_heads, head_dim}, {dtype}},
       {"offsets", {{batch.size + 1, "batch of kv_lens, plus 1"}}, {DType::kI32}, LastAxis::kAnyStride},
       {"kv_lens", {batch}, {DType::kI32}, LastAxis::kAnyStride},
       {"block_table", {batch, max_pages}, {DType::kI32}, LastAxis::kAnyStride}}));
  if (page_size.size < 1) {
    return invalid_argument(kOp, ": page_size is ", page_size.size, ", needs 1 or more");
  }
  return {};
}

struct Geometry {
  int pack = 1;
  int lanes_per_row = 1;
  int threads = 1;
};

Geometry choose_geometry(const KvAppendParams& params, int wave) {
  const std::int64_t kv_heads = params.k.shape[1];
  const std::int64_t head_dim = params.k.shape[2];
  const int full_pack = kVectorBytes / static_cast<int>(dtype_size(params.k.dtype));
  Geometry geometry;
  if (head_dim % full_pack == 0 && rows_are_aligned(params.k, full_pack) &&
      rows_are_aligned(params.v, full_pack) && rows_are_aligned(params.k_cache, full_pack) &&
      rows_are_aligned(params.v_cache, full_pack)) {
    geometry.pack = full_pack;
  }
  const std::int64_t steps = std::max<std::int64_t>(head_dim / geometry.pack, 1);
  const auto row_lanes = std::bit_ceil(static_cast<std::uint64_t>(steps));
  geometry.lanes_per_row = static_cast<int>(std::min<std::uint64_t>(row_lanes, kMaxBlock));
  const std::int64_t busy = std::clamp<std::int64_t>(2 * kv_heads * geometry.lanes_per_row, wave, kMaxBlock);
  geometry.threads = static_cast<int>(std::bit_ceil(static_cast<std::uint64_t>(busy)));
  return geometry;
}

KvAppendArgs make_args(const KvAppendParams& params, const LaunchPlan& plan) {
  KvAppendArgs args{};
  const TensorView* sources[] = {&params.k, &params.v};
  const TensorView* caches[] = {&params.k_cache, &params.v_cache};
  for (std::size_t which = 0; which < 2; ++which) {
    args.source[which] = sources[which]->data;
    args.cache[which] = caches[which]->data;
    for (std::size_t axis = 0; axis < 2; ++axis)
      args.source_strides[which][axis] = sources[which]->strides[axis];
    for (std::size_t axis = 0; axis < 3; ++axis)
      args.cache_strides[which][axis] = caches[which]->strides[axis];
  }
  args.offsets = params.offsets.as<const std::int32_t>();
  args.kv_lens = params.kv_lens.as<const std::int32_t>();
  args.block_table = params.block_table.as<const std::int32_t>();
  args.offsets_stride = params.offsets.strides[0];
  args.kv_lens_stride = params.kv_lens.strides[0];
  args.block_table_strides[0] = params.block_table.strides[0];
  args.block_table_strides[1] = params.block_table.strides[1];
  args.tokens = params.k.shape[0];
  args.batch = params.kv_lens.shape[0];
  args.kv_heads = params.k.shape[1];
  args.head_dim = params.k.shape[2];
  args.pages = params.k_cache.shape[0];
  args.page_size = params.k_cache.shape[1];
  args.max_pages = params.block_table.shape[1];
  args.lanes_per_row = choose_geometry(params, plan.target.wave).lanes_per_row;
  args.error_word = params.error_word;
  return args;
}

}  // namespace

Status kv_append_plan(const KvAppendParams& params, const Target& target, LaunchPlan& plan) {
  HIPFORGE_TRY(check_params(params));
  const Geometry geometry = choose_geometry(params, target.wave);
  const bool wide = dtype_size(params.k.dtype) == 4;
  KernelEntry entry;
  HIPFORGE_TRY(dispatch_wave(kOp, target, [&]<int kWave>() -> Status {
    entry = wide ? (geometry.pack == 1 ? kKvAppendEntry<b32, 1, kWave> : kKvAppendEntry<b32, 4, kWave>)
                 : (geometry.pack == 1 ? kKvAppendEntry<b16, 1, kWave> : kKvAppendEntry<b16, 8, kWave>);
    return {};
  }));
  const bool empty = params.k.numel() == 0 || params.kv_lens.shape[0] == 0;
  plan = make_plan(entry, empty ? 0 : params.k.shape[0], geometry.threads);
  return {};
}

Status kv_append(const KvAppendParams& params, hipStream_t stream, const Target& target) {
  return launch_op(params, stream, target, kv_append_plan, make_args);
}

}  // namespace hipforge
