#include "worker.h"

#include <sys/mman.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "canary.h"
#include "config.h"
#include "memory.h"
#include "sanitizer.h"
#include "schedule.h"
#include "watchdog.h"

#include <hipforge_cpu/atomic.h>

constinit thread_local uint3 threadIdx{};
constinit thread_local uint3 blockIdx{};
constinit thread_local dim3 blockDim;
constinit thread_local dim3 gridDim;

namespace hipforge::cpu {

constinit thread_local unsigned current_lane = 0;
constinit thread_local unsigned long long current_block = 0;
constinit thread_local int yield_budget = 1 << 30;

namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kSharedAlignment = 16;  // what every platform gives dynamic shared memory
constexpr size_t kSharedRedBytes = 256;
constexpr size_t kDynamicMapBytes = kMaxSharedBytes + kPageBytes;
constexpr int kYieldBudget = 1024;
constexpr int kSeededYieldBudget = 4;
constexpr int kNoYield = 1 << 30;
constexpr int kTurnBudget = 1024;
constexpr size_t kToldPlaces = 4;

constinit thread_local Worker* this_worker __attribute__((tls_model("initial-exec"))) = nullptr;

struct WorkerOwner {
  std::unique_ptr<Worker> worker;
  ~WorkerOwner() { this_worker = nullptr; }
};

bool is_fault_signal(int signal) {
  return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL || signal == SIGTRAP ||
         signal == SIGABRT;
}

std::string at(const uint3& index) {
  return "(" + std::to_string(index.x) + "," + std::to_string(index.y) + "," + std::to_string(index.z) + ")";
}

unsigned char* map(size_t bytes) {
  void* memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<unsigned char*>(memory);
}

/// A kernel's function that was called by the host, or after its block ended.
[[noreturn]] void outside_of_kernel(const char* what) {
  std::fprintf(stderr, "hipforge cpu: %s outside of a kernel\n", what);
  std::abort();
}

Worker& running_worker(const char* what) {
  Worker* worker = this_worker;
  if (worker == nullptr || !worker->in_kernel()) outside_of_kernel(what);
  return *worker;
}

}  // namespace

Worker* Worker::current() {
  thread_local WorkerOwner owner;
  if (this_worker == nullptr) {
    owner.worker = std::make_unique<Worker>();
    if (owner.worker->setup_failed_) {
      owner.worker.reset();
      return nullptr;
    }
    this_worker = owner.worker.get();
  }
  return this_worker;
}

Worker* signalled_worker() {
  return this_worker;
}

Worker::Worker() : os_thread(pthread_self()) {
  threads_ = std::make_unique<Thread[]>(kMaxBlockThreads);
  states_ = std::make_unique<ThreadState[]>(kMaxBlockThreads);
  waves_ = std::make_unique<Wave[]>(kMaxBlockThreads / kMinWave);
  ready_pool_.reserve(kMaxBlockThreads);
  order_.resize(kMaxBlockThreads);
  dynamic_map_ = map(kDynamicMapBytes + kPageBytes);
  emergency_stack_ = map(kEmergencyStackBytes);
  signal_stack_ = map(kEmergencyStackBytes);
  if (dynamic_map_ == nullptr || emergency_stack_ == nullptr || signal_stack_ == nullptr) {
    setup_failed_ = true;
    return;
  }
  dynamic_end_ = dynamic_map_ + kDynamicMapBytes;
  setup_failed_ = mprotect(dynamic_end_, kPageBytes, PROT_NONE) != 0;
  stack_t stack{};
  stack.ss_sp = signal_stack_;
  stack.ss_size = kEmergencyStackBytes;
  sigaltstack(&stack, nullptr);
  install_signal_handlers();
  watch(this);
}

