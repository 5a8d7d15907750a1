// Atomics, fences, and threads that wait for one another.
#include "platform_fixture.h"

#include <limits>

namespace hipforge::test {
namespace {

using AtomicTest = PlatformTest;

template <typename T>
struct AtomicResults {
  T sum, difference, least, greatest, bits_and, bits_or, bits_xor, exchanged, swapped;
};

template <typename T>
__global__ void integer_atomics(AtomicResults<T>* out, T* olds) {
  const T i = static_cast<T>(blockIdx.x * blockDim.x + threadIdx.x);
  olds[i] = atomicAdd(&out->sum, static_cast<T>(1));
  atomicSub(&out->difference, static_cast<T>(2));
  atomicMin(&out->least, static_cast<T>(i + 5));
  atomicMax(&out->greatest, i);
  atomicAnd(&out->bits_and, static_cast<T>(~(T{1} << (i % 8))));
  atomicOr(&out->bits_or, static_cast<T>(T{1} << (i % 8)));
  atomicXor(&out->bits_xor, static_cast<T>(3));
  atomicExch(&out->exchanged, i);
  atomicCAS(&out->swapped, static_cast<T>(77), static_cast<T>(78));
}

template <typename T>
class IntegerAtomicTest : public AtomicTest {};
using IntegerTypes = ::testing::Types<int, unsigned int, unsigned long long>;
TYPED_TEST_SUITE(IntegerAtomicTest, IntegerTypes);

TYPED_TEST(IntegerAtomicTest, AllOperations) {
  using T = TypeParam;
  constexpr unsigned kCount = 8 * 100;
  auto* out = this->template device<AtomicResults<T>>(1);
  auto* olds = this->template device<T>(kCount);
  const AtomicResults<T> start{
      0, static_cast<T>(5000), static_cast<T>(1000), 0, static_cast<T>(0xffff), 0, 0, 0, 77};
  ASSERT_HIP(hipMemcpy(out, &start, sizeof(start), hipMemcpyHostToDevice));
  hipLaunchKernelGGL(HIP_KERNEL_NAME(integer_atomics<T>), 8, 100, 0, nullptr, out, olds);
  const AtomicResults<T> got = this->host(out, 1)[0];
  EXPECT_EQ(got.sum, static_cast<T>(kCount));
  EXPECT_EQ(got.difference, static_cast<T>(5000 - 2 * kCount));
  EXPECT_EQ(got.least, static_cast<T>(5));
  EXPECT_EQ(got.greatest, static_cast<T>(kCount - 1));
  EXPECT_EQ(got.bits_and, static_cast<T>(0xff00));
  EXPECT_EQ(got.bits_or, static_cast<T>(0xff));
  EXPECT_EQ(got.bits_xor, static_cast<T>(0));
  EXPECT_LT(got.exchanged, static_cast<T>(kCount));
  EXPECT_EQ(got.swapped, static_cast<T>(78));
  // Each old value was handed out once.
  std::vector<bool> seen(kCount);
  for (const T old : this->host(olds, kCount)) {
    ASSERT_LT(static_cast<size_t>(old), seen.size());
    EXPECT_FALSE(seen[static_cast<size_t>(old)]);
    seen[static_cast<size_t>(old)] = true;
  }
}

template <typename T>
__global__ void float_atomics(T* out) {
  const T i = static_cast<T>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd(&out[0], static_cast<T>(0.5));
  atomicMax(&out[1], i);
  atomicMin(&out[2], -i);
}

template <typename T>
class FloatAtomicTest : public AtomicTest {};
using FloatTypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(FloatAtomicTest, FloatTypes);

TYPED_TEST(FloatAtomicTest, AddMinMax) {
  using T = TypeParam;
  auto* out = this->template device<T>(3);
  ASSERT_HIP(hipMemset(out, 0, 3 * sizeof(T)));
  hipLaunchKernelGGL(HIP_KERNEL_NAME(float_atomics<T>), 10, 100, 0, nullptr, out);
  EXPECT_EQ(this->host(out, 3), (std::vector<T>{500, 999, -999}));
}

__global__ void wrapping(unsigned* out) {
  atomicInc(&out[0], 9);
  atomicDec(&out[1], 9);
}

TEST_F(AtomicTest, IncrementAndDecrementWrap) {
  auto* out = device<unsigned>(2);
  ASSERT_HIP(hipMemset(out, 0, 8));
  hipLaunchKernelGGL(wrapping, 1, 23, 0, nullptr, out);
  EXPECT_EQ(host(out, 2), (std::vector<unsigned>{3, 7}));
}

__global__ void spin(int* flag, int* order) {
  if (threadIdx.x == 0) {
    while (atomicCAS(flag, 1, 2) != 1) {
    }
    order[0] = order[1] + 1;
  } else if (threadIdx.x == 40) {
    order[1] = 41;
    __threadfence();
    atomicExch(flag, 1);
  }
}

TEST_F(AtomicTest, AThreadMaySpinOnAnotherOfItsBlock) {
  auto* flag = device<int>(1);
  auto* order = device<int>(2);
  for (const uint64_t seed : {0u, 1u, 2u}) {
    hipforge_cpu_set_schedule(seed);
    ASSERT_HIP(hipMemset(flag, 0, sizeof(int)));
    hipLaunchKernelGGL(spin, 1, 64, 0, nullptr, flag, order);
    EXPECT_EQ(host(order, 1)[0], 42);
  }
}

__global__ void last_block_sums(float* partial, unsigned* arrived, float* out) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = static_cast<float>(blockIdx.x);
    __threadfence();
    last = atomicAdd(arrived, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last || threadIdx.x != 0) return;
  __threadfence();
  float sum = 0;
  for (unsigned i = 0; i < gridDim.x; ++i) sum += partial[i];
  *out = sum;
}

TEST_F(AtomicTest, TheLastBlockSeesAllPartialResults) {
  constexpr unsigned kBlocks = 200;
  auto* partial = device<float>(kBlocks);
  auto* arrived = device<unsigned>(1);
  auto* out = device<float>(1);
  ASSERT_HIP(hipMemset(arrived, 0, sizeof(unsigned)));
  hipLaunchKernelGGL(last_block_sums, kBlocks, 32, 0, nullptr, partial, arrived, out);
  EXPECT_EQ(host(out, 1)[0], kBlocks * (kBlocks - 1) / 2.0f);
}

}  // namespace
}  // namespace hipforge::test
