// Faults inside kernels: each ends its launch, shows at the next synchronisation, sticks, and is explained.
#include "platform_fixture.h"

#include <cassert>
#include <chrono>

namespace hipforge::test {
namespace {

class FaultTest : public PlatformTest, public ::testing::WithParamInterface<uint64_t> {
 protected:
  FaultTest() { hipforge_cpu_set_schedule(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Schedules, FaultTest, ::testing::Values(0, 3));

extern "C" __global__ void fault_write_at(int* pointer, long long index) {
  if (threadIdx.x == 5 && blockIdx.x == 2) pointer[index] = 1;
}

extern "C" __global__ void fault_read_at(const int* pointer, long long index, int* out) {
  if (threadIdx.x == 5 && blockIdx.x == 2) *out = pointer[index];
}

TEST_P(FaultTest, WriteFarPastTheEnd) {
  auto* data = device<int>(1024);  // 4,096 bytes: ends at the unreadable page
  hipLaunchKernelGGL(fault_write_at, 4, 32, 0, nullptr, data, 1025LL);
  const std::string text = fault();
  char address[32];
  snprintf(address, sizeof(address), "%p", static_cast<void*>(data + 1025));
  EXPECT_TRUE(contains(text, "kernel fault_write_at block (2,0,0) thread (5,0,0): out-of-bounds write at "));
  EXPECT_TRUE(contains(text, address));
  EXPECT_TRUE(contains(text, "4 bytes past the end of the allocation of 4096 bytes at "));
}

TEST_P(FaultTest, ReadFarPastTheEndAndBeforeTheStart) {
  auto* data = device<int>(1024);
  auto* out = device<int>(1);
  hipLaunchKernelGGL(fault_read_at, 4, 32, 0, nullptr, data, 1024LL, out);
  std::string text = fault();
  EXPECT_TRUE(contains(text, "out-of-bounds read at "));
  EXPECT_TRUE(contains(text, "0 bytes past the end of the allocation of 4096 bytes"));
  hipforge_cpu_clear_fault();
  hipLaunchKernelGGL(fault_read_at, 4, 32, 0, nullptr, data, -1LL, out);
  text = fault();
  EXPECT_TRUE(contains(text, "out-of-bounds read at "));
  EXPECT_TRUE(contains(text, "4 bytes before the allocation of 4096 bytes"));
}

TEST_P(FaultTest, NullAndWildPointers) {
  hipLaunchKernelGGL(fault_write_at, 4, 32, 0, nullptr, static_cast<int*>(nullptr), 0LL);
  EXPECT_TRUE(contains(fault(), "out-of-bounds write at 0x0, which is not device memory"));
  hipforge_cpu_clear_fault();
  hipLaunchKernelGGL(fault_write_at, 4, 32, 0, nullptr, reinterpret_cast<int*>(uintptr_t{1} << 62), 0LL);
  EXPECT_TRUE(contains(fault(), "kernel fault_write_at"));
}

TEST_P(FaultTest, UseAfterFree) {
  if (kAsan) GTEST_SKIP() << "AddressSanitizer ends the process here: see PoisonTest";
  int* data = nullptr;
  ASSERT_HIP(hipMalloc(&data, 400));
  ASSERT_HIP(hipFree(data));
  hipLaunchKernelGGL(fault_write_at, 4, 32, 0, nullptr, data, 7LL);
  const std::string text = fault();
  EXPECT_TRUE(contains(text, "inside the allocation of 400 bytes at "));
  EXPECT_TRUE(contains(text, "which is freed"));
}

TEST_P(FaultTest, WriteJustPastTheEnd) {
  if (kAsan) GTEST_SKIP() << "AddressSanitizer ends the process here: see PoisonTest";
  auto* data = device<int>(25);  // 100 bytes: the next 156 are slack
  hipLaunchKernelGGL(fault_write_at, 4, 32, 0, nullptr, data, 25LL);
  const std::string text = fault();
  EXPECT_TRUE(contains(text, "kernel fault_write_at"));
  EXPECT_TRUE(contains(text, "out-of-bounds write at "));
  EXPECT_TRUE(contains(text, "0 bytes past the end of the allocation of 100 bytes"));
}

TEST_P(FaultTest, WriteJustBeforeTheStart) {
  if (kAsan) GTEST_SKIP() << "AddressSanitizer ends the process here: see PoisonTest";
  auto* data = device<int>(25);
  hipLaunchKernelGGL(fault_write_at, 4, 32, 0, nullptr, data, -2LL);
  EXPECT_TRUE(contains(fault(), "8 bytes before the allocation of 100 bytes"));
}

extern "C" __global__ void fault_write_by_host_of_slack(int* pointer) {
  pointer[25] = 1;
}

TEST_P(FaultTest, ABrokenCanaryIsFoundAtTheFreeToo) {
  if (kAsan) GTEST_SKIP() << "AddressSanitizer ends the process here: see PoisonTest";
  int* data = nullptr;
  ASSERT_HIP(hipMalloc(&data, 100));
  data[25] = 1;  // by the host, with no kernel in between
  EXPECT_EQ(hipFree(data), hipErrorLaunchFailure);
  EXPECT_TRUE(contains(hipforge_cpu_last_fault(), "past the end of the allocation of 100 bytes"));
}

TEST_P(FaultTest, ALaunchAfterAFaultIsDroppedAndTheErrorSticks) {
  auto* data = device<int>(1024);
  auto* value = device<int>(1);
  ASSERT_HIP(hipMemset(value, 0, sizeof(int)));
  hipLaunchKernelGGL(fault_write_at, 4, 32, 0, nullptr, data, 1024LL);
  EXPECT_EQ(hipGetLastError(), hipSuccess);
  hipLaunchKernelGGL(fault_write_at, 4, 32, 0, nullptr, value, 0LL);  // dropped
  EXPECT_EQ(hipGetLastError(), hipSuccess);
  EXPECT_HIP(hipMemsetAsync(value, 1, sizeof(int), nullptr));  // dropped
  int read = -1;
  EXPECT_EQ(hipMemcpy(&read, value, sizeof(int), hipMemcpyDeviceToHost), hipErrorLaunchFailure);
  EXPECT_EQ(read, -1);
  EXPECT_EQ(hipGetLastError(), hipErrorLaunchFailure);
  EXPECT_EQ(hipGetLastError(), hipErrorLaunchFailure);
  void* more = nullptr;
  EXPECT_EQ(hipMalloc(&more, 16), hipErrorLaunchFailure);
  EXPECT_EQ(hipDeviceSynchronize(), hipErrorLaunchFailure);
  EXPECT_EQ(hipStreamSynchronize(nullptr), hipErrorLaunchFailure);
  EXPECT_TRUE(contains(hipforge_cpu_last_error_detail(), "fault_write_at"));
  hipforge_cpu_clear_fault();
  EXPECT_EQ(hipGetLastError(), hipSuccess);
  EXPECT_EQ(host(value, 1)[0], 0);
  EXPECT_STREQ(hipforge_cpu_last_fault(), "");
}

TEST_P(FaultTest, EventAndStreamSynchronisationReportIt) {
  hipStream_t stream = nullptr;
  hipEvent_t event = nullptr;
  ASSERT_HIP(hipStreamCreate(&stream));
  ASSERT_HIP(hipEventCreate(&event));
  for (int way = 0; way < 2; ++way) {
    hipLaunchKernelGGL(fault_write_at, 4, 32, 0, stream, static_cast<int*>(nullptr), 0LL);
    ASSERT_HIP(hipEventRecord(event, stream));
    EXPECT_EQ(way == 0 ? hipStreamSynchronize(stream) : hipEventSynchronize(event), hipErrorLaunchFailure);
    hipforge_cpu_clear_fault();
  }
  EXPECT_HIP(hipEventDestroy(event));
  EXPECT_HIP(hipStreamDestroy(stream));
}

TEST_P(FaultTest, ResetFreesEverythingAndStartsAnew) {
  int* data = nullptr;
  ASSERT_HIP(hipMalloc(&data, 100));
  hipLaunchKernelGGL(fault_write_at, 4, 32, 0, nullptr, static_cast<int*>(nullptr), 0LL);
  EXPECT_EQ(hipDeviceSynchronize(), hipErrorLaunchFailure);
  EXPECT_HIP(hipDeviceReset());
  EXPECT_HIP(hipDeviceSynchronize());
  EXPECT_EQ(hipforge_cpu_allocations(nullptr, 0), 0u);
  EXPECT_EQ(hipFree(data), hipErrorInvalidValue);
}

extern "C" __global__ void fault_early_return() {
  if (threadIdx.x == 3) return;
  __syncthreads();
}

extern "C" __global__ void fault_late_return() {
  __syncthreads();
  if (threadIdx.x >= 3) __syncthreads();
}

TEST_P(FaultTest, ABarrierThatAThreadNeverReachesBecauseItReturned) {
  hipLaunchKernelGGL(fault_early_return, 2, 40, 0, nullptr);
  const std::string text = fault();
  EXPECT_TRUE(
      contains(text, "kernel fault_early_return block (0,0,0) thread (0,0,0): waits at the barrier "));
  EXPECT_TRUE(contains(text, "fault_test.cpp:"));
  EXPECT_TRUE(contains(text, "which 1 of 40 threads of the block never reach: thread (3,0,0) returned"));
  hipforge_cpu_clear_fault();
  hipLaunchKernelGGL(fault_late_return, 1, 40, 0, nullptr);
  EXPECT_TRUE(contains(fault(), "which 3 of 40 threads of the block never reach: thread (0,0,0) returned"));
}

extern "C" __global__ void fault_divergent_barrier() {
  if (threadIdx.x < 16) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

TEST_P(FaultTest, ABarrierInBothBranchesIsTwoBarriers) {
  hipLaunchKernelGGL(fault_divergent_barrier, 1, 64, 0, nullptr);
  const std::string text = fault();
  EXPECT_TRUE(contains(text, "waits at the barrier "));
  EXPECT_TRUE(contains(text, ", but thread ("));
}

extern "C" __global__ void fault_barrier_against_shuffle(int* out) {
  if (threadIdx.x == 7) {
    __syncthreads();
  } else {
    out[0] = __shfl(1, 0);
  }
}

TEST_P(FaultTest, WaitingElsewhereThanTheOthers) {
  auto* out = device<int>(1);
  hipLaunchKernelGGL(fault_barrier_against_shuffle, 1, 32, 0, nullptr, out);
  const std::string text = fault();
  EXPECT_TRUE(contains(text, "thread (7,0,0): waits at the barrier "));
  EXPECT_TRUE(contains(text, "waits at the shuffle "));
}

extern "C" __global__ void fault_divergent_shuffle(int* out) {
  int value = static_cast<int>(threadIdx.x);
  if (threadIdx.x < 16) {
    value = __shfl(value, 0);
  } else {
    value = static_cast<int>(__ballot(value));
  }
  out[0] = value;
}

TEST_P(FaultTest, LanesOfAWaveAtDifferentCollectives) {
  auto* out = device<int>(1);
  hipLaunchKernelGGL(fault_divergent_shuffle, 1, 32, 0, nullptr, out);
  const std::string text = fault();
  EXPECT_TRUE(contains(text, "the shuffle "));
  EXPECT_TRUE(contains(text, "the ballot "));
}

extern "C" __global__ void fault_bad_width(int* out) {
  out[threadIdx.x] = __shfl(1, 0, 24);
}
extern "C" __global__ void fault_bad_mask(int* out) {
  out[threadIdx.x] = __shfl_sync(0x1u, 1, 0);
}

TEST_P(FaultTest, BadCollectiveArguments) {
  auto* out = device<int>(64);
  hipLaunchKernelGGL(fault_bad_width, 1, 32, 0, nullptr, out);
  EXPECT_TRUE(contains(fault(), "a shuffle's width must be a power of two"));
  hipforge_cpu_clear_fault();
  hipLaunchKernelGGL(fault_bad_mask, 1, 32, 0, nullptr, out);
  EXPECT_TRUE(contains(fault(), "a collective whose mask leaves it out"));
}

extern "C" __global__ void fault_hang(const int* flag) {
  if (threadIdx.x == 2) {
    while (__atomic_load_n(flag, __ATOMIC_RELAXED) == 0) {
    }
  }
}

extern "C" __global__ void fault_hang_with_atomics(int* flag) {
  if (threadIdx.x == 2) {
    while (atomicAdd(flag, 0) == 0) {
    }
  }
  __syncthreads();
}

TEST_P(FaultTest, AHangPastTheTimeout) {
  auto* flag = device<int>(1);
  ASSERT_HIP(hipMemset(flag, 0, sizeof(int)));
  ASSERT_HIP(hipforge_cpu_set_timeout_ms(60));
  const auto start = std::chrono::steady_clock::now();
  hipLaunchKernelGGL(fault_hang, 4, 32, 0, nullptr, flag);
  const std::string text = fault();
  EXPECT_TRUE(contains(text, "kernel fault_hang block ("));
  EXPECT_TRUE(contains(text, "thread (2,0,0): hang: the block ran for more than 60 ms"));
  hipforge_cpu_clear_fault();
  hipLaunchKernelGGL(fault_hang_with_atomics, 1, 32, 0, nullptr, flag);
  EXPECT_TRUE(contains(fault(), "hang: the block ran for more than 60 ms"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

extern "C" __global__ void fault_divide(int* value, int by) {
  *value = *value / by;
}
extern "C" __global__ void fault_trap() {
  __builtin_trap();
}
extern "C" __global__ void fault_assert([[maybe_unused]] int value) {
  assert(value != 0 && "planted");
}

TEST_P(FaultTest, DivisionByZeroTrapAndAssert) {
  auto* value = device<int>(1);
  ASSERT_HIP(hipMemset(value, 0, sizeof(int)));
  hipLaunchKernelGGL(fault_divide, 1, 1, 0, nullptr, value, 0);
  EXPECT_TRUE(
      contains(fault(), "kernel fault_divide block (0,0,0) thread (0,0,0): integer division by zero"));
  hipforge_cpu_clear_fault();
  hipLaunchKernelGGL(fault_trap, 1, 1, 0, nullptr);
  EXPECT_TRUE(contains(fault(), "trap"));
  hipforge_cpu_clear_fault();
#ifndef NDEBUG
  hipLaunchKernelGGL(fault_assert, 1, 1, 0, nullptr, 0);
  EXPECT_TRUE(contains(fault(), "assertion failed"));
#endif
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winfinite-recursion"
__attribute__((noinline)) __device__ int recurse(volatile int* depth) {
  volatile char frame[4096];
  frame[0] = static_cast<char>(*depth);
  *depth = *depth + 1;
  return recurse(depth) + frame[0];
}
#pragma GCC diagnostic pop

extern "C" __global__ void fault_overflow_stack(int* depth) {
  if (threadIdx.x == 1) *depth = recurse(depth);
  __syncthreads();
}

TEST_P(FaultTest, AStackOverflow) {
  auto* depth = device<int>(1);
  ASSERT_HIP(hipMemset(depth, 0, sizeof(int)));
  hipLaunchKernelGGL(fault_overflow_stack, 1, 32, 0, nullptr, depth);
  const std::string text = fault();
  EXPECT_TRUE(contains(text, "kernel fault_overflow_stack block (0,0,0) thread (1,0,0): stack overflow"));
}

extern "C" __global__ void fault_host_call() {
  void* pointer = nullptr;
  static_cast<void>(hipMalloc(&pointer, 16));
}

TEST_P(FaultTest, AKernelThatCallsTheHost) {
  hipLaunchKernelGGL(fault_host_call, 1, 1, 0, nullptr);
  EXPECT_TRUE(
      contains(fault(), "kernel fault_host_call block (0,0,0) thread (0,0,0): calls a function of the host"));
}

TEST_P(FaultTest, FaultsLeaveNothingBehind) {
  auto* data = device<int>(1024);
  for (int round = 0; round < 30; ++round) {
    hipLaunchKernelGGL(fault_write_at, 4, 256, 0, nullptr, data, 1024LL);
    EXPECT_EQ(hipDeviceSynchronize(), hipErrorLaunchFailure);
    hipforge_cpu_clear_fault();
    hipLaunchKernelGGL(fault_early_return, 3, 1024, 0, nullptr);
    EXPECT_EQ(hipDeviceSynchronize(), hipErrorLaunchFailure);
    hipforge_cpu_clear_fault();
    hipLaunchKernelGGL(fault_write_at, 4, 256, 0, nullptr, data, 3LL);
    ASSERT_HIP(hipDeviceSynchronize());
  }
}

TEST_P(FaultTest, TheLowestFaultingBlockIsReported) {
  if (GetParam() != 0) GTEST_SKIP() << "a schedule runs blocks in another order";
  hipforge_cpu_set_workers(1);
  hipLaunchKernelGGL(fault_early_return, 50, 32, 0, nullptr);
  EXPECT_TRUE(contains(fault(), "block (0,0,0)"));
}

TEST_P(FaultTest, AHostCrashIsNotAKernelFault) {
  auto* data = device<int>(1024);
  hipLaunchKernelGGL(fault_write_at, 4, 32, 0, nullptr, data, 0LL);
  ASSERT_HIP(hipDeviceSynchronize());
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        int* late = nullptr;
        static_cast<void>(hipMalloc(&late, 4096));
        hipLaunchKernelGGL(fault_write_at, 4, 32, 0, nullptr, late, 0LL);
        late[1024] = 1;
      },
      "");
}

}  // namespace
}  // namespace hipforge::test
