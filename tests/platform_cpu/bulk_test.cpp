// Mbarriers, bulk copies of boxes and barriers of a part of the block.
#include "platform_fixture.h"

#include "kernels/device/bulk_copy.h"
#include "kernels/device/named_barrier.h"

#include <algorithm>
#include <array>

namespace hipforge::test {
namespace {

constexpr int kBoxColumns = 64;
constexpr int kBoxRows = 8;
constexpr int kElements = kBoxRows * kBoxColumns;
constexpr unsigned kBoxBytes = kElements * sizeof(uint16_t);
constexpr int kStages = 2;
constexpr unsigned kConsumers = 64;
constexpr unsigned kThreads = kConsumers + 32;

TensorMap map_of(const uint16_t* base, uint64_t rows, uint64_t columns, uint64_t row_elements,
                 bool swizzled = true) {
  TensorMap map{};
  map.shape.base = const_cast<uint16_t*>(base);
  map.shape.rank = 2;
  map.shape.element_bytes = sizeof(uint16_t);
  map.shape.extents[0] = columns;
  map.shape.extents[1] = rows;
  map.shape.strides[0] = sizeof(uint16_t);
  map.shape.strides[1] = row_elements * sizeof(uint16_t);
  map.shape.box[0] = kBoxColumns;
  map.shape.box[1] = kBoxRows;
  map.shape.swizzled = swizzled ? 1 : 0;
  return map;
}

enum class Fault {
  kNone,
  kNoArrive,
  kTooManyBytes,
  kTooFewBytes,
  kNoInit,
  kMisplaced,
  kNoStoreWait,
  kNoConsumerWait,
};

/// A producer and consumers: box after box of `in`, from (-rows, -columns) on, through a ring, one added, to
/// the same place of `out`.
__global__ void through_a_ring(const TensorMap in, const TensorMap out, int first_row, int column, int boxes,
                               bool swizzled, Fault fault) {
  HIP_DYNAMIC_SHARED(uint16_t, memory)
  __shared__ Mbarrier full[kStages];
  __shared__ Mbarrier empty[kStages];
  uint16_t* result = memory + kStages * kElements;
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      if (fault != Fault::kNoInit) full[i].init(1);
      empty[i].init(kConsumers);
    }
    Mbarrier::publish_init();
  }
  __syncthreads();
  RingPosition<kStages> at;
  if (threadIdx.x >= kConsumers) {
    if (threadIdx.x != kConsumers) return;
    for (int box = 0; box < boxes; ++box) {
      empty[at.stage].wait(at.parity ^ 1);
      const unsigned more = fault == Fault::kTooManyBytes ? 16 : 0;
      const unsigned twice = fault == Fault::kTooFewBytes ? 2 : 1;
      full[at.stage].arrive_and_expect(kBoxBytes + more);
      for (unsigned i = 0; i < twice; ++i) {
        bulk_load(memory + at.stage * kElements + (fault == Fault::kMisplaced ? 64 : 0), in, full[at.stage],
                  column, first_row + box * kBoxRows);
      }
      at.advance();
    }
    return;
  }
  const int thread = static_cast<int>(threadIdx.x);
  for (int box = 0; box < boxes; ++box) {
    if (fault == Fault::kNoConsumerWait) return;
    full[at.stage].wait(at.parity);
    if (threadIdx.x == 0) bulk_store_wait_read<0>();
    named_barrier_sync(1, kConsumers);
    for (int i = thread; i < kElements; i += static_cast<int>(kConsumers)) {
      const int row = i / kBoxColumns;
      const int pack = i % kBoxColumns / 8;
      const int where = row * kBoxColumns + (swizzled ? pack ^ (row % 8) : pack) * 8 + i % 8;
      result[where] = static_cast<uint16_t>(memory[at.stage * kElements + where] + 1);
    }
    if (fault != Fault::kNoArrive || thread != 5) empty[at.stage].arrive();
    publish_to_bulk();
    named_barrier_sync(1, kConsumers);
    if (threadIdx.x == 0) {
      bulk_store(out, result, std::max(column, 0), std::max(first_row, 0) + box * kBoxRows);
      bulk_store_commit();
    }
    at.advance();
  }
  if (threadIdx.x == 0 && fault != Fault::kNoStoreWait) bulk_store_wait_read<0>();
}

