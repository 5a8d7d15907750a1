#pragma once

#include "kernels/device/matrix_core.h"
#include "kernels/device/wave.h"

#include <hip/hip_runtime.h>

#include <cstdint>
#include <type_traits>

namespace hipforge {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define HIPFORGE_DETAIL_HAS_WGMMA 1
#else
#define HIPFORGE_DETAIL_HAS_WGMMA 0
#endif

/// MatrixCore's product for a warpgroup, four neighbouring waves of 32 that multiply by the same B: each wave
/// brings 16 rows of A as fragments of MatrixCore and has C as accumulators of MatrixCore, value for value
/// where they stand there. The elements of a row are added 16 by 16 in order of the depth, so that a row of C
/// is the same as MatrixCore's: on sm_90 its units have been seen to agree in every bit, though no manual
/// says so. wgmma with A in registers (PTX ISA 8.0, section 9.7.14; machine code for sm_90a), MatrixCore
/// elsewhere.
///
/// B is a tile in shared memory at a multiple of 1,024 bytes, kRows rows of kWidth elements in packs of 8;
/// pack_at says where a pack stands, kElements how many elements that takes.
///   multiply_columns  C[16, kRows] = A[16, kWidth] · Bᵀ    the rows of B are columns: keys
///   multiply_rows     C[16, kWidth] += A[16, kRows] · B    values
///
/// The product is asynchronous. All threads call publish after what they wrote to the tile has arrived and
/// before the barrier that precedes a product; the tile and A must not change, nor C be touched, until a wait
/// has returned. All lanes of the warpgroup call each function together.
template <class T, int kRows, int kWidth>
struct WarpgroupFragments {
  using Core = MatrixCore<T, kWave32>;
  using A = typename Core::A;
  using Accumulator = typename Core::Accumulator;

  static constexpr int kTile = Core::kTile;
  static constexpr int kWaves = 4;
  static constexpr int kPack = 8;
  static constexpr int kStride = kWidth + kPack;  // of what is not permuted, against bank conflicts
  static constexpr int kElements = kRows * kStride;
  static constexpr int kPanel = 64;  // elements of a row that stand together
  static_assert(kRows == 64 && (kWidth == 64 || kWidth == 128) && kElements * sizeof(T) % 1024 == 0);

  /// Elements from the tile's start to a pack of a row.
  __device__ static int pack_at(int row, int pack) {
#if HIPFORGE_DETAIL_HAS_WGMMA
    constexpr int kPacks = kPanel / kPack;
    return pack / kPacks * (kRows * kPanel) + row * kPanel + (pack % kPacks ^ row % kPacks) * kPack;
#else
    return row * kStride + pack * kPack;
#endif
  }

  /// Elements from a pack to the same one of the row `count` further on, a multiple of 8.
  __device__ static constexpr int rows_on(int count) {
#if HIPFORGE_DETAIL_HAS_WGMMA
    return count * kPanel;
#else
    return count * kStride;
#endif
  }

  /// Makes this thread's writes to shared memory visible to the products that follow the next barrier.
  __device__ static void publish() {
#if HIPFORGE_DETAIL_HAS_WGMMA
    asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
#endif
  }

  /// Starts C = A · Bᵀ as one group.
  __device__ __forceinline__ static void multiply_columns(const A (&a)[kWidth / kTile], const T* tile,
                                                          Accumulator (&c)[kRows / kTile]) {
#if HIPFORGE_DETAIL_HAS_WGMMA
    const std::uint32_t b = describe(tile, kPack);
    asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
#pragma unroll
    for (int step = 0; step < kWidth / kTile; ++step) {
      // Panels of the depth, and 16 elements on in one, in the descriptor's units of 16 bytes.
      constexpr int kSteps = kPanel / kTile;
      const int at = step / kSteps * (kRows * kPanel / kPack) + step % kSteps * (kTile / kPack);
      multiply_step<false>(a[step].pairs, b + static_cast<std::uint32_t>(at), step != 0, c);
    }
    asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
#else
#pragma unroll
    for (int n = 0; n < kRows / kTile; ++n) c[n] = {};
#pragma unroll
    for (int step = 0; step < kWidth / kTile; ++step) {
#pragma unroll
      for (int n = 0; n < kRows / kTile; ++n) {
        Core::multiply_add(a[step], Core::load_b(tile + n * kTile * kStride + step * kTile, kStride), c[n]);
      }
    }
#endif
  }

  /// Starts C += A · B as one group.
  __device__ __forceinline__ static void multiply_rows(const A (&a)[kRows / kTile], const T* tile,
                                                       Accumulator (&c)[kWidth / kTile]) {
#if HIPFORGE_DETAIL_HAS_WGMMA
    const std::uint32_t b = describe(tile, kRows * kPanel);
    asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
#pragma unroll
    for (int step = 0; step < kRows / kTile; ++step) {
      const int at = step * (kTile * kPanel / kPack);
      multiply_step<true>(a[step].pairs, b + static_cast<std::uint32_t>(at), true, c);
    }
    asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
#else
#pragma unroll
    for (int step = 0; step < kRows / kTile; ++step) {
#pragma unroll
      for (int n = 0; n < kWidth / kTile; ++n) {
        Core::multiply_add(a[step], Core::load_b_rows(tile + step * kTile * kStride + n * kTile, kStride),
                           c[n]);
      }
    }
#endif
  }

