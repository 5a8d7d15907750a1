#pragma once

#include "kernels/device/dtype.h"
#include "kernels/device/wave.h"

#include <hip/hip_runtime.h>

#include <cstdint>
#include <type_traits>

namespace hipforge {

namespace detail {

// Keeps a GPU's compiler from loading the operands of many sums before it makes the first: on ordinary
// arithmetic the loads gain nothing by that, and the registers do not suffice.
__device__ inline void one_at_a_time() {
#if defined(__AMDGCN__)
  asm volatile("" ::: "memory");
#endif
}

// What stands for a matrix unit's step in ordinary arithmetic. Half of the products, then their sums in
// halves: chains that a host can run side by side.
__device__ inline float dot_16(const float (&a)[16], const float (&b)[16]) {
  float sums[8];
#pragma unroll
  for (int k = 0; k < 8; ++k) sums[k] = fmaf(a[8 + k], b[8 + k], a[k] * b[k]);
#pragma unroll
  for (int count = 4; count > 0; count /= 2) {
#pragma unroll
    for (int k = 0; k < count; ++k) sums[k] += sums[k + count];
  }
  return sums[0];
}

}  // namespace detail

/// A wave's matrix multiply-accumulate, C[16, 16] += A[16, 16] · B[16, 16], of f16 or bf16 operands with f32
/// accumulators. The products are exact; how the hardware adds the 16 of one step is its own affair (aligned
/// and truncated, or rounded one by one), so the error of a step is bounded as 16 additions are, with a
/// factor 2 for truncation.
///
/// Which unit does it: mma.sync with ldmatrix (NVIDIA, sm_80 and up), MFMA (gfx90a, gfx942), WMMA (gfx11,
/// gfx12), and ordinary arithmetic elsewhere (cpu, gfx1030). On gfx90a, MFMA flushes subnormal operands to
/// zero.
///
/// A and B are fragments of tiles in shared memory, whose rows stand `stride` elements apart, each row at a
/// multiple of 16 bytes:
///   load_a       tile[m · stride + k]   rows of A
///   load_b       tile[n · stride + k]   columns of B as rows: a weight matrix, keys
///   load_b_rows  tile[k · stride + n]   rows of B: values
/// A fragment may be read at the multiplication rather than at the load: it is good until a barrier lets its
/// tile change. All lanes of the wave call every function together.
///
/// kIsUnit says whether it is one, or ordinary arithmetic: a hundred times the instructions, not to be unrolled.
///
/// Which elements of C a lane holds: value i stands at [row(slot(i)), column(i)]. A lane's values lie in
/// kRows different rows, and aligned groups of kRowLanes neighbouring lanes hold the whole of the same rows,
/// so that a row's sum or maximum is a wave_reduce over kRowLanes. With kRowsApart a lane makes the products
/// of its own rows alone, from its own operands: one whose rows nobody wants need not load or multiply.
template <class T, int kWave>
struct MatrixCore {
  static_assert(std::is_same_v<T, F16> || std::is_same_v<T, BF16>);

  static constexpr int kTile = 16;
  static constexpr int kValues = kTile * kTile / kWave;  // of C that a lane holds

#if defined(__CUDA_ARCH__)
  static constexpr bool kIsUnit = true;
  static constexpr int kRowLanes = 4;
#elif defined(__AMDGCN__) && \
    (defined(__gfx90a__) || defined(__gfx942__) || defined(__GFX11__) || defined(__GFX12__))
  static constexpr bool kIsUnit = true;
  static constexpr int kRowLanes = 16;
#else
  static constexpr bool kIsUnit = false;
  static constexpr int kRowLanes = kWave / kTile;
#endif
  static constexpr int kRows = kValues * kRowLanes / kTile;

#if defined(__CUDA_ARCH__) || (defined(__AMDGCN__) && (defined(__gfx90a__) || defined(__gfx942__) || \
                                                       defined(__GFX11__) || defined(__GFX12__)))
  static constexpr bool kRowsApart = false;
#else
  static constexpr bool kRowsApart = true;
#endif

  struct Accumulator {
    float values[kValues] = {};
  };

