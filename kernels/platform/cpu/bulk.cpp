#include "bulk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "worker.h"

namespace hipforge::cpu {
namespace {

constexpr size_t kPackBytes = 16;
constexpr size_t kSwizzleBytes = 128;
constexpr size_t kSwizzleAlignment = 1024;
constexpr size_t kAlignment = 128;
constexpr unsigned kWarp = 32;
constexpr unsigned kMaxArrivals = (1u << 20) - 1;
constexpr unsigned kMaxBytes = (1u << 20) - 1;

std::string number(uint64_t value) {
  return std::to_string(value);
}

}  // namespace

// ---- The block ----

void BulkUnit::forget() {
  mbarriers_.clear();
  stores_.clear();
  groups_.clear();
  places_.clear();
  named_.fill(NamedBarrier{});
  used_ = false;
}

std::string BulkUnit::end_block() const {
  for (const Mbarrier& barrier : mbarriers_) {
    if (barrier.loads.empty()) continue;
    return "the block ended while " + number(barrier.loads.size()) +
           " bulk copies to its shared memory were under way";
  }
  return "";
}

std::string BulkUnit::unfinished_stores(size_t thread) const {
  const auto count = static_cast<size_t>(std::count_if(
      stores_.begin(), stores_.end(), [&](const Store& store) { return store.thread == thread; }));
  if (count == 0) return "";
  return "returned while " + number(count) + " of its bulk stores still read shared memory";
}

std::string BulkUnit::where(size_t thread) const {
  const Place& place = places_[thread];
  const std::string line = std::string(" ") + place.file + ":" + number(place.line);
  if (place.mbarrier == 0) {
    const NamedBarrier& barrier = named_[place.named];
    return "the named barrier " + number(place.named) + line + ", which " +
           number(barrier.threads - barrier.arrived) + " of " + number(barrier.threads) +
           " threads never reach";
  }
  for (const Mbarrier& barrier : mbarriers_) {
    if (barrier.address != place.mbarrier) continue;
    std::string text = "the mbarrier" + line + ", whose phase " + number(barrier.phase) +
                       " never ends: " + number(barrier.missing) + " of " + number(barrier.arrivals) +
                       " arrivals are missing";
    if (barrier.bytes > 0) text += ", and " + std::to_string(barrier.bytes) + " bytes";
    if (barrier.bytes < 0) {
      text += ", and " + std::to_string(-barrier.bytes) + " bytes came that none expected";
    }
    return text;
  }
  return "an mbarrier" + line;
}

// ---- Mbarriers ----

BulkUnit::Mbarrier* BulkUnit::find(uintptr_t address) {
  for (Mbarrier& barrier : mbarriers_) {
    if (barrier.address == address) return &barrier;
  }
  return nullptr;
}

BulkUnit::Mbarrier& BulkUnit::at(void* barrier) {
  Mbarrier* found = find(reinterpret_cast<uintptr_t>(barrier));
  if (found == nullptr) {
    worker_.set_fault("uses an mbarrier that nobody initialised");
    worker_.fault();
  }
  return *found;
}

void BulkUnit::init(void* barrier, unsigned arrivals, const void* pc) {
  used_ = true;
  const auto address = reinterpret_cast<uintptr_t>(barrier);
  if (address % 8 != 0 || arrivals == 0 || arrivals > kMaxArrivals) {
    worker_.set_fault("an mbarrier stands at a multiple of 8 bytes and waits for 1 to " +
                      number(kMaxArrivals) + " arrivals, not " + number(arrivals));
    worker_.fault();
  }
  worker_.checker().mbarrier_access(barrier, race::MbarrierUse::kInit, pc);
  Mbarrier* mbarrier = find(address);
  if (mbarrier == nullptr) mbarrier = &mbarriers_.emplace_back();
  *mbarrier = Mbarrier{};
  mbarrier->address = address;
  mbarrier->arrivals = mbarrier->missing = arrivals;
}

void BulkUnit::wake(ThreadList& waiting) {
  while (Thread* thread = waiting.pop()) worker_.make_ready(thread);
  waiting = ThreadList{};
}

void BulkUnit::end_phase_if_complete(Mbarrier& barrier) {
  if (barrier.missing != 0 || barrier.bytes != 0) return;
  ++barrier.phase;
  barrier.missing = barrier.arrivals;
  worker_.checker().end_phase(barrier.order);
  wake(barrier.waiting);
}

void BulkUnit::make_loads(Mbarrier& barrier) {
  // Up to the end of the phase: a copy that it did not wait for may be late.
  const uint64_t phase = barrier.phase;
  while (barrier.phase == phase && !barrier.loads.empty()) {
    const size_t choice = worker_.choose(static_cast<unsigned>(barrier.loads.size()));
    const Load load = barrier.loads[choice];
    barrier.loads.erase(barrier.loads.begin() + static_cast<std::ptrdiff_t>(choice));
    make_load(load.box);
    worker_.checker().end_load(load.copy, barrier.order);
    barrier.bytes -= static_cast<int64_t>(load.box.bytes);
    end_phase_if_complete(barrier);
  }
}

void BulkUnit::arrive(void* barrier, unsigned bytes, const void* pc) {
  Mbarrier& mbarrier = at(barrier);
  if (mbarrier.missing == 0 || bytes > kMaxBytes) {
    worker_.set_fault(
        bytes > kMaxBytes
            ? "an mbarrier waits for up to " + number(kMaxBytes) + " bytes, not " + number(bytes)
            : "arrives at an mbarrier that has all " + number(mbarrier.arrivals) + " arrivals of its phase");
    worker_.fault();
  }
  worker_.checker().mbarrier_access(barrier, race::MbarrierUse::kArrive, pc);
  worker_.checker().arrive(mbarrier.order);
  mbarrier.bytes += bytes;
  --mbarrier.missing;
  end_phase_if_complete(mbarrier);
  if (mbarrier.waiting.head != nullptr) make_loads(mbarrier);
}

bool BulkUnit::test(void* barrier, unsigned parity, const void* pc) {
  Mbarrier& mbarrier = at(barrier);
  worker_.checker().mbarrier_access(barrier, race::MbarrierUse::kWait, pc);
  if ((mbarrier.phase & 1) == (parity & 1)) make_loads(mbarrier);
  if ((mbarrier.phase & 1) == (parity & 1)) return false;
  worker_.checker().acquire(mbarrier.order);
  return true;
}

void BulkUnit::wait(void* barrier, unsigned parity, const char* file, unsigned line, const void* pc) {
  if (test(barrier, parity, pc)) return worker_.maybe_yield();
  if (places_.empty()) places_.resize(kMaxBlockThreads);
  places_[worker_.running_index()] = Place{reinterpret_cast<uintptr_t>(barrier), 0, file, line};
  worker_.park(at(barrier).waiting);
  // The table may have moved meanwhile.
  worker_.checker().acquire(at(barrier).order);
}

// ---- Copies ----

uint64_t BulkUnit::Box::rows() const {
  uint64_t count = 1;
  for (unsigned i = 1; i < shape.rank; ++i) count *= shape.box[i];
  return count;
}

unsigned char* BulkUnit::Box::row(uint64_t index, size_t& first, size_t& count) const {
  first = count = 0;
  auto* start = static_cast<unsigned char*>(shape.base);
  for (unsigned i = 1; i < shape.rank; ++i) {
    const int64_t coordinate = at[i] + static_cast<int64_t>(index % shape.box[i]);
    index /= shape.box[i];
    if (coordinate < 0 || static_cast<uint64_t>(coordinate) >= shape.extents[i]) return nullptr;
    start += static_cast<uint64_t>(coordinate) * shape.strides[i];
  }
  const int64_t begin = std::max<int64_t>(at[0], 0);
  const int64_t end = std::min(int64_t{at[0]} + shape.box[0], static_cast<int64_t>(shape.extents[0]));
  if (begin >= end) return nullptr;
  first = static_cast<size_t>(begin - at[0]) * shape.element_bytes;
  count = static_cast<size_t>(end - begin) * shape.element_bytes;
  return start + static_cast<size_t>(begin) * shape.element_bytes;
}

size_t BulkUnit::shared_offset(const void* shared) const {
  // Dynamic shared memory starts at a multiple of 1,024 bytes where the hardware has it.
  const auto address = reinterpret_cast<uintptr_t>(shared);
  const auto dynamic = reinterpret_cast<uintptr_t>(worker_.dynamic_shared());
  return address - dynamic < kMaxSharedBytes ? address - dynamic : address;
}

BulkUnit::Box BulkUnit::box_of(const TensorShape& shape, const int* at, const void* shared) {
  used_ = true;
  Box box{shape, {}, static_cast<unsigned char*>(const_cast<void*>(shared)), 0};
  std::copy_n(at, shape.rank, box.at.begin());
  box.bytes = box.rows() * shape.box[0] * shape.element_bytes;
  const size_t alignment = shape.swizzled != 0 ? kSwizzleAlignment : kAlignment;
  if (const size_t past = shared_offset(shared) % alignment; past != 0) {
    worker_.set_fault("the box of a bulk copy stands " + number(past) + " bytes past a multiple of " +
                      number(alignment) + " bytes of shared memory");
    worker_.fault();
  }
  return box;
}

unsigned char* BulkUnit::pack(const Box& box, size_t offset) const {
  if (box.shape.swizzled == 0) return box.shared + offset;
  return box.shared + (offset ^ (offset / kSwizzleBytes % 8 * kPackBytes));
}

void BulkUnit::make_load(const Box& box) const {
  const size_t row_bytes = size_t{box.shape.box[0]} * box.shape.element_bytes;
  for (uint64_t index = 0; index < box.rows(); ++index) {
    size_t first = 0;
    size_t count = 0;
    const unsigned char* source = box.row(index, first, count);
    for (size_t offset = 0; offset < row_bytes; offset += kPackBytes) {
      unsigned char* target = pack(box, index * row_bytes + offset);
      const size_t from = std::max(offset, first);
      const size_t to = std::min(offset + kPackBytes, first + count);
      if (from >= to) {
        std::memset(target, 0, kPackBytes);
        continue;
      }
      std::memset(target, 0, from - offset);
      std::memcpy(target + (from - offset), source + (from - first), to - from);
      std::memset(target + (to - offset), 0, offset + kPackBytes - to);
    }
  }
}

void BulkUnit::make_store(const Box& box) const {
  const size_t row_bytes = size_t{box.shape.box[0]} * box.shape.element_bytes;
  for (uint64_t index = 0; index < box.rows(); ++index) {
    size_t first = 0;
    size_t count = 0;
    unsigned char* target = box.row(index, first, count);
    for (size_t offset = 0; offset < row_bytes; offset += kPackBytes) {
      const size_t from = std::max(offset, first);
      const size_t to = std::min(offset + kPackBytes, first + count);
      if (from >= to) continue;
      std::memcpy(target + (from - first), pack(box, index * row_bytes + offset) + (from - offset),
                  to - from);
    }
  }
}

void BulkUnit::load(void* shared, const TensorShape& shape, const int* at_element, void* barrier,
                    const void* pc) {
  static_cast<void>(at(barrier));
  Load load{box_of(shape, at_element, shared), {}};
  race::Checker& checker = worker_.checker();
  checker.mbarrier_access(barrier, race::MbarrierUse::kWait, pc);
  for (uint64_t index = 0; index < load.box.rows(); ++index) {
    size_t first = 0;
    size_t count = 0;
    if (const unsigned char* source = load.box.row(index, first, count)) checker.bulk_read(source, count, pc);
  }
  load.copy = checker.begin_load(shared, load.box.bytes, pc);
  Mbarrier& mbarrier = at(barrier);
  mbarrier.loads.push_back(load);
  if (mbarrier.waiting.head != nullptr) make_loads(mbarrier);
}

void BulkUnit::store(const TensorShape& shape, const int* at_element, const void* shared, const void* pc) {
  for (unsigned i = 0; i < shape.rank; ++i) {
    if (at_element[i] >= 0) continue;
    worker_.set_fault("a bulk store begins at element " + std::to_string(at_element[i]) + " of dimension " +
                      std::to_string(i) + ", the engine takes none below 0");
    worker_.fault();
  }
  const size_t thread = worker_.running_index();
  if (groups_.empty()) groups_.resize(kMaxBlockThreads);
  Store store{box_of(shape, at_element, shared), thread, groups_[thread], {}};
  race::Checker& checker = worker_.checker();
  store.copy = checker.begin_store(shared, store.box.bytes, pc);
  for (uint64_t index = 0; index < store.box.rows(); ++index) {
    size_t first = 0;
    size_t count = 0;
    if (unsigned char* target = store.box.row(index, first, count)) checker.bulk_write(target, count, pc);
  }
  stores_.push_back(store);
}

void BulkUnit::commit_stores() {
  if (!groups_.empty()) ++groups_[worker_.running_index()];
}

void BulkUnit::wait_for_stores(size_t pending) {
  const size_t thread = worker_.running_index();
  std::erase_if(stores_, [&](const Store& store) {
    if (store.thread != thread || store.group + pending >= groups_[thread]) return false;
    make_store(store.box);
    worker_.checker().end_store(store.copy);
    return true;
  });
}

// ---- Barriers of a part of the block ----

void BulkUnit::named_barrier(unsigned id, unsigned threads, bool wait, const char* file, unsigned line) {
  used_ = true;
  if (id == 0 || id >= kNamedBarriers || threads == 0 || threads % kWarp != 0) {
    worker_.set_fault("a named barrier has a number from 1 to 15 and a multiple of 32 threads, not number " +
                      number(id) + " and " + number(threads) + " threads");
    worker_.fault();
  }
  NamedBarrier& barrier = named_[id];
  if (barrier.arrived == 0) barrier.threads = threads;
  if (barrier.threads != threads) {
    worker_.set_fault("comes to the named barrier " + number(id) + " of " + number(threads) +
                      " threads, where others came for " + number(barrier.threads));
    worker_.fault();
  }
  worker_.checker().arrive(barrier.order);
  if (++barrier.arrived == barrier.threads) {
    barrier.arrived = 0;
    worker_.checker().end_phase(barrier.order);
    wake(barrier.waiting);
    if (!wait) return;
    worker_.checker().acquire(barrier.order);
    return worker_.maybe_yield();
  }
  if (!wait) return;
  if (places_.empty()) places_.resize(kMaxBlockThreads);
  places_[worker_.running_index()] = Place{0, id, file, line};
  worker_.park(barrier.waiting);
  worker_.checker().acquire(barrier.order);
}

}  // namespace hipforge::cpu