  /// Waits until at most kPending of the warpgroup's latest groups are under way, that of `c` not among them.
  template <int kPending, int kTiles>
  __device__ __forceinline__ static void wait(Accumulator (&c)[kTiles]) {
#if HIPFORGE_DETAIL_HAS_WGMMA
    asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(kPending) : "memory");
    // Whoever reads the sums reads them after the wait.
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int i = 0; i < Core::kValues; ++i) asm volatile("" : "+f"(c[n].values[i])::"memory");
    }
#else
    static_cast<void>(c);
#endif
  }

  /// What has been computed of `c` is computed before the next wait, not put off until after it.
  template <int kTiles>
  __device__ __forceinline__ static void hold(Accumulator (&c)[kTiles]) {
#if HIPFORGE_DETAIL_HAS_WGMMA
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int i = 0; i < Core::kValues; ++i) asm volatile("" : "+f"(c[n].values[i])::"memory");
    }
#else
    static_cast<void>(c);
#endif
  }

 private:
#if HIPFORGE_DETAIL_HAS_WGMMA
  // The lower half of a descriptor: a tile's address in units of 16 bytes; elements between its panels, which
  // matter where it is by rows alone.
  __device__ static std::uint32_t describe(const T* tile, int panel) {
    const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(tile));
    return address >> 4 | static_cast<std::uint32_t>(panel / kPack) << 16;
  }
  // The upper half: 1,024 bytes between groups of 8 rows; the 128-byte swizzle.
  static constexpr std::uint32_t kUpperHalf = 1024 >> 4 | 1u << 30;

// clang-format off
#define HIPFORGE_DETAIL_SUMS_64                                                                 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                     \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define HIPFORGE_DETAIL_SUMS_128 HIPFORGE_DETAIL_SUMS_64                                        \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "         \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define HIPFORGE_DETAIL_TILE(N)                                                                 \
  "+f"(c[N].values[0]), "+f"(c[N].values[1]), "+f"(c[N].values[2]), "+f"(c[N].values[3]),      \
  "+f"(c[N].values[4]), "+f"(c[N].values[5]), "+f"(c[N].values[6]), "+f"(c[N].values[7])
#define HIPFORGE_DETAIL_TILES_64                                                                \
  HIPFORGE_DETAIL_TILE(0), HIPFORGE_DETAIL_TILE(1), HIPFORGE_DETAIL_TILE(2), HIPFORGE_DETAIL_TILE(3)
#define HIPFORGE_DETAIL_TILES_128                                                               \
  HIPFORGE_DETAIL_TILES_64,                                                                     \
  HIPFORGE_DETAIL_TILE(4), HIPFORGE_DETAIL_TILE(5), HIPFORGE_DETAIL_TILE(6), HIPFORGE_DETAIL_TILE(7)
// D, A, B; whether to add to D; 1, 1: neither is negated; whether B is transposed.
#define HIPFORGE_DETAIL_WGMMA(COLUMNS, TYPE, A0, A1, A2, A3, B, ADD, BY_ROWS)                   \
  asm volatile("{\n.reg .pred more;\nsetp.ne.b32 more, %" #ADD ", 0;\n"                          \
               "wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32." TYPE "." TYPE            \
               " {" HIPFORGE_DETAIL_SUMS_##COLUMNS "}, {%" #A0 ", %" #A1 ", %" #A2 ", %" #A3 "}, %" #B  \
               ", more, 1, 1, %" #BY_ROWS ";\n}\n"                                               \
               : HIPFORGE_DETAIL_TILES_##COLUMNS                                                \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(descriptor), "r"(static_cast<int>(add)), \
                 "n"(kByRows ? 1 : 0))
  // clang-format on

  template <bool kByRows, int kTiles>
  __device__ __forceinline__ static void multiply_step(const std::uint32_t (&a)[4], std::uint32_t b, bool add,
                                                       Accumulator (&c)[kTiles]) {
    constexpr bool kHalf = std::is_same_v<T, F16>;
    static_assert(kTiles == 4 || kTiles == 8);
    const std::uint64_t descriptor = std::uint64_t{kUpperHalf} << 32 | b;
    if constexpr (kTiles == 4 && kHalf) HIPFORGE_DETAIL_WGMMA(64, "f16", 32, 33, 34, 35, 36, 37, 38);
    if constexpr (kTiles == 4 && !kHalf) HIPFORGE_DETAIL_WGMMA(64, "bf16", 32, 33, 34, 35, 36, 37, 38);
    if constexpr (kTiles == 8 && kHalf) HIPFORGE_DETAIL_WGMMA(128, "f16", 64, 65, 66, 67, 68, 69, 70);
    if constexpr (kTiles == 8 && !kHalf) HIPFORGE_DETAIL_WGMMA(128, "bf16", 64, 65, 66, 67, 68, 69, 70);
  }

#undef HIPFORGE_DETAIL_WGMMA
#undef HIPFORGE_DETAIL_TILES_128
#undef HIPFORGE_DETAIL_TILES_64
#undef HIPFORGE_DETAIL_TILE
#undef HIPFORGE_DETAIL_SUMS_128
#undef HIPFORGE_DETAIL_SUMS_64
#endif
};

#undef HIPFORGE_DETAIL_HAS_WGMMA

}  // namespace hipforge
