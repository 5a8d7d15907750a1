// Watches every access of a block's threads to shared and device memory.
//
// An access is right if it is ordered with every earlier one of the same bytes, unless both read or both are
// atomic. What orders two accesses:
//   - the order of one thread;
//   - a barrier of the block between them;
//   - the end of a kernel;
//   - __syncwarp, for shared memory and the lanes of one wave: what wave_barrier promises;
//   - an arrival at an mbarrier or a named barrier, then a wait for its phase; a bulk copy, then a wait for the
//     phase of its mbarrier;
//   - a fence, then an atomic by the same thread, that another thread's atomic sees, which a fence follows.
// Shuffles and ballots order nothing; neither does an atomic alone.
//
// Blocks take turns (turns.h), so one thread of the process at a time is in here while a kernel runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "../shared_arrays.h"
#include "findings.h"
#include "knowledge.h"
#include "shadow.h"
#include "stamp.h"

namespace hipforge::cpu {
struct Launch;
}

namespace hipforge::cpu::race {

/// What a piece of code does to memory.
enum class Access : unsigned char {
  kRead,
  kWrite,
  kReadWrite,    // x += y by one thread
  kAtomicLoad,   // a volatile read too
  kAtomicStore,  // a volatile write too
  kAtomicUpdate,
};

struct MemoryRange {
  uintptr_t begin = 0;
  size_t bytes = 0;
};

/// What an mbarrier or a named barrier hands on.
struct Phase {
  KnowledgePtr gathered;  // of those who arrived in the phase at hand
  KnowledgePtr complete;  // of the phases that ended
};

/// A bulk copy under way, at a place in the shadow of shared memory.
struct BulkCopy {
  size_t offset = 0;
  size_t bytes = 0;
  Stamp stamp = 0;  // of the thread that started it
  KnowledgePtr known;
};

enum class MbarrierUse : unsigned char { kInit, kArrive, kWait };

class Checker {
 public:
  // ---- Told by the worker that runs the block ----

  void begin_block(const Launch& launch, uint64_t block, const void* dynamic_begin);
  void end_block();
  /// The threads of the block from here on are seen through this checker, or no longer.
  void enter(size_t thread) {
    if (on_) resume(thread);
  }
  void block_barrier();
  void wave_barrier(size_t thread);
  /// The block reached these static shared arrays.
  void add_arrays(const SharedArrays& arrays);

  // ---- Told by the bulk unit ----

  void mbarrier_access(const void* barrier, MbarrierUse use, const void* pc);
  void arrive(Phase& phase);
  void end_phase(Phase& phase);
  void acquire(const Phase& phase);
  /// Of device memory, by a bulk copy.
  void bulk_read(const void* pointer, size_t bytes, const void* pc);
  void bulk_write(const void* pointer, size_t bytes, const void* pc);
  /// Writes to shared memory that are under way until end_load tells the phase that waited for them.
  BulkCopy begin_load(const void* shared, size_t bytes, const void* pc);
  void end_load(const BulkCopy& copy, Phase& phase);
  /// Reads of shared memory that are under way until end_store. What threads wrote there must be published.
  BulkCopy begin_store(const void* shared, size_t bytes, const void* pc);
  void end_store(const BulkCopy& copy);
  void publish();

  // ---- Told by the code ----

  template <Access kAccess>
  void touch(const volatile void* pointer, size_t bytes, const void* pc);
  bool in_device(const volatile void* pointer) const {
    return reinterpret_cast<uintptr_t>(pointer) - device_.begin < device_.bytes;
  }
  void fence(bool release, bool acquire);
  /// What an atomic at an address orders, before the access itself is checked.
  void synchronize(uintptr_t address, Access access, bool release, bool acquire);
  void copy_async(void* shared, const void* global, size_t bytes, size_t from_global, const void* pc);
  void commit_copies();
  void wait_for_copies(size_t pending);

