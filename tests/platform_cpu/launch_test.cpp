// Launches: what each thread sees, what is refused, what order errors appear in.
#include "platform_fixture.h"

#include <thread>

namespace hipforge::test {
namespace {

using LaunchTest = PlatformTest;

struct IndexArgs {
  unsigned* out;
  unsigned count;
};

struct Mixed {
  char small;
  double large;
  short middle;
};

__global__ void write_index(IndexArgs args) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned index = block * blockDim.x * blockDim.y * blockDim.z + thread;
  if (index < args.count) args.out[index] = index + 1;
}

__global__ void write_mixed(char a, double b, Mixed c, const int* d, double* out) {
  out[0] = a;
  out[1] = b;
  out[2] = c.small;
  out[3] = c.large;
  out[4] = c.middle;
  out[5] = d[0];
}

__global__ void no_arguments() {}

__global__ void touch(int* value) {
  *value = 1;
}

template <int kAdd>
__global__ void add_constant(int* value) {
  *value += kAdd;
}

__global__ void uses_dynamic_shared(unsigned* out) {
  HIP_DYNAMIC_SHARED(unsigned, shared)
  shared[threadIdx.x] = threadIdx.x;
  __syncthreads();
  out[threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}

TEST_F(LaunchTest, EveryThreadOfEveryBlockRunsOnceWithItsIndex) {
  for (const auto& [grid, block] : std::vector<std::pair<dim3, dim3>>{
           {{1}, {1}}, {{7}, {33}}, {{3, 5, 2}, {4, 3, 5}}, {{1}, {1024}}, {{65}, {16, 64}}}) {
    const unsigned count = grid.x * grid.y * grid.z * block.x * block.y * block.z;
    auto* out = device<unsigned>(count);
    hipLaunchKernelGGL(write_index, grid, block, 0, nullptr, IndexArgs{out, count});
    ASSERT_HIP(hipGetLastError());
    const auto values = host(out, count);
    for (unsigned i = 0; i < count; ++i) ASSERT_EQ(values[i], i + 1);
  }
}

TEST_F(LaunchTest, ArgumentsOfAnyTypeArriveByValue) {
  auto* number = device<int>(1);
  auto* out = device<double>(6);
  const int six = 6;
  ASSERT_HIP(hipMemcpy(number, &six, sizeof(six), hipMemcpyHostToDevice));
  // 2 is an int where the kernel takes a double: converted, as a call would.
  hipLaunchKernelGGL(write_mixed, 1, 1, 0, nullptr, 'a', 2, Mixed{3, 4.5, -5}, number, out);
  EXPECT_EQ(host(out, 6), (std::vector<double>{'a', 2.0, 3.0, 4.5, -5.0, 6.0}));
  hipLaunchKernelGGL(no_arguments, 3, 64, 0, nullptr);
  EXPECT_HIP(hipDeviceSynchronize());
}

TEST_F(LaunchTest, TypedLaunchKernelTakesArgumentPointers) {
  auto* out = device<unsigned>(4);
  IndexArgs args{out, 4};
  void* pointers[] = {&args};
  ASSERT_HIP(hipLaunchKernel(&write_index, dim3(1), dim3(4), pointers, 0, nullptr));
  EXPECT_EQ(host(out, 4), (std::vector<unsigned>{1, 2, 3, 4}));
}

TEST_F(LaunchTest, TemplatesAndVariablesCanBeLaunched) {
  auto* value = device<int>(1);
  ASSERT_HIP(hipMemset(value, 0, sizeof(int)));
  hipLaunchKernelGGL(HIP_KERNEL_NAME(add_constant<3>), dim3(1), dim3(1), 0, nullptr, value);
  void (*chosen)(int*) = &add_constant<4>;
  hipLaunchKernelGGL(chosen, 1, 1, 0, nullptr, value);
  EXPECT_EQ(host(value, 1)[0], 7);
}

TEST_F(LaunchTest, ABadConfigurationIsAnErrorAtOnceAndRunsNothing) {
  auto* value = device<int>(1);
  ASSERT_HIP(hipMemset(value, 0, sizeof(int)));
  struct Case {
    dim3 grid;
    dim3 block;
    size_t shared_bytes;
    hipError_t error;
    const char* detail;
  };
  for (const Case& wrong : {
           Case{{1}, {1025}, 0, hipErrorInvalidConfiguration, "1025 threads"},
           Case{{1}, {32, 33}, 0, hipErrorInvalidConfiguration, "1056 threads"},
           Case{{1}, {1, 1, 65}, 0, hipErrorInvalidConfiguration, "65 threads"},
           Case{{1}, {0}, 0, hipErrorInvalidConfiguration, "is empty"},
           Case{{1}, {4, 0, 1}, 0, hipErrorInvalidConfiguration, "is empty"},
           Case{{0}, {32}, 0, hipErrorInvalidConfiguration, "is empty"},
           Case{{1, 0}, {32}, 0, hipErrorInvalidConfiguration, "is empty"},
           Case{{1, 1, 0}, {32}, 0, hipErrorInvalidConfiguration, "is empty"},
           Case{{1, 65536}, {32}, 0, hipErrorInvalidConfiguration, "too large"},
           Case{{1, 1, 65536}, {32}, 0, hipErrorInvalidConfiguration, "too large"},
           Case{{2147483648u}, {1}, 0, hipErrorInvalidConfiguration, "too large"},
           // 2^32 threads in one dimension: AMD's packets cannot say that.
           Case{{4194304u}, {1024}, 0, hipErrorInvalidConfiguration, "too large"},
           Case{{1}, {32}, 65537, hipErrorInvalidValue, "65537 bytes"},
       }) {
    hipLaunchKernelGGL(touch, wrong.grid, wrong.block, wrong.shared_bytes, nullptr, value);
    EXPECT_EQ(hipPeekAtLastError(), wrong.error);
    EXPECT_TRUE(contains(hipforge_cpu_last_error_detail(), wrong.detail));
    EXPECT_TRUE(contains(hipforge_cpu_last_error_detail(), "touch"));
    EXPECT_EQ(hipGetLastError(), wrong.error);
    EXPECT_EQ(hipGetLastError(), hipSuccess);
  }
  // None of these is a fault: the device works on.
  EXPECT_EQ(host(value, 1)[0], 0);
  EXPECT_STREQ(hipforge_cpu_last_fault(), "");
}

TEST_F(LaunchTest, LimitsThemselvesAreAllowed) {
  auto* out = device<unsigned>(1024);
  hipLaunchKernelGGL(uses_dynamic_shared, 1, 1024, 65536, nullptr, out);
  const auto values = host(out, 1024);
  for (unsigned i = 0; i < 1024; ++i) ASSERT_EQ(values[i], 1023 - i);
  hipLaunchKernelGGL(no_arguments, dim3(1, 65535, 1), dim3(1), 0, nullptr);
  EXPECT_HIP(hipDeviceSynchronize());
}

TEST_F(LaunchTest, SeveralHostThreadsMayLaunchAtOnce) {
  constexpr int kThreads = 4;
  std::vector<std::thread> threads;
  std::vector<unsigned*> outs;
  for (int t = 0; t < kThreads; ++t) outs.push_back(device<unsigned>(500));
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([out = outs[static_cast<size_t>(t)]] {
      for (int i = 0; i < 20; ++i) hipLaunchKernelGGL(write_index, 5, 100, 0, nullptr, IndexArgs{out, 500});
    });
  }
  for (auto& thread : threads) thread.join();
  for (unsigned* out : outs) {
    const auto values = host(out, 500);
    for (unsigned i = 0; i < 500; ++i) ASSERT_EQ(values[i], i + 1);
  }
}

TEST_F(LaunchTest, AHookSeesLaunchesAndTheirArguments) {
  struct Seen {
    std::string name;
    dim3 grid{0}, block{0};
    size_t shared_bytes = 0;
    IndexArgs args{};
    size_t argument_bytes = 0;
    int wave = 0;
    int calls = 0;
  } seen;
  hipforge_cpu_set_launch_hook(
      [](const HipforgeCpuLaunch* launch, void* user) {
        auto& record = *static_cast<Seen*>(user);
        ++record.calls;
        record.name = launch->name;
        record.grid = launch->grid;
        record.block = launch->block;
        record.shared_bytes = launch->shared_bytes;
        record.argument_bytes = launch->argument_bytes;
        record.wave = launch->wave;
        if (launch->argument_bytes == sizeof(IndexArgs))
          memcpy(&record.args, launch->arguments, sizeof(IndexArgs));
      },
      &seen);
  auto* out = device<unsigned>(6);
  hipLaunchKernelGGL(write_index, dim3(2), dim3(3), 16, nullptr, IndexArgs{out, 6});
  hipLaunchKernelGGL(write_index, dim3(0), dim3(3), 16, nullptr, IndexArgs{out, 6});  // refused: not seen
  hipforge_cpu_set_launch_hook(nullptr, nullptr);
  hipLaunchKernelGGL(write_index, dim3(2), dim3(3), 16, nullptr, IndexArgs{out, 6});
  EXPECT_EQ(hipGetLastError(), hipErrorInvalidConfiguration);
  EXPECT_EQ(seen.calls, 1);
  EXPECT_TRUE(contains(seen.name, "write_index"));
  EXPECT_EQ(seen.grid.x, 2u);
  EXPECT_EQ(seen.block.x, 3u);
  EXPECT_EQ(seen.shared_bytes, 16u);
  EXPECT_EQ(seen.argument_bytes, sizeof(IndexArgs));
  EXPECT_EQ(seen.args.out, out);
  EXPECT_EQ(seen.args.count, 6u);
  EXPECT_EQ(seen.wave, hipforge_cpu_wave());
}

TEST_F(LaunchTest, KernelAttributes) {
  const void* kernel = reinterpret_cast<const void*>(&touch);
  EXPECT_HIP(hipFuncSetAttribute(kernel, hipFuncAttributeMaxDynamicSharedMemorySize, 65536));
  EXPECT_EQ(hipFuncSetAttribute(kernel, hipFuncAttributeMaxDynamicSharedMemorySize, 65537),
            hipErrorInvalidValue);
  EXPECT_HIP(hipforge_cpu_set_shared_limit(size_t{227} << 10));
  EXPECT_HIP(hipFuncSetAttribute(kernel, hipFuncAttributeMaxDynamicSharedMemorySize, 227 << 10));
  hipDeviceProp_t properties;
  EXPECT_HIP(hipGetDeviceProperties(&properties, 0));
  EXPECT_EQ(properties.sharedMemPerBlock, size_t{227} << 10);
  EXPECT_EQ(hipforge_cpu_set_shared_limit((size_t{256} << 10) + 1), hipErrorInvalidValue);
  EXPECT_HIP(hipforge_cpu_set_shared_limit(size_t{64} << 10));
  hipFuncAttributes attributes;
  EXPECT_HIP(hipFuncGetAttributes(&attributes, kernel));
  EXPECT_EQ(attributes.maxThreadsPerBlock, 1024);
  int blocks = 0;
  EXPECT_HIP(hipOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, &touch, 256, 0));
  EXPECT_GE(blocks, 1);
}

}  // namespace
}  // namespace hipforge::test
