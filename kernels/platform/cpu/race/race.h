// Where the platform meets the race detector. Only a build for races has one (HIPFORGE_CPU_RACE): elsewhere
// all of this is empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#if defined(HIPFORGE_CPU_RACE)
#include "checker.h"
#endif

namespace hipforge::cpu {

struct Launch;
class SharedArrays;

namespace race {

#if defined(HIPFORGE_CPU_RACE)

inline constexpr bool kBuilt = true;

/// True while accesses are checked: blocks then run in turns.
inline bool is_on() {
  return shared().on;
}
/// Starts or ends checking between launches; false if the system has no room for what must be kept.
bool switch_on(bool on);

/// Why the launch cannot be watched, or "".
std::string begin_launch(const Launch& launch);
/// What was found, or "".
std::string end_launch(const Launch& launch);

/// Host threads that hold blocks of one launch.
inline constexpr unsigned kSlots = 4;
void run_in_turns(const Launch& launch, const std::function<void(int)>& run_slot);
/// Lets another block go on; false if there is none.
bool pass_turn(uint64_t choice);

/// Fresh or freed device memory: nobody wrote it.
void forget(uintptr_t begin, size_t bytes);
/// As forget, for a part of an allocation.
void unwrite(uintptr_t begin, size_t bytes);
void host_wrote(const void* begin, size_t bytes);

#else

inline constexpr bool kBuilt = false;

struct Phase {};
struct BulkCopy {};
enum class MbarrierUse : unsigned char { kInit, kArrive, kWait };

class Checker {
 public:
  void mbarrier_access(const void*, MbarrierUse, const void*) {}
  void arrive(Phase&) {}
  void end_phase(Phase&) {}
  void acquire(const Phase&) {}
  void bulk_read(const void*, size_t, const void*) {}
  void bulk_write(const void*, size_t, const void*) {}
  BulkCopy begin_load(const void*, size_t, const void*) { return {}; }
  void end_load(const BulkCopy&, Phase&) {}
  BulkCopy begin_store(const void*, size_t, const void*) { return {}; }
  void end_store(const BulkCopy&) {}
  void publish() {}
  void begin_block(const Launch&, uint64_t, const void*) {}
  void end_block() {}
  void enter(size_t) {}
  void block_barrier() {}
  void wave_barrier(size_t) {}
  void add_arrays(const SharedArrays&) {}
};

inline bool is_on() {
  return false;
}
inline std::string begin_launch(const Launch&) {
  return "";
}
inline std::string end_launch(const Launch&) {
  return "";
}
inline void run_in_turns(const Launch&, const std::function<void(int)>&) {}
inline bool pass_turn(uint64_t) {
  return false;
}
inline void forget(uintptr_t, size_t) {}
inline void unwrite(uintptr_t, size_t) {}
inline void host_wrote(const void*, size_t) {}

#endif

}  // namespace race
}  // namespace hipforge::cpu
