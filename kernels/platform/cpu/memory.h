// Device memory: allocations in one reserved address range, each ending at an unreadable page.
#pragma once

#include <hip/hip_runtime_api.h>
#include <hipforge_cpu.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace hipforge::cpu {

struct Allocation {
  uintptr_t base = 0;
  size_t bytes = 0;
  hipMemoryType type = hipMemoryTypeDevice;
};

class DeviceMemory {
 public:
  static DeviceMemory& instance();

  /// hipErrorOutOfMemory with a detail, or hipSuccess.
  hipError_t allocate(size_t bytes, hipMemoryType type, void** pointer);
  hipError_t release(void* pointer);
  void release_all();

  /// The live allocation that holds `pointer`; its one-past-the-end address belongs to it too.
  std::optional<Allocation> find(const void* pointer);
  /// True for every address of the reserved range, live or not.
  bool reserved(const void* pointer) const {
    const auto address = reinterpret_cast<uintptr_t>(pointer);
    return address >= range_begin_ && address < range_end_;
  }

  /// Where the reserved range begins, and how many bytes it has.
  std::pair<uintptr_t, size_t> range() const { return {range_begin_, range_end_ - range_begin_}; }

  /// Checks the canaries of up to `budget` live allocations, going on where the last call stopped; the
  /// text of what was overwritten, or "".
  std::string check_canaries(size_t budget);

  /// "N bytes past the end of the allocation of SIZE bytes at BASE" and the like for a faulting address;
  /// "" if the address is not of the reserved range.
  std::string describe(uintptr_t address);

  size_t list(HipforgeCpuAllocation* allocations, size_t capacity);
  void usage(size_t* free_bytes, size_t* total_bytes);

 private:
  struct Live {
    size_t bytes;
    hipMemoryType type;
    uintptr_t pages_begin;  // the mapped pages; the allocation ends within 255 bytes of their end
    uintptr_t pages_end;
  };
  struct Freed {
    size_t bytes;
    uint64_t order;
  };

  DeviceMemory();

  /// The first byte of `bytes` free bytes, searched from the cursor on and then from the start; 0: none.
  uintptr_t take_range(size_t bytes, size_t alignment);
  void give_range(uintptr_t begin, uintptr_t end);
  std::string check(uintptr_t base, const Live& live, bool whole) const;
  hipError_t release_locked(std::map<uintptr_t, Live>::iterator entry);

  std::mutex mutex_;
  uintptr_t range_begin_ = 0;
  uintptr_t range_end_ = 0;
  uintptr_t cursor_ = 0;
  size_t used_bytes_ = 0;
  uintptr_t next_check_ = 0;
  uint64_t freed_count_ = 0;
  std::map<uintptr_t, Live> live_;
  std::map<uintptr_t, Freed> freed_;           // the latest ones, to name a use after free
  std::map<uint64_t, uintptr_t> freed_order_;  // oldest first
  std::map<uintptr_t, uintptr_t> free_;        // begin -> end, never adjacent
};

}  // namespace hipforge::cpu