Worker::~Worker() {
  unwatch(this);
  stack_t stack{};
  stack.ss_flags = SS_DISABLE;
  sigaltstack(&stack, nullptr);
  if (dynamic_map_ != nullptr) {
    unpoison(dynamic_map_, kDynamicMapBytes);
    munmap(dynamic_map_, kDynamicMapBytes + kPageBytes);
  }
  if (emergency_stack_ != nullptr) munmap(emergency_stack_, kEmergencyStackBytes);
  if (signal_stack_ != nullptr) munmap(signal_stack_, kEmergencyStackBytes);
}

// ---- Blocks ----

void Worker::prepare_threads(const Launch& launch) {
  const dim3& block = launch.block;
  if (launch.wave == prepared_wave_ && block.x == prepared_block_.x && block.y == prepared_block_.y &&
      block.z == prepared_block_.z) {
    return;
  }
  uint3 index{0, 0, 0};
  for (unsigned i = 0; i < launch.threads; ++i) {
    threads_[i].index = index;
    threads_[i].lane = i % launch.wave;
    threads_[i].wave = &waves_[i / launch.wave];
    if (++index.x == block.x) {
      index.x = 0;
      if (++index.y == block.y) {
        index.y = 0;
        ++index.z;
      }
    }
  }
  prepared_block_ = block;
  prepared_wave_ = launch.wave;
}

void Worker::prepare_dynamic_shared(size_t bytes) {
  const size_t aligned_bytes = (bytes + kSharedAlignment - 1) / kSharedAlignment * kSharedAlignment;
  unpoison(dynamic_map_, kDynamicMapBytes);
  if (dynamic_begin_ != nullptr) write_canary(dynamic_begin_, dynamic_end_);
  dynamic_bytes_ = bytes;
  dynamic_begin_ = dynamic_end_ - aligned_bytes;
  write_canary(dynamic_begin_ - kSharedRedBytes, dynamic_begin_);
  write_canary(dynamic_begin_ + dynamic_bytes_, dynamic_end_);
  poison(dynamic_map_, static_cast<size_t>(dynamic_begin_ - dynamic_map_));
  poison(dynamic_begin_ + dynamic_bytes_, aligned_bytes - dynamic_bytes_);
}

void Worker::prepare(Launch& launch) {
  launch_ = &launch;
  threads_count_ = launch.threads;
  wave_size_ = launch.wave;
  seeded_ = launch.seed != 0;
  if (!seeded_ && !in_order_) {
    std::iota(order_.begin(), order_.end(), uint16_t{0});
    in_order_ = true;
  }
  blockDim = launch.block;
  gridDim = launch.grid;
  prepare_threads(launch);
  if (dynamic_begin_ == nullptr || launch.shared_bytes != dynamic_bytes_) {
    prepare_dynamic_shared(launch.shared_bytes);
  }
}

void Worker::run(Launch& launch) {
  if (!reserve_fibers(launch.threads)) {
    launch.cancelled = true;
    const std::lock_guard lock(launch.fault_mutex);
    launch.fault_text = std::string("kernel ") + launch.name + ": no memory for the stacks of its threads";
    return;
  }
  prepare(launch);
  const BlockOrder order(launch.blocks, launch.seed);
  for (;;) {
    const uint64_t first = launch.next_block.fetch_add(launch.chunk, std::memory_order_relaxed);
    if (first >= launch.blocks) break;
    const uint64_t end = std::min(first + launch.chunk, launch.blocks);
    for (uint64_t i = first; i < end; ++i) {
      if (launch.cancelled.load(std::memory_order_relaxed)) return;
      run_block(order[i]);
    }
  }
}

