#include "memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "canary.h"
#include "config.h"
#include "error.h"
#include "race/race.h"
#include "sanitizer.h"

namespace hipforge::cpu {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kAlignment = 256;
constexpr size_t kHugeBytes = size_t{2} << 20;
constexpr size_t kFreedKept = 16384;
// What is checked of the gap before an allocation after each kernel; all of it is checked at the free.
constexpr size_t kQuickGapBytes = 256;

// Far from where Linux puts programs, libraries and stacks, and inside the part of the address space that
// AddressSanitizer leaves to the program. Valgrind's programs live lower.
constexpr uintptr_t kBase = 0x2000'0000'0000;
constexpr uintptr_t kBaseUnderValgrind = 0x40'0000'0000;

constexpr uintptr_t round_up(uintptr_t value, uintptr_t step) {
  return (value + step - 1) / step * step;
}

unsigned char* bytes_at(uintptr_t address) {
  return reinterpret_cast<unsigned char*>(address);
}

std::string hex(uintptr_t address) {
  char text[32];
  std::snprintf(text, sizeof(text), "0x%zx", address);
  return text;
}

std::string named(uintptr_t base, size_t bytes) {
  return "the allocation of " + std::to_string(bytes) + " bytes at " + hex(base);
}

}  // namespace

DeviceMemory& DeviceMemory::instance() {
  static DeviceMemory& instance = *new DeviceMemory;
  return instance;
}

DeviceMemory::DeviceMemory() {
  const bool valgrind = on_valgrind();
  void* const wanted = reinterpret_cast<void*>(valgrind ? kBaseUnderValgrind : kBase);
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* range = MAP_FAILED;
  // 1 TiB; valgrind has less room, and so has a range of which each byte has a shadow.
  size_t bytes = size_t{valgrind || race::kBuilt ? 1u : 16u} << 36;
  for (; bytes >= size_t{1} << 36; bytes /= 2) {
    range = mmap(wanted, bytes, PROT_NONE, kFlags | MAP_FIXED_NOREPLACE, -1, 0);
    // An old kernel takes the address for a hint.
    if (range != MAP_FAILED && range != wanted) {
      munmap(range, bytes);
      range = MAP_FAILED;
    }
    if (range != MAP_FAILED) break;
  }
  for (size_t smaller = size_t{1} << 36; range == MAP_FAILED && smaller >= size_t{1} << 30; smaller /= 2) {
    bytes = smaller;
    range = mmap(nullptr, bytes, PROT_NONE, kFlags, -1, 0);
    if (range != MAP_FAILED) {
      std::fprintf(stderr, "hipforge cpu: address %p is taken; device memory lies at %p in this run\n",
                   wanted, range);
    }
  }
  if (range == MAP_FAILED) return;
  range_begin_ = reinterpret_cast<uintptr_t>(range);
  range_end_ = range_begin_ + bytes;
  cursor_ = range_begin_ + kPageBytes;  // so that an unreadable page precedes the first allocation too
  free_[cursor_] = range_end_;
}

uintptr_t DeviceMemory::take_range(size_t bytes, size_t alignment) {
  const auto take = [&](std::map<uintptr_t, uintptr_t>::iterator entry, uintptr_t from) -> uintptr_t {
    const uintptr_t begin = round_up(std::max(entry->first, from), alignment);
    const uintptr_t end = entry->second;
    if (begin >= end || end - begin < bytes) return 0;
    const uintptr_t free_begin = entry->first;
    free_.erase(entry);
    if (free_begin < begin) free_[free_begin] = begin;
    if (begin + bytes < end) free_[begin + bytes] = end;
    cursor_ = begin + bytes;
    return begin;
  };
  // Going on from the last allocation keeps freed ranges unreadable for as long as there is room.
  auto first = free_.upper_bound(cursor_);
  if (first != free_.begin() && std::prev(first)->second > cursor_) --first;
  for (auto entry = first; entry != free_.end(); ++entry) {
    if (const uintptr_t begin = take(entry, cursor_); begin != 0) return begin;
  }
  for (auto entry = free_.begin(); entry != free_.end(); ++entry) {
    if (const uintptr_t begin = take(entry, 0); begin != 0) return begin;
  }
  return 0;
}

void DeviceMemory::give_range(uintptr_t begin, uintptr_t end) {
  auto next = free_.lower_bound(begin);
  if (next != free_.end() && next->first == end) {
    end = next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin() && std::prev(next)->second == begin) {
    std::prev(next)->second = end;
  } else {
    free_[begin] = end;
  }
}

