// One OS thread that runs blocks: the fibers, waves and shared memory of the block at hand.
#pragma once

#include <hip/hip_runtime_api.h>
#include <hipforge_cpu.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <pthread.h>

#include <hipforge_cpu/device.h>
#include <hipforge_cpu/launch.h>

#include "bulk.h"
#include "fiber.h"
#include "race/race.h"
#include "shared_arrays.h"
#include "threads.h"

namespace hipforge::cpu {

/// No device has more shared memory for a block; hipforge_cpu_set_shared_limit says how much this one has.
inline constexpr size_t kMaxSharedBytes = size_t{256} << 10;
inline constexpr unsigned kMaxWave = 64;
inline constexpr unsigned kMinWave = 32;

/// One launch, seen by all its workers.
struct Launch {
  const void* function = nullptr;
  Invoke invoke = nullptr;
  const void* arguments = nullptr;
  const char* name = nullptr;
  dim3 grid;
  dim3 block;
  unsigned threads = 0;
  unsigned wave = 0;
  uint64_t blocks = 0;
  size_t shared_bytes = 0;
  size_t shared_limit_bytes = 0;
  uint64_t seed = 0;
  uint64_t chunk = 1;

  std::atomic<uint64_t> next_block = 0;
  std::atomic<bool> cancelled = false;

  std::mutex fault_mutex;
  uint64_t fault_block = UINT64_MAX;  // the lowest faulting block is the one that is reported
  std::string fault_text;
};

enum class MeetingKind : unsigned char {
  kShuffle,
  kBallot,
  kWaveBarrier,
  kBarrier,
  kBarrierOr,
  kBarrierAnd,
  kBarrierCount,
};

/// Where threads meet. What they leave there is kept by the generation's lowest bit, so that the values of
/// one meeting stay readable while the next one gathers.
struct Meeting {
  unsigned arrived = 0;
  unsigned generation = 0;
  const char* file = nullptr;
  unsigned line = 0;
  MeetingKind kind = MeetingKind::kShuffle;
  ThreadList waiting;
};

struct alignas(64) Wave {
  Meeting meeting;
  uint64_t live_mask = 0;
  unsigned live = 0;
  uint64_t lanes[2] = {};  // those that took part in a shuffle, or voted yes in a ballot
  alignas(64) uint64_t values[2][kMaxWave] = {};
};

/// A small generator whose sequence is part of what HIPFORGE_CPU_SCHEDULE means.
class ScheduleRandom {
 public:
  explicit ScheduleRandom(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  unsigned below(unsigned bound) { return static_cast<unsigned>(((next() >> 32) * bound) >> 32); }

 private:
  uint64_t state_;
};

class Worker {
 public:
  /// This OS thread's worker, made at the first call; null if it cannot be made.
  static Worker* current();
  /// Makes the fibers that a block of so many threads may need; false if there is no memory for them.
  bool reserve_fibers(unsigned threads) { return fibers_.reserve(threads); }

  Worker();
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Runs blocks of the launch until none is left.
  void run(Launch& launch);

  // What kernels call.
  Exchange exchange(uint64_t value, const char* file, unsigned line);
  uint64_t vote(Collective kind, bool predicate, const char* file, unsigned line);
  int barrier(BarrierVote vote, bool predicate, const char* file, unsigned line);
  void yield();
  /// A place where other blocks may run, if blocks take turns.
  void offer_turn();
  uint64_t live_lanes() const { return running_thread_->wave->live_mask; }
  void* dynamic_shared() const { return dynamic_begin_; }
  void enter_shared(RedZone* zone);
  /// Ends the block. Nothing on the fiber's stack is destroyed, so its callers own nothing by then.
  [[noreturn]] void fault();
  void set_fault(std::string text) { fault_text_ = std::move(text); }
  BulkUnit& bulk() { return bulk_; }

  // What the bulk unit needs of the running thread.
  race::Checker& checker() { return checker_; }
  size_t running_index() const { return index_of(running_thread_); }
  /// Until make_ready.
  void park(ThreadList& waiting);
  void make_ready(Thread* thread) {
    if (seeded_) {
      ready_pool_.push_back(thread);
    } else {
      ready_.push(thread);
    }
  }
  /// 0, or any below `count` under a seed.
  unsigned choose(unsigned count) { return seeded_ ? random_.below(count) : 0; }
  void maybe_yield() {
    if (seeded_) yield();
  }

  // What signal handlers use.
  bool in_kernel() const { return in_kernel_; }
  void* emergency_stack_top() const { return emergency_stack_ + kEmergencyStackBytes; }
  /// Called by the signal handler; what it notes is told once the block is left.
  void note_signal(int signal, uintptr_t address, int write, bool address_known);
  /// Leaves the block for good, from the emergency stack.
  void abandon();

