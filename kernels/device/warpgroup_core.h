#pragma once

#include "kernels/device/dtype.h"
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

/// The matrix multiply-accumulate of a warpgroup, four neighbouring waves of 32, straight from shared memory:
/// C[64, kColumns] += A[64, 64] · B[kColumns, 64]ᵀ of f16 or bf16 with f32 accumulators. wgmma (PTX ISA 8.0,
/// section 9.7.14; machine code for sm_90a), and ordinary arithmetic elsewhere. What MatrixCore says of
/// errors holds for each 16 of the depth.
///
/// A and B are tiles of rows of 64 elements, 128 bytes, at a multiple of 1,024 bytes in shared memory. The
/// packs of 8 elements of a row are permuted: pack_at says where one stands.
///
/// multiply_add_rows takes B[64, kColumns] as it stands in memory where its rows are the depth: C += A · B.
/// Such a tile is kColumns / 64 tiles of 64 rows of 64 elements, one after the other: rows_pack_at.
///
/// The product is asynchronous. All threads call publish after what they wrote to the tiles has arrived and
/// before the barrier that precedes multiply_add; the tiles must not change, nor C be touched, until a wait
/// has returned. All lanes of the warpgroup call each function together.
///
/// A wave holds 16 rows of C, from 16 · (wave % 4) on; value i of a lane stands at [row(i), column(i)] of
/// these.
template <class T, int kColumns>
struct WarpgroupCore {
  static_assert(std::is_same_v<T, F16> || std::is_same_v<T, BF16>);
  static_assert(kColumns == 128 || kColumns == 256);

  static constexpr int kWave = kWave32;
  static constexpr int kWaves = 4;
  static constexpr int kRows = 64;
  static constexpr int kDepth = 64;
  static constexpr int kPack = 8;
  static constexpr int kValues = kRows * kColumns / (kWaves * kWave);

  struct Accumulator {
    float values[kValues] = {};
  };

  __device__ static int row(int i) { return lane_id<kWave>() / 4 + i / 2 % 2 * 8; }
  __device__ static int column(int i) { return i / 4 * 8 + lane_id<kWave>() % 4 * 2 + i % 2; }

  /// Elements from a tile's start to a pack of a row: the 128-byte swizzle.
  __device__ static int pack_at(int row, int pack) { return row * kDepth + (pack ^ (row % 8)) * kPack; }

  /// Elements from a tile's start to a pack of a row of kColumns elements, for multiply_add_rows.
  __device__ static int rows_pack_at(int row, int pack) {
    return pack / kPacksPerRow * kPanel + pack_at(row, pack % kPacksPerRow);
  }

  /// Makes this thread's writes to shared memory visible to the products that follow the next barrier.
  __device__ static void publish() {
#if HIPFORGE_DETAIL_HAS_WGMMA
    asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
#endif
  }

  /// Starts C += A · Bᵀ as one group.
  __device__ static void multiply_add(const T* a, const T* b, Accumulator& c) {
#if HIPFORGE_DETAIL_HAS_WGMMA
    const std::uint64_t a_tile = describe(a);
    const std::uint64_t b_tile = describe(b);
    asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
#pragma unroll
    for (int step = 0; step < kDepth / 16; ++step) {
      // 16 elements on, in the descriptor's units of 16 bytes.
      multiply_step<false>(a_tile + 2 * step, b_tile + 2 * step, c.values);
    }
    asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
#else
    const int first_row = wave_id<kWave>() % kWaves * 16;
    for (int step = 0; step < kDepth / 16; ++step) {
      float left[2][16];
      load_16(a, first_row + row(0), step, left[0]);
      load_16(a, first_row + row(2), step, left[1]);
#pragma unroll
      for (int i = 0; i < kValues; i += 4) {
#pragma unroll
        for (int next = 0; next < 2; ++next) {
          float right[16];
          load_16(b, column(i + next), step, right);
          c.values[i + next] += detail::dot_16(left[0], right);
          c.values[i + next + 2] += detail::dot_16(left[1], right);
        }
      }
    }
#endif
  }

  /// Starts C += A · B as one group, B by rows.
  __device__ static void multiply_add_rows(const T* a, const T* b, Accumulator& c) {
#if HIPFORGE_DETAIL_HAS_WGMMA
    const std::uint64_t a_tile = describe(a);
    const std::uint64_t b_tile = describe(b, kPanel);
    asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
#pragma unroll
    for (int step = 0; step < kDepth / 16; ++step) {
      // 16 elements on in A, 16 rows in B.
      multiply_step<true>(a_tile + 2 * step, b_tile + 2 * kDepth * step, c.values);
    }
    asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
#else
    const int first_row = wave_id<kWave>() % kWaves * 16;
    for (int step = 0; step < kDepth / 16; ++step) {
      float left[2][16];
      load_16(a, first_row + row(0), step, left[0]);
      load_16(a, first_row + row(2), step, left[1]);
      for (int k = 0; k < 16; ++k) {
#pragma unroll
        for (int i = 0; i < kValues; i += 4) {
          const T* pair = b + rows_pack_at(16 * step + k, column(i) / kPack) + column(i) % kPack;
#pragma unroll
          for (int next = 0; next < 2; ++next) {
            const float right = to_float(pair[next]);
            c.values[i + next] = fmaf(left[0][k], right, c.values[i + next]);
            c.values[i + next + 2] = fmaf(left[1][k], right, c.values[i + next + 2]);
          }
        }
      }
    }
#endif
  }

