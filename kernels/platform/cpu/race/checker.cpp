#include "checker.h"

#include <algorithm>
#include <cstring>

#include "../memory.h"
#include "../worker.h"

namespace hipforge::cpu::race {

constinit thread_local Checker* current_checker = nullptr;

namespace {

// Dynamic shared memory comes first in the shadow, then the static arrays, each at a multiple of this.
constexpr size_t kArrayAlignment = 64;
constexpr size_t kSharedShadowBytes = 3 * kMaxSharedBytes;

constexpr bool is_atomic(Access access) {
  return access == Access::kAtomicLoad || access == Access::kAtomicStore || access == Access::kAtomicUpdate;
}
constexpr bool reads(Access access) {
  return access != Access::kWrite && access != Access::kAtomicStore;
}
constexpr bool writes_plainly(Access access) {
  return access == Access::kWrite || access == Access::kReadWrite;
}

constexpr What what(Access access) {
  return is_atomic(access) ? What::kAtomic : writes_plainly(access) ? What::kWrite : What::kRead;
}

What what_wrote(Stamp write) {
  return under_way(write) ? What::kCopy : (write & kAtomicBit) != 0 ? What::kAtomic : What::kWrite;
}

What what_read(Stamp read) {
  return under_way(read) ? What::kCopy : (read & kAtomicBit) != 0 ? What::kAtomic : What::kRead;
}

uint32_t low_half(const void* pc) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pc));
}

}  // namespace

Shared& shared() {
  static Shared& instance = *new Shared;
  return instance;
}

// ---- Blocks and threads ----

void Checker::begin_block(const Launch& launch, uint64_t block, const void* dynamic_begin) {
  Shared& all = shared();
  on_ = all.on;
  if (!on_) return;
  if (!shared_.reserved() && !shared_.reserve(kSharedShadowBytes)) {
    on_ = false;
    return;
  }
  if (shared_era_ != all.era) {
    shared_.forget(0, kSharedShadowBytes);
    shared_era_ = all.era;
  }
  block_ = block;
  device_ = all.device;
  device_shadow_ = &all.shadow;
  dynamic_ = MemoryRange{reinterpret_cast<uintptr_t>(dynamic_begin), launch.shared_bytes};
  wave_size_ = launch.wave;
  threads_.assign(launch.threads, ThreadState{});
  waves_.assign((launch.threads + launch.wave - 1) / launch.wave, 0);
  my_runs_.clear();
  arrays_.clear();
  arrays_span_ = MemoryRange{};
  shared_releases_.clear();
  block_known_ = nullptr;
  knows_ = false;
  stepped_ = false;
  first_stamp_ = make_stamp(all.first_run, 0, 0, 0);
  start_run();
  my_first_run_ = run_;
  current_checker = this;
}

void Checker::end_block() {
  if (current_checker == nullptr) return;
  current_checker = nullptr;
  shared().accesses += accesses_;
  accesses_ = 0;
}

void Checker::start_run() {
  Shared& all = shared();
  run_ = all.next_run++;
  all.blocks.push_back(block_);
  barriers_ = 1;
}

void Checker::resume(size_t thread) {
  thread_ = thread;
  me_ = stamp_now();
  const size_t wave = thread / wave_size_;
  wave_begin_ = wave * wave_size_;
  wave_steps_ = waves_[wave];
}

void Checker::block_barrier() {
  if (!on_) return;
  if (++barriers_ > kMaxBarriers) {
    my_runs_.push_back(run_);
    start_run();
  }
  if (knows_) {
    for (ThreadState& thread : threads_) {
      block_known_ = join(block_known_, thread.known);
      thread.known = nullptr;
    }
  }
  if (stepped_) {
    for (ThreadState& thread : threads_) thread.steps = 0;
    std::fill(waves_.begin(), waves_.end(), 0);
    stepped_ = false;
  }
  resume(thread_);
}

void Checker::wave_barrier(size_t thread) {
  if (!on_) return;
  const size_t wave = thread / wave_size_;
  const size_t begin = wave * wave_size_;
  const size_t end = std::min<size_t>(begin + wave_size_, threads_.size());
  uint64_t steps = 0;
  for (size_t lane = begin; lane < end; ++lane) steps = std::max(steps, threads_[lane].steps);
  // Past the last step that a stamp can tell, all that the wave does counts as ordered.
  waves_[wave] = steps + 1;
  for (size_t lane = begin; lane < end; ++lane) threads_[lane].steps = std::min(steps + 1, kMaxSteps);
  stepped_ = true;
  resume(thread_);
}

