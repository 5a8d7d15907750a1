// Who touched memory and when, in 64 bits.
//
// A stamp is the run of a block (numbered over the life of the process), a thread of it, how many barriers
// the block had passed, and how many steps (wave barriers, fences) the thread had made since the last one. So
// a barrier orders all that a block did before it by one comparison, and the end of a kernel by another.
#pragma once

#include <cstdint>

namespace hipforge::cpu::race {

using Stamp = uint64_t;

inline constexpr unsigned kStepsShift = 2;
inline constexpr unsigned kBarriersShift = 15;
inline constexpr unsigned kThreadShift = 27;
inline constexpr unsigned kRunShift = 37;

inline constexpr uint64_t kMaxSteps = (uint64_t{1} << (kBarriersShift - kStepsShift)) - 1;
inline constexpr uint64_t kThreadMask = (uint64_t{1} << (kRunShift - kThreadShift)) - 1;
inline constexpr uint64_t kBarriersMask = (uint64_t{1} << (kThreadShift - kBarriersShift)) - 1;
inline constexpr uint64_t kMaxRuns = uint64_t{1} << (64 - kRunShift);
/// The count of barriers of an asynchronous copy that nobody has waited for: later than any.
inline constexpr uint64_t kUnderWay = kBarriersMask;
inline constexpr uint64_t kMaxBarriers = kBarriersMask - 1;

inline constexpr Stamp kAtomicBit = 1;
/// Of a write: the bytes of the word have cells of their own. Of a read: it was an atomic update.
inline constexpr Stamp kSplitBit = 2;
inline constexpr Stamp kUpdateBit = 2;

constexpr Stamp make_stamp(uint64_t run, uint64_t thread, uint64_t barriers, uint64_t steps) {
  return run << kRunShift | thread << kThreadShift | barriers << kBarriersShift | steps << kStepsShift;
}
constexpr uint64_t run_of(Stamp stamp) {
  return stamp >> kRunShift;
}
constexpr uint64_t thread_of(Stamp stamp) {
  return stamp >> kThreadShift & kThreadMask;
}
constexpr uint64_t barriers_of(Stamp stamp) {
  return stamp >> kBarriersShift & kBarriersMask;
}
constexpr uint64_t steps_of(Stamp stamp) {
  return stamp >> kStepsShift & kMaxSteps;
}
constexpr bool under_way(Stamp stamp) {
  return barriers_of(stamp) == kUnderWay;
}

/// Written before any kernel, by the host. Runs count from 1, a block's barriers too.
inline constexpr Stamp kHostWrote = make_stamp(0, 1, 0, 0);

}  // namespace hipforge::cpu::race