  // What the watchdog reads.
  std::atomic<uint64_t> block_serial = 0;  // odd while a block runs
  pthread_t os_thread;
  std::atomic<bool> timed_out = false;

 private:
  static constexpr size_t kEmergencyStackBytes = size_t{64} << 10;

  static void fiber_main(context::transfer_t transfer);
  void prepare(Launch& launch);
  void prepare_threads(const Launch& launch);
  void prepare_dynamic_shared(size_t bytes);
  void run_block(uint64_t block);
  std::string check_dynamic_shared();
  void finish_fault(uint64_t block, const std::string& text, bool thread_known);
  std::string signal_text() const;
  std::string deadlock_text() const;
  std::string where(const Meeting& meeting) const;
  std::string where(const Thread& thread) const;
  size_t index_of(const Thread* thread) const { return static_cast<size_t>(thread - threads_.get()); }
  ThreadState& state(const Thread* thread) { return states_[index_of(thread)]; }
  ThreadState state(const Thread* thread) const { return states_[index_of(thread)]; }

  /// The thread to go on with, or null; a thread that has not started has no fiber.
  Thread* pick_next();
  Thread* pick_seeded();
  Thread* take_unstarted() {
    Thread* thread = &threads_[order_[next_unstarted_++]];
    thread->fiber = nullptr;
    return thread;
  }
  void enter(Thread* thread) {
    running_thread_ = thread;
    threadIdx = thread->index;
    current_lane = thread->lane;
    checker_.enter(index_of(thread));
  }
  void begin(Thread* thread, Fiber* fiber) {
    thread->fiber = fiber;
    enter(thread);
  }
  void go_to(Fiber* fiber) {
    Fiber* from = running_fiber_;
    running_fiber_ = fiber;
    switch_fiber(from, fiber);
  }
  /// The running thread is in a list; something else runs until it is that thread's turn again.
  void run_others();
  void join(Meeting& meeting, MeetingKind kind, const char* file, unsigned line) {
    if (meeting.arrived == 0) {
      meeting.kind = kind;
      meeting.file = file;
      meeting.line = line;
    } else if (meeting.kind != kind || meeting.line != line || meeting.file != file) [[unlikely]] {
      check_same_place(meeting, kind, file, line);
    }
  }
  void wait(Meeting& meeting, ThreadState why) {
    state(running_thread_) = why;
    meeting.waiting.push(running_thread_);
    run_others();
  }
  /// All have arrived: those that wait can run, a wave's before all others, while its stacks are cached.
  void release(Meeting& meeting, bool before_others);
  void check_same_place(const Meeting& meeting, MeetingKind kind, const char* file, unsigned line);
  void thread_returned();
  void leave_block();

  // Hot: read at every switch.
  Thread* running_thread_ = nullptr;
  Fiber* running_fiber_ = nullptr;
  ThreadList ready_;
  unsigned next_unstarted_ = 0;
  unsigned threads_count_ = 0;
  unsigned returned_ = 0;
  bool seeded_ = false;
  volatile bool in_kernel_ = false;  // a signal handler reads it
  Launch* launch_ = nullptr;
  Meeting block_meeting_;
  unsigned block_votes_[2] = {};
  unsigned wave_size_ = 0;

  race::Checker checker_;
  BulkUnit bulk_{*this};
  int turn_budget_ = 0;
  std::vector<Thread*> ready_pool_;  // of a seeded schedule
  std::vector<uint16_t> order_;      // in which threads start
  bool in_order_ = false;            // order_ is 0, 1, 2, …
  ScheduleRandom random_{0};
  FiberPool fibers_{&Worker::fiber_main};
  Fiber main_fiber_;
  std::unique_ptr<Thread[]> threads_;
  std::unique_ptr<ThreadState[]> states_;
  dim3 prepared_block_{0, 0, 0};  // what the threads' indices and lanes stand for
  unsigned prepared_wave_ = 0;
  std::unique_ptr<Wave[]> waves_;

  unsigned char* dynamic_map_ = nullptr;
  unsigned char* dynamic_end_ = nullptr;  // the unreadable page behind dynamic shared memory
  unsigned char* dynamic_begin_ = nullptr;
  size_t dynamic_bytes_ = 0;
  SharedArrays shared_arrays_;

  unsigned char* emergency_stack_ = nullptr;
  void* signal_stack_ = nullptr;

  bool block_abandoned_ = false;
  bool setup_failed_ = false;
  std::string fault_text_;
  int signal_ = 0;
  uintptr_t signal_address_ = 0;
  int signal_write_ = 0;
  bool signal_address_known_ = false;
};

/// This OS thread's worker, null if it has none; made for signal handlers: it makes nothing.
Worker* signalled_worker();

/// Worker::offer_turn() of the worker that runs here.
void offer_turn();

}  // namespace hipforge::cpu