void Checker::next_step() {
  uint64_t& steps = threads_[thread_].steps;
  steps = std::min(steps + 1, kMaxSteps);
  stepped_ = true;
  me_ = stamp_now();
}

void Checker::add_arrays(const SharedArrays& arrays) {
  if (!on_) return;
  arrays_.clear();
  size_t offset = kMaxSharedBytes;
  uintptr_t low = UINTPTR_MAX;
  uintptr_t high = 0;
  arrays.for_each_entered([&](const unsigned char* begin, size_t bytes, const std::string& name) {
    const auto address = reinterpret_cast<uintptr_t>(begin);
    // A word of memory is a word of its shadow.
    const size_t at = offset + address % kArrayAlignment;
    offset = (at + bytes + kArrayAlignment - 1) / kArrayAlignment * kArrayAlignment;
    if (offset > kSharedShadowBytes) return;
    arrays_.push_back(Array{MemoryRange{address, bytes}, at, name});
    low = std::min(low, address);
    high = std::max(high, address + bytes);
  });
  arrays_span_ = arrays_.empty() ? MemoryRange{} : MemoryRange{low, high - low};
}

bool Checker::find_shared(uintptr_t address, size_t& offset) const {
  if (address - dynamic_.begin < dynamic_.bytes) {
    offset = address - dynamic_.begin;
    return true;
  }
  if (address - arrays_span_.begin >= arrays_span_.bytes) return false;
  for (const Array& array : arrays_) {
    if (address - array.range.begin >= array.range.bytes) continue;
    offset = array.shadow_offset + (address - array.range.begin);
    return true;
  }
  return false;
}

// ---- What is ordered ----

template <bool kShared>
inline bool Checker::ordered(Stamp stamp) const {
  const Stamp difference = stamp ^ me_;
  if (difference >> kRunShift != 0) return stamp < first_stamp_ || ordered_elsewhere(stamp);
  if (difference >> kThreadShift == 0) return !under_way(stamp);
  const uint64_t barriers = barriers_of(stamp);
  if (barriers < barriers_) return true;
  if constexpr (kShared) {
    if (barriers == barriers_ && thread_of(stamp) - wave_begin_ < wave_size_ &&
        steps_of(stamp) < wave_steps_) {
      return true;
    }
  }
  return knows_ && known(stamp);
}

bool Checker::ordered_elsewhere(Stamp stamp) const {
  const Shared& all = shared();
  if (all.blocks[run_of(stamp) - all.first_run] == block_) return !under_way(stamp);
  return knows_ && known(stamp);
}

bool Checker::known(Stamp stamp) const {
  return (block_known_ != nullptr && block_known_->has(stamp)) ||
         (threads_[thread_].known != nullptr && threads_[thread_].known->has(stamp));
}

KnowledgePtr Checker::snapshot() const {
  auto knowledge = std::make_shared<Knowledge>();
  if (block_known_ != nullptr) knowledge->join(*block_known_);
  if (threads_[thread_].known != nullptr) knowledge->join(*threads_[thread_].known);
  for (const uint64_t run : my_runs_) knowledge->runs[run].barriers = kUnderWay;
  Knowledge::OfRun& mine = knowledge->runs[run_];
  mine.barriers = barriers_;
  if (wave_steps_ > 0) {
    for (uint64_t lane = wave_begin_; lane < wave_begin_ + wave_size_; ++lane) {
      mine.before[lane] = progress(barriers_, wave_steps_);
    }
  }
  mine.before[thread_] = progress(barriers_, threads_[thread_].steps) + 1;
  return knowledge;
}

void Checker::fence(bool release, bool acquire) {
  ++shared().choices;
  ThreadState& thread = threads_[thread_];
  if (acquire && thread.seen != nullptr) {
    thread.known = join(thread.known, thread.seen);
    thread.seen = nullptr;
    knows_ = true;
  }
  if (release) {
    thread.fenced = snapshot();
    next_step();
  }
}