#if defined(__CUDA_ARCH__)
  struct A {
    std::uint32_t pairs[4];
  };
  struct B {
    std::uint32_t pairs[4];
  };
  static constexpr int kScratch = 0;

  __device__ static int row(int slot) {
    return lane_id<kWave>() / 4 + 8 * slot;
  }
  __device__ static constexpr int slot(int i) {
    return (i / 2) % 2;
  }
  __device__ static int column(int i) {
    return i / 4 * 8 + lane_id<kWave>() % 4 * 2 + i % 2;
  }

  __device__ static A load_a(const T* tile, int stride) {
    const int lane = lane_id<kWave>();
    A a;
    load_matrices<false>(tile + lane % 16 * stride + lane / 16 * 8, a.pairs);
    return a;
  }
  __device__ static B load_b(const T* tile, int stride) {
    const int lane = lane_id<kWave>();
    B b;
    load_matrices<false>(tile + (lane % 8 + lane / 16 * 8) * stride + lane / 8 % 2 * 8, b.pairs);
    return b;
  }
  __device__ static B load_b_rows(const T* tile, int stride) {
    const int lane = lane_id<kWave>();
    B b;
    load_matrices<true>(tile + lane % 16 * stride + lane / 16 * 8, b.pairs);
    return b;
  }
  __device__ static void multiply_add(const A& a, const B& b, Accumulator& c) {
    multiply_add_half(a.pairs, b.pairs[0], b.pairs[1], c.values);
    multiply_add_half(a.pairs, b.pairs[2], b.pairs[3], c.values + 4);
  }
  /// C, rounded to T, as the A of another product. `scratch` is kScratch elements of shared memory of the
  /// wave's own, 16-byte aligned.
  __device__ static A to_a(const Accumulator& c, T* /*scratch*/) {
    return A{{pack(c.values[0], c.values[1]), pack(c.values[2], c.values[3]), pack(c.values[4], c.values[5]),
              pack(c.values[6], c.values[7])}};
  }

 private:
  template <bool kTransposed>
  __device__ static void load_matrices(const T* row, std::uint32_t (&pairs)[4]) {
    const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
    if constexpr (kTransposed) {
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                   : "=r"(pairs[0]), "=r"(pairs[1]), "=r"(pairs[2]), "=r"(pairs[3])
                   : "r"(address)
                   : "memory");
    } else {
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                   : "=r"(pairs[0]), "=r"(pairs[1]), "=r"(pairs[2]), "=r"(pairs[3])
                   : "r"(address)
                   : "memory");
    }
  }
  __device__ static void multiply_add_half(const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1,
                                           float* c) {
    if constexpr (std::is_same_v<T, F16>) {
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
          "{%0, %1, %2, %3};\n"
          : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
    } else {
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
          "{%0, %1, %2, %3};\n"
          : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
    }
  }
  __device__ static std::uint32_t pack(float low, float high) {
    if constexpr (std::is_same_v<T, F16>) {
      return detail::bit_cast<std::uint32_t>(__floats2half2_rn(low, high));
    } else {
      return detail::bit_cast<std::uint32_t>(__floats2bfloat162_rn(low, high));
    }
  }

#elif defined(__AMDGCN__) && \
    (defined(__gfx90a__) || defined(__gfx942__) || defined(__GFX11__) || defined(__GFX12__))
#if defined(__GFX11__)
  static constexpr int kOperand = 16;  // elements of a row that a lane holds: all, both half waves the same
#else
  static constexpr int kOperand = kTile * kTile / kWave;
