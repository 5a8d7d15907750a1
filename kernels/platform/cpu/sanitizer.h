// What AddressSanitizer and valgrind must be told; nothing without them.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define HIPFORGE_CPU_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HIPFORGE_CPU_ASAN 1
#endif
#endif

#if defined(HIPFORGE_CPU_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if __has_include(<valgrind/memcheck.h>)
#define HIPFORGE_CPU_VALGRIND 1
#include <valgrind/memcheck.h>
#include <valgrind/valgrind.h>
#endif

namespace hipforge::cpu {

/// Any access is an error from now on.
inline void poison([[maybe_unused]] const volatile void* begin, [[maybe_unused]] size_t bytes) {
#if defined(HIPFORGE_CPU_ASAN)
  __asan_poison_memory_region(begin, bytes);
#endif
#if defined(HIPFORGE_CPU_VALGRIND)
  VALGRIND_MAKE_MEM_NOACCESS(begin, bytes);
#endif
}

inline void unpoison([[maybe_unused]] const volatile void* begin, [[maybe_unused]] size_t bytes) {
#if defined(HIPFORGE_CPU_ASAN)
  __asan_unpoison_memory_region(begin, bytes);
#endif
#if defined(HIPFORGE_CPU_VALGRIND)
  VALGRIND_MAKE_MEM_DEFINED(begin, bytes);
#endif
}

inline bool on_valgrind() {
#if defined(HIPFORGE_CPU_VALGRIND)
  return RUNNING_ON_VALGRIND != 0;
#else
  return false;
#endif
}

/// True where poisoned bytes cannot be read even by the platform: canaries are then left to the tool.
inline bool poison_is_watched() {
#if defined(HIPFORGE_CPU_ASAN)
  return true;
#else
  return false;
#endif
}

/// While it lives, valgrind says nothing of this thread: the platform looks at its canaries.
class QuietAccess {
 public:
  QuietAccess() {
#if defined(HIPFORGE_CPU_VALGRIND)
    VALGRIND_DISABLE_ERROR_REPORTING;
#endif
  }
  ~QuietAccess() {
#if defined(HIPFORGE_CPU_VALGRIND)
    VALGRIND_ENABLE_ERROR_REPORTING;
#endif
  }
  QuietAccess(const QuietAccess&) = delete;
  QuietAccess& operator=(const QuietAccess&) = delete;
};

/// Returns an id for unregister_stack().
inline unsigned register_stack([[maybe_unused]] void* low, [[maybe_unused]] size_t bytes) {
#if defined(HIPFORGE_CPU_VALGRIND)
  return VALGRIND_STACK_REGISTER(low, static_cast<char*>(low) + bytes);
#else
  return 0;
#endif
}

inline void unregister_stack([[maybe_unused]] unsigned id) {
#if defined(HIPFORGE_CPU_VALGRIND)
  VALGRIND_STACK_DEREGISTER(id);
#endif
}

/// Before leaving a stack; `fake_stack` null: for good.
inline void start_switch([[maybe_unused]] void** fake_stack, [[maybe_unused]] const void* low,
                         [[maybe_unused]] size_t bytes) {
#if defined(HIPFORGE_CPU_ASAN)
  __sanitizer_start_switch_fiber(fake_stack, low, bytes);
#endif
}

/// First thing on the stack arrived at; tells where the stack that was left lies.
inline void finish_switch([[maybe_unused]] void* fake_stack, [[maybe_unused]] const void** from_low = nullptr,
                          [[maybe_unused]] size_t* from_bytes = nullptr) {
#if defined(HIPFORGE_CPU_ASAN)
  __sanitizer_finish_switch_fiber(fake_stack, from_low, from_bytes);
#endif
}

}  // namespace hipforge::cpu