void Worker::run_block(uint64_t block) {
  const Launch& launch = *launch_;
  const uint64_t row = block / launch.grid.x;
  blockIdx.x = static_cast<unsigned>(block % launch.grid.x);
  blockIdx.y = static_cast<unsigned>(row % launch.grid.y);
  blockIdx.z = static_cast<unsigned>(row / launch.grid.y);
  ++current_block;

  yield_budget = kYieldBudget;
  if (seeded_) {
    in_order_ = false;
    random_ = ScheduleRandom(launch.seed * 0xd1342543de82ef95u + block);
    std::iota(order_.begin(), order_.begin() + threads_count_, uint16_t{0});
    for (unsigned i = threads_count_ - 1; i > 0; --i) std::swap(order_[i], order_[random_.below(i + 1)]);
    yield_budget = 1 + static_cast<int>(random_.below(kSeededYieldBudget));
  }
  std::fill_n(states_.get(), threads_count_, ThreadState::kUnstarted);
  for (unsigned begin = 0, i = 0; begin < threads_count_; begin += wave_size_, ++i) {
    Wave& wave = waves_[i];
    wave.meeting = Meeting{};
    wave.live = std::min(wave_size_, threads_count_ - begin);
    wave.live_mask = wave.live == 64 ? ~uint64_t{0} : (uint64_t{1} << wave.live) - 1;
  }
  block_meeting_ = Meeting{};
  ready_ = ThreadList{};
  ready_pool_.clear();
  next_unstarted_ = 0;
  returned_ = 0;
  std::memset(dynamic_begin_, kPoisonByte, dynamic_bytes_);

  block_abandoned_ = false;
  signal_ = 0;
  fault_text_.clear();
  block_serial.fetch_add(1, std::memory_order_relaxed);
  checker_.begin_block(launch, block, dynamic_begin_);
  bulk_.begin_block();
  turn_budget_ = kTurnBudget;
  Fiber* fiber = fibers_.take();
  begin(pick_next(), fiber);
  running_fiber_ = &main_fiber_;
  in_kernel_ = true;
  go_to(fiber);
  in_kernel_ = false;
  checker_.end_block();
  running_fiber_ = nullptr;
  block_serial.fetch_add(1, std::memory_order_relaxed);
  yield_budget = kNoYield;

  if (block_abandoned_) {
    finish_fault(block, signal_ != 0 ? signal_text() : fault_text_, true);
    fibers_.reset(signal_ != 0 && !is_fault_signal(signal_));
    static_cast<void>(shared_arrays_.leave());
    prepare_dynamic_shared(dynamic_bytes_);
    return;
  }
  if (const std::string text = bulk_.end_block(); !text.empty()) finish_fault(block, text, false);
  if (const std::string text = shared_arrays_.leave(); !text.empty()) finish_fault(block, text, false);
  if (const std::string text = check_dynamic_shared(); !text.empty()) {
    finish_fault(block, text, false);
    prepare_dynamic_shared(dynamic_bytes_);
  }
}

std::string Worker::check_dynamic_shared() {
  if (poison_is_watched()) return "";
  const QuietAccess quiet;
  if (const auto* broken = find_broken_canary(dynamic_begin_ + dynamic_bytes_, dynamic_end_)) {
    return "out-of-bounds write " + std::to_string(broken - (dynamic_begin_ + dynamic_bytes_)) +
           " bytes past the end of the " + std::to_string(dynamic_bytes_) + " bytes of dynamic shared memory";
  }
  if (const auto* broken = find_broken_canary(dynamic_begin_ - kSharedRedBytes, dynamic_begin_)) {
    return "out-of-bounds write " + std::to_string(dynamic_begin_ - broken) + " bytes before the " +
           std::to_string(dynamic_bytes_) + " bytes of dynamic shared memory";
  }
  return "";
}

void Worker::finish_fault(uint64_t block, const std::string& text, bool thread_known) {
  Launch& launch = *launch_;
  launch.cancelled = true;
  std::string whole = std::string("kernel ") + launch.name + " block " + at(blockIdx);
  if (thread_known) whole += " thread " + at(threadIdx);
  whole += ": " + text;
  const std::lock_guard lock(launch.fault_mutex);
  if (block < launch.fault_block) {
    launch.fault_block = block;
    launch.fault_text = whole;
  }
}

// ---- Fibers ----