#endif
  using Element = std::conditional_t<std::is_same_v<T, F16>, _Float16, short>;
  using Operand = Element __attribute__((ext_vector_type(kOperand)));
  using Values = float __attribute__((ext_vector_type(kValues)));
  // As aligned as a row is.
  using LoadedOperand = Operand __attribute__((aligned(kOperand < 8 ? 2 * kOperand : 16)));
  struct A {
    Operand values;
  };
  struct B {
    Operand values;
  };
  static constexpr int kScratch = kTile * kTile;

  __device__ static int row(int slot) {
#if defined(__GFX11__)
    return 2 * slot + lane_id<kWave>() / 16;
#else
    return lane_id<kWave>() / 16 * kValues + slot;
#endif
  }
  __device__ static constexpr int slot(int i) {
    return i;
  }
  __device__ static int column(int /*i*/) {
    return lane_id<kWave>() % 16;
  }

  __device__ static A load_a(const T* tile, int stride) {
    return A{load_operand(tile, stride)};
  }
  __device__ static B load_b(const T* tile, int stride) {
    return B{load_operand(tile, stride)};
  }
  __device__ static B load_b_rows(const T* tile, int stride) {
    const T* first = tile + first_k() * stride + lane_id<kWave>() % 16;
    Operand values;
#pragma unroll
    for (int i = 0; i < kOperand; ++i) values[i] = detail::bit_cast<Element>(first[i * stride]);
    return B{values};
  }
  __device__ static void multiply_add(const A& a, const B& b, Accumulator& c) {
    const auto sum = multiply_add(a.values, b.values, detail::bit_cast<Values>(c.values));
#pragma unroll
    for (int i = 0; i < kValues; ++i) c.values[i] = sum[i];
  }
  __device__ static A to_a(const Accumulator& c, T* scratch) {
    wave_barrier<kWave>();
#pragma unroll
    for (int i = 0; i < kValues; ++i) scratch[row(slot(i)) * kTile + column(i)] = from_float<T>(c.values[i]);
    wave_barrier<kWave>();
    return load_a(scratch, kTile);
  }

 private:
  __device__ static int first_k() {
    return kOperand == kTile ? 0 : lane_id<kWave>() / 16 * kOperand;
  }
  __device__ static Operand load_operand(const T* tile, int stride) {
    return *reinterpret_cast<const LoadedOperand*>(tile + lane_id<kWave>() % 16 * stride + first_k());
  }
  __device__ static Values multiply_add(const Operand& a, const Operand& b, const Values& c) {
    constexpr bool kHalf = std::is_same_v<T, F16>;
#if defined(__GFX11__)
    if constexpr (kHalf)
      return __builtin_amdgcn_wmma_f32_16x16x16_f16_w32(a, b, c);
    else
      return __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32(a, b, c);
#elif defined(__GFX12__)
    if constexpr (kHalf)
      return __builtin_amdgcn_wmma_f32_16x16x16_f16_w32_gfx12(a, b, c);
    else
      return __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32_gfx12(a, b, c);
#else
    if constexpr (kHalf)
      return __builtin_amdgcn_mfma_f32_16x16x16f16(a, b, c, 0, 0, 0);
    else
      return __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(a, b, c, 0, 0, 0);
#endif
  }

#else
  struct A {
    const T* row;  // of this lane
  };
  struct B {
    const T* first;  // of this lane's columns
    int stride;
    bool rows;  // the tile has rows of B, not columns
  };
  static constexpr int kScratch = kTile * kTile;

  __device__ static int row(int /*slot*/) {
    return lane_id<kWave>() / kRowLanes;
  }
  __device__ static constexpr int slot(int /*i*/) {
    return 0;
  }
  __device__ static int column(int i) {
    return lane_id<kWave>() % kRowLanes * kValues + i;
  }

  __device__ static A load_a(const T* tile, int stride) {
    return A{tile + row(0) * stride};
  }
  __device__ static B load_b(const T* tile, int stride) {
    return B{tile + column(0) * stride, stride, false};
  }
  __device__ static B load_b_rows(const T* tile, int stride) {
    return B{tile + column(0), stride, true};
  }
  __device__ static void multiply_add(const A& a, const B& b, Accumulator& c) {
    float left[kTile];
    widen(*reinterpret_cast<const T(*)[kTile]>(a.row), left);
    if (b.rows) {
      for (int k = 0; k < kTile; ++k) {
        float right[kValues];
        widen(*reinterpret_cast<const T(*)[kValues]>(b.first + k * b.stride), right);
#pragma unroll
        for (int i = 0; i < kValues; ++i) c.values[i] = fmaf(left[k], right[i], c.values[i]);
      }
      return;
    }
#pragma unroll
    for (int i = 0; i < kValues; ++i) {
      float right[kTile];
      widen(*reinterpret_cast<const T(*)[kTile]>(b.first + i * b.stride), right);
      c.values[i] += detail::dot_16(left, right);
      detail::one_at_a_time();
    }
  }
  __device__ static A to_a(const Accumulator& c, T* scratch) {
    wave_barrier<kWave>();  // the last product has read what the scratch held
#pragma unroll
    for (int i = 0; i < kValues; ++i) scratch[row(0) * kTile + column(i)] = from_float<T>(c.values[i]);
    wave_barrier<kWave>();
    return load_a(scratch, kTile);
  }
#endif
};

}  // namespace hipforge
