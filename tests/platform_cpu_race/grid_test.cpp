// Races across blocks, what orders them, and memory that nobody wrote.
#include "race_fixture.h"

#include <algorithm>
#include <set>

namespace hipforge::test {
namespace {

using GridRace = RaceTest;

__global__ void write_same(int* out) {
  if (threadIdx.x == 0) out[0] = 1;
}

TEST_F(GridRace, TwoBlocksWrite) {
  int* out = device<int>(1);
  const std::string text =
      under_schedules([&] { hipLaunchKernelGGL(write_same, dim3(3, 2), 32, 0, nullptr, out); });
  EXPECT_RACE(text, "write of 4 bytes by block (1,0,0) thread (0,0,0)",
              "write by block (0,0,0) thread (0,0,0)", "0 bytes into the allocation of 4 bytes");
}

__global__ void shift(int* values, unsigned distance) {
  const unsigned me = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned count = gridDim.x * blockDim.x;
  const int taken = values[(me + distance) % count];
  __syncthreads();
  values[me] = taken;
}

TEST_F(GridRace, ABarrierOrdersNoOtherBlock) {
  int* values = zeros<int>(256);
  EXPECT_RACE(under_schedules([&] { hipLaunchKernelGGL(shift, 4, 64, 0, nullptr, values, 64u); }), "read");
  EXPECT_CLEAN(under_schedules([&] { hipLaunchKernelGGL(shift, 4, 64, 0, nullptr, values, 0u); }));
  EXPECT_CLEAN(under_schedules([&] { hipLaunchKernelGGL(shift, 1, 64, 0, nullptr, values, 5u); }));
}

__global__ void copy_from(const int* source, int* target) {
  const unsigned me = blockIdx.x * blockDim.x + threadIdx.x;
  target[me] = source[255 - me];
}

TEST_F(GridRace, TheEndOfAKernelOrders) {
  int* a = zeros<int>(256);
  int* b = device<int>(256);
  EXPECT_CLEAN(under_schedules([&] {
    hipLaunchKernelGGL(copy_from, 4, 64, 0, nullptr, a, b);
    hipLaunchKernelGGL(copy_from, 2, 128, 0, nullptr, b, a);
  }));
}

TEST_F(GridRace, DeviceMemoryThatNobodyWrote) {
  int* a = device<int>(256);
  int* b = device<int>(256);
  hipLaunchKernelGGL(copy_from, 4, 64, 0, nullptr, a, b);
  EXPECT_UNWRITTEN(found(), "bytes into the allocation of 1024 bytes");
  ASSERT_HIP(hipMemset(a, 0, 1024));
  hipLaunchKernelGGL(copy_from, 4, 64, 0, nullptr, a, b);
  EXPECT_CLEAN(found());
  ASSERT_HIP(hipforge_cpu_forget(a + 7, 1));
  hipLaunchKernelGGL(copy_from, 4, 64, 0, nullptr, a, b);
  EXPECT_UNWRITTEN(found(), "28 bytes into the allocation of 1024 bytes");
}

TEST_F(GridRace, MemoryThatComesBackIsNew) {
  int* b = device<int>(256);
  for (int i = 0; i < 3; ++i) {
    int* a = nullptr;
    ASSERT_HIP(hipMalloc(&a, 1024));
    hipLaunchKernelGGL(copy_from, 4, 64, 0, nullptr, a, b);
    EXPECT_UNWRITTEN(found(), "nobody");
    std::vector<int> values(256);
    ASSERT_HIP(hipMemcpy(a, values.data(), 1024, hipMemcpyHostToDevice));
    hipLaunchKernelGGL(copy_from, 4, 64, 0, nullptr, a, b);
    EXPECT_CLEAN(found());
    ASSERT_HIP(hipFree(a));
  }
}

__global__ void add(unsigned* sum, unsigned* plain, int fault) {
  atomicAdd(sum, 1u);
  if (fault == 1 && blockIdx.x == 1 && threadIdx.x == 0) *sum = 0;
  if (fault == 2 && blockIdx.x == 1 && threadIdx.x == 0) *plain = *sum;
}

TEST_F(GridRace, AtomicsOfAllBlocks) {
  auto* sum = zeros<unsigned>(1);
  auto* plain = zeros<unsigned>(1);
  const auto launch = [&](int fault) {
    return under_schedules([&] { hipLaunchKernelGGL(add, 4, 64, 0, nullptr, sum, plain, fault); });
  };
  EXPECT_CLEAN(launch(0));
  EXPECT_EQ(host(sum, 1)[0], 8u * 4 * 64);
  EXPECT_RACE(launch(1), "atomic", "write");
  EXPECT_RACE(launch(2), "atomic", "read");
}

/// Each block leaves a part; whichever is last adds them up. `fault`: 1 no fence before the ticket, 2 none
/// after it, 3 no barrier between the block's parts and its fence.
__global__ void last_block(const int* in, int* parts, unsigned* ticket, int* out, int fault) {
  __shared__ bool last;
  const unsigned me = blockIdx.x * blockDim.x + threadIdx.x;
  parts[me] = 2 * in[me];
  if (fault != 3) __syncthreads();
  if (threadIdx.x == 0) {
    if (fault != 1) __threadfence();
    last = atomicAdd(ticket, 1u) == gridDim.x - 1;
    if (fault != 2) __threadfence();
  }
  __syncthreads();
  if (!last || threadIdx.x != 5) return;
  int sum = 0;
  for (unsigned i = 0; i < gridDim.x * blockDim.x; ++i) sum += parts[i];
  *out = sum;
}

TEST_F(GridRace, TheLastBlockMayReadWhatOthersReleased) {
  constexpr unsigned kBlocks = 6, kThreads = 64;
  std::vector<int> ones(kBlocks * kThreads, 1);
  auto* in = zeros<int>(ones.size());
  ASSERT_HIP(hipMemcpy(in, ones.data(), ones.size() * sizeof(int), hipMemcpyHostToDevice));
  auto* parts = device<int>(ones.size());
  auto* ticket = device<unsigned>(1);
  auto* out = zeros<int>(1);
  const auto launch = [&](int fault) {
    return under_schedules([&] {
      ASSERT_HIP(hipMemset(ticket, 0, sizeof(unsigned)));
      hipLaunchKernelGGL(last_block, kBlocks, kThreads, 0, nullptr, in, parts, ticket, out, fault);
    });
  };
  EXPECT_CLEAN(launch(0));
  EXPECT_EQ(host(out, 1)[0], static_cast<int>(2 * kBlocks * kThreads));
  for (const int fault : {1, 2, 3}) EXPECT_RACE(launch(fault), "bytes into the allocation of 1536 bytes");
}

/// Block 0 waits for the last block: right only where blocks run together.
template <bool kVolatile>
__global__ void wait_for_last(int* data, unsigned* flag, int* out, int fences) {
  if (blockIdx.x + 1 == gridDim.x && threadIdx.x == 0) {
    *data = 42;
    if ((fences & 1) != 0) __threadfence();
    if (kVolatile) {
      *static_cast<volatile unsigned*>(flag) = 1;
    } else {
      atomicExch(flag, 1u);
    }
  }
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    if (kVolatile) {
      while (*static_cast<volatile unsigned*>(flag) == 0) {
      }
    } else {
      while (atomicAdd(flag, 0u) == 0) {
      }
    }
    if ((fences & 2) != 0) __threadfence();
    *out = *data;
  }
}

TEST_F(GridRace, AFlagBetweenBlocksNeedsAFenceOnBothSides) {
  auto* data = zeros<int>(1);
  auto* flag = zeros<unsigned>(1);
  auto* out = zeros<int>(1);
  for (const bool by_volatile : {false, true}) {
    const auto launch = [&](int fences) {
      return under_schedules([&] {
        ASSERT_HIP(hipMemset(flag, 0, sizeof(unsigned)));
        auto* kernel = by_volatile ? &wait_for_last<true> : &wait_for_last<false>;
        hipLaunchKernelGGL(kernel, 3, 32, 0, nullptr, data, flag, out, fences);
      });
    };
    EXPECT_CLEAN(launch(3));
    EXPECT_EQ(host(out, 1)[0], 42);
    for (const int fences : {0, 1, 2}) EXPECT_RACE(launch(fences), "bytes into the allocation of 4 bytes");
  }
}

__global__ void log_order(unsigned* log, unsigned* length) {
  for (unsigned i = 0; i < 4; ++i) log[atomicAdd(length, 1u)] = blockIdx.x;
}

TEST_F(GridRace, ASeedInterleavesBlocksAndRepeats) {
  constexpr unsigned kBlocks = 5;
  auto* log = device<unsigned>(kBlocks * 32 * 4);
  auto* length = device<unsigned>(1);
  const auto order = [&](uint64_t seed) {
    hipforge_cpu_set_schedule(seed);
    EXPECT_HIP(hipMemset(length, 0, sizeof(unsigned)));
    hipLaunchKernelGGL(log_order, kBlocks, 32, 0, nullptr, log, length);
    EXPECT_CLEAN(found());
    return host(log, kBlocks * 32 * 4);
  };
  std::set<std::vector<unsigned>> orders;
  for (const uint64_t seed : {0u, 1u, 2u, 3u}) {
    const auto first = order(seed);
    EXPECT_EQ(first, order(seed)) << seed;
    orders.insert(first);
    size_t changes = 0;
    for (size_t i = 1; i < first.size(); ++i) changes += first[i] != first[i - 1] ? 1 : 0;
    if (seed == 0) {
      EXPECT_EQ(changes, kBlocks - 1) << "in order, a block runs as a whole";
    } else {
      EXPECT_GT(changes, 20u) << seed;
    }
  }
  EXPECT_EQ(orders.size(), 4u);
}

TEST_F(GridRace, ChoicesAreCountedWhereTheScheduleCanMatter) {
  int* values = zeros<int>(256);
  uint64_t before = hipforge_cpu_race_choices();
  const uint64_t accesses = hipforge_cpu_race_accesses();
  hipLaunchKernelGGL(shift, 4, 64, 0, nullptr, values, 0u);
  EXPECT_CLEAN(found());
  EXPECT_EQ(hipforge_cpu_race_choices(), before);
  EXPECT_EQ(hipforge_cpu_race_accesses() - accesses, 512u);
  auto* sum = zeros<unsigned>(2);
  before = hipforge_cpu_race_choices();
  hipLaunchKernelGGL(add, 2, 32, 0, nullptr, sum, sum + 1, 0);
  EXPECT_CLEAN(found());
  EXPECT_EQ(hipforge_cpu_race_choices() - before, 64u);
}

}  // namespace
}  // namespace hipforge::test
