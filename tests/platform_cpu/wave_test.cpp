// Shuffles, votes and reductions on both wave sizes, with partial last waves and under schedules.
#include "platform_fixture.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <tuple>

namespace hipforge::test {
namespace {

class WaveTest : public PlatformTest, public ::testing::WithParamInterface<std::tuple<int, uint64_t>> {
 protected:
  WaveTest() {
    hipforge_cpu_set_wave(std::get<0>(GetParam()));
    hipforge_cpu_set_schedule(std::get<1>(GetParam()));
  }
};

INSTANTIATE_TEST_SUITE_P(Waves, WaveTest,
                         ::testing::Combine(::testing::Values(32, 64), ::testing::Values(0, 1, 12345)),
                         [](const auto& test) {
                           return "Wave" + std::to_string(std::get<0>(test.param)) + "Schedule" +
                                  std::to_string(std::get<1>(test.param));
                         });

enum class Shuffle { kIndexed, kXor, kUp, kDown };

template <typename T>
struct ShuffleArgs {
  T* out;
  Shuffle kind;
  int operand;
  int width;
  bool with_mask;
};

template <typename T>
__host__ __device__ T lane_value(unsigned thread) {
  return static_cast<T>(static_cast<T>(thread) * static_cast<T>(3) + static_cast<T>(1));
}

template <typename T>
__global__ void shuffle(ShuffleArgs<T> args) {
  const T value = lane_value<T>(threadIdx.x);
  const unsigned long long all = ~0ull;
  T result{};
  switch (args.kind) {
    case Shuffle::kIndexed:
      result = args.with_mask ? __shfl_sync(all, value, args.operand, args.width)
                              : __shfl(value, args.operand, args.width);
      break;
    case Shuffle::kXor:
      result = args.with_mask ? __shfl_xor_sync(all, value, args.operand, args.width)
                              : __shfl_xor(value, args.operand, args.width);
      break;
    case Shuffle::kUp:
      result = args.with_mask ? __shfl_up_sync(all, value, static_cast<unsigned>(args.operand), args.width)
                              : __shfl_up(value, static_cast<unsigned>(args.operand), args.width);
      break;
    case Shuffle::kDown:
      result = args.with_mask ? __shfl_down_sync(all, value, static_cast<unsigned>(args.operand), args.width)
                              : __shfl_down(value, static_cast<unsigned>(args.operand), args.width);
      break;
  }
  args.out[threadIdx.x] = result;
}

/// The lane that a shuffle reads, by HIP's description of each.
int source_lane(Shuffle kind, int lane, int operand, int width) {
  const int group = lane / width * width;
  switch (kind) {
    case Shuffle::kIndexed:
      return group + ((operand % width) + width) % width;
    case Shuffle::kXor:
      return (lane ^ operand) < group + width ? lane ^ operand : lane;
    case Shuffle::kUp:
      return lane - operand >= group ? lane - operand : lane;
    case Shuffle::kDown:
      return lane + operand < group + width ? lane + operand : lane;
  }
  return lane;
}

template <typename T>
void check_shuffles(T* out, int wave, int threads, const std::function<std::vector<T>(T*, size_t)>& read) {
  for (const Shuffle kind : {Shuffle::kIndexed, Shuffle::kXor, Shuffle::kUp, Shuffle::kDown}) {
    for (int width = 1; width <= wave; width *= 2) {
      for (const int operand : {0, 1, 2, 5, 16, 31, 33}) {
        const bool with_mask = (operand + width) % 3 == 0;
        hipLaunchKernelGGL(HIP_KERNEL_NAME(shuffle<T>), 1, static_cast<unsigned>(threads), 0, nullptr,
                           ShuffleArgs<T>{out, kind, operand, width, with_mask});
        const std::vector<T> values = read(out, static_cast<size_t>(threads));
        for (int i = 0; i < threads; ++i) {
          const int from = i / wave * wave + source_lane(kind, i % wave, operand, width);
          const T value = values[static_cast<size_t>(i)];
          if (from < threads) {
            ASSERT_EQ(value, lane_value<T>(static_cast<unsigned>(from)))
                << "thread " << i << " kind " << static_cast<int>(kind) << " operand " << operand << " width "
                << width;
          } else {
            // A lane that the partial wave does not have.
            unsigned char bytes[sizeof(T)];
            memcpy(bytes, &value, sizeof(T));
            for (const unsigned char byte : bytes) ASSERT_EQ(byte, 0xff);
          }
        }
      }
    }
  }
}

TEST_P(WaveTest, ShufflesReadTheRightLaneInEveryType) {
  const int wave = std::get<0>(GetParam());
  for (const int threads : {wave, 2 * wave + 7, 5}) {
    check_shuffles<int>(device<int>(256), wave, threads, [this](int* p, size_t n) { return host(p, n); });
  }
  const int threads = wave + 3;
  check_shuffles<unsigned>(device<unsigned>(256), wave, threads,
                           [this](auto* p, size_t n) { return host(p, n); });
  check_shuffles<float>(device<float>(256), wave, threads, [this](auto* p, size_t n) { return host(p, n); });
  check_shuffles<double>(device<double>(256), wave, threads,
                         [this](auto* p, size_t n) { return host(p, n); });
  check_shuffles<long long>(device<long long>(256), wave, threads,
                            [this](auto* p, size_t n) { return host(p, n); });
  check_shuffles<unsigned long long>(device<unsigned long long>(256), wave, threads,
                                     [this](auto* p, size_t n) { return host(p, n); });
}

struct VoteArgs {
  unsigned long long* ballots;
  int* any_all;
  unsigned modulus;
};

__global__ void vote(VoteArgs args) {
  const bool mine = threadIdx.x % args.modulus == 0;
  args.ballots[threadIdx.x] = __ballot(mine);
  const int any = __any(__lane_id() == 3);
  const int all = __all(threadIdx.x < 40);
  args.any_all[threadIdx.x] = any * 2 + all;
}

TEST_P(WaveTest, BallotAnyAndAllSeeTheWholeWave) {
  const auto wave = static_cast<unsigned>(std::get<0>(GetParam()));
  constexpr unsigned kThreads = 150;
  auto* ballots = device<unsigned long long>(kThreads);
  auto* any_all = device<int>(kThreads);
  for (const unsigned modulus : {1u, 2u, 3u, 64u, 151u}) {
    hipLaunchKernelGGL(vote, 1, kThreads, 0, nullptr, VoteArgs{ballots, any_all, modulus});
    const auto got_ballots = host(ballots, kThreads);
    const auto got_any_all = host(any_all, kThreads);
    for (unsigned i = 0; i < kThreads; ++i) {
      const unsigned begin = i / wave * wave;
      const unsigned end = std::min(begin + wave, kThreads);
      unsigned long long expected = 0;
      for (unsigned j = begin; j < end; ++j) {
        if (j % modulus == 0) expected |= 1ull << (j - begin);
      }
      ASSERT_EQ(got_ballots[i], expected) << i;
      ASSERT_EQ(got_any_all[i], (end - begin > 3 ? 2 : 0) + (end <= 40 ? 1 : 0)) << i;
    }
  }
}

template <int kWave>
__global__ void block_sum(const float* in, float* out, unsigned count) {
  __shared__ float partial[1024 / kWave];
  float sum = 0;
  for (unsigned i = threadIdx.x; i < count; i += blockDim.x) sum += in[blockIdx.x * count + i];
  for (int step = kWave / 2; step > 0; step /= 2) sum += __shfl_xor(sum, step, kWave);
  if (threadIdx.x % kWave == 0) partial[threadIdx.x / kWave] = sum;
  __syncthreads();
  if (threadIdx.x < kWave) {
    sum = threadIdx.x < blockDim.x / kWave ? partial[threadIdx.x] : 0.0f;
    for (int step = kWave / 2; step > 0; step /= 2) sum += __shfl_xor(sum, step, kWave);
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
  }
}

TEST_P(WaveTest, BlockReductions) {
  const int wave = std::get<0>(GetParam());
  constexpr unsigned kRows = 5;
  for (const unsigned count : {1u, 31u, 64u, 257u, 1000u}) {
    std::vector<float> values(kRows * count);
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 97);
    auto* in = device<float>(values.size());
    auto* out = device<float>(kRows);
    ASSERT_HIP(hipMemcpy(in, values.data(), values.size() * sizeof(float), hipMemcpyHostToDevice));
    for (const unsigned threads : {64u, 256u, 1024u}) {
      if (wave == 32) {
        hipLaunchKernelGGL(HIP_KERNEL_NAME(block_sum<32>), kRows, threads, 0, nullptr, in, out, count);
      } else {
        hipLaunchKernelGGL(HIP_KERNEL_NAME(block_sum<64>), kRows, threads, 0, nullptr, in, out, count);
      }
      const auto sums = host(out, kRows);
      for (unsigned row = 0; row < kRows; ++row) {
        float expected = 0;
        for (unsigned i = 0; i < count; ++i) expected += values[row * count + i];
        ASSERT_EQ(sums[row], expected);  // small integers: exact in any order
      }
    }
  }
}

__global__ void exiting_lanes(unsigned long long* masks, int* sums) {
  const unsigned lane = threadIdx.x;
  if (lane % 4 == 1) return;
  const int mine = static_cast<int>(lane);
  const int next = __shfl_down(mine, 1);
  sums[lane] = next;
  if (lane % 4 == 2) return;
  sums[lane] = __popcll(__ballot(1));
  __syncwarp();
  masks[lane] = __activemask();
}

TEST_P(WaveTest, LanesThatReturnedAreNotWaitedForAndReadAsPoison) {
  const int wave = std::get<0>(GetParam());
  auto* masks = device<unsigned long long>(64);
  auto* sums = device<int>(64);
  hipLaunchKernelGGL(exiting_lanes, 1, static_cast<unsigned>(wave), 0, nullptr, masks, sums);
  const auto got_masks = host(masks, 64);
  const auto got_sums = host(sums, 64);
  unsigned long long staying = 0;
  for (int lane = 0; lane < wave; ++lane) {
    if (lane % 4 == 0 || lane % 4 == 3) staying |= 1ull << lane;
  }
  for (int lane = 0; lane < wave; ++lane) {
    const auto i = static_cast<size_t>(lane);
    if (lane % 4 == 2) {
      EXPECT_EQ(got_sums[i], lane + 1);
    } else if (lane % 4 != 1) {
      EXPECT_EQ(got_sums[i], wave / 2) << lane;
      EXPECT_EQ(got_masks[i] & ~staying, 0u);
      EXPECT_NE(got_masks[i] & (1ull << lane), 0u);
    }
  }
}

__global__ void read_returned_lane(int* out) {
  if (threadIdx.x == 1) return;
  out[threadIdx.x] = __shfl(static_cast<int>(threadIdx.x) + 100, 1);
}

TEST_P(WaveTest, AShuffleFromAReturnedLaneGivesThePoison) {
  auto* out = device<int>(4);
  hipLaunchKernelGGL(read_returned_lane, 1, 4, 0, nullptr, out);
  EXPECT_EQ(host(out, 4)[0], -1);
}

struct BarrierVotes {
  int any, all, count;
};

__global__ void barrier_votes(BarrierVotes* out, unsigned below) {
  const int mine = threadIdx.x < below;
  for (int round = 0; round < 3; ++round) {
    const int any = __syncthreads_or(mine);
    const int all = __syncthreads_and(mine);
    const int count = __syncthreads_count(mine);
    out[threadIdx.x] = BarrierVotes{any, all, count};
  }
}

TEST_P(WaveTest, BarriersThatVote) {
  constexpr unsigned kThreads = 100;
  auto* out = device<BarrierVotes>(kThreads);
  for (const unsigned below : {0u, 1u, 50u, 100u}) {
    hipLaunchKernelGGL(barrier_votes, 2, kThreads, 0, nullptr, out, below);
    for (const BarrierVotes& votes : host(out, kThreads)) {
      ASSERT_EQ(votes.any, below > 0);
      ASSERT_EQ(votes.all, below == kThreads);
      ASSERT_EQ(votes.count, static_cast<int>(below));
    }
  }
}

__global__ void transpose_through_shared(const int* in, int* out, unsigned rounds) {
  HIP_DYNAMIC_SHARED(int, tile)
  int value = in[threadIdx.x];
  for (unsigned round = 0; round < rounds; ++round) {
    tile[threadIdx.x] = value;
    __syncthreads();
    value = tile[(threadIdx.x + 1) % blockDim.x];
    __syncthreads();
  }
  out[threadIdx.x] = value;
}

TEST_P(WaveTest, BarriersOrderSharedMemory) {
  constexpr unsigned kThreads = 96;
  std::vector<int> values(kThreads);
  for (unsigned i = 0; i < kThreads; ++i) values[i] = static_cast<int>(i);
  auto* in = device<int>(kThreads);
  auto* out = device<int>(kThreads);
  ASSERT_HIP(hipMemcpy(in, values.data(), kThreads * sizeof(int), hipMemcpyHostToDevice));
  hipLaunchKernelGGL(transpose_through_shared, 4, kThreads, kThreads * sizeof(int), nullptr, in, out, 17u);
  const auto got = host(out, kThreads);
  for (unsigned i = 0; i < kThreads; ++i) ASSERT_EQ(got[i], static_cast<int>((i + 17) % kThreads));
}

__global__ void wave_size(int* out) {
  if (threadIdx.x == 0) out[0] = warpSize;
  if (threadIdx.x == blockDim.x - 1) out[1] = static_cast<int>(__lane_id());
}

TEST_P(WaveTest, KernelsSeeTheWave) {
  const int wave = std::get<0>(GetParam());
  auto* out = device<int>(2);
  hipLaunchKernelGGL(wave_size, 1, 100, 0, nullptr, out);
  EXPECT_EQ(host(out, 2), (std::vector<int>{wave, 99 % wave}));
}

TEST_P(WaveTest, AThreadMayLaunchOnAnotherWaveThanTheDevices) {
  const int other = 96 - std::get<0>(GetParam());
  auto* out = device<int>(2);
  EXPECT_HIP(hipforge_cpu_set_thread_target(other, 0));
  hipLaunchKernelGGL(wave_size, 1, 100, 0, nullptr, out);
  EXPECT_HIP(hipforge_cpu_set_thread_target(0, 0));
  EXPECT_EQ(host(out, 2), (std::vector<int>{other, 99 % other}));
  EXPECT_EQ(warpSize, 96 - other);
}

}  // namespace
}  // namespace hipforge::test
