// The mbarriers, bulk copies and named barriers of the block at hand: hipforge_cpu/bulk.h as its worker has it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <hipforge_cpu/bulk.h>

#include "race/race.h"
#include "threads.h"

namespace hipforge::cpu {

class Worker;

class BulkUnit {
 public:
  explicit BulkUnit(Worker& worker) : worker_(worker) {}

  void begin_block() {
    if (used_) forget();
  }
  /// What the block left undone, or "".
  std::string end_block() const;
  bool has_stores() const { return !stores_.empty(); }
  /// What a thread that returns left undone, or "".
  std::string unfinished_stores(size_t thread) const;
  /// Where a thread waits, and what is missing there.
  std::string where(size_t thread) const;

  void init(void* barrier, unsigned arrivals, const void* pc);
  void arrive(void* barrier, unsigned bytes, const void* pc);
  bool test(void* barrier, unsigned parity, const void* pc);
  void wait(void* barrier, unsigned parity, const char* file, unsigned line, const void* pc);
  void load(void* shared, const TensorShape& shape, const int* at, void* barrier, const void* pc);
  void store(const TensorShape& shape, const int* at, const void* shared, const void* pc);
  void commit_stores();
  void wait_for_stores(size_t pending);
  void named_barrier(unsigned id, unsigned threads, bool wait, const char* file, unsigned line);

 private:
  static constexpr unsigned kNamedBarriers = 16;

  struct Box {
    TensorShape shape;
    std::array<int, 5> at;
    unsigned char* shared;
    size_t bytes;

    uint64_t rows() const;
    /// Bytes of a row of the box that lie in the tensor, from `first` on; device memory's start of them.
    unsigned char* row(uint64_t index, size_t& first, size_t& bytes) const;
  };
  struct Load {
    Box box;
    race::BulkCopy copy;
  };
  struct Mbarrier {
    uintptr_t address;
    unsigned arrivals;
    unsigned missing;   // arrivals
    int64_t bytes = 0;  // expected and not there yet
    uint64_t phase = 0;
    ThreadList waiting;
    std::vector<Load> loads;
    race::Phase order;
  };
  struct Store {
    Box box;
    size_t thread;
    uint64_t group;
    race::BulkCopy copy;
  };
  struct NamedBarrier {
    unsigned threads = 0;
    unsigned arrived = 0;
    ThreadList waiting;
    race::Phase order;
  };
  /// Where a thread waits: at an mbarrier, by its address, or at a named barrier.
  struct Place {
    uintptr_t mbarrier;
    unsigned named;
    const char* file;
    unsigned line;
  };

  void forget();
  Mbarrier* find(uintptr_t address);
  Mbarrier& at(void* barrier);
  Box box_of(const TensorShape& shape, const int* at, const void* shared);
  void make_loads(Mbarrier& barrier);
  void end_phase_if_complete(Mbarrier& barrier);
  void wake(ThreadList& waiting);
  void make_load(const Box& box) const;
  void make_store(const Box& box) const;
  /// 16 bytes of a row's box in shared memory.
  unsigned char* pack(const Box& box, size_t offset) const;
  size_t shared_offset(const void* shared) const;

  Worker& worker_;
  bool used_ = false;
  std::vector<Mbarrier> mbarriers_;
  std::vector<Store> stores_;
  std::vector<uint64_t> groups_;  // committed, by thread
  std::vector<Place> places_;     // by thread
  std::array<NamedBarrier, kNamedBarriers> named_;
};

}  // namespace hipforge::cpu
