// Hopper's asynchronous machinery for kernels/device: mbarriers, copies of boxes of tensors, barriers of a
// part of the block.
//
// A copy is made when a thread asks its mbarrier, or waits for its group, and not before: what is read too
// early is not there yet, what is overwritten too early is lost. Under a seed, copies to one mbarrier are made
// in any order.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <hip/hip_runtime_api.h>

namespace hipforge::cpu {

/// What a tensor map says: a tensor in device memory, its innermost dimension first, and the box of a copy.
struct TensorShape {
  void* base;
  uint64_t extents[5];  // elements
  uint64_t strides[5];  // bytes
  uint32_t box[5];      // elements
  uint16_t rank;
  uint8_t element_bytes;
  uint8_t swizzled;  // the 128-byte swizzle
};

/// An mbarrier is 8 bytes in shared memory whose address is all that counts here.
HIPFORGE_CPU_API void mbarrier_init(void* barrier, unsigned arrivals);
/// One arrival, and so many more bytes of copies that the phase waits for.
HIPFORGE_CPU_API void mbarrier_arrive(void* barrier, unsigned bytes);
/// Whether the phase of this parity has ended.
HIPFORGE_CPU_API bool mbarrier_test(void* barrier, unsigned parity);
/// The source line travels along so that a deadlock can name it.
HIPFORGE_CPU_API void mbarrier_wait(void* barrier, unsigned parity, const char* file, unsigned line);

/// Starts to copy the box at `at` (shape.rank coordinates) to shared memory; elements outside of the tensor
/// become 0. Its bytes, those outside too, are told to the mbarrier.
HIPFORGE_CPU_API void bulk_load(void* shared, const TensorShape& shape, const int* at, void* barrier);
/// Starts to copy a box from shared memory; elements outside of the tensor are left out.
HIPFORGE_CPU_API void bulk_store(const TensorShape& shape, const int* at, const void* shared);
/// Closes the group of this thread's stores since the last commit.
HIPFORGE_CPU_API void bulk_store_commit();
/// Waits for all but the latest `pending` groups of this thread.
HIPFORGE_CPU_API void bulk_store_wait(size_t pending);
/// This thread's writes to shared memory so far may be read by bulk stores that barriers order after it.
HIPFORGE_CPU_API void publish_to_bulk();

/// Barrier `id`, 1 to 15, of so many threads; one that does not wait only arrives.
HIPFORGE_CPU_API void named_barrier(unsigned id, unsigned threads, bool wait, const char* file,
                                    unsigned line);

}  // namespace hipforge::cpu