class BulkTest : public PlatformTest {
 protected:
  static constexpr uint64_t kRows = 37;
  static constexpr uint64_t kColumns = 48;
  static constexpr uint64_t kRowElements = 56;

  BulkTest() {
    std::vector<uint16_t> values(kRows * kRowElements);
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<uint16_t>(i * 7 + 3);
    in_ = device<uint16_t>(values.size());
    out_ = device<uint16_t>(values.size());
    EXPECT_HIP(hipMemcpy(in_, values.data(), values.size() * 2, hipMemcpyHostToDevice));
    input_ = values;
  }

  void launch(int first_row, int column, int boxes, bool swizzled, Fault fault = Fault::kNone) {
    EXPECT_HIP(hipMemset(out_, 0xee, input_.size() * 2));
    hipLaunchKernelGGL(through_a_ring, 1, kThreads, (kStages + 1) * kBoxBytes + 1024, nullptr,
                       map_of(in_, kRows, kColumns, kRowElements, swizzled),
                       map_of(out_, kRows, kColumns, kRowElements, swizzled), first_row, column, boxes,
                       swizzled, fault);
  }

  void expect_box_added(int first_row, int column, int boxes) {
    const std::vector<uint16_t> found = host(out_, input_.size());
    for (int row = 0; row < static_cast<int>(kRows); ++row) {
      for (int i = 0; i < static_cast<int>(kRowElements); ++i) {
        const int to_row = std::max(first_row, 0);
        const int to_column = std::max(column, 0);
        const bool moved = i < static_cast<int>(kColumns) && i >= to_column && i < to_column + kBoxColumns &&
                           row >= to_row && row < to_row + boxes * kBoxRows;
        const int from_row = row - to_row + first_row;
        const int from = i - to_column + column;
        const bool inside = from_row >= 0 && from >= 0 && from_row < static_cast<int>(kRows) &&
                            from < static_cast<int>(kColumns);
        const auto index = static_cast<size_t>(row) * kRowElements + static_cast<size_t>(i);
        const uint16_t read =
            inside ? input_[static_cast<size_t>(from_row) * kRowElements + static_cast<size_t>(from)]
                   : uint16_t{0};
        const uint16_t expected = moved ? static_cast<uint16_t>(read + 1) : uint16_t{0xeeee};
        ASSERT_EQ(found[index], expected) << "row " << row << " column " << i;
      }
    }
  }

  std::vector<uint16_t> input_;
  uint16_t* in_ = nullptr;
  uint16_t* out_ = nullptr;
};

TEST_F(BulkTest, BoxesPassThroughARingAndOutsideIsZeroAndNotWritten) {
  for (const int wave : {32, 64}) {
    hipforge_cpu_set_wave(wave);
    for (const uint64_t seed : {0u, 1u, 2u, 3u}) {
      hipforge_cpu_set_schedule(seed);
      for (const bool swizzled : {true, false}) {
        launch(0, 0, 5, swizzled);
        ASSERT_HIP(hipDeviceSynchronize());
        expect_box_added(0, 0, 5);
        launch(-3, -24, 3, swizzled);
        ASSERT_HIP(hipDeviceSynchronize());
        expect_box_added(-3, -24, 3);
      }
    }
  }
}

/// Reads where no element of the tensor is.
__global__ void outside(const TensorMap in, uint16_t* out) {
  __shared__ __align__(1024) uint16_t box[kElements];
  __shared__ Mbarrier full;
  if (threadIdx.x == 0) full.init(1);
  __syncthreads();
  if (threadIdx.x == 0) {
    full.arrive_and_expect(kBoxBytes);
    bulk_load(box, in, full, 1000, -8);
  }
  full.wait(0);
  for (int i = static_cast<int>(threadIdx.x); i < kElements; i += 32) out[i] = box[i];
}