void Worker::fiber_main(context::transfer_t transfer) {
  Worker& worker = *this_worker;
  auto* from = static_cast<Fiber*>(transfer.data);
  from->context = transfer.fctx;
  if (from == &worker.main_fiber_) {
    // The only way to learn where the OS thread's own stack lies.
    finish_switch(nullptr, &from->stack_low, &from->stack_bytes);
  } else {
    finish_switch(nullptr);
  }
  for (;;) {
    const Launch& launch = *worker.launch_;
    launch.invoke(launch.function, launch.arguments);
    worker.thread_returned();
  }
}

inline Thread* Worker::pick_next() {
  if (seeded_) [[unlikely]] {
    return pick_seeded();
  }
  if (Thread* thread = ready_.pop()) return thread;
  return next_unstarted_ < threads_count_ ? take_unstarted() : nullptr;
}

Thread* Worker::pick_seeded() {
  const auto ready = static_cast<unsigned>(ready_pool_.size());
  const unsigned candidates = ready + threads_count_ - next_unstarted_;
  if (candidates == 0) return nullptr;
  const unsigned choice = random_.below(candidates);
  if (choice >= ready) return take_unstarted();
  Thread* thread = ready_pool_[choice];
  ready_pool_[choice] = ready_pool_.back();
  ready_pool_.pop_back();
  return thread;
}

inline void Worker::run_others() {
  Thread* me = running_thread_;
  Thread* next = pick_next();
  if (next == nullptr) [[unlikely]] {
    set_fault(deadlock_text());
    fault();
  }
  if (next == me) return;
  if (next->fiber == nullptr) {
    begin(next, fibers_.take());
  } else {
    enter(next);
  }
  go_to(next->fiber);
}

void Worker::park(ThreadList& waiting) {
  state(running_thread_) = ThreadState::kAtBulk;
  waiting.push(running_thread_);
  run_others();
}

void Worker::leave_block() {
  in_kernel_ = false;
  go_to(&main_fiber_);
}

void Worker::thread_returned() {
  Thread* me = running_thread_;
  if (bulk_.has_stores()) [[unlikely]] {
    set_fault(bulk_.unfinished_stores(index_of(me)));
    if (!fault_text_.empty()) fault();
  }
  state(me) = ThreadState::kReturned;
  ++returned_;
  Wave& wave = *me->wave;
  --wave.live;
  wave.live_mask &= ~(uint64_t{1} << me->lane);
  if (wave.meeting.arrived != 0 && wave.meeting.arrived == wave.live) release(wave.meeting, true);
  Thread* next = pick_next();
  if (next == nullptr) {
    if (returned_ != threads_count_) {
      set_fault(deadlock_text());
      fault();
    }
    fibers_.give(running_fiber_);
    leave_block();
  } else if (next->fiber == nullptr) {
    begin(next, running_fiber_);
  } else {
    fibers_.give(running_fiber_);
    enter(next);
    go_to(next->fiber);
  }
}

inline void Worker::release(Meeting& meeting, bool before_others) {
  meeting.arrived = 0;
  ++meeting.generation;
  ThreadList& waiting = meeting.waiting;
  if (waiting.head == nullptr) return;
  if (seeded_) [[unlikely]] {
    for (Thread* thread = waiting.head; thread != nullptr; thread = thread->next)
      ready_pool_.push_back(thread);
  } else if (ready_.head == nullptr) {
    ready_ = waiting;
  } else if (before_others) {
    waiting.tail->next = ready_.head;
    ready_.head = waiting.head;
  } else {
    ready_.tail->next = waiting.head;
    ready_.tail = waiting.tail;
  }
  waiting = ThreadList{};
}

void Worker::yield() {
  if (seeded_) {
    yield_budget = 1 + static_cast<int>(random_.below(kSeededYieldBudget));
    ready_pool_.push_back(running_thread_);
  } else {
    yield_budget = kYieldBudget;
    // Threads that have not started come before this one's next turn, or it might wait for them forever.
    if (next_unstarted_ < threads_count_) {
      Thread* next = take_unstarted();
      ready_.push(running_thread_);
      begin(next, fibers_.take());
      go_to(next->fiber);
      return;
    }
    ready_.push(running_thread_);
  }
  run_others();
}

