// Atomics and fences. They are real ones: blocks run in parallel. Each is also a place where a fiber may
// give way, so that a thread that spins on another thread's flag does not wait forever.
#pragma once

#include <bit>
#include <type_traits>

#include <stdint.h>

#include <hipforge_cpu/qualifiers.h>

namespace hipforge::cpu {

extern HIPFORGE_CPU_API constinit thread_local int yield_budget __attribute__((tls_model("initial-exec")));
HIPFORGE_CPU_API void yield_thread();

inline void may_yield() {
  if (--yield_budget <= 0) yield_thread();
}

template <typename T, typename Update>
inline T atomic_update(T* address, Update update) {
  may_yield();
  if constexpr (std::is_integral_v<T>) {
    T old = __atomic_load_n(address, __ATOMIC_RELAXED);
    while (
        !__atomic_compare_exchange_n(address, &old, update(old), true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return old;
  } else {
    T old;
    __atomic_load(address, &old, __ATOMIC_RELAXED);
    for (;;) {
      T desired = update(old);
      if (__atomic_compare_exchange(address, &old, &desired, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        return old;
      }
    }
  }
}

}  // namespace hipforge::cpu

#define HIPFORGE_CPU_ATOMICS(T)                                                                         \
  inline T atomicAdd(T* address, T value) {                                                             \
    hipforge::cpu::may_yield();                                                                         \
    return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);                                        \
  }                                                                                                     \
  inline T atomicSub(T* address, T value) {                                                             \
    hipforge::cpu::may_yield();                                                                         \
    return __atomic_fetch_sub(address, value, __ATOMIC_RELAXED);                                        \
  }                                                                                                     \
  inline T atomicAnd(T* address, T value) {                                                             \
    hipforge::cpu::may_yield();                                                                         \
    return __atomic_fetch_and(address, value, __ATOMIC_RELAXED);                                        \
  }                                                                                                     \
  inline T atomicOr(T* address, T value) {                                                              \
    hipforge::cpu::may_yield();                                                                         \
    return __atomic_fetch_or(address, value, __ATOMIC_RELAXED);                                         \
  }                                                                                                     \
  inline T atomicXor(T* address, T value) {                                                             \
    hipforge::cpu::may_yield();                                                                         \
    return __atomic_fetch_xor(address, value, __ATOMIC_RELAXED);                                        \
  }                                                                                                     \
  inline T atomicExch(T* address, T value) {                                                            \
    hipforge::cpu::may_yield();                                                                         \
    return __atomic_exchange_n(address, value, __ATOMIC_RELAXED);                                       \
  }                                                                                                     \
  inline T atomicCAS(T* address, T expected, T value) {                                                 \
    hipforge::cpu::may_yield();                                                                         \
    __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);  \
    return expected;                                                                                    \
  }                                                                                                     \
  inline T atomicMin(T* address, T value) {                                                             \
    return hipforge::cpu::atomic_update(address, [value](T old) { return value < old ? value : old; }); \
  }                                                                                                     \
  inline T atomicMax(T* address, T value) {                                                             \
    return hipforge::cpu::atomic_update(address, [value](T old) { return old < value ? value : old; }); \
  }

HIPFORGE_CPU_ATOMICS(int)
HIPFORGE_CPU_ATOMICS(unsigned int)
HIPFORGE_CPU_ATOMICS(long long)
HIPFORGE_CPU_ATOMICS(unsigned long long)
HIPFORGE_CPU_ATOMICS(unsigned long)

#undef HIPFORGE_CPU_ATOMICS

#define HIPFORGE_CPU_ATOMICS(T)                                                                         \
  inline T atomicAdd(T* address, T value) {                                                             \
    return hipforge::cpu::atomic_update(address, [value](T old) { return old + value; });               \
  }                                                                                                     \
  inline T atomicSub(T* address, T value) {                                                             \
    return hipforge::cpu::atomic_update(address, [value](T old) { return old - value; });               \
  }                                                                                                     \
  inline T atomicExch(T* address, T value) {                                                            \
    return hipforge::cpu::atomic_update(address, [value](T) { return value; });                         \
  }                                                                                                     \
  inline T atomicMin(T* address, T value) {                                                             \
    return hipforge::cpu::atomic_update(address, [value](T old) { return value < old ? value : old; }); \
  }                                                                                                     \
  inline T atomicMax(T* address, T value) {                                                             \
    return hipforge::cpu::atomic_update(address, [value](T old) { return old < value ? value : old; }); \
  }

HIPFORGE_CPU_ATOMICS(float)
HIPFORGE_CPU_ATOMICS(double)

#undef HIPFORGE_CPU_ATOMICS

inline unsigned short atomicCAS(unsigned short* address, unsigned short expected, unsigned short value) {
  hipforge::cpu::may_yield();
  __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}

/// Counts up to `limit`, then starts again at 0.
inline unsigned int atomicInc(unsigned int* address, unsigned int limit) {
  return hipforge::cpu::atomic_update(address,
                                      [limit](unsigned int old) { return old >= limit ? 0u : old + 1u; });
}
/// Counts down to 0, then starts again at `limit`.
inline unsigned int atomicDec(unsigned int* address, unsigned int limit) {
  return hipforge::cpu::atomic_update(
      address, [limit](unsigned int old) { return old == 0 || old > limit ? limit : old - 1u; });
}

inline void __threadfence() {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  hipforge::cpu::may_yield();
}
inline void __threadfence_block() {
  __threadfence();
}
inline void __threadfence_system() {
  __threadfence();
}