TEST_F(BulkTest, ABoxOutsideOfTheTensorIsZero) {
  uint16_t* out = device<uint16_t>(kElements);
  hipLaunchKernelGGL(outside, 1, 32, 0, nullptr, map_of(in_, kRows, kColumns, kRowElements), out);
  ASSERT_HIP(hipDeviceSynchronize());
  EXPECT_EQ(host(out, kElements), std::vector<uint16_t>(kElements, 0));
}

TEST_F(BulkTest, AMissingArrivalIsADeadlockThatNamesTheBarrier) {
  launch(0, 0, 5, true, Fault::kNoArrive);
  const std::string text = fault();
  EXPECT_TRUE(contains(text, "through_a_ring"));
  EXPECT_TRUE(contains(text, "block (0,0,0) thread (0,0,0): waits at the mbarrier"));
  EXPECT_TRUE(contains(text, "bulk_test.cpp:"));
  EXPECT_TRUE(contains(text, "; thread (64,0,0) waits at the mbarrier"));
  EXPECT_TRUE(contains(text, "1 of 64 arrivals are missing"));
}

TEST_F(BulkTest, AWrongByteCountIsFound) {
  launch(0, 0, 1, true, Fault::kTooManyBytes);
  EXPECT_TRUE(contains(fault(), "0 never ends: 0 of 1 arrivals are missing, and 16 bytes"));
  hipforge_cpu_clear_fault();
  launch(0, 0, 1, true, Fault::kTooFewBytes);
  EXPECT_TRUE(contains(fault(), "the block ended while 1 bulk copies to its shared memory were under way"));
}

TEST_F(BulkTest, WrongUsesAreFaults) {
  const std::array<std::pair<Fault, const char*>, 4> cases = {{
      {Fault::kNoInit, "uses an mbarrier that nobody initialised"},
      {Fault::kMisplaced, "stands 128 bytes past a multiple of 1024 bytes of shared memory"},
      {Fault::kNoStoreWait, "returned while 1 of its bulk stores still read shared memory"},
      {Fault::kNoConsumerWait, "bulk copies to its shared memory were under way"},
  }};
  for (const auto& [fault_kind, part] : cases) {
    launch(0, 0, fault_kind == Fault::kNoConsumerWait ? 2 : 1, true, fault_kind);
    EXPECT_TRUE(contains(fault(), part));
    hipforge_cpu_clear_fault();
  }
}

__global__ void store_below_zero(const TensorMap out) {
  __shared__ __align__(1024) uint16_t box[kElements];
  if (threadIdx.x != 0) return;
  bulk_store(out, box, 0, -1);
  bulk_store_commit();
  bulk_store_wait_read<0>();
}

TEST_F(BulkTest, AStoreThatBeginsBelowZeroIsAFault) {
  hipLaunchKernelGGL(store_below_zero, 1, 32, 0, nullptr, map_of(out_, kRows, kColumns, kRowElements));
  EXPECT_TRUE(
      contains(fault(), "a bulk store begins at element -1 of dimension 1, the engine takes none below 0"));
}

__global__ void too_many_arrivals(int* out) {
  __shared__ Mbarrier barrier;
  if (threadIdx.x == 0) barrier.init(1);
  __syncthreads();
  if (threadIdx.x == 0) {
    barrier.arrive_and_expect(16);
    barrier.arrive();
  }
  *out = 1;
}

TEST_F(BulkTest, MoreArrivalsThanAPhaseHasAreAFault) {
  hipLaunchKernelGGL(too_many_arrivals, 1, 32, 0, nullptr, device<int>(1));
  EXPECT_TRUE(
      contains(fault(), "thread (0,0,0): arrives at an mbarrier that has all 1 arrivals of its phase"));
}