  /// Waits until at most kPending of the warpgroup's latest groups are under way.
  template <int kPending>
  __device__ static void wait(Accumulator& c) {
#if HIPFORGE_DETAIL_HAS_WGMMA
    asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(kPending) : "memory");
    if constexpr (kPending == 0) {
      // Whoever reads the sums reads them after the wait.
#pragma unroll
      for (int i = 0; i < kValues; ++i) asm volatile("" : "+f"(c.values[i])::"memory");
    }
#else
    static_cast<void>(c);
#endif
  }

 private:
  static constexpr int kPacksPerRow = 64 / kPack;
  static constexpr int kPanel = kDepth * 64;  // elements of 64 columns of B by rows

#if HIPFORGE_DETAIL_HAS_WGMMA
  // A tile's address in units of 16 bytes; elements between its panels, which matter where it is by rows
  // alone; 1,024 bytes between its groups of 8 rows; the 128-byte swizzle.
  __device__ static std::uint64_t describe(const T* tile, int panel = kPack) {
    const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(tile));
    return std::uint64_t{address >> 4} | static_cast<std::uint64_t>(panel / kPack) << 16 |
           std::uint64_t{1024 >> 4} << 32 | std::uint64_t{1} << 62;
  }

// clang-format off
#define HIPFORGE_DETAIL_SUMS_128                                                               \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                    \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "           \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "           \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define HIPFORGE_DETAIL_SUMS_256 HIPFORGE_DETAIL_SUMS_128                                      \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "         \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "           \
  "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
  "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define HIPFORGE_DETAIL_VALUES_8(AT)                                                           \
  "+f"(c[AT]), "+f"(c[AT + 1]), "+f"(c[AT + 2]), "+f"(c[AT + 3]), "+f"(c[AT + 4]),            \
  "+f"(c[AT + 5]), "+f"(c[AT + 6]), "+f"(c[AT + 7])
#define HIPFORGE_DETAIL_VALUES_32(AT)                                                          \
  HIPFORGE_DETAIL_VALUES_8(AT), HIPFORGE_DETAIL_VALUES_8(AT + 8), HIPFORGE_DETAIL_VALUES_8(AT + 16), \
  HIPFORGE_DETAIL_VALUES_8(AT + 24)
#define HIPFORGE_DETAIL_VALUES_128 HIPFORGE_DETAIL_VALUES_32(0), HIPFORGE_DETAIL_VALUES_32(32)
#define HIPFORGE_DETAIL_VALUES_256                                                             \
  HIPFORGE_DETAIL_VALUES_128, HIPFORGE_DETAIL_VALUES_32(64), HIPFORGE_DETAIL_VALUES_32(96)
// D, A, B; 1: add to D; 1, 1: neither is negated; 0: A is not transposed; whether B is.
#define HIPFORGE_DETAIL_WGMMA(COLUMNS, TYPE, A, B, BY_ROWS)                                    \
  asm volatile("wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32." TYPE "." TYPE           \
               " {" HIPFORGE_DETAIL_SUMS_##COLUMNS "}, %" #A ", %" #B ", 1, 1, 1, 0, %" #BY_ROWS ";\n" \
               : HIPFORGE_DETAIL_VALUES_##COLUMNS                                              \
               : "l"(a), "l"(b), "n"(kByRows ? 1 : 0))
  // clang-format on

  template <bool kByRows>
  __device__ static void multiply_step(std::uint64_t a, std::uint64_t b, float (&c)[kValues]) {
    constexpr bool kHalf = std::is_same_v<T, F16>;
    if constexpr (kColumns == 128 && kHalf) HIPFORGE_DETAIL_WGMMA(128, "f16", 64, 65, 66);
    if constexpr (kColumns == 128 && !kHalf) HIPFORGE_DETAIL_WGMMA(128, "bf16", 64, 65, 66);
    if constexpr (kColumns == 256 && kHalf) HIPFORGE_DETAIL_WGMMA(256, "f16", 128, 129, 130);
    if constexpr (kColumns == 256 && !kHalf) HIPFORGE_DETAIL_WGMMA(256, "bf16", 128, 129, 130);
  }

#undef HIPFORGE_DETAIL_WGMMA
#undef HIPFORGE_DETAIL_VALUES_256
#undef HIPFORGE_DETAIL_VALUES_128
#undef HIPFORGE_DETAIL_VALUES_32
#undef HIPFORGE_DETAIL_VALUES_8
#undef HIPFORGE_DETAIL_SUMS_256
#undef HIPFORGE_DETAIL_SUMS_128
#else
  __device__ static void load_16(const T* tile, int row, int step, float (&values)[16]) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float pack[kPack];
      widen(*reinterpret_cast<const T(*)[kPack]>(tile + pack_at(row, 2 * step + half)), pack);
#pragma unroll
      for (int i = 0; i < kPack; ++i) values[half * kPack + i] = pack[i];
    }
  }
#endif
};

#undef HIPFORGE_DETAIL_HAS_WGMMA

}  // namespace hipforge
