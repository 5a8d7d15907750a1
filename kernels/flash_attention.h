#pragma once

#include "kernels/flash_attention/depth.h"
#include "kernels/runtime/launch.h"
#include "kernels/runtime/operands.h"
#include "kernels/runtime/target.h"
#include "kernels/runtime/tensor.h"

#include <cstddef>
#include <cstdint>

namespace hipforge {

/// Attention by tiles of keys with an online softmax: no score matrix and no mask ever lies in memory.
///
///   s_ij   = scale · Σ_d q_id k_jd;   with soft_cap c > 0: s_ij = c · tanh(s_ij / c);   then s_ij += mask_ij
///   o_i    = Σ_j exp(s_ij) v_j / Σ_j exp(s_ij)      over the visible j
///   lse_i  = ln Σ_j exp(s_ij)
///
/// Dao et al., "FlashAttention", 2022 (arXiv:2205.14135), algorithm 1; the tiles' order of Dao,
/// "FlashAttention-2", 2023 (arXiv:2307.08691), algorithm 1; the online softmax of Milakov and Gimelshein,
/// 2018 (arXiv:1805.02867), algorithm 3; Ainslie et al., "GQA", 2023 (arXiv:2305.13245), section 2.2; paging
/// as in Kwon et al., "PagedAttention", 2023 (arXiv:2309.06180), equation 4.
///
/// Three layouts of queries and keys, told apart by what is present:
///   dense   q, o [batch, q_len, q_heads, head_dim]; k, v [batch, kv_len, kv_heads, head_dim]
///   packed  q_offsets present: q, o [total_q, q_heads, head_dim], of which sequence b owns rows
///           [q_offsets[b], q_offsets[b+1]); k, v [total_kv, kv_heads, head_dim] with kv_offsets, or paged
///   paged   block_table present: k, v [pages, page_size, kv_heads, head_dim]; key j of sequence b lies in
///           page block_table[b, j / page_size], slot j % page_size; kv_lens[b] is its length; q either way
///
/// Tensors (strides in elements):
///   q, k, v, o  f32, f16 or bf16, all of one dtype; last axis contiguous, other strides free (0 in inputs)
///   lse         optional, f32, strides free: [batch, q_heads, q_len], packed q: [q_heads, total_q]
///   mask        optional, dense q and k only, [batch|1, q_heads|1, q_len|1, kv_len], f32 or q's dtype,
///               strides free; added after scale and soft cap; −inf removes the element whatever its score
/// head_dim is 1 to 256; q_heads a multiple of kv_heads: q head h reads kv head h / (q_heads / kv_heads).
/// o and lse overlap nothing, themselves and each other included. Alignment: that of the element; tensors
/// whose rows start at multiples of 16 bytes take 16-byte accesses.
///
/// Visible, with position p = i + kv_len − q_len of query i (counted from the bottom right, per sequence):
///   neither   every key
///   causal    j ≤ p
///   window    w > 0: p − w < j ≤ p, causal or not
///   prefix    with either: j < prefix_len as well, for every row: bidirectional, then causal (GLM)
/// A mask removes more. Queries with p < 0 (q_len > kv_len) see nothing but the prefix.
///
/// Scalars: scale finite, any sign; 0 takes 1 / sqrt(head_dim). soft_cap finite, ≥ 0 (0: none). window,
/// prefix_len ≥ 0. max_q_len and max_kv_len promise how long the sequences of a packed or paged launch are; 0
/// takes what the tensors allow. They size the launch, a tight max_q_len saves empty blocks.
///
/// Accumulation in f32. f32: a score is summed over head_dim in order; a tile's weights and values are summed
/// from 0, and tiles are added with a compensation, so that the error does not grow with kv_len;
/// probabilities are not rounded. f16, bf16: both products are the matrix unit's, probabilities are rounded
/// to the dtype for the second (their sum takes them unrounded), and what the unit has summed over 1,024 keys
/// moves to sums that are rounded to nearest; on RDNA 2, which has no such unit, they go the way of f32. One
/// rounding at the store. Σ exp(s − max) |v| must fit in f32, in f16 2⁹ times it.
///
/// Edge cases. A row that sees nothing, kv_len = 0 included, gives 0 and lse −inf. A visible score of NaN or
/// +inf makes its row and its lse NaN, and no other row; one of −inf removes its element like a mask. Finite
/// scores of any size are right (±1e30: the largest is subtracted first). A NaN or infinity in a key or value
/// that a row does not see, in an unused slot of a page or behind a −inf of the mask never reaches the row;
/// in a visible value it makes that element of the output NaN or infinite (NaN where its weight underflows).
/// Empty: batch, q_len or q_heads = 0 launches nothing.
///
/// Device indices. The block-table entry of a key that a row sees outside [0, pages): the row and its lse are
/// NaN, kDeviceErrorPage. kv_lens[b] negative, over block_table's pages or over max_kv_len: the sequence's
/// rows are NaN, kDeviceErrorLength. Bad kv_offsets: likewise, kDeviceErrorOffsets (kDeviceErrorLength over
/// max_kv_len). Bad q_offsets, or a sequence over max_q_len: all rows of q are NaN, for nobody knows whose
/// they are. Nothing outside the tensors is touched; block_table entries past a sequence's length, or before
/// every row's window, are not read. Rows of q that belong to no sequence are not written.
///
/// Errors: kInvalidArgument for a rank, shape, stride, size, overlap, scalar, or a combination of tensors
/// that is none of the layouts; kUnsupported for a dtype, a head_dim over 256 or 0, more than 2³¹ − 1 blocks;
/// kHipError from the launch.
///
/// Bound: harness/ops/flash_attention.cpp. Bytes: every tensor once, of paged tensors the keys in use. FLOPs:
/// 4 · head_dim per visible pair of a query's head and a key.
///
/// Deterministic. A row's bits depend on its query, on the keys, values and mask elements that it sees, on
/// where they stand in the sequence, on head_dim and on the scalars; not on its batch mates, the layout, the
/// order of pages, the wave size (f32), or how the sequence's queries are cut into launches (the last row of
/// a prefill is the decoded row, bit for bit). On sm_90 wgmma takes many rows and mma.sync few: that both add
/// alike has been seen, and is tested there, but no manual says it. batch_invariant promises this; there is
/// one reduction order today, so false changes nothing yet.
struct FlashAttentionParams {
  TensorView q;
  TensorView k;
  TensorView v;
  TensorView o;
  TensorView lse;
  TensorView mask;
  TensorView q_offsets;         ///< i32 [batch + 1], packed queries
  TensorView kv_offsets;        ///< i32 [batch + 1], packed keys
  TensorView kv_lens;           ///< i32 [batch], paged keys
  TensorView block_table;       ///< i32 [batch, max_pages], paged keys; rows contiguous
  std::int64_t max_q_len = 0;   ///< packed: an upper bound of q_len, which sizes the grid
  std::int64_t max_kv_len = 0;  ///< packed or paged: an upper bound of kv_len
  float scale = 0.0f;           ///< 0 takes 1 / sqrt(head_dim)
  float soft_cap = 0.0f;        ///< c > 0: score = c · tanh(score / c), after scale, before the mask
  bool causal = false;
  std::int64_t window = 0;  ///< keys that a row sees, itself included; 0: no window
  std::int64_t prefix_len = 0;
  bool batch_invariant = true;  ///< one reduction order whatever the batch and the chunking of a prefill
  std::uint32_t* error_word = nullptr;  ///< optional, device; DeviceError bits are ORed in
};

constexpr const char* op_name(const FlashAttentionParams&) {
  return "flash_attention";
}
template <ParamsOf<FlashAttentionParams> P, class Visit>
void for_each_operand(P& p, Visit&& visit) {
  visit(OperandRole{"q", kIn}, p.q);
  visit(OperandRole{"k", kIn}, p.k);
  visit(OperandRole{"v", kIn}, p.v);
  visit(OperandRole{"o", kOut}, p.o);
  visit(OperandRole{"lse", kOut | kOptional}, p.lse);
  visit(OperandRole{"mask", kIn | kOptional}, p.mask);
  visit(OperandRole{"q_offsets", kIn | kOptional}, p.q_offsets);
  visit(OperandRole{"kv_offsets", kIn | kOptional}, p.kv_offsets);
  visit(OperandRole{"kv_lens", kIn | kOptional}, p.kv_lens);
  visit(OperandRole{"block_table", kIn | kOptional}, p.block_table);
}
template <ParamsOf<FlashAttentionParams> P, class Visit>
void for_each_scalar(P& p, Visit&& visit) {
  visit("max_q_len", p.max_q_len);
  visit("max_kv_len", p.max_kv_len);
  visit("scale", p.scale);
  visit("soft_cap", p.soft_cap);
  visit("causal", p.causal);
  visit("window", p.window);
  visit("prefix_len", p.prefix_len);
  visit("batch_invariant", p.batch_invariant);
  visit("error_word", p.error_word);
}

/// Launches what flash_attention_plan plans for `target`.
[[nodiscard]] Status flash_attention(const FlashAttentionParams& params, hipStream_t stream,
                                     const Target& target = kCurrentDevice);

/// What flash_attention would launch on `target`; grid 0 where it would launch nothing.
[[nodiscard]] Status flash_attention_plan(const FlashAttentionParams& params, const Target& target,
                                          LaunchPlan& plan);

/// Bytes of device scratch that a launch needs beside its tensors: none, a block sees all keys of its rows.
[[nodiscard]] std::size_t flash_attention_workspace_bytes(const FlashAttentionParams& params);

/// Of the kernel that takes the dtype and head_dim.
[[nodiscard]] FlashAttentionDepth flash_attention_reduction_depth(DType dtype, std::int64_t kv_len,
                                                                  std::int64_t head_dim);

}  // namespace hipforge