void Checker::synchronize(uintptr_t address, Access access, bool release, bool acquire) {
  ++shared().choices;
  auto& releases = address - device_.begin < device_.bytes ? shared().releases : shared_releases_;
  ThreadState& thread = threads_[thread_];
  if (!release && thread.fenced == nullptr && releases.empty()) return;
  KnowledgePtr& place = releases[address];
  if (reads(access) && place != nullptr) {
    thread.seen = join(thread.seen, place);
    if (acquire) {
      thread.known = join(thread.known, place);
      knows_ = true;
    }
  }
  if (access == Access::kAtomicLoad) return;
  // An update goes on with what it found; a store starts anew.
  KnowledgePtr released = access == Access::kAtomicUpdate ? place : nullptr;
  released = join(released, thread.fenced);
  if (release) {
    released = join(released, snapshot());
    next_step();
  }
  place = released;
}

// ---- Accesses ----

void Checker::report(What now, uint32_t pc, What before, Stamp by, uint32_t before_pc) {
  Findings& findings = shared().findings;
  if (!findings.is_new(now, pc, before, before_pc)) return;
  findings.add(Finding{
      {now, me_, pc}, {before, by, before_pc}, access_address_, access_bytes_, place(access_address_)});
}

std::string Checker::place(uintptr_t address) const {
  if (address - dynamic_.begin < dynamic_.bytes) {
    return std::to_string(address - dynamic_.begin) + " bytes into the " + std::to_string(dynamic_.bytes) +
           " bytes of dynamic shared memory";
  }
  for (const Array& array : arrays_) {
    if (address - array.range.begin >= array.range.bytes) continue;
    return std::to_string(address - array.range.begin) + " bytes into the shared array " + array.name +
           " of " + std::to_string(array.range.bytes) + " bytes";
  }
  return DeviceMemory::instance().describe(address);
}

template <bool kShared>
inline void Checker::note_read(Cell& cell, Stamp stamp, uint32_t pc) {
  for (Stamp& read : cell.reads) {
    if (read == stamp) return;
    // An update must stay to be seen by others' reads.
    const bool kept = (read & kUpdateBit) != 0 && (stamp & kUpdateBit) == 0 && read >= first_stamp_;
    if (read == 0 || (!kept && ordered<kShared>(read))) {
      read = stamp;
      cell.read_pc = pc;
      return;
    }
  }
  // Two readers of different blocks or waves convict more writers than two of one.
  const Stamp apart = cell.reads[0] ^ cell.reads[1];
  if (apart >> kRunShift != 0) return;
  const bool other_run = run_of(cell.reads[0]) != run_;
  const auto wave = [this](Stamp read) { return thread_of(read) / wave_size_; };
  if (other_run || (wave(cell.reads[0]) == wave(cell.reads[1]) && wave(cell.reads[0]) != wave(stamp))) {
    cell.reads[1] = stamp;
    cell.read_pc = pc;
  }
}

template <Access kAccess, bool kShared>
inline void Checker::judge(Cell& cell, uint32_t pc) {
  constexpr bool kIsAtomic = is_atomic(kAccess);
  if constexpr (kShared) {
    if (run_of(cell.write) < my_first_run_) cell = Cell{};  // an earlier block's
  }
  if (cell.write == 0) {
    if constexpr (reads(kAccess)) {
      report(what(kAccess), pc, What::kWrite, 0, 0);
      cell.write = kShared ? make_stamp(my_first_run_, 0, 0, 0) : kHostWrote;  // told once
    }
    if constexpr (kAccess == Access::kAtomicStore) {
      cell.write = me_ | kAtomicBit;
      cell.write_pc = pc;
    }
  } else if (!(kIsAtomic && (cell.write & kAtomicBit) != 0) && !ordered<kShared>(cell.write)) {
    report(what(kAccess), pc, what_wrote(cell.write), cell.write, cell.write_pc);
  }
  if constexpr (writes_plainly(kAccess)) {
    for (const Stamp read : cell.reads) {
      if (read == 0 || ordered<kShared>(read)) continue;
      report(what(kAccess), pc, what_read(read), read, cell.read_pc);
    }
    cell = Cell{me_, {0, 0}, pc, 0};
  } else if constexpr (kAccess == Access::kRead) {
    if (((cell.reads[0] | cell.reads[1]) & kUpdateBit) != 0) {
      for (const Stamp read : cell.reads) {
        if ((read & kUpdateBit) == 0 || ordered<kShared>(read)) continue;
        report(What::kRead, pc, What::kAtomic, read, cell.read_pc);
      }
    }
    note_read<kShared>(cell, me_, pc);
  } else if constexpr (kAccess == Access::kAtomicLoad) {
    note_read<kShared>(cell, me_ | kAtomicBit, pc);
  } else {
    for (const Stamp read : cell.reads) {
      if (read == 0 || (read & kAtomicBit) != 0 || ordered<kShared>(read)) continue;
      report(What::kAtomic, pc, What::kRead, read, cell.read_pc);
    }
    note_read<kShared>(cell, me_ | kAtomicBit | kUpdateBit, pc);
  }
}

