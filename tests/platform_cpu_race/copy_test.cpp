// Asynchronous copies: done at once here, but a GPU's are not, so the wait and the barrier must stand.
#include "race_fixture.h"

#include "kernels/device/async_copy.h"

namespace hipforge::test {
namespace {

constexpr unsigned kThreads = 64;

enum class Fault { kNone, kOwnOnly, kNoWait, kShortWait, kNoBarrier, kNoCommit };

/// Two stages of which the first is used while the second is under way.
__global__ void staged(const float* in, float* out, Fault fault) {
  __shared__ __align__(16) float stages[2][kThreads * 4];
  const unsigned mine = threadIdx.x * 4;
  const unsigned other = fault == Fault::kOwnOnly ? mine : (mine + 4) % (kThreads * 4);
  for (unsigned stage = 0; stage < 2; ++stage) {
    async_copy_16(&stages[stage][mine], in + stage * kThreads * 4 + mine, true);
    if (fault != Fault::kNoCommit) async_copy_commit();
  }
  if (fault == Fault::kShortWait) {
    async_copy_wait<2>();
  } else if (fault != Fault::kNoWait) {
    async_copy_wait<1>();
  }
  if (fault != Fault::kNoBarrier && fault != Fault::kOwnOnly) __syncthreads();
  out[mine] = stages[0][other];
  async_copy_wait<0>();
  if (fault != Fault::kOwnOnly) __syncthreads();
  if (fault != Fault::kNoCommit) out[mine + 1] = stages[1][other];
}

class AsyncCopyRace : public RaceTest {
 protected:
  std::string launch(Fault fault) {
    return under_schedules([&] { hipLaunchKernelGGL(staged, 1, kThreads, 0, nullptr, in_, out_, fault); });
  }
  float* in_ = zeros<float>(2 * kThreads * 4);
  float* out_ = zeros<float>(kThreads * 4);
};

TEST_F(AsyncCopyRace, ACopyIsThereAfterItsWaitAndABarrier) {
  for (const int wave : {32, 64}) {
    hipforge_cpu_set_wave(wave);
    EXPECT_CLEAN(launch(Fault::kNone));
    EXPECT_CLEAN(launch(Fault::kOwnOnly)) << "its own copies a thread need only wait for";
    EXPECT_RACE(launch(Fault::kNoBarrier), "shared array stages");
  }
}

TEST_F(AsyncCopyRace, ACopyThatNobodyWaitedForIsNotThere) {
  hipforge_cpu_set_wave(32);
  for (const Fault fault : {Fault::kNoWait, Fault::kShortWait, Fault::kNoCommit}) {
    EXPECT_RACE(launch(fault), " and asynchronous copy by block (0,0,0)", "shared array stages");
  }
  // Ordinary copies, as on AMD, are there at once.
  hipforge_cpu_set_wave(64);
  EXPECT_CLEAN(launch(Fault::kNoWait));
}

__global__ void copy_over(const float* in, float* out, bool barrier) {
  __shared__ __align__(16) float tile[kThreads * 4];
  const unsigned mine = threadIdx.x * 4;
  float sum = 0.0f;
  for (int step = 0; step < 2; ++step) {
    async_copy_16(&tile[mine], in + mine, true);
    async_copy_commit();
    async_copy_wait<0>();
    __syncthreads();
    sum += tile[kThreads * 4 - 4 - mine];
    if (barrier) __syncthreads();
  }
  out[mine] = sum;
}

TEST_F(AsyncCopyRace, ACopyMustNotOverwriteWhatOthersRead) {
  for (const int wave : {32, 64}) {
    hipforge_cpu_set_wave(wave);
    hipLaunchKernelGGL(copy_over, 1, kThreads, 0, nullptr, in_, out_, true);
    EXPECT_CLEAN(found());
    hipLaunchKernelGGL(copy_over, 1, kThreads, 0, nullptr, in_, out_, false);
    EXPECT_RACE(found(), "read", "shared array tile");
  }
}

TEST_F(AsyncCopyRace, TheSourceOfACopyIsRead) {
  float* fresh = device<float>(2 * kThreads * 4);
  hipLaunchKernelGGL(staged, 1, kThreads, 0, nullptr, fresh, out_, Fault::kNone);
  EXPECT_UNWRITTEN(found(), "read of 16 bytes", "bytes into the allocation of 2048 bytes");
}

}  // namespace
}  // namespace hipforge::test