hipError_t DeviceMemory::allocate(size_t bytes, hipMemoryType type, void** pointer) {
  const std::lock_guard lock(mutex_);
  const size_t limit = config().memory_limit_bytes;
  if (bytes > limit || used_bytes_ > limit - bytes) {
    return fail(hipErrorOutOfMemory, "%zu bytes wanted, %zu of %zu in use", bytes, used_bytes_, limit);
  }
  const size_t aligned_bytes = round_up(bytes, kAlignment);
  const size_t mapped_bytes = round_up(aligned_bytes, kPageBytes);
  const bool huge = mapped_bytes >= 2 * kHugeBytes;
  const uintptr_t begin = take_range(mapped_bytes + kPageBytes, huge ? kHugeBytes : kPageBytes);
  if (begin == 0) return fail(hipErrorOutOfMemory, "no room for %zu bytes in the address range", bytes);
  if (mprotect(bytes_at(begin), mapped_bytes, PROT_READ | PROT_WRITE) != 0) {
    give_range(begin, begin + mapped_bytes + kPageBytes);
    return fail(hipErrorOutOfMemory, "the system has no %zu bytes, or too many allocations (%zu) live", bytes,
                live_.size());
  }
  if (huge) madvise(bytes_at(begin), mapped_bytes, MADV_HUGEPAGE);
  const uintptr_t end = begin + mapped_bytes;
  const uintptr_t base = end - aligned_bytes;
  unpoison(bytes_at(begin), mapped_bytes);
  write_canary(bytes_at(begin), bytes_at(base));
  std::memset(bytes_at(base), kPoisonByte, bytes);
  write_canary(bytes_at(base + bytes), bytes_at(end));
  poison(bytes_at(begin), base - begin);
  poison(bytes_at(base + bytes), end - (base + bytes));
  live_[base] = Live{bytes, type, begin, end};
  race::forget(base, bytes);
  // What was freed here before is history.
  for (auto freed = freed_.lower_bound(begin); freed != freed_.end() && freed->first < end;) {
    freed_order_.erase(freed->second.order);
    freed = freed_.erase(freed);
  }
  used_bytes_ += bytes;
  *pointer = reinterpret_cast<void*>(base);
  return hipSuccess;
}

std::string DeviceMemory::check(uintptr_t base, const Live& live, bool whole) const {
  if (poison_is_watched()) return "";
  const QuietAccess quiet;
  const uintptr_t gap_bytes = base - live.pages_begin;
  const uintptr_t gap = base - (whole ? gap_bytes : std::min<uintptr_t>(gap_bytes, kQuickGapBytes));
  const uintptr_t tail = base + live.bytes;
  if (const auto* broken = find_broken_canary(bytes_at(tail), bytes_at(live.pages_end))) {
    return "out-of-bounds write at " + hex(reinterpret_cast<uintptr_t>(broken)) + ", " +
           std::to_string(reinterpret_cast<uintptr_t>(broken) - tail) + " bytes past the end of " +
           named(base, live.bytes);
  }
  if (const auto* broken = find_broken_canary(bytes_at(gap), bytes_at(base))) {
    return "out-of-bounds write at " + hex(reinterpret_cast<uintptr_t>(broken)) + ", " +
           std::to_string(base - reinterpret_cast<uintptr_t>(broken)) + " bytes before " +
           named(base, live.bytes);
  }
  return "";
}

