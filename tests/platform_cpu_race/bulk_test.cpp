// Bulk copies, their mbarriers and named barriers: each step of a ring is needed.
#include "race_fixture.h"

#include "kernels/device/bulk_copy.h"
#include "kernels/device/named_barrier.h"

namespace hipforge::test {
namespace {

constexpr int kColumns = 64;
constexpr int kRows = 8;
constexpr int kElements = kRows * kColumns;
constexpr unsigned kBytes = kElements * sizeof(uint16_t);
constexpr int kStages = 2;
constexpr unsigned kConsumers = 64;
constexpr int kBoxes = 6;

enum class Fault {
  kNone,
  kInitUnseen,       // no barrier of the block after init
  kReadTooEarly,     // a thread looks at a stage before it waits
  kReleaseTooEarly,  // a stage is given back before it is read
  kNoWaitForEmpty,   // the producer does not wait for a stage
  kFewBytes,         // a phase ends before the second half of its box
  kNotPublished,     // a store reads what was not published
  kNoBarrier,        // a store reads what others still write
  kNoStoreWait,      // a store's box is written while it is read
};

__global__ void ring(const TensorMap in, const TensorMap out, Fault fault) {
  __shared__ __align__(1024) uint16_t stages[kStages * kElements];
  __shared__ __align__(1024) uint16_t result[kElements];
  __shared__ Mbarrier full[kStages];
  __shared__ Mbarrier empty[kStages];
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      full[i].init(1);
      empty[i].init(kConsumers);
    }
    Mbarrier::publish_init();
  }
  // The first warp is ordered by its own barrier, the others by nothing.
  if (fault == Fault::kInitUnseen) {
    named_barrier_sync(1 + threadIdx.x / 32, 32);
  } else {
    __syncthreads();
  }
  RingPosition<kStages> at;
  if (threadIdx.x >= kConsumers) {
    if (threadIdx.x != kConsumers) return;
    for (int box = 0; box < kBoxes; ++box) {
      uint16_t* stage = stages + at.stage * kElements;
      if (fault != Fault::kNoWaitForEmpty) empty[at.stage].wait(at.parity ^ 1);
      full[at.stage].arrive_and_expect(fault == Fault::kFewBytes ? kBytes / 2 : kBytes);
      bulk_load(stage, in, full[at.stage], 0, box * kRows);
      bulk_load(stage + kElements / 2, in, full[at.stage], 0, box * kRows + kRows / 2);
      at.advance();
    }
    return;
  }
  const auto thread = static_cast<int>(threadIdx.x);
  for (int box = 0; box < kBoxes; ++box) {
    // Never what the tensor holds.
    if (fault == Fault::kReadTooEarly && thread == 5 && stages[at.stage * kElements + 5] == 0x1234) return;
    full[at.stage].wait(at.parity);
    if (fault == Fault::kReleaseTooEarly) empty[at.stage].arrive();
    if (threadIdx.x == 0 && fault != Fault::kNoStoreWait) bulk_store_wait_read<0>();
    named_barrier_sync(8, kConsumers);
    for (int i = thread; i < kElements; i += static_cast<int>(kConsumers)) {
      result[i] = static_cast<uint16_t>(stages[at.stage * kElements + i] + 1);
    }
    if (fault != Fault::kReleaseTooEarly) empty[at.stage].arrive();
    if (fault != Fault::kNotPublished) publish_to_bulk();
    if (fault != Fault::kNoBarrier) named_barrier_sync(8, kConsumers);
    if (threadIdx.x == 0) {
      bulk_store(out, result, 0, box * kRows);
      bulk_store(out, result + kElements / 2, 0, box * kRows + kRows / 2);
      bulk_store_commit();
    }
    at.advance();
  }
  if (threadIdx.x == 0) bulk_store_wait_read<0>();
}

class BulkRace : public RaceTest {
 protected:
  static TensorMap map_of(uint16_t* base) {
    TensorMap map{};
    map.shape = cpu::TensorShape{base,
                                 {kColumns, kRows * kBoxes, 0, 0, 0},
                                 {2, kColumns * 2, 0, 0, 0},
                                 {kColumns, kRows / 2, 0, 0, 0},
                                 2,
                                 2,
                                 0};
    return map;
  }
  void launch(Fault fault) {
    hipLaunchKernelGGL(ring, 2, kConsumers + 32, 0, nullptr, map_of(in_), map_of(out_), fault);
  }
  uint16_t* in_ = zeros<uint16_t>(kElements * kBoxes);
  uint16_t* out_ = zeros<uint16_t>(kElements * kBoxes);
};

// Both blocks would write the same; one is enough here.
TEST_F(BulkRace, ARingIsClean) {
  for (const int wave : {32, 64}) {
    hipforge_cpu_set_wave(wave);
    EXPECT_CLEAN(under_schedules([&] {
      hipLaunchKernelGGL(ring, 1, kConsumers + 32, 0, nullptr, map_of(in_), map_of(out_), Fault::kNone);
    }));
  }
  const std::vector<uint16_t> found = host(out_, kElements * kBoxes);
  EXPECT_EQ(found, std::vector<uint16_t>(kElements * kBoxes, 1));
}

class BulkRaceOf : public BulkRace, public testing::WithParamInterface<Fault> {};

TEST_P(BulkRaceOf, EachStepIsNeeded) {
  for (const uint64_t seed : {0u, 1u, 2u, 3u}) {
    hipforge_cpu_set_schedule(seed);
    hipLaunchKernelGGL(ring, 1, kConsumers + 32, 0, nullptr, map_of(in_), map_of(out_), GetParam());
    const std::string text = found();
    if (GetParam() == Fault::kNoWaitForEmpty || GetParam() == Fault::kFewBytes ||
        GetParam() == Fault::kInitUnseen) {
      EXPECT_NE(text, "") << seed;
    } else {
      EXPECT_RACE(text, "shared array");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Faults, BulkRaceOf,
                         ::testing::Values(Fault::kInitUnseen, Fault::kReadTooEarly, Fault::kReleaseTooEarly,
                                           Fault::kNoWaitForEmpty, Fault::kFewBytes, Fault::kNotPublished,
                                           Fault::kNoBarrier, Fault::kNoStoreWait));

TEST_F(BulkRace, TwoBlocksThatStoreTheSameBoxRace) {
  launch(Fault::kNone);
  EXPECT_RACE(found(), "write of 128 bytes", "block (0,0,0)", "block (1,0,0)");
}

TEST_F(BulkRace, TheSourceOfACopyIsRead) {
  hipLaunchKernelGGL(ring, 1, kConsumers + 32, 0, nullptr, map_of(device<uint16_t>(kElements * kBoxes)),
                     map_of(out_), Fault::kNone);
  EXPECT_UNWRITTEN(found(), "read of 128 bytes", "bytes into the allocation");
}

}  // namespace
}  // namespace hipforge::test
