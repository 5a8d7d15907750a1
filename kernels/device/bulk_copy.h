#pragma once

#include "kernels/device/hopper.h"
#include "kernels/device/mbarrier.h"
#include "kernels/device/tensor_map.h"

namespace hipforge {

/// Copies of whole boxes of a tensor between device and shared memory, which one thread starts and an engine
/// makes (cp.async.bulk.tensor, PTX ISA 8.0, section 9.7.8.24). A box lies in shared memory row after row, at
/// a multiple of 128 bytes. Swizzled, its rows are 128 bytes, it stands at a multiple of 1,024, and the packs
/// of 16 bytes of row r are permuted: pack p stands at p ^ (r % 8), as WarpgroupCore::pack_at has it.
///
/// Coordinates count elements, the innermost dimension first, and may lie outside of the tensor: such elements
/// are read as 0 and not written. A store begins at none below 0: an H200 calls that an illegal instruction.

/// Starts to copy the box at `at` to shared memory. All its bytes are told to the barrier, those outside too.
template <class... At>
__device__ inline void bulk_load(void* shared, const TensorMap& map, Mbarrier& barrier, At... at) {
  constexpr int kRank = sizeof...(At);
  static_assert(kRank >= 2 && kRank <= 5);
#if HIPFORGE_DETAIL_HOPPER
  const int c[] = {static_cast<int>(at)...};
  const std::uint32_t target = detail::shared_address(shared);
  const std::uint32_t word = detail::shared_address(barrier.address_of_word());
#define HIPFORGE_DETAIL_LOAD(RANK, COORDINATES, ...)                                                \
  asm volatile("cp.async.bulk.tensor." RANK                                                         \
               ".shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {" COORDINATES \
               "}], [%2];\n" ::"r"(target),                                                         \
               "l"(&map), "r"(word), __VA_ARGS__                                                    \
               : "memory")
  if constexpr (kRank == 2) HIPFORGE_DETAIL_LOAD("2d", "%3, %4", "r"(c[0]), "r"(c[1]));
  if constexpr (kRank == 3) HIPFORGE_DETAIL_LOAD("3d", "%3, %4, %5", "r"(c[0]), "r"(c[1]), "r"(c[2]));
  if constexpr (kRank == 4) {
    HIPFORGE_DETAIL_LOAD("4d", "%3, %4, %5, %6", "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]));
  }
  if constexpr (kRank == 5) {
    HIPFORGE_DETAIL_LOAD("5d", "%3, %4, %5, %6, %7", "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]), "r"(c[4]));
  }
#undef HIPFORGE_DETAIL_LOAD
#elif defined(HIPFORGE_PLATFORM_CPU)
  const int coordinates[] = {static_cast<int>(at)...};
  if (map.shape.rank != kRank) cpu::kernel_fault("a bulk copy has other coordinates than its tensor map");
  cpu::bulk_load(shared, map.shape, coordinates, barrier.address_of_word());
#else
  detail::no_hopper(shared, map, barrier, at...);
#endif
}

/// Starts to copy the box at `at` from shared memory. Those who wrote it there called publish_to_bulk before
/// the barrier that precedes this.
template <class... At>
__device__ inline void bulk_store(const TensorMap& map, const void* shared, At... at) {
  constexpr int kRank = sizeof...(At);
  static_assert(kRank >= 2 && kRank <= 5);
#if HIPFORGE_DETAIL_HOPPER
  const int c[] = {static_cast<int>(at)...};
  const std::uint32_t source = detail::shared_address(shared);
#define HIPFORGE_DETAIL_STORE(RANK, COORDINATES, ...)                                                \
  asm volatile("cp.async.bulk.tensor." RANK ".global.shared::cta.tile.bulk_group [%0, {" COORDINATES \
               "}], [%1];\n" ::"l"(&map),                                                            \
               "r"(source), __VA_ARGS__                                                              \
               : "memory")
  if constexpr (kRank == 2) HIPFORGE_DETAIL_STORE("2d", "%2, %3", "r"(c[0]), "r"(c[1]));
  if constexpr (kRank == 3) HIPFORGE_DETAIL_STORE("3d", "%2, %3, %4", "r"(c[0]), "r"(c[1]), "r"(c[2]));
  if constexpr (kRank == 4) {
    HIPFORGE_DETAIL_STORE("4d", "%2, %3, %4, %5", "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]));
  }
  if constexpr (kRank == 5) {
    HIPFORGE_DETAIL_STORE("5d", "%2, %3, %4, %5, %6", "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]), "r"(c[4]));
  }
#undef HIPFORGE_DETAIL_STORE
#elif defined(HIPFORGE_PLATFORM_CPU)
  const int coordinates[] = {static_cast<int>(at)...};
  if (map.shape.rank != kRank) cpu::kernel_fault("a bulk copy has other coordinates than its tensor map");
  cpu::bulk_store(map.shape, coordinates, shared);
#else
  detail::no_hopper(shared, map, at...);
#endif
}

/// Makes this thread's writes to shared memory visible to the copy engine and the matrix unit, after the next
/// barrier.
__device__ inline void publish_to_bulk() {
#if HIPFORGE_DETAIL_HOPPER
  asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
#elif defined(HIPFORGE_PLATFORM_CPU)
  cpu::publish_to_bulk();
#endif
}

/// Closes the group of this thread's stores since the last commit; a group may be empty.
__device__ inline void bulk_store_commit() {
#if HIPFORGE_DETAIL_HOPPER
  asm volatile("cp.async.bulk.commit_group;\n" ::: "memory");
#elif defined(HIPFORGE_PLATFORM_CPU)
  cpu::bulk_store_commit();
#else
  detail::no_hopper();
#endif
}

/// Waits until all but this thread's latest kPending groups have read shared memory, which may then be
/// overwritten. A thread does so for all its groups before it returns.
template <int kPending>
__device__ inline void bulk_store_wait_read() {
#if HIPFORGE_DETAIL_HOPPER
  asm volatile("cp.async.bulk.wait_group.read %0;\n" ::"n"(kPending) : "memory");
#elif defined(HIPFORGE_PLATFORM_CPU)
  cpu::bulk_store_wait(kPending);
#else
  detail::no_hopper();
#endif
}

}  // namespace hipforge