hipError_t DeviceMemory::release_locked(std::map<uintptr_t, Live>::iterator entry) {
  const uintptr_t base = entry->first;
  const Live live = entry->second;
  const std::string broken = check(base, live, /*whole=*/true);
  live_.erase(entry);
  used_bytes_ -= live.bytes;
  freed_[base] = Freed{live.bytes, freed_count_};
  freed_order_[freed_count_++] = base;
  if (freed_.size() > kFreedKept) {
    freed_.erase(freed_order_.begin()->second);
    freed_order_.erase(freed_order_.begin());
  }
  poison(bytes_at(live.pages_begin), live.pages_end - live.pages_begin);
  // A fresh mapping in its place gives the pages back and makes any later access fault.
  mmap(bytes_at(live.pages_begin), live.pages_end - live.pages_begin, PROT_NONE,
       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  give_range(live.pages_begin, live.pages_end + kPageBytes);
  race::forget(base, live.bytes);
  if (!broken.empty()) {
    record_fault(broken + ", found when it was freed");
    return report_fault();
  }
  return hipSuccess;
}

hipError_t DeviceMemory::release(void* pointer) {
  const std::lock_guard lock(mutex_);
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  const auto entry = live_.find(address);
  if (entry != live_.end()) return release_locked(entry);
  if (const auto freed = freed_.find(address); freed != freed_.end()) {
    return fail(hipErrorInvalidValue, "free of %p: %s was freed before", pointer,
                named(address, freed->second.bytes).c_str());
  }
  return fail(hipErrorInvalidValue, "free of %p, which is not the start of an allocation", pointer);
}

void DeviceMemory::release_all() {
  const std::lock_guard lock(mutex_);
  while (!live_.empty()) static_cast<void>(release_locked(live_.begin()));
}

std::optional<Allocation> DeviceMemory::find(const void* pointer) {
  if (!reserved(pointer)) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  auto entry = live_.upper_bound(address);
  if (entry == live_.begin()) return std::nullopt;
  --entry;
  if (address - entry->first > entry->second.bytes) return std::nullopt;
  return Allocation{entry->first, entry->second.bytes, entry->second.type};
}

std::string DeviceMemory::check_canaries(size_t budget) {
  const std::lock_guard lock(mutex_);
  auto entry = live_.lower_bound(next_check_);
  for (size_t i = std::min(budget, live_.size()); i > 0; --i, ++entry) {
    if (entry == live_.end()) entry = live_.begin();
    if (std::string broken = check(entry->first, entry->second, /*whole=*/false); !broken.empty()) {
      const QuietAccess quiet;
      // Repaired, so that the same write is not reported for every kernel that follows.
      write_canary(bytes_at(entry->second.pages_begin), bytes_at(entry->first));
      write_canary(bytes_at(entry->first + entry->second.bytes), bytes_at(entry->second.pages_end));
      return broken;
    }
  }
  next_check_ = entry == live_.end() ? 0 : entry->first;
  return "";
}

std::string DeviceMemory::describe(uintptr_t address) {
  if (!reserved(reinterpret_cast<const void*>(address))) return "";
  const std::lock_guard lock(mutex_);
  struct Near {
    uintptr_t distance = UINTPTR_MAX;
    std::string text;
    void offer(uintptr_t candidate, const std::string& candidate_text) {
      if (candidate >= distance) return;
      distance = candidate;
      text = candidate_text;
    }
  } near;
  const auto offer = [&](uintptr_t base, size_t bytes, bool freed) {
    if (address >= base && address < base + bytes) {
      near.offer(0, freed ? "inside " + named(base, bytes) + ", which is freed"
                          : std::to_string(address - base) + " bytes into " + named(base, bytes));
    } else if (address >= base) {
      // A freed neighbour is named only if nothing live is as near.
      near.offer(address - (base + bytes) + (freed ? 1 : 0) + 1,
                 std::to_string(address - (base + bytes)) + " bytes past the end of " + named(base, bytes) +
                     (freed ? ", which is freed" : ""));
    } else {
      near.offer(base - address + (freed ? 1 : 0), std::to_string(base - address) + " bytes before " +
                                                       named(base, bytes) +
                                                       (freed ? ", which is freed" : ""));
    }
  };
  const auto offer_around = [&](const auto& table, bool freed) {
    auto entry = table.upper_bound(address);
    if (entry != table.end()) offer(entry->first, entry->second.bytes, freed);
    if (entry != table.begin()) offer(std::prev(entry)->first, std::prev(entry)->second.bytes, freed);
  };
  offer_around(live_, false);
  offer_around(freed_, true);
  return near.text.empty() ? "in device memory that was never allocated" : near.text;
}

size_t DeviceMemory::list(HipforgeCpuAllocation* allocations, size_t capacity) {
  const std::lock_guard lock(mutex_);
  size_t i = 0;
  for (const auto& [base, live] : live_) {
    if (i == capacity) break;
    allocations[i++] = HipforgeCpuAllocation{reinterpret_cast<void*>(base), live.bytes, live.type};
  }
  return live_.size();
}

void DeviceMemory::usage(size_t* free_bytes, size_t* total_bytes) {
  const std::lock_guard lock(mutex_);
  *total_bytes = config().memory_limit_bytes;
  *free_bytes = *total_bytes - used_bytes_;
}

}  // namespace hipforge::cpu