/// Two groups write a value in turn, ordered by barriers of both.
__global__ void in_turns(int* out, int rounds, unsigned second_threads, bool second_comes) {
  __shared__ int turn;
  const unsigned group = threadIdx.x / 64;
  if (threadIdx.x == 0) turn = 0;
  __syncthreads();
  if (group == 1 && !second_comes) return;
  for (int round = 0; round < rounds; ++round) {
    if (group == 0) {
      if (threadIdx.x == 0) turn = 2 * round + 1;
      named_barrier_arrive(1, 128);
      named_barrier_sync(2, 128);
      if (threadIdx.x == 1) out[round] = turn;
      named_barrier_sync(3, 64);
    } else {
      named_barrier_sync(1, second_threads);
      if (threadIdx.x == 64) turn += 1;
      named_barrier_arrive(2, 128);
    }
  }
}

TEST_F(BulkTest, NamedBarriersOrderAPartOfTheBlock) {
  constexpr int kRounds = 5;
  int* out = device<int>(kRounds);
  for (const int wave : {32, 64}) {
    hipforge_cpu_set_wave(wave);
    for (const uint64_t seed : {0u, 1u, 2u, 3u, 4u}) {
      hipforge_cpu_set_schedule(seed);
      hipLaunchKernelGGL(in_turns, 1, 128, 0, nullptr, out, kRounds, 128u, true);
      ASSERT_HIP(hipDeviceSynchronize());
      EXPECT_EQ(host(out, kRounds), (std::vector<int>{2, 4, 6, 8, 10}));
    }
  }
}

TEST_F(BulkTest, ANamedBarrierTellsWhoIsMissingAndWhoCountsOtherwise) {
  int* out = device<int>(1);
  hipLaunchKernelGGL(in_turns, 1, 128, 0, nullptr, out, 1, 128u, false);
  EXPECT_TRUE(contains(fault(), "waits at the named barrier 2"));
  hipforge_cpu_clear_fault();
  hipLaunchKernelGGL(in_turns, 1, 128, 0, nullptr, out, 1, 96u, true);
  EXPECT_TRUE(contains(fault(), "threads, where others came for "));
}

/// A tensor of three dimensions whose rows are not neighbours, and a test that asks until it is there.
__global__ void three_dimensions(const TensorMap in, uint16_t* out) {
  __shared__ __align__(128) uint16_t box[2 * 3 * 8];
  __shared__ Mbarrier full;
  if (threadIdx.x == 0) {
    full.init(1);
    Mbarrier::publish_init();
    full.arrive_and_expect(sizeof(box));
    bulk_load(box, in, full, 4, 1, -1);
    while (!full.test(0)) {
    }
    for (int i = 0; i < 2 * 3 * 8; ++i) out[i] = box[i];
  }
}

TEST_F(BulkTest, ThreeDimensionsAndATest) {
  TensorMap map = map_of(in_, 4, 10, 16, false);
  map.shape.rank = 3;
  map.shape.extents[2] = 3;
  map.shape.strides[2] = 16 * 8 * sizeof(uint16_t);
  map.shape.box[0] = 8;
  map.shape.box[1] = 3;
  map.shape.box[2] = 2;
  uint16_t* out = device<uint16_t>(2 * 3 * 8);
  hipLaunchKernelGGL(three_dimensions, 1, 32, 0, nullptr, map, out);
  ASSERT_HIP(hipDeviceSynchronize());
  const std::vector<uint16_t> found = host(out, 2 * 3 * 8);
  for (size_t i = 0; i < found.size(); ++i) {
    const size_t column = 4 + i % 8;
    const size_t row = 1 + i / 8 % 3;
    const uint16_t expected = i / 24 == 1 && column < 10 ? input_[row * 16 + column] : uint16_t{0};
    EXPECT_EQ(found[i], expected) << i;
  }
}

}  // namespace
}  // namespace hipforge::test