void Worker::offer_turn() {
  if (seeded_) {
    if (random_.below(2) != 0) return;
  } else {
    if (--turn_budget_ > 0) return;
    turn_budget_ = kTurnBudget;
  }
  // No signal may end a block that does not run.
  in_kernel_ = false;
  race::pass_turn(seeded_ ? random_.next() : 0);
  in_kernel_ = true;
}

// ---- Meetings ----

inline Exchange Worker::exchange(uint64_t value, const char* file, unsigned line) {
  const Thread* me = running_thread_;
  Wave& wave = *me->wave;
  Meeting& meeting = wave.meeting;
  join(meeting, MeetingKind::kShuffle, file, line);
  const unsigned slot = meeting.generation & 1;
  const uint64_t bit = uint64_t{1} << me->lane;
  wave.lanes[slot] = meeting.arrived == 0 ? bit : wave.lanes[slot] | bit;
  wave.values[slot][me->lane] = value;
  if (++meeting.arrived != wave.live) {
    wait(meeting, ThreadState::kAtCollective);
  } else {
    release(meeting, true);
    if (seeded_) yield();
  }
  return Exchange{wave.values[slot], wave.lanes[slot]};
}

inline uint64_t Worker::vote(Collective kind, bool predicate, const char* file, unsigned line) {
  const Thread* me = running_thread_;
  Wave& wave = *me->wave;
  Meeting& meeting = wave.meeting;
  join(meeting, kind == Collective::kBallot ? MeetingKind::kBallot : MeetingKind::kWaveBarrier, file, line);
  const unsigned slot = meeting.generation & 1;
  const uint64_t bit = uint64_t{predicate} << me->lane;
  wave.lanes[slot] = meeting.arrived == 0 ? bit : wave.lanes[slot] | bit;
  if (++meeting.arrived != wave.live) {
    wait(meeting, ThreadState::kAtCollective);
  } else {
    if (kind == Collective::kWaveBarrier) checker_.wave_barrier(index_of(me));
    release(meeting, true);
    if (seeded_) yield();
  }
  return wave.lanes[slot];
}

inline int Worker::barrier(BarrierVote vote, bool predicate, const char* file, unsigned line) {
  constexpr MeetingKind kKinds[] = {MeetingKind::kBarrier, MeetingKind::kBarrierOr, MeetingKind::kBarrierAnd,
                                    MeetingKind::kBarrierCount};
  Meeting& meeting = block_meeting_;
  join(meeting, kKinds[static_cast<unsigned>(vote)], file, line);
  const unsigned slot = meeting.generation & 1;
  const unsigned yes = predicate ? 1 : 0;
  block_votes_[slot] = meeting.arrived == 0 ? yes : block_votes_[slot] + yes;
  if (++meeting.arrived != threads_count_) {
    wait(meeting, ThreadState::kAtBarrier);
  } else {
    checker_.block_barrier();
    release(meeting, false);
    if (seeded_) yield();
  }
  const unsigned votes = block_votes_[slot];
  switch (vote) {
    case BarrierVote::kOr:
      return votes != 0;
    case BarrierVote::kAnd:
      return votes == threads_count_;
    case BarrierVote::kCount:
      return static_cast<int>(votes);
    case BarrierVote::kNone:
      break;
  }
  return 0;
}

void Worker::check_same_place(const Meeting& meeting, MeetingKind kind, const char* file, unsigned line) {
  // One file name may stand in memory more than once.
  if (meeting.kind == kind && meeting.line == line && std::strcmp(meeting.file, file) == 0) return;
  Meeting here;
  here.kind = kind;
  here.file = file;
  here.line = line;
  set_fault("waits at " + where(here) + ", but thread " + at(meeting.waiting.head->index) + " waits at " +
            where(meeting));
  fault();
}

// ---- Faults ----

void Worker::enter_shared(RedZone* zone) {
  set_fault(shared_arrays_.enter(zone, dynamic_bytes_, launch_->shared_limit_bytes));
  checker_.add_arrays(shared_arrays_);
  if (!fault_text_.empty()) fault();
}

