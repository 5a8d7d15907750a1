// What was found in a launch, and how it is told.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <hip/hip_runtime_api.h>

#include "stamp.h"

namespace hipforge::cpu::race {

enum class What : unsigned char { kRead, kWrite, kAtomic, kCopy };

/// One side of a race.
struct Touch {
  What what;
  Stamp by;
  uint32_t pc;  // the low half of a return address
};

struct Finding {
  Touch now;
  Touch before;  // `by` 0: nobody wrote what was read
  uintptr_t address;
  size_t bytes;  // of the access that was caught
  std::string place;
};

/// The findings of one launch, each pair of lines once.
class Findings {
 public:
  /// True the first time that these two lines meet.
  bool is_new(What now, uint32_t pc, What before, uint32_t before_pc) {
    return pairs_.emplace(now, pc, before, before_pc).second;
  }
  void add(Finding finding) { found_.push_back(std::move(finding)); }
  bool empty() const { return found_.empty(); }
  void clear();

  /// "race: …", for a kernel whose blocks' runs are numbered from `first_run` on: `blocks` says which they
  /// were.
  std::string text(uint64_t first_run, const std::vector<uint64_t>& blocks, const dim3& grid,
                   const dim3& block) const;

 private:
  std::set<std::tuple<What, uint32_t, What, uint32_t>> pairs_;
  std::vector<Finding> found_;
};

}  // namespace hipforge::cpu::race
