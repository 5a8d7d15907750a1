// What the compilers' -fsanitize=thread calls: g++ and clang share these names. Only kernels are compiled so.
#include <hipforge_cpu.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <hipforge_cpu/atomic.h>
#include <hipforge_cpu/race.h>

#include "../worker.h"
#include "checker.h"

using hipforge::cpu::race::Access;
using hipforge::cpu::race::Checker;
using hipforge::cpu::race::current_checker;

namespace {

/// The compiler's code of a memory order: relaxed 0, consume 1, acquire 2, release 3, both 4, sequential 5.
constexpr bool releases(int order) {
  return order >= 3;
}
constexpr bool acquires(int order) {
  return order == 1 || order == 2 || order >= 4;
}

template <Access kAccess>
inline void touch(const volatile void* pointer, size_t bytes, const void* pc) {
  if (Checker* checker = current_checker) checker->touch<kAccess>(pointer, bytes, pc);
}

template <Access kAccess>
inline void touch_atomic(const volatile void* pointer, size_t bytes, int order, const void* pc) {
  Checker* checker = current_checker;
  if (checker == nullptr) return;
  if (checker->in_device(pointer)) hipforge::cpu::offer_turn();
  checker->synchronize(reinterpret_cast<uintptr_t>(pointer), kAccess,
                       kAccess != Access::kAtomicLoad && releases(order),
                       kAccess != Access::kAtomicStore && acquires(order));
  checker->touch<kAccess>(pointer, bytes, pc);
}

// Volatile accesses are how flags were read before there were atomics: relaxed ones, where others may run.
template <Access kAccess>
inline void touch_volatile(const volatile void* pointer, size_t bytes, const void* pc) {
  if (current_checker == nullptr) return;
  hipforge::cpu::may_yield();
  touch_atomic<kAccess>(pointer, bytes, 0, pc);
}

}  // namespace

#define HIPFORGE_HERE __builtin_return_address(0)

extern "C" {

// NOLINTBEGIN: the names are the compilers'.
HIPFORGE_CPU_API void __tsan_init() {}
HIPFORGE_CPU_API void __tsan_func_entry(void*) {}
HIPFORGE_CPU_API void __tsan_func_exit() {}
HIPFORGE_CPU_API void __tsan_vptr_update(void**, void*) {}
HIPFORGE_CPU_API void __tsan_vptr_read(void**) {}
HIPFORGE_CPU_API void __tsan_atomic_signal_fence(int) {}

HIPFORGE_CPU_API void __tsan_atomic_thread_fence(int order) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  Checker* checker = current_checker;
  if (checker == nullptr) return;
  hipforge::cpu::offer_turn();
  checker->fence(releases(order), acquires(order));
}

#define HIPFORGE_PLAIN(prefix, size)                                 \
  HIPFORGE_CPU_API void __tsan_##prefix##read##size(void* p) {       \
    touch<Access::kRead>(p, size, HIPFORGE_HERE);                    \
  }                                                                  \
  HIPFORGE_CPU_API void __tsan_##prefix##write##size(void* p) {      \
    touch<Access::kWrite>(p, size, HIPFORGE_HERE);                   \
  }                                                                  \
  HIPFORGE_CPU_API void __tsan_##prefix##read_write##size(void* p) { \
    touch<Access::kReadWrite>(p, size, HIPFORGE_HERE);               \
  }
#define HIPFORGE_VOLATILE(prefix, size)                                  \
  HIPFORGE_CPU_API void __tsan_##prefix##volatile_read##size(void* p) {  \
    touch_volatile<Access::kAtomicLoad>(p, size, HIPFORGE_HERE);         \
  }                                                                      \
  HIPFORGE_CPU_API void __tsan_##prefix##volatile_write##size(void* p) { \
    touch_volatile<Access::kAtomicStore>(p, size, HIPFORGE_HERE);        \
  }

HIPFORGE_PLAIN(, 1)
HIPFORGE_PLAIN(, 2)
HIPFORGE_PLAIN(, 4)
HIPFORGE_PLAIN(, 8)
HIPFORGE_PLAIN(, 16)
HIPFORGE_PLAIN(unaligned_, 2)
HIPFORGE_PLAIN(unaligned_, 4)
HIPFORGE_PLAIN(unaligned_, 8)
HIPFORGE_PLAIN(unaligned_, 16)
HIPFORGE_VOLATILE(, 1)
HIPFORGE_VOLATILE(, 2)
HIPFORGE_VOLATILE(, 4)
HIPFORGE_VOLATILE(, 8)
HIPFORGE_VOLATILE(, 16)
HIPFORGE_VOLATILE(unaligned_, 2)
HIPFORGE_VOLATILE(unaligned_, 4)
HIPFORGE_VOLATILE(unaligned_, 8)
HIPFORGE_VOLATILE(unaligned_, 16)