template <Access kAccess, bool kShared>
void Checker::visit_word(Shadow& shadow, size_t offset, size_t from, size_t to, uint32_t pc) {
  Cell& word = shadow.word(offset);
  Cell* bytes = shadow.bytes(offset);
  if constexpr (kShared) {
    if (run_of(word.write) < my_first_run_) word = Cell{};
  }
  if ((word.write & kSplitBit) == 0)
    split(word, bytes, kShared ? make_stamp(my_first_run_, 0, 0, 0) : kHostWrote);
  for (size_t i = from; i < to; ++i) judge<kAccess, kShared>(bytes[i], pc);
  // Written as a whole, a word is a word again.
  if (writes_plainly(kAccess) && to - from == kWordBytes) word = bytes[0];
}

template <Access kAccess, bool kShared>
inline void Checker::visit(Shadow& shadow, size_t offset, size_t bytes, uint32_t pc) {
  const size_t end = offset + bytes;
  if (((offset | bytes) & (kWordBytes - 1)) == 0) [[likely]] {
    for (Cell* cell = &shadow.word(offset); offset < end; offset += kWordBytes, ++cell) {
      if ((cell->write & kSplitBit) == 0) [[likely]] {
        judge<kAccess, kShared>(*cell, pc);
      } else {
        visit_word<kAccess, kShared>(shadow, offset, 0, kWordBytes, pc);
      }
    }
    return;
  }
  while (offset < end) {
    const size_t from = offset % kWordBytes;
    const size_t to = std::min(kWordBytes, from + (end - offset));
    visit_word<kAccess, kShared>(shadow, offset, from, to, pc);
    offset += to - from;
  }
}

template <Access kAccess>
void Checker::touch(const volatile void* pointer, size_t bytes, const void* pc) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  size_t offset = 0;
  if (address - device_.begin < device_.bytes) {
    access_address_ = address;
    access_bytes_ = bytes;
    ++accesses_;
    visit<kAccess, false>(*device_shadow_, address - device_.begin, bytes, low_half(pc));
  } else if (find_shared(address, offset)) {
    access_address_ = address;
    access_bytes_ = bytes;
    ++accesses_;
    visit<kAccess, true>(shared_, offset, bytes, low_half(pc));
  }
}

template void Checker::touch<Access::kRead>(const volatile void*, size_t, const void*);
template void Checker::touch<Access::kWrite>(const volatile void*, size_t, const void*);
template void Checker::touch<Access::kReadWrite>(const volatile void*, size_t, const void*);
template void Checker::touch<Access::kAtomicLoad>(const volatile void*, size_t, const void*);
template void Checker::touch<Access::kAtomicStore>(const volatile void*, size_t, const void*);
template void Checker::touch<Access::kAtomicUpdate>(const volatile void*, size_t, const void*);

// ---- Asynchronous copies ----

void Checker::copy_async(void* target, const void* global, size_t bytes, size_t from_global, const void* pc) {
  if (from_global > 0) touch<Access::kRead>(global, from_global, pc);
  touch<Access::kWrite>(target, bytes, pc);
  size_t offset = 0;
  if (!find_shared(reinterpret_cast<uintptr_t>(target), offset)) return;
  const Stamp stamp = make_stamp(run_, thread_, kUnderWay, 0);
  for (size_t at = 0; at < bytes; at += kWordBytes) shared_.word(offset + at).write = stamp;
  ThreadState& thread = threads_[thread_];
  thread.copies.push_back(Copy{offset, bytes, thread.copy_groups});
}

void Checker::commit_copies() {
  ++threads_[thread_].copy_groups;
}

void Checker::wait_for_copies(size_t pending) {
  ThreadState& thread = threads_[thread_];
  std::erase_if(thread.copies, [&](const Copy& copy) {
    if (copy.group + pending >= thread.copy_groups) return false;
    for (size_t at = 0; at < copy.bytes; at += kWordBytes) {
      // Unless something wrote there since, which was reported.
      Stamp& write = shared_.word(copy.offset + at).write;
      if (under_way(write) && thread_of(write) == thread_) write = me_;
    }
    return true;
  });
}