 private:
  struct Array {
    MemoryRange range;
    size_t shadow_offset;
    std::string name;
  };
  struct Copy {
    size_t offset;  // in the shadow of shared memory
    size_t bytes;
    uint64_t group;
  };
  struct ThreadState {
    uint64_t steps = 0;
    KnowledgePtr known;   // acquired by a fence since the last barrier
    KnowledgePtr seen;    // by atomics; a fence makes it known
    KnowledgePtr fenced;  // what an atomic would release
    uint64_t copy_groups = 0;
    uint64_t published = 0;    // writes before this progress, for bulk stores
    std::vector<Copy> copies;  // under way
  };

  void resume(size_t thread);
  void start_run();
  Stamp stamp_now() const { return make_stamp(run_, thread_, barriers_, threads_[thread_].steps); }
  KnowledgePtr snapshot() const;
  void next_step();
  template <typename Visit>
  void for_each_cell(const BulkCopy& copy, Visit&& visit);

  template <Access kAccess, bool kShared>
  void visit(Shadow& shadow, size_t offset, size_t bytes, uint32_t pc);
  template <Access kAccess, bool kShared>
  void visit_word(Shadow& shadow, size_t offset, size_t from, size_t to, uint32_t pc);
  template <Access kAccess, bool kShared>
  void judge(Cell& cell, uint32_t pc);
  template <bool kShared>
  void note_read(Cell& cell, Stamp stamp, uint32_t pc);
  template <bool kShared>
  bool ordered(Stamp stamp) const;
  bool ordered_elsewhere(Stamp stamp) const;
  bool known(Stamp stamp) const;
  void report(What now, uint32_t pc, What before, Stamp by, uint32_t before_pc);
  std::string place(uintptr_t address) const;
  /// Where the shadow of shared memory has this address; false if it is no shared memory.
  bool find_shared(uintptr_t address, size_t& offset) const;

  // Hot: read at every access.
  bool on_ = false;
  bool knows_ = false;  // any thread of the block acquired something
  Stamp me_ = 0;
  Stamp first_stamp_ = 0;      // of the launch's runs: what is below came before the kernel
  uint64_t my_first_run_ = 0;  // of this block
  uint64_t wave_begin_ = 0;    // first lane of the running wave
  uint64_t wave_size_ = 0;
  uint64_t wave_steps_ = 0;  // steps of the lanes of the running wave that its last barrier ordered
  MemoryRange device_;
  Shadow* device_shadow_ = nullptr;
  uint64_t accesses_ = 0;
  MemoryRange dynamic_;
  MemoryRange arrays_span_;

  uint64_t run_ = 0;
  uint64_t block_ = 0;
  uint64_t thread_ = 0;
  uint64_t barriers_ = 1;
  bool stepped_ = false;  // some thread made a step since the last barrier
  std::vector<ThreadState> threads_;
  std::vector<uint64_t> waves_;    // wave_steps_ of each
  std::vector<uint64_t> my_runs_;  // earlier ones of this block: their barriers ran out
  KnowledgePtr block_known_;
  std::vector<Array> arrays_;
  Shadow shared_;
  uint64_t shared_era_ = 0;
  std::unordered_map<uintptr_t, KnowledgePtr> shared_releases_;

  // Of the access at hand, for reports.
  uintptr_t access_address_ = 0;
  size_t access_bytes_ = 0;
};

/// The checker of the block that this host thread runs; null while it runs none, or nothing is checked.
extern constinit thread_local Checker* current_checker __attribute__((tls_model("initial-exec")));

/// What all checkers of the process share.
struct Shared {
  bool on = false;
  MemoryRange device;  // the range of device memory
  Shadow shadow;
  uint64_t next_run = 1;
  uint64_t first_run = 1;        // of the launch at hand
  uint64_t era = 1;              // runs are counted anew in each
  std::vector<uint64_t> blocks;  // by run - first_run
  std::unordered_map<uintptr_t, KnowledgePtr> releases;
  Findings findings;
  uint64_t accesses = 0;
  uint64_t choices = 0;  // accesses whose outcome may depend on the schedule
};
Shared& shared();

}  // namespace hipforge::cpu::race
