#include "kernels/flash_attention.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/vector_io.h"
#include "kernels/flash_attention/kernels.h"
#include "kernels/flash_attention/layout.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace hipforge {
namespace {

using namespace flash_attention_detail;

constexpr std::int64_t kMaxHeadDim = 256;

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
  if (params.q_offsets.present() && params.q_offsets.shape[0] < 1) {
    return invalid_argument(kOp, ": q_offsets is empty, needs batch + 1 elements");
  }
  return {};
}

Status check_params(const FlashAttentionParams& params) {
  HIPFORGE_TRY(check_layout(params));
  const bool packed = packed_queries(params);
  const Sizes sizes = sizes_of(params);
  const Dim batch{sizes.batch, "batch of q"};
  const Dim q_heads{sizes.q_heads, "q_heads of q"};
  const Dim head_dim{sizes.head_dim, "head_dim of q"};
  const Dim q_rows{params.q.shape[packed ? 0 : 1], packed ? "rows of q" : "q_len of q"};
  const Dim kv_heads{sizes.kv_heads, "kv_heads of k"};
  const Dim keys{params.k.shape[packed_keys(params) ? 0 : 1],
                 paged_keys(params) ? "page_size of k" : "kv_len of k"};
  const Dim pages{params.k.shape[0], "pages of k"};
  const Dims q = packed ? Dims{q_rows, q_heads, head_dim} : Dims{batch, q_rows, q_heads, head_dim};
  const Dims k = packed_keys(params) ? Dims{keys, kv_heads, head_dim}
                                     : Dims{paged_keys(params) ? pages : batch, keys, kv_heads, head_dim};
  const DType dtype = params.q.dtype;
  const auto free = LastAxis::kAnyStride;
  HIPFORGE_TRY(check_operands(
      kOp, params,
      {{"q", q, kFloats},
       {"k", k, {dtype}},
       {"v", k, {dtype}},
       {"o", q, {dtype}},
       {"lse", packed ? Dims{q_heads, q_rows} : Dims{batch, q_heads, q_rows}, {DType::kF32}, free},
       {"mask", {one_or(batch), one_or(q_heads), one_or(q_rows), keys}, {DType::kF32, dtype}, free},
       {"q_offsets", {{sizes.batch + 1, "batch + 1"}}, {DType::kI32}},
       {"kv_offsets", {{sizes.batch + 1, "batch + 1, as q_offsets"}}, {DType::kI32}},
       {"kv_lens", {{sizes.batch, "batch"}}, {DType::kI32}},
       {"block_table",
        {{sizes.batch, "batch"}, {params.block_table.shape[1], "max_pages"}},
        {DType::kI32}}}));

  if (packed) HIPFORGE_TRY(check_range(kOp, "max_q_len", params.max_q_len, 0, params.q.shape[0]));
  if (sizes.head_dim < 1 || sizes.head_dim > kMaxHeadDim) {
    return unsupported(kOp, ": head_dim is ", sizes.head_dim, ", supported: 1 to ", kMaxHeadDim);
  }
  if (sizes.kv_heads == 0 ? sizes.q_heads != 0 : sizes.q_heads % sizes.kv_heads != 0) {
    return invalid_argument(kOp, ": q has ", sizes.q_heads, " heads, k has ", sizes.kv_heads, " (axis ",
                            params.k.rank - 2, "), needs a divisor of ", sizes.q_heads);
  }
  if (paged_keys(params) && params.k.shape[1] < 1) {
    return invalid_argument(kOp, ": k has shape ", params.k.shape_text(), ", page_size 0, needs 1 or more");
  }
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

Strides strides_of(const TensorView& tensor) {
  if (tensor.rank == 3) return {0, tensor.strides[0], tensor.strides[1]};
  return {tensor.strides[0], tensor.strides[1], tensor.strides[2]};
}

// Nothing that is finite becomes infinite.
float clamped(double value) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return static_cast<float>(std::clamp(value, -kLargest, kLargest));
}