HIPFORGE_CPU_API void __tsan_read_range(void* p, size_t bytes) {
  touch<Access::kRead>(p, bytes, HIPFORGE_HERE);
}
HIPFORGE_CPU_API void __tsan_write_range(void* p, size_t bytes) {
  touch<Access::kWrite>(p, bytes, HIPFORGE_HERE);
}
HIPFORGE_CPU_API void* __tsan_memcpy(void* to, const void* from, size_t bytes) {
  touch<Access::kRead>(from, bytes, HIPFORGE_HERE);
  touch<Access::kWrite>(to, bytes, HIPFORGE_HERE);
  return std::memcpy(to, from, bytes);
}
HIPFORGE_CPU_API void* __tsan_memmove(void* to, const void* from, size_t bytes) {
  touch<Access::kRead>(from, bytes, HIPFORGE_HERE);
  touch<Access::kWrite>(to, bytes, HIPFORGE_HERE);
  return std::memmove(to, from, bytes);
}
HIPFORGE_CPU_API void* __tsan_memset(void* to, int value, size_t bytes) {
  touch<Access::kWrite>(to, bytes, HIPFORGE_HERE);
  return std::memset(to, value, bytes);
}

#define HIPFORGE_UPDATE(bits, name, builtin)                                                      \
  HIPFORGE_CPU_API uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t* p,        \
                                                               uint##bits##_t value, int order) { \
    touch_atomic<Access::kAtomicUpdate>(p, bits / 8, order, HIPFORGE_HERE);                       \
    return builtin(p, value, __ATOMIC_SEQ_CST);                                                   \
  }
#define HIPFORGE_ATOMICS(bits)                                                                              \
  HIPFORGE_CPU_API uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t* p, int order) { \
    touch_atomic<Access::kAtomicLoad>(p, bits / 8, order, HIPFORGE_HERE);                                   \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                            \
  }                                                                                                         \
  HIPFORGE_CPU_API void __tsan_atomic##bits##_store(volatile uint##bits##_t* p, uint##bits##_t value,       \
                                                    int order) {                                            \
    touch_atomic<Access::kAtomicStore>(p, bits / 8, order, HIPFORGE_HERE);                                  \
    __atomic_store_n(p, value, __ATOMIC_SEQ_CST);                                                           \
  }                                                                                                         \
  HIPFORGE_UPDATE(bits, exchange, __atomic_exchange_n)                                                      \
  HIPFORGE_UPDATE(bits, fetch_add, __atomic_fetch_add)                                                      \
  HIPFORGE_UPDATE(bits, fetch_sub, __atomic_fetch_sub)                                                      \
  HIPFORGE_UPDATE(bits, fetch_and, __atomic_fetch_and)                                                      \
  HIPFORGE_UPDATE(bits, fetch_or, __atomic_fetch_or)                                                        \
  HIPFORGE_UPDATE(bits, fetch_xor, __atomic_fetch_xor)                                                      \
  HIPFORGE_UPDATE(bits, fetch_nand, __atomic_fetch_nand)                                                    \
  HIPFORGE_CPU_API bool __tsan_atomic##bits##_compare_exchange_strong(                                      \
      volatile uint##bits##_t* p, uint##bits##_t* expected, uint##bits##_t value, int order, int) {         \
    touch_atomic<Access::kAtomicUpdate>(p, bits / 8, order, HIPFORGE_HERE);                                 \
    return __atomic_compare_exchange_n(p, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);      \
  }                                                                                                         \
  HIPFORGE_CPU_API bool __tsan_atomic##bits##_compare_exchange_weak(                                        \
      volatile uint##bits##_t* p, uint##bits##_t* expected, uint##bits##_t value, int order, int) {         \
    touch_atomic<Access::kAtomicUpdate>(p, bits / 8, order, HIPFORGE_HERE);                                 \
    return __atomic_compare_exchange_n(p, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);      \
  }                                                                                                         \
  HIPFORGE_CPU_API uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(                               \
      volatile uint##bits##_t* p, uint##bits##_t expected, uint##bits##_t value, int order, int) {          \
    touch_atomic<Access::kAtomicUpdate>(p, bits / 8, order, HIPFORGE_HERE);                                 \
    __atomic_compare_exchange_n(p, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);            \
    return expected;                                                                                        \
  }

HIPFORGE_ATOMICS(8)
HIPFORGE_ATOMICS(16)
HIPFORGE_ATOMICS(32)
HIPFORGE_ATOMICS(64)
// NOLINTEND

}  // extern "C"

namespace hipforge::cpu {

void race_copy(void* target, const void* global, size_t bytes, size_t from_global) {
  if (race::Checker* checker = race::current_checker) {
    checker->copy_async(target, global, bytes, from_global, HIPFORGE_HERE);
  }
  if (from_global > 0) std::memcpy(target, global, from_global);
  if (from_global < bytes) std::memset(static_cast<char*>(target) + from_global, 0, bytes - from_global);
}

void race_copy_commit() {
  if (race::Checker* checker = race::current_checker) checker->commit_copies();
}

void race_copy_wait(size_t pending) {
  if (race::Checker* checker = race::current_checker) checker->wait_for_copies(pending);
}

}  // namespace hipforge::cpu
