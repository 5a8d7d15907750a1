#pragma once

#include "kernels/device/hopper.h"

namespace hipforge {

/// A barrier in shared memory that counts arrivals and bytes of bulk copies (mbarrier, PTX ISA 8.0, section
/// 9.7.12.15). A phase ends when all its arrivals have come, and as many bytes as they announced; the next
/// begins at once. Phases have parity 0, 1, 0, …: wait(p) returns once a phase of parity p has ended and the
/// next is under way, so that wait(1) on a fresh barrier does not wait. What a thread did before it arrived,
/// and what the copies wrote, is seen by all who waited for that phase.
class Mbarrier {
 public:
  /// By one thread; then publish_init by it, and a barrier of the block, before any other use.
  __device__ void init(unsigned arrivals) {
#if HIPFORGE_DETAIL_HOPPER
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(address()), "r"(arrivals) : "memory");
#elif defined(HIPFORGE_PLATFORM_CPU)
    cpu::mbarrier_init(&word_, arrivals);
#else
    detail::no_hopper(word_, arrivals);
#endif
  }

  /// Makes what this thread initialised visible to the copy engine.
  __device__ static void publish_init() {
#if HIPFORGE_DETAIL_HOPPER
    asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory");
#endif
  }

  __device__ void arrive() {
#if HIPFORGE_DETAIL_HOPPER
    asm volatile("mbarrier.arrive.release.cta.shared::cta.b64 _, [%0];\n" ::"r"(address()) : "memory");
#elif defined(HIPFORGE_PLATFORM_CPU)
    cpu::mbarrier_arrive(&word_, 0);
#else
    detail::no_hopper(word_);
#endif
  }

  /// One arrival that announces so many bytes of bulk copies.
  __device__ void arrive_and_expect(unsigned bytes) {
#if HIPFORGE_DETAIL_HOPPER
    asm volatile("mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 _, [%0], %1;\n" ::"r"(address()),
                 "r"(bytes)
                 : "memory");
#elif defined(HIPFORGE_PLATFORM_CPU)
    cpu::mbarrier_arrive(&word_, bytes);
#else
    detail::no_hopper(word_, bytes);
#endif
  }

  /// Whether the phase of this parity has ended; as wait where it has.
  __device__ bool test(unsigned parity) {
#if HIPFORGE_DETAIL_HOPPER
    return ask<false>(parity);
#elif defined(HIPFORGE_PLATFORM_CPU)
    return cpu::mbarrier_test(&word_, parity);
#else
    detail::no_hopper(word_, parity);
    return false;
#endif
  }

  __device__ void wait(unsigned parity HIPFORGE_DETAIL_CALLER) {
#if HIPFORGE_DETAIL_HOPPER
    while (!ask<true>(parity)) {
    }
#elif defined(HIPFORGE_PLATFORM_CPU)
    cpu::mbarrier_wait(&word_, parity, file, line);
#else
    detail::no_hopper(word_, parity);
#endif
  }

  /// For a bulk copy that completes here.
  __device__ void* address_of_word() {
    return &word_;
  }

 private:
#if HIPFORGE_DETAIL_HOPPER
  __device__ std::uint32_t address() const {
    return detail::shared_address(&word_);
  }

  // try_wait suspends the thread for a while before it says no.
  template <bool kSuspend>
  __device__ bool ask(unsigned parity) const {
    std::uint32_t ended;
    if constexpr (kSuspend) {
      asm volatile(
          "{\n.reg .pred p;\nmbarrier.try_wait.parity.acquire.cta.shared::cta.b64 p, [%1], %2;\n"
          "selp.u32 %0, 1, 0, p;\n}\n"
          : "=r"(ended)
          : "r"(address()), "r"(parity)
          : "memory");
    } else {
      asm volatile(
          "{\n.reg .pred p;\nmbarrier.test_wait.parity.acquire.cta.shared::cta.b64 p, [%1], %2;\n"
          "selp.u32 %0, 1, 0, p;\n}\n"
          : "=r"(ended)
          : "r"(address()), "r"(parity)
          : "memory");
    }
    return ended != 0;
  }
#endif

  std::uint64_t word_;
};

/// Where a thread stands in a ring of kStages stages: the stage, and the parity of its barriers' phase. A
/// consumer waits for full[stage] with `parity`, a producer for empty[stage] with `parity ^ 1`.
template <int kStages>
struct RingPosition {
  int stage = 0;
  unsigned parity = 0;

  __device__ void advance() {
    if (++stage < kStages) return;
    stage = 0;
    parity ^= 1u;
  }
};

}  // namespace hipforge