// What the kernels multiply scores by. The matrix kernel's scores are powers of two, and it divides by the
// cap in the same step.
void set_score_factors(const FlashAttentionParams& params, double head_dim, bool matrix,
                       FlashAttentionArgs& args) {
  const double cap = static_cast<double>(params.soft_cap);
  const double scale = params.scale != 0.0f ? static_cast<double>(params.scale) : 1.0 / std::sqrt(head_dim);
  if (!matrix) {
    args.scale = static_cast<float>(scale);
    args.soft_cap = params.soft_cap;
  } else {
    args.scale = clamped(cap > 0.0 ? scale / cap : scale * std::numbers::log2e);
    args.soft_cap = clamped(cap * std::numbers::log2e);
  }
}

FlashAttentionArgs make_args(const FlashAttentionParams& params, const LaunchPlan& plan,
                             const KernelChoice& choice) {
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
  args.tile_rows = choice.tile_rows;
  args.stages = choice.stages;
  args.window = params.window;
  args.causal = params.causal || params.window > 0 ? 1 : 0;
  args.prefix_len = args.causal != 0 ? params.prefix_len : 0;
  args.q_heads = static_cast<int>(sizes.q_heads);
  args.kv_heads = static_cast<int>(sizes.kv_heads);
  args.group = static_cast<int>(sizes.q_heads / sizes.kv_heads);
  args.head_dim = static_cast<int>(sizes.head_dim);
  set_score_factors(params, static_cast<double>(sizes.head_dim), choice.matrix, args);
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

FlashAttentionDepth flash_attention_reduction_depth(DType dtype, std::int64_t kv_len, std::int64_t head_dim) {
  return dtype == DType::kF32 ? vector_reduction_depth(kv_len, head_dim)
                              : mma_reduction_depth(dtype, kv_len, head_dim);
}

namespace {

Status plan_launch(const FlashAttentionParams& params, const Target& target, LaunchPlan& plan,
                   KernelChoice& choice) {
  HIPFORGE_TRY(check_params(params));
  const Sizes sizes = sizes_of(params);
  const std::int64_t rows = sizes.kv_heads > 0 ? sizes.q_len * (sizes.q_heads / sizes.kv_heads) : 0;
  choice.matrix = uses_matrix_kernel(target, params.q.dtype);
  HIPFORGE_TRY(choice.matrix ? choose_mma_kernel(target, params.q.dtype, sizes.head_dim, rows, choice)
                             : choose_vector_kernel(target, params.q.dtype, sizes.head_dim, rows, choice));
  std::int64_t blocks = 0;
  if (params.o.numel() > 0) {
    const std::int64_t planes = sizes.batch * sizes.kv_heads;
    const std::int64_t q_tiles = ceil_div(rows, choice.tile_rows);
    if (planes > 0 && q_tiles > kMaxGrid / planes) {
      return unsupported(kOp, ": ", q_tiles, " tiles of ", choice.tile_rows, " rows for each of ", planes,
                         " sequences and kv heads, supported: ", kMaxGrid, " in all");
    }
    blocks = planes * q_tiles;
  }
  plan = make_plan(choice.entry, blocks, choice.threads, choice.shared_bytes);
  return {};
}

}  // namespace

Status flash_attention_plan(const FlashAttentionParams& params, const Target& target, LaunchPlan& plan) {
  KernelChoice choice;
  return plan_launch(params, target, plan, choice);
}

Status flash_attention(const FlashAttentionParams& params, hipStream_t stream, const Target& target) {
  KernelChoice choice;
  return launch_op(
      params, stream, target,
      [&](const FlashAttentionParams&, const Target& planned, LaunchPlan& plan) {
        return plan_launch(params, planned, plan, choice);
      },
      [&](const FlashAttentionParams&, const LaunchPlan& plan) { return make_args(params, plan, choice); });
}

}  // namespace hipforge