void Worker::fault() {
  block_abandoned_ = true;
  for (;;) leave_block();
}

void Worker::note_signal(int signal, uintptr_t address, int write, bool address_known) {
  in_kernel_ = false;
  signal_ = signal;
  signal_address_ = address;
  signal_write_ = write;
  signal_address_known_ = address_known;
}

void Worker::abandon() {
  block_abandoned_ = true;
  leave_block();
}

std::string Worker::where(const Meeting& meeting) const {
  constexpr const char* kNames[] = {"the shuffle",        "the ballot",       "the wave barrier",
                                    "the barrier",        "the barrier (or)", "the barrier (and)",
                                    "the barrier (count)"};
  return std::string(kNames[static_cast<unsigned>(meeting.kind)]) + " " + meeting.file + ":" +
         std::to_string(meeting.line);
}

std::string Worker::where(const Thread& thread) const {
  if (state(&thread) == ThreadState::kAtBulk) return bulk_.where(index_of(&thread));
  return where(state(&thread) == ThreadState::kAtBarrier ? block_meeting_ : thread.wave->meeting);
}

std::string Worker::signal_text() const {
  switch (signal_) {
    case SIGFPE:
      return "integer division by zero or overflow";
    case SIGILL:
    case SIGTRAP:
      return "trap";
    case SIGABRT:
      return "assertion failed or abort called";
    case SIGSEGV:
    case SIGBUS:
      break;
    default:
      return "hang: the block ran for more than " + std::to_string(config().timeout_ms) + " ms";
  }
  char address[64];
  std::snprintf(address, sizeof(address), "0x%zx", signal_address_);
  const auto* pointer = reinterpret_cast<const unsigned char*>(signal_address_);
  if (!signal_address_known_) return "access to an address that no pointer can hold";
  if (fibers_.is_guard(pointer)) return std::string("stack overflow at ") + address;
  const std::string what = std::string("out-of-bounds ") +
                           (signal_write_ < 0    ? "access"
                            : signal_write_ == 0 ? "read"
                                                 : "write") +
                           " at " + address;
  if (pointer >= dynamic_end_ && pointer < dynamic_end_ + kPageBytes) {
    return what + ", " + std::to_string(pointer - (dynamic_begin_ + dynamic_bytes_)) +
           " bytes past the end of the " + std::to_string(dynamic_bytes_) + " bytes of dynamic shared memory";
  }
  const std::string near = DeviceMemory::instance().describe(signal_address_);
  return near.empty() ? what + ", which is not device memory" : what + ", " + near;
}

std::string Worker::deadlock_text() const {
  const Thread* waiting = nullptr;
  const Thread* missing = nullptr;
  unsigned missing_count = 0;
  // Of all the places where threads wait, an mbarrier tells the most, then the block's barrier.
  for (const ThreadState why : {ThreadState::kAtBulk, ThreadState::kAtBarrier, ThreadState::kAtCollective}) {
    for (unsigned i = 0; i < threads_count_ && waiting == nullptr; ++i) {
      if (states_[i] == why) waiting = &threads_[i];
    }
  }
  if (waiting == nullptr) return "no thread of the block can run";
  const ThreadState waiting_state = state(waiting);
  if (waiting_state == ThreadState::kAtBulk) {
    threadIdx = waiting->index;
    // The others' places may tell more: who waits for whom is not known.
    std::vector<std::string> places = {where(*waiting)};
    std::string text = "waits at " + places.front();
    for (unsigned i = 0; i < threads_count_ && places.size() < kToldPlaces; ++i) {
      if (states_[i] != ThreadState::kAtBulk) continue;
      std::string place = where(threads_[i]);
      if (std::find(places.begin(), places.end(), place) != places.end()) continue;
      text += "; thread " + at(threads_[i].index) + " waits at " + place;
      places.push_back(std::move(place));
    }
    return text;
  }
  const bool barrier = waiting_state == ThreadState::kAtBarrier;
  unsigned expected = 0;
  for (unsigned i = 0; i < threads_count_; ++i) {
    const Thread& thread = threads_[i];
    if (!barrier && (thread.wave != waiting->wave || states_[i] == ThreadState::kReturned)) continue;
    ++expected;
    if (states_[i] == waiting_state) continue;
    if (missing == nullptr) missing = &thread;
    ++missing_count;
  }
  threadIdx = waiting->index;
  std::string text = "waits at " + where(*waiting) + ", which " + std::to_string(missing_count) + " of " +
                     std::to_string(expected) + " threads of the " + (barrier ? "block" : "wave") +
                     " never reach";
  if (missing != nullptr) {
    text += ": thread " + at(missing->index) +
            (state(missing) == ThreadState::kReturned ? " returned" : " waits at " + where(*missing));
  }
  return text;
}

