// Races within a block, and what orders its threads.
#include "race_fixture.h"

#include <algorithm>

namespace hipforge::test {
namespace {

constexpr unsigned kThreads = 128;
constexpr const char* kFile = "tests/platform_cpu_race/block_test.cpp:";

using BlockRace = RaceTest;

std::string line(int number) {
  return kFile + std::to_string(number);
}

constexpr int kNeighbourWrite = __LINE__ + 4;
constexpr int kNeighbourRead = __LINE__ + 5;
__global__ void neighbour(int* out, bool barrier) {
  __shared__ int tile[kThreads];
  tile[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (barrier) __syncthreads();
  out[threadIdx.x] = tile[(threadIdx.x + 1) % kThreads];
}

TEST_F(BlockRace, AMissingBarrier) {
  int* out = device<int>(kThreads);
  const std::string text =
      under_schedules([&] { hipLaunchKernelGGL(neighbour, 1, kThreads, 0, nullptr, out, false); });
  expect_parts(text, {"kernel ", "neighbour", "block (0,0,0) thread (", line(kNeighbourWrite),
                      line(kNeighbourRead), "bytes into the shared array tile of 512 bytes (0x"});
  EXPECT_CLEAN(under_schedules([&] { hipLaunchKernelGGL(neighbour, 1, kThreads, 0, nullptr, out, true); }));
}

__global__ void neighbour_in_dynamic(int* out) {
  HIP_DYNAMIC_SHARED(int, tile)
  tile[threadIdx.x] = 1;
  out[threadIdx.x] = tile[threadIdx.x ^ 1];
}

TEST_F(BlockRace, AMissingBarrierInDynamicSharedMemory) {
  int* out = device<int>(kThreads);
  hipLaunchKernelGGL(neighbour_in_dynamic, 1, kThreads, kThreads * sizeof(int), nullptr, out);
  EXPECT_RACE(found(), "bytes into the 512 bytes of dynamic shared memory");
}

__global__ void all_write_one(int* out, int value) {
  __shared__ int one;
  // The same value by all: harmless on some machines, a race in the language.
  one = value;
  __syncthreads();
  out[threadIdx.x] = one;
}

TEST_F(BlockRace, TwoWriters) {
  int* out = device<int>(kThreads);
  hipLaunchKernelGGL(all_write_one, 1, kThreads, 0, nullptr, out, 3);
  EXPECT_RACE(found(), "write of 4 bytes", " and write by ", "shared array one");
}

__global__ void late_reader(int* out, bool second_barrier) {
  __shared__ int tile[kThreads];
  int sum = 0;
  for (int step = 0; step < 3; ++step) {
    tile[threadIdx.x] = step;
    __syncthreads();
    sum += tile[kThreads - 1 - threadIdx.x];
    if (second_barrier) __syncthreads();
  }
  out[threadIdx.x] = sum;
}

TEST_F(BlockRace, AWriteThatDoesNotWaitForReaders) {
  int* out = device<int>(kThreads);
  const auto launch = [&](bool barrier) {
    return under_schedules([&] { hipLaunchKernelGGL(late_reader, 1, kThreads, 0, nullptr, out, barrier); });
  };
  EXPECT_RACE(launch(false), "shared array tile");
  EXPECT_CLEAN(launch(true));
}

__global__ void by_shuffle(int* out, int how) {
  __shared__ int tile[kThreads];
  tile[threadIdx.x] = 1;
  if (how == 0) static_cast<void>(__shfl_xor(1, 1));
  if (how == 1) static_cast<void>(__ballot(1));
  if (how == 2) __syncwarp();
  out[threadIdx.x] = tile[threadIdx.x ^ 1];
}

TEST_F(BlockRace, ShufflesAndBallotsOrderNothing) {
  int* out = device<int>(kThreads);
  for (const int wave : {32, 64}) {
    hipforge_cpu_set_wave(wave);
    for (const int how : {0, 1}) {
      const std::string text =
          under_schedules([&] { hipLaunchKernelGGL(by_shuffle, 1, kThreads, 0, nullptr, out, how); });
      EXPECT_RACE(text, "shared array tile");
    }
    EXPECT_CLEAN(under_schedules([&] { hipLaunchKernelGGL(by_shuffle, 1, kThreads, 0, nullptr, out, 2); }));
  }
}

__global__ void across_waves(int* out, unsigned distance) {
  __shared__ int tile[kThreads];
  tile[threadIdx.x] = 1;
  __syncwarp();
  out[threadIdx.x] = tile[(threadIdx.x + distance) % kThreads];
}

TEST_F(BlockRace, AWaveBarrierOrdersItsOwnWaveAlone) {
  int* out = device<int>(kThreads);
  hipforge_cpu_set_wave(64);
  EXPECT_RACE(under_schedules([&] { hipLaunchKernelGGL(across_waves, 1, kThreads, 0, nullptr, out, 64u); }),
              "shared array tile");
  // Half a wave away is within it for the lower half alone.
  EXPECT_RACE(under_schedules([&] { hipLaunchKernelGGL(across_waves, 1, kThreads, 0, nullptr, out, 32u); }),
              "shared array tile");
}

__global__ void global_by_wave(int* tile, int* out) {
  tile[threadIdx.x] = 1;
  __syncwarp();
  out[threadIdx.x] = tile[threadIdx.x ^ 1];
}

TEST_F(BlockRace, AWaveBarrierPromisesNothingOfGlobalMemory) {
  hipLaunchKernelGGL(global_by_wave, 1, kThreads, 0, nullptr, zeros<int>(kThreads), zeros<int>(kThreads));
  EXPECT_RACE(found(), "bytes into the allocation of 512 bytes");
}

__global__ void unwritten(int* out, bool write) {
  __shared__ int tile[kThreads];
  if (write || threadIdx.x != 5) tile[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = tile[kThreads - 1 - threadIdx.x];
}

TEST_F(BlockRace, SharedMemoryThatNobodyWrote) {
  int* out = device<int>(kThreads);
  // What an earlier block left there is nothing.
  hipLaunchKernelGGL(unwritten, 1, kThreads, 0, nullptr, out, true);
  EXPECT_CLEAN(found());
  hipLaunchKernelGGL(unwritten, 1, kThreads, 0, nullptr, out, false);
  EXPECT_UNWRITTEN(found(), "20 bytes into the shared array tile", "thread (122,0,0)");
}

__global__ void histogram(unsigned* out, int fault) {
  __shared__ unsigned bins[4];
  if (threadIdx.x < 4) bins[threadIdx.x] = 0;
  if (fault != 1) __syncthreads();
  atomicAdd(&bins[threadIdx.x % 4], 1u);
  if (fault == 2 && threadIdx.x == 9) bins[0] = 1;
  if (fault == 3 && threadIdx.x == 9) out[0] = bins[1];
  __syncthreads();
  if (threadIdx.x < 4) out[threadIdx.x] = bins[threadIdx.x];
}

TEST_F(BlockRace, AtomicsAreRightAmongThemselvesAlone) {
  unsigned* out = device<unsigned>(4);
  const auto launch = [&](int fault) {
    return under_schedules([&] { hipLaunchKernelGGL(histogram, 1, kThreads, 0, nullptr, out, fault); });
  };
  EXPECT_CLEAN(launch(0));
  EXPECT_EQ(host(out, 4), std::vector<unsigned>(4, kThreads / 4));
  for (const int fault : {1, 2, 3}) EXPECT_RACE(launch(fault), "atomic", "shared array bins");
}

template <typename T>
__global__ void parts_of_words(T* out, unsigned clash) {
  __shared__ T parts[kThreads];
  parts[threadIdx.x] = static_cast<T>(threadIdx.x);
  if (threadIdx.x == clash) parts[clash - 1] = 0;
  __syncthreads();
  out[threadIdx.x] = parts[(threadIdx.x + 1) % kThreads];
}

TEST_F(BlockRace, NeighboursInAWordDoNotMeet) {
  auto* bytes = device<unsigned char>(kThreads);
  auto* halves = device<unsigned short>(kThreads);
  EXPECT_CLEAN(under_schedules(
      [&] { hipLaunchKernelGGL(parts_of_words<unsigned char>, 1, kThreads, 0, nullptr, bytes, ~0u); }));
  EXPECT_CLEAN(under_schedules(
      [&] { hipLaunchKernelGGL(parts_of_words<unsigned short>, 1, kThreads, 0, nullptr, halves, ~0u); }));
  hipLaunchKernelGGL(parts_of_words<unsigned char>, 1, kThreads, 0, nullptr, bytes, 7u);
  EXPECT_RACE(found(), "write of 1 bytes", "6 bytes into the shared array parts");
  hipLaunchKernelGGL(parts_of_words<unsigned short>, 1, kThreads, 0, nullptr, halves, 7u);
  EXPECT_RACE(found(), "write of 2 bytes", "12 bytes into the shared array parts");
}

struct Large {
  int values[7];
};

__global__ void whole_objects(Large* out, bool by_memcpy, bool barrier) {
  __shared__ Large tile[32];
  tile[threadIdx.x].values[6] = 1;
  for (int i = 0; i < 6; ++i) tile[threadIdx.x].values[i] = i;
  if (barrier) __syncthreads();
  if (by_memcpy) {
    memcpy(&out[threadIdx.x], &tile[31 - threadIdx.x], sizeof(Large));
  } else {
    out[threadIdx.x] = tile[31 - threadIdx.x];
  }
}

TEST_F(BlockRace, CopiesOfWholeObjectsAreAccesses) {
  Large* out = device<Large>(32);
  for (const bool by_memcpy : {false, true}) {
    hipLaunchKernelGGL(whole_objects, 1, 32, 0, nullptr, out, by_memcpy, false);
    EXPECT_RACE(found(), "shared array tile");
    hipLaunchKernelGGL(whole_objects, 1, 32, 0, nullptr, out, by_memcpy, true);
    EXPECT_CLEAN(found());
  }
}

/// More barriers than a stamp counts.
__global__ void many_barriers(int* out, int count, int skipped) {
  __shared__ int tile[64];
  for (int i = 0; i < count; ++i) {
    tile[threadIdx.x] = i;
    if (i != skipped) __syncthreads();
    const int seen = tile[63 - threadIdx.x];
    __syncthreads();
    if (seen != i) out[0] = i;
  }
}

TEST_F(BlockRace, ManyBarriers) {
  int* out = zeros<int>(1);
  hipLaunchKernelGGL(many_barriers, 2, 64, 0, nullptr, out, 5000, -1);
  EXPECT_CLEAN(found());
  hipLaunchKernelGGL(many_barriers, 1, 64, 0, nullptr, out, 5000, 4990);
  EXPECT_RACE(found(), "shared array tile");
}

__global__ void many_wave_barriers(int* out, int count) {
  __shared__ int tile[64];
  int sum = 0;
  for (int i = 0; i < count; ++i) {
    tile[threadIdx.x] = i;
    __syncwarp();
    sum += tile[threadIdx.x ^ 1];
    __syncwarp();
  }
  out[threadIdx.x] = sum;
}

TEST_F(BlockRace, ManyWaveBarriers) {
  hipLaunchKernelGGL(many_wave_barriers, 1, 64, 0, nullptr, device<int>(64), 5000);
  EXPECT_CLEAN(found());
}

__global__ void flag_in_block(int* out, int fences) {
  __shared__ int data;
  __shared__ unsigned flag;
  if (threadIdx.x == 0) flag = 0;
  __syncthreads();
  if (threadIdx.x == 70) {
    data = 42;
    if ((fences & 1) != 0) __threadfence_block();
    atomicExch(&flag, 1u);
  } else if (threadIdx.x == 3) {
    while (atomicAdd(&flag, 0u) == 0) {
    }
    if ((fences & 2) != 0) __threadfence_block();
    out[0] = data;
  }
}

TEST_F(BlockRace, AFlagNeedsAFenceOnBothSides) {
  int* out = zeros<int>(1);
  const auto launch = [&](int fences) {
    return under_schedules([&] { hipLaunchKernelGGL(flag_in_block, 1, kThreads, 0, nullptr, out, fences); });
  };
  EXPECT_CLEAN(launch(3));
  EXPECT_EQ(host(out, 1)[0], 42);
  for (const int fences : {0, 1, 2}) EXPECT_RACE(launch(fences), "shared array data");
}

TEST_F(BlockRace, NothingIsSaidWhileItIsOff) {
  ASSERT_HIP(hipforge_cpu_set_race(0));
  hipLaunchKernelGGL(neighbour, 1, kThreads, 0, nullptr, device<int>(kThreads), false);
  EXPECT_CLEAN(found());
}

}  // namespace
}  // namespace hipforge::test
