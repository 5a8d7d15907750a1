// What a thread knows of others beyond what barriers order: it grows by fences and atomics alone.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "stamp.h"

namespace hipforge::cpu::race {

/// A vector clock over runs of blocks. Few threads ever have one, so it is a plain map.
struct Knowledge {
  struct OfRun {
    uint64_t barriers = 0;                // all that came before this many barriers is known
    std::map<uint64_t, uint64_t> before;  // by thread: its barriers and steps, of which those below are known
  };
  std::map<uint64_t, OfRun> runs;

  bool has(Stamp stamp) const;
  void join(const Knowledge& other);
};

/// Knowledge is shared, and never changed once it is.
using KnowledgePtr = std::shared_ptr<const Knowledge>;

/// What both know; one of them itself where the other is nothing.
KnowledgePtr join(const KnowledgePtr& a, const KnowledgePtr& b);

/// Barriers and steps as one number that grows.
constexpr uint64_t progress(uint64_t barriers, uint64_t steps) {
  return barriers << (kBarriersShift - kStepsShift) | steps;
}

}  // namespace hipforge::cpu::race
