// HIPFORGE_CPU_SCHEDULE: repeats exactly, differs from seed to seed, and brings a planted race to light.
#include "platform_fixture.h"

#include <algorithm>
#include <set>

namespace hipforge::test {
namespace {

using ScheduleTest = PlatformTest;

/// Each thread appends itself to a log at several points of its life.
__global__ void log_order(unsigned* log, unsigned* length) {
  const unsigned me = blockIdx.x * blockDim.x + threadIdx.x;
  log[atomicAdd(length, 1u)] = me;
  __syncthreads();
  log[atomicAdd(length, 1u)] = me + 1000;
  static_cast<void>(__shfl_xor(1, 1));
  log[atomicAdd(length, 1u)] = me + 2000;
}

class Logged : public PlatformTest {
 protected:
  std::vector<unsigned> log(uint64_t seed) {
    constexpr unsigned kBlocks = 5, kThreads = 70;
    hipforge_cpu_set_schedule(seed);
    if (seed == 0) hipforge_cpu_set_workers(1);
    auto* entries = device<unsigned>(3 * kBlocks * kThreads);
    auto* length = device<unsigned>(1);
    EXPECT_HIP(hipMemset(length, 0, sizeof(unsigned)));
    hipLaunchKernelGGL(log_order, kBlocks, kThreads, 0, nullptr, entries, length);
    auto order = host(entries, 3 * kBlocks * kThreads);
    hipforge_cpu_set_workers(0);
    return order;
  }
};

TEST_F(Logged, ASeedRepeatsExactlyAndSeedsDiffer) {
  std::set<std::vector<unsigned>> orders;
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{3}, ~uint64_t{0}}) {
    const auto first = log(seed);
    EXPECT_EQ(first, log(seed)) << seed;
    orders.insert(first);
    auto sorted = first;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(std::unique(sorted.begin(), sorted.end()), sorted.end()) << "every entry once";
  }
  EXPECT_EQ(orders.size(), 5u);
}

TEST_F(Logged, ScheduleZeroIsInOrder) {
  const auto order = log(0);
  for (unsigned i = 0; i < 70; ++i) EXPECT_EQ(order[i], i);
}

TEST_F(Logged, ASeedMixesBlocksAndThreads) {
  const auto order = log(4);
  std::vector<unsigned> blocks;
  for (const unsigned entry : order) {
    if (entry < 1000 && (blocks.empty() || blocks.back() != entry / 70)) blocks.push_back(entry / 70);
  }
  EXPECT_EQ(blocks.size(), 5u) << "a block runs as a whole";
  EXPECT_FALSE(std::is_sorted(order.begin(), order.begin() + 70));
}

__global__ void missing_barrier(int* out) {
  __shared__ int values[64];
  values[threadIdx.x] = static_cast<int>(threadIdx.x);
  // No barrier: right only where the neighbour below happens to have run.
  out[threadIdx.x] = threadIdx.x == 0 ? 0 : values[threadIdx.x - 1];
}

TEST_F(ScheduleTest, ASeedExposesAPlantedRaceThatTheOrderHides) {
  auto* out = device<int>(64);
  const auto wrong = [&](uint64_t seed) {
    hipforge_cpu_set_schedule(seed);
    hipLaunchKernelGGL(missing_barrier, 1, 64, 0, nullptr, out);
    const auto values = host(out, 64);
    int count = 0;
    for (int i = 1; i < 64; ++i) count += values[static_cast<size_t>(i)] != i - 1;
    return count;
  };
  EXPECT_EQ(wrong(0), 0) << "in order, the race hides";
  for (const uint64_t seed : {1u, 2u, 3u}) EXPECT_GT(wrong(seed), 5) << seed;
}

__global__ void lost_update(int* counter) {
  const int seen = *counter;
  __threadfence();
  *counter = seen + 1;
}

TEST_F(ScheduleTest, ASeedInterleavesAtFences) {
  auto* counter = device<int>(1);
  hipforge_cpu_set_schedule(6);
  ASSERT_HIP(hipMemset(counter, 0, sizeof(int)));
  hipLaunchKernelGGL(lost_update, 1, 64, 0, nullptr, counter);
  EXPECT_LT(host(counter, 1)[0], 64);
}

__global__ void count_blocks(unsigned* counts) {
  atomicAdd(&counts[blockIdx.x + gridDim.x * blockIdx.y], 1u);
}

TEST_F(ScheduleTest, EveryBlockRunsOnceInAnyOrder) {
  for (const unsigned blocks : {1u, 2u, 3u, 4u, 5u, 63u, 64u, 65u, 1000u}) {
    for (const uint64_t seed : {0u, 1u, 99u}) {
      hipforge_cpu_set_schedule(seed);
      auto* counts = device<unsigned>(2 * blocks);
      ASSERT_HIP(hipMemset(counts, 0, 2 * blocks * sizeof(unsigned)));
      hipLaunchKernelGGL(count_blocks, dim3(blocks, 2), 1, 0, nullptr, counts);
      for (const unsigned count : host(counts, 2 * blocks)) ASSERT_EQ(count, 1u);
    }
  }
}

TEST_F(ScheduleTest, SeveralWorkersKeepABlocksOrder) {
  auto* out = device<int>(64);
  const auto run = [&](int workers) {
    hipforge_cpu_set_schedule(8);
    hipforge_cpu_set_workers(workers);
    hipLaunchKernelGGL(missing_barrier, 1, 64, 0, nullptr, out);
    return host(out, 64);
  };
  EXPECT_EQ(run(1), run(3));
}

}  // namespace
}  // namespace hipforge::test