// ---- Bulk copies and the barriers that they complete ----

void Checker::mbarrier_access(const void* barrier, MbarrierUse use, const void* pc) {
  constexpr size_t kBytes = 8;
  if (!on_) return;
  switch (use) {
    case MbarrierUse::kInit:
      return touch<Access::kWrite>(barrier, kBytes, pc);
    case MbarrierUse::kArrive:
      return touch<Access::kAtomicUpdate>(barrier, kBytes, pc);
    case MbarrierUse::kWait:
      return touch<Access::kAtomicLoad>(barrier, kBytes, pc);
  }
}

void Checker::arrive(Phase& phase) {
  if (!on_) return;
  ++shared().choices;
  phase.gathered = join(phase.gathered, snapshot());
  next_step();
}

void Checker::end_phase(Phase& phase) {
  if (!on_) return;
  phase.complete = join(phase.complete, phase.gathered);
  phase.gathered = nullptr;
}

void Checker::acquire(const Phase& phase) {
  if (!on_) return;
  threads_[thread_].known = join(threads_[thread_].known, phase.complete);
  knows_ = true;
}

void Checker::bulk_read(const void* pointer, size_t bytes, const void* pc) {
  if (on_) touch<Access::kRead>(pointer, bytes, pc);
}

void Checker::bulk_write(const void* pointer, size_t bytes, const void* pc) {
  if (on_) touch<Access::kWrite>(pointer, bytes, pc);
}

template <typename Visit>
void Checker::for_each_cell(const BulkCopy& copy, Visit&& visit) {
  for (size_t at = copy.offset; at < copy.offset + copy.bytes; at += kWordBytes) {
    Cell& word = shared_.word(at);
    if ((word.write & kSplitBit) == 0) {
      visit(word);
    } else {
      for (size_t i = 0; i < kWordBytes; ++i) visit(shared_.bytes(at)[i]);
    }
  }
}

BulkCopy Checker::begin_load(const void* target, size_t bytes, const void* pc) {
  BulkCopy copy;
  if (!on_ || !find_shared(reinterpret_cast<uintptr_t>(target), copy.offset)) return copy;
  touch<Access::kWrite>(target, bytes, pc);
  copy.bytes = bytes;
  copy.stamp = me_;
  copy.known = snapshot();
  const Stamp stamp = make_stamp(run_, thread_, kUnderWay, 0);
  for_each_cell(copy, [&](Cell& cell) { cell.write = stamp; });
  next_step();
  // What a copy brought needs no publishing for the next.
  threads_[thread_].published = std::max(threads_[thread_].published, progress(barriers_, steps_of(me_)));
  return copy;
}

void Checker::end_load(const BulkCopy& copy, Phase& phase) {
  if (!on_) return;
  for_each_cell(copy, [&](Cell& cell) {
    // Unless something wrote there since, which was reported.
    if (under_way(cell.write) && thread_of(cell.write) == thread_of(copy.stamp)) cell.write = copy.stamp;
  });
  phase.gathered = join(phase.gathered, copy.known);
}

BulkCopy Checker::begin_store(const void* source, size_t bytes, const void* pc) {
  BulkCopy copy;
  if (!on_ || !find_shared(reinterpret_cast<uintptr_t>(source), copy.offset)) return copy;
  touch<Access::kRead>(source, bytes, pc);
  copy.bytes = bytes;
  copy.stamp = make_stamp(run_, thread_, kUnderWay, 0);
  for_each_cell(copy, [&](Cell& cell) {
    const Stamp write = cell.write;
    const bool counted =
        run_of(write) == run_ && !under_way(write) && barriers_of(write) > 0 && steps_of(write) < kMaxSteps;
    if (counted && progress(barriers_of(write), steps_of(write)) >= threads_[thread_of(write)].published) {
      report(What::kCopy, low_half(pc), What::kWrite, write, cell.write_pc);
    }
    Stamp& read = cell.reads[0] == me_ ? cell.reads[0] : cell.reads[1];
    read = copy.stamp;
  });
  return copy;
}

void Checker::end_store(const BulkCopy& copy) {
  if (!on_) return;
  for_each_cell(copy, [&](Cell& cell) {
    for (Stamp& read : cell.reads) {
      if (read == copy.stamp) read = me_;
    }
  });
}

void Checker::publish() {
  if (!on_) return;
  next_step();
  threads_[thread_].published = progress(barriers_, steps_of(me_));
}

}  // namespace hipforge::cpu::race
