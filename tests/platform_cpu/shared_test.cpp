// Shared memory: fresh NaN for every block, red zones on both sides, the 64 KiB limit.
#include "platform_fixture.h"

#include <cmath>
#include <tuple>

#if defined(HIPFORGE_TEST_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace hipforge::test {
namespace {

class SharedTest : public PlatformTest, public ::testing::WithParamInterface<uint64_t> {
 protected:
  SharedTest() { hipforge_cpu_set_schedule(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Schedules, SharedTest, ::testing::Values(0, 11));

struct Poison {
  int static_words;
  int scalar_words;
  int helper_words;
  int dynamic_words;
};

__device__ int helper_words() {
  __shared__ unsigned kept[8];
  const int poisoned = kept[threadIdx.x % 8] == 0xffffffffu;
  __syncthreads();
  kept[threadIdx.x % 8] = 1;
  __syncthreads();
  return poisoned;
}

template <int kWords>
__global__ void count_poison(Poison* out) {
  __shared__ unsigned words[kWords];
  __shared__ int scalar;
  HIP_DYNAMIC_SHARED(unsigned, dynamic)
  const unsigned i = threadIdx.x;
  const int was_static = words[i] == 0xffffffffu;
  const int was_scalar = scalar == -1;
  const int was_dynamic = dynamic[i] == 0xffffffffu;
  __syncthreads();
  words[i] = 5;
  dynamic[i] = 5;
  scalar = 5;
  const int was_helper = helper_words();
  const Poison mine{__syncthreads_count(was_static), __syncthreads_count(was_scalar),
                    __syncthreads_count(was_helper), __syncthreads_count(was_dynamic)};
  if (i == 0) out[blockIdx.x] = mine;
}

TEST_P(SharedTest, EveryBlockStartsWithNaN) {
  constexpr unsigned kBlocks = 9;
  auto* out = device<Poison>(kBlocks);
  for (int launch = 0; launch < 2; ++launch) {
    hipLaunchKernelGGL(HIP_KERNEL_NAME(count_poison<64>), kBlocks, 64, 64 * sizeof(unsigned), nullptr, out);
    for (const Poison& poison : host(out, kBlocks)) {
      EXPECT_EQ(poison.static_words, 64);
      EXPECT_EQ(poison.scalar_words, 64);
      EXPECT_EQ(poison.helper_words, 64);
      EXPECT_EQ(poison.dynamic_words, 64);
    }
  }
}

__global__ void forgotten_initialisation(float* out) {
  __shared__ float sum;
  // A kernel that relies on zero would get the right answer wherever shared memory happens to be zero.
  if (threadIdx.x < 4) atomicAdd(&sum, 1.0f);
  __syncthreads();
  if (threadIdx.x == 0) *out = sum;
}

TEST_P(SharedTest, UninitialisedSharedMemoryShows) {
  auto* out = device<float>(1);
  hipLaunchKernelGGL(forgotten_initialisation, 1, 32, 0, nullptr, out);
  EXPECT_TRUE(std::isnan(host(out, 1)[0]));
}

extern "C" __global__ void shared_write_dynamic(int index) {
  HIP_DYNAMIC_SHARED(char, bytes)
  if (threadIdx.x == 3) bytes[index] = 1;
}

TEST_P(SharedTest, PastTheEndOfDynamicSharedMemory) {
  // A multiple of 16 bytes ends at the unreadable page.
  hipLaunchKernelGGL(shared_write_dynamic, 2, 32, 160, nullptr, 160);
  std::string text = fault();
  EXPECT_TRUE(
      contains(text, "kernel shared_write_dynamic block (0,0,0) thread (3,0,0): out-of-bounds write at "));
  EXPECT_TRUE(contains(text, "0 bytes past the end of the 160 bytes of dynamic shared memory"));
  hipforge_cpu_clear_fault();
  hipLaunchKernelGGL(shared_write_dynamic, 2, 32, 0, nullptr, 8);
  text = fault();
  EXPECT_TRUE(contains(text, "8 bytes past the end of the 0 bytes of dynamic shared memory"));
  if (kAsan) return;  // the rest lies in poisoned bytes
  hipforge_cpu_clear_fault();
  hipLaunchKernelGGL(shared_write_dynamic, 2, 32, 150, nullptr, 152);
  text = fault();
  EXPECT_TRUE(contains(text, "kernel shared_write_dynamic block ("));
  EXPECT_TRUE(contains(text, "2 bytes past the end of the 150 bytes of dynamic shared memory"));
  hipforge_cpu_clear_fault();
  hipLaunchKernelGGL(shared_write_dynamic, 2, 32, 160, nullptr, -5);
  EXPECT_TRUE(contains(fault(), "5 bytes before the 160 bytes of dynamic shared memory"));
  hipforge_cpu_clear_fault();
  hipLaunchKernelGGL(shared_write_dynamic, 2, 32, 160, nullptr, 159);
  EXPECT_HIP(hipDeviceSynchronize());
}

extern "C" __global__ void shared_write_static(int* sink, int which, int index) {
  __shared__ char first[100];
  __shared__ int second[16];
  __shared__ double third[3][2];
  if (threadIdx.x == 0) {
    for (char& byte : first) byte = 0;
    for (int& word : second) word = 0;
    third[0][0] = third[2][1] = 0;
    // Through a volatile pointer: an optimiser that knows the bounds may do as it likes.
    if (which == 0) *static_cast<volatile char*>(first + index) = 1;
    if (which == 1) *static_cast<volatile int*>(second + index) = 1;
    if (which == 2) *static_cast<volatile double*>(&third[0][0] + index) = 1;
  }
  __syncthreads();
  if (sink != nullptr)
    sink[threadIdx.x] = first[threadIdx.x] + second[threadIdx.x % 16] + static_cast<int>(third[2][1]);
}

template <int kCount>
__global__ void shared_write_template(int index) {
  __shared__ int values[kCount];
  if (threadIdx.x < kCount) values[threadIdx.x] = 0;
  __syncthreads();
  if (threadIdx.x == 0) *static_cast<volatile int*>(values + index) = 1;
}

TEST_P(SharedTest, RedZonesAroundStaticArrays) {
  if (kAsan) GTEST_SKIP() << "AddressSanitizer ends the process here";
  struct Case {
    int which;
    int index;
    const char* text;
  };
  for (const Case& wrong : {
           Case{0, 100, "0 bytes past the end of the shared array first of 100 bytes"},
           Case{0, 103, "3 bytes past the end of the shared array first of 100 bytes"},
           Case{0, 120, "20 bytes past the end of the shared array first of 100 bytes"},
           Case{1, 16, "0 bytes past the end of the shared array second of 64 bytes"},
           Case{1, -1, "before the shared array second of 64 bytes"},
           Case{2, 6, "0 bytes past the end of the shared array third of 48 bytes"},
       }) {
    hipLaunchKernelGGL(shared_write_static, 1, 32, 0, nullptr, static_cast<int*>(nullptr), wrong.which,
                       wrong.index);
    const std::string text = fault();
    EXPECT_TRUE(contains(text, "kernel shared_write_static block (0,0,0): out-of-bounds write "));
    EXPECT_TRUE(contains(text, wrong.text));
    hipforge_cpu_clear_fault();
  }
  auto* sink = device<int>(32);
  hipLaunchKernelGGL(shared_write_static, 3, 32, 0, nullptr, sink, 0, 99);
  EXPECT_HIP(hipDeviceSynchronize());
  hipLaunchKernelGGL(HIP_KERNEL_NAME(shared_write_template<33>), 1, 64, 0, nullptr, 33);
  EXPECT_TRUE(contains(fault(), "0 bytes past the end of the shared array values of 132 bytes"));
  hipforge_cpu_clear_fault();
  hipLaunchKernelGGL(HIP_KERNEL_NAME(shared_write_template<33>), 1, 64, 0, nullptr, 32);
  EXPECT_HIP(hipDeviceSynchronize());
}

extern "C" __global__ void shared_static_40k(int* out) {
  __shared__ int large[10240];
  large[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = large[(threadIdx.x + 1) % blockDim.x];
}

__device__ int in_a_helper() {
  __shared__ int large[10240];
  large[threadIdx.x] = 2;
  __syncthreads();
  return large[0];
}

extern "C" __global__ void shared_static_in_helper(int* out) {
  HIP_DYNAMIC_SHARED(char, bytes)
  bytes[0] = 0;
  out[threadIdx.x] = in_a_helper() + bytes[0];
}

TEST_P(SharedTest, StaticAndDynamicTogetherHaveALimit) {
  auto* out = device<int>(64);
  hipLaunchKernelGGL(shared_static_40k, 1, 64, 24576, nullptr, out);
  EXPECT_HIP(hipGetLastError());
  hipLaunchKernelGGL(shared_static_40k, 1, 64, 24577, nullptr, out);
  EXPECT_EQ(hipGetLastError(), hipErrorInvalidValue);
  EXPECT_TRUE(contains(hipforge_cpu_last_error_detail(), "24577 bytes of dynamic and 40960 of static"));
  hipFuncAttributes attributes;
  EXPECT_HIP(hipFuncGetAttributes(&attributes, reinterpret_cast<const void*>(&shared_static_40k)));
  EXPECT_EQ(attributes.sharedSizeBytes, 40960u);
  // What a called function declares is known only once the kernel gets there.
  hipLaunchKernelGGL(shared_static_in_helper, 1, 64, 24576, nullptr, out);
  EXPECT_HIP(hipDeviceSynchronize());
  hipLaunchKernelGGL(shared_static_in_helper, 1, 64, 24577, nullptr, out);
  EXPECT_EQ(hipGetLastError(), hipSuccess);
  EXPECT_TRUE(contains(fault(), "40960 bytes of static and 24577 of dynamic shared memory; at most 65536"));
}

#if defined(HIPFORGE_TEST_ASAN)

__global__ void write_dynamic_at(int index) {
  HIP_DYNAMIC_SHARED(char, bytes)
  bytes[index] = 1;
}

using SharedPoisonTest = PlatformTest;

TEST_F(SharedPoisonTest, AWriteJustOutsideEndsTheProcessWithAReport) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(hipLaunchKernelGGL(write_dynamic_at, 1, 1, 150, nullptr, 150), "use-after-poison");
  EXPECT_DEATH(hipLaunchKernelGGL(write_dynamic_at, 1, 1, 150, nullptr, -1), "use-after-poison");
  for (const int index : {100, 127}) {
    EXPECT_DEATH(
        hipLaunchKernelGGL(shared_write_static, 1, 32, 0, nullptr, static_cast<int*>(nullptr), 0, index),
        "use-after-poison");
  }
  EXPECT_DEATH(hipLaunchKernelGGL(HIP_KERNEL_NAME(shared_write_template<33>), 1, 64, 0, nullptr, 33),
               "use-after-poison");
}

#endif

}  // namespace
}  // namespace hipforge::test