void refuse_inside_kernel() {
  Worker* worker = this_worker;
  if (worker == nullptr || !worker->in_kernel()) return;
  worker->set_fault("calls a function of the host API");
  worker->fault();
}

// ---- The functions of the device headers ----

Exchange wave_exchange(uint64_t value, const char* file, unsigned line) {
  return running_worker("a shuffle").exchange(value, file, line);
}

uint64_t wave_vote(Collective kind, bool predicate, const char* file, unsigned line) {
  return running_worker("a wave collective").vote(kind, predicate, file, line);
}

int block_barrier(BarrierVote vote, bool predicate, const char* file, unsigned line) {
  return running_worker("a barrier").barrier(vote, predicate, file, line);
}

uint64_t live_lanes() {
  return running_worker("__activemask").live_lanes();
}

void* dynamic_shared() {
  return running_worker("dynamic shared memory").dynamic_shared();
}

void kernel_fault(const char* text) {
  Worker& worker = running_worker(text);
  worker.set_fault(text);
  worker.fault();
}

void yield_thread() {
  Worker* worker = this_worker;
  if (worker == nullptr || !worker->in_kernel()) {
    yield_budget = kNoYield;
    return;
  }
  worker->yield();
}

void offer_turn() {
  if (Worker* worker = this_worker; worker != nullptr && worker->in_kernel()) worker->offer_turn();
}

void enter_shared_scope(RedZone* zone) {
  running_worker("shared memory").enter_shared(zone);
}

void mbarrier_init(void* barrier, unsigned arrivals) {
  running_worker("an mbarrier").bulk().init(barrier, arrivals, __builtin_return_address(0));
}

void mbarrier_arrive(void* barrier, unsigned bytes) {
  running_worker("an mbarrier").bulk().arrive(barrier, bytes, __builtin_return_address(0));
}

bool mbarrier_test(void* barrier, unsigned parity) {
  Worker& worker = running_worker("an mbarrier");
  if (worker.bulk().test(barrier, parity, __builtin_return_address(0))) return true;
  worker.yield();
  return false;
}

void mbarrier_wait(void* barrier, unsigned parity, const char* file, unsigned line) {
  running_worker("an mbarrier").bulk().wait(barrier, parity, file, line, __builtin_return_address(0));
}

void bulk_load(void* shared, const TensorShape& shape, const int* at, void* barrier) {
  running_worker("a bulk copy").bulk().load(shared, shape, at, barrier, __builtin_return_address(0));
}

void bulk_store(const TensorShape& shape, const int* at, const void* shared) {
  running_worker("a bulk copy").bulk().store(shape, at, shared, __builtin_return_address(0));
}

void bulk_store_commit() {
  running_worker("a bulk copy").bulk().commit_stores();
}

void bulk_store_wait(size_t pending) {
  running_worker("a bulk copy").bulk().wait_for_stores(pending);
}

void publish_to_bulk() {
  running_worker("a bulk copy").checker().publish();
}

void named_barrier(unsigned id, unsigned threads, bool wait, const char* file, unsigned line) {
  running_worker("a named barrier").bulk().named_barrier(id, threads, wait, file, line);
}

}  // namespace hipforge::cpu
