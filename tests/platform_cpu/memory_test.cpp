// Allocations, copies and fills, and every misuse that is refused at once.
#include "platform_fixture.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#if defined(HIPFORGE_TEST_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace hipforge::test {
namespace {

using MemoryTest = PlatformTest;

TEST_F(MemoryTest, FreshMemoryIsAlignedAndNaN) {
  for (const size_t bytes :
       {size_t{1}, size_t{255}, size_t{4096}, size_t{5000}, size_t{1} << 20, (size_t{9} << 20) + 3}) {
    auto* data = device<unsigned char>(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % 256, 0u);
    const auto values = host(data, bytes);
    EXPECT_TRUE(std::all_of(values.begin(), values.end(), [](unsigned char byte) { return byte == 0xff; }));
  }
  auto* numbers = device<float>(4);
  EXPECT_TRUE(std::isnan(host(numbers, 4)[3]));
}

TEST_F(MemoryTest, ZeroBytesAndNull) {
  void* pointer = &pointer;
  EXPECT_HIP(hipMalloc(&pointer, 0));
  EXPECT_EQ(pointer, nullptr);
  EXPECT_HIP(hipFree(nullptr));
  EXPECT_EQ(hipMalloc(static_cast<void**>(nullptr), 16), hipErrorInvalidValue);
  EXPECT_HIP(hipMemcpy(nullptr, nullptr, 0, hipMemcpyHostToDevice));
  EXPECT_HIP(hipMemset(nullptr, 0, 0));
  EXPECT_HIP(hipGetLastError() == hipErrorInvalidValue ? hipSuccess : hipErrorUnknown);
}

TEST_F(MemoryTest, FreesThatAreRefused) {
  int* data = nullptr;
  ASSERT_HIP(hipMalloc(&data, 100));
  EXPECT_EQ(hipFree(data + 1), hipErrorInvalidValue);
  EXPECT_TRUE(contains(hipforge_cpu_last_error_detail(), "not the start of an allocation"));
  int local = 0;
  EXPECT_EQ(hipFree(&local), hipErrorInvalidValue);
  EXPECT_HIP(hipFree(data));
  EXPECT_EQ(hipFree(data), hipErrorInvalidValue);
  EXPECT_TRUE(contains(hipforge_cpu_last_error_detail(), "the allocation of 100 bytes"));
  EXPECT_TRUE(contains(hipforge_cpu_last_error_detail(), "was freed before"));
  EXPECT_HIP(hipDeviceSynchronize());
}

TEST_F(MemoryTest, CopiesInAllDirections) {
  std::vector<int> from(1000);
  std::iota(from.begin(), from.end(), 7);
  auto* first = device<int>(1000);
  auto* second = device<int>(1000);
  const size_t bytes = from.size() * sizeof(int);
  EXPECT_HIP(hipMemcpy(first, from.data(), bytes, hipMemcpyHostToDevice));
  EXPECT_HIP(hipMemcpyAsync(second, first, bytes, hipMemcpyDeviceToDevice, nullptr));
  std::vector<int> to(1000);
  EXPECT_HIP(hipMemcpy(to.data(), second, bytes, hipMemcpyDefault));
  EXPECT_EQ(to, from);
  std::vector<int> again(1000);
  EXPECT_HIP(hipMemcpy(again.data(), to.data(), bytes, hipMemcpyHostToHost));
  EXPECT_EQ(again, from);
  EXPECT_HIP(hipMemcpyHtoD(first, to.data(), bytes));
  EXPECT_HIP(hipMemcpyDtoD(second, first, bytes));
  EXPECT_HIP(hipMemcpyDtoH(again.data(), second, bytes));
  EXPECT_EQ(again, from);
}

TEST_F(MemoryTest, CopiesThatAreRefused) {
  std::vector<char> local(200);
  auto* data = device<char>(100);
  EXPECT_EQ(hipMemcpy(data, local.data(), 101, hipMemcpyHostToDevice), hipErrorInvalidValue);
  EXPECT_TRUE(contains(hipforge_cpu_last_error_detail(), "holds 100 bytes"));
  EXPECT_TRUE(contains(hipforge_cpu_last_error_detail(), "101 wanted"));
  EXPECT_EQ(hipMemcpy(data + 60, local.data(), 41, hipMemcpyHostToDevice), hipErrorInvalidValue);
  EXPECT_TRUE(contains(hipforge_cpu_last_error_detail(), "holds 40 bytes"));
  EXPECT_EQ(hipMemcpy(local.data(), data + 1, 100, hipMemcpyDeviceToHost), hipErrorInvalidValue);
  EXPECT_EQ(hipMemcpy(nullptr, data, 1, hipMemcpyDeviceToHost), hipErrorInvalidValue);
  EXPECT_EQ(hipMemcpy(data, nullptr, 1, hipMemcpyHostToDevice), hipErrorInvalidValue);
  EXPECT_EQ(hipMemcpy(local.data(), data, 10, hipMemcpyHostToDevice), hipErrorInvalidMemcpyDirection);
  EXPECT_EQ(hipMemcpy(data, local.data(), 10, hipMemcpyDeviceToHost), hipErrorInvalidMemcpyDirection);
  EXPECT_EQ(hipMemcpy(data, local.data(), 10, hipMemcpyDeviceToDevice), hipErrorInvalidMemcpyDirection);
  EXPECT_EQ(hipMemcpy(data, local.data(), 10, static_cast<hipMemcpyKind>(7)), hipErrorInvalidMemcpyDirection);
  EXPECT_EQ(hipMemset(data, 0, 101), hipErrorInvalidValue);
  EXPECT_EQ(hipMemset(local.data(), 0, 10), hipErrorInvalidMemcpyDirection);
  char* freed = nullptr;
  ASSERT_HIP(hipMalloc(&freed, 64));
  ASSERT_HIP(hipFree(freed));
  EXPECT_EQ(hipMemcpy(local.data(), freed, 8, hipMemcpyDeviceToHost), hipErrorInvalidValue);
  EXPECT_TRUE(contains(hipforge_cpu_last_error_detail(), "freed"));
  // None of these stops the device.
  EXPECT_HIP(hipMemcpy(data, local.data(), 100, hipMemcpyHostToDevice));
}

TEST_F(MemoryTest, Fills) {
  auto* data = device<unsigned char>(103);
  EXPECT_HIP(hipMemset(data, 0x5a, 103));
  EXPECT_HIP(hipMemsetAsync(data + 1, 0, 2, nullptr));
  auto values = host(data, 103);
  EXPECT_EQ(values[0], 0x5a);
  EXPECT_EQ(values[1], 0);
  EXPECT_EQ(values[2], 0);
  EXPECT_EQ(values[102], 0x5a);
  EXPECT_HIP(hipMemsetD32(data, 0x01020304, 25));
  values = host(data, 103);
  EXPECT_EQ(values[96], 4);
  EXPECT_EQ(values[99], 1);
  EXPECT_EQ(values[100], 0x5a);
  EXPECT_EQ(hipMemsetD16(data, 1, 52), hipErrorInvalidValue);
}

TEST_F(MemoryTest, PlanesWithPitch) {
  constexpr size_t kRows = 4, kWidth = 5, kPitch = 8;
  std::vector<unsigned char> from(kRows * kWidth);
  std::iota(from.begin(), from.end(), static_cast<unsigned char>(1));
  auto* data = device<unsigned char>(kRows * kPitch);
  EXPECT_HIP(hipMemcpy2D(data, kPitch, from.data(), kWidth, kWidth, kRows, hipMemcpyHostToDevice));
  const auto values = host(data, kRows * kPitch);
  EXPECT_EQ(values[kPitch], from[kWidth]);
  EXPECT_EQ(values[kWidth], 0xff);
  std::vector<unsigned char> to(kRows * kWidth);
  EXPECT_HIP(hipMemcpy2D(to.data(), kWidth, data, kPitch, kWidth, kRows, hipMemcpyDeviceToHost));
  EXPECT_EQ(to, from);
  EXPECT_EQ(hipMemcpy2D(data, 4, from.data(), kWidth, kWidth, kRows, hipMemcpyHostToDevice),
            hipErrorInvalidPitchValue);
  EXPECT_EQ(hipMemcpy2D(data, kPitch, from.data(), kWidth, kWidth, kRows + 1, hipMemcpyHostToDevice),
            hipErrorInvalidValue);
}

TEST_F(MemoryTest, PointerAttributes) {
  auto* data = device<int>(10);
  hipPointerAttribute_t attributes;
  EXPECT_HIP(hipPointerGetAttributes(&attributes, data + 3));
  EXPECT_EQ(attributes.type, hipMemoryTypeDevice);
  EXPECT_EQ(attributes.devicePointer, data + 3);
  EXPECT_EQ(attributes.hostPointer, nullptr);
  int local = 0;
  EXPECT_HIP(hipPointerGetAttributes(&attributes, &local));
  EXPECT_EQ(attributes.type, hipMemoryTypeUnregistered);
  int* pinned = nullptr;
  ASSERT_HIP(hipHostMalloc(&pinned, 64));
  EXPECT_HIP(hipPointerGetAttributes(&attributes, pinned));
  EXPECT_EQ(attributes.type, hipMemoryTypeHost);
  // Pinned memory is host memory to a copy.
  EXPECT_HIP(hipMemcpy(pinned, data, 40, hipMemcpyDeviceToHost));
  EXPECT_EQ(hipMemcpy(pinned, data, 65, hipMemcpyDeviceToHost), hipErrorInvalidValue);
  EXPECT_HIP(hipHostFree(pinned));
  EXPECT_EQ(hipPointerGetAttributes(&attributes, pinned), hipErrorInvalidValue);
  void* base = nullptr;
  size_t bytes = 0;
  EXPECT_HIP(hipMemGetAddressRange(&base, &bytes, data + 5));
  EXPECT_EQ(base, data);
  EXPECT_EQ(bytes, 40u);
}

TEST_F(MemoryTest, AllocationsAreListed) {
  const size_t before = hipforge_cpu_allocations(nullptr, 0);
  auto* first = device<char>(10);
  auto* second = device<char>(20000);
  std::vector<HipforgeCpuAllocation> list(before + 2);
  EXPECT_EQ(hipforge_cpu_allocations(list.data(), list.size()), before + 2);
  const auto find = [&list](const void* address) {
    return std::find_if(list.begin(), list.end(),
                        [address](const auto& entry) { return entry.address == address; });
  };
  ASSERT_NE(find(first), list.end());
  EXPECT_EQ(find(first)->bytes, 10u);
  ASSERT_NE(find(second), list.end());
  EXPECT_EQ(find(second)->bytes, 20000u);
  EXPECT_TRUE(std::is_sorted(list.begin(), list.end(),
                             [](const auto& a, const auto& b) { return a.address < b.address; }));
}

TEST_F(MemoryTest, UseIsCounted) {
  size_t free_before = 0;
  size_t free_after = 0;
  size_t total = 0;
  ASSERT_HIP(hipMemGetInfo(&free_before, &total));
  void* pointer = nullptr;
  ASSERT_HIP(hipMalloc(&pointer, 1 << 20));
  ASSERT_HIP(hipMemGetInfo(&free_after, &total));
  EXPECT_EQ(free_before - free_after, size_t{1} << 20);
  ASSERT_HIP(hipFree(pointer));
  ASSERT_HIP(hipMemGetInfo(&free_after, &total));
  EXPECT_EQ(free_before, free_after);
}

TEST_F(MemoryTest, ManyAllocationsComeAndGo) {
  std::vector<std::pair<unsigned char*, size_t>> live;
  uint64_t state = 1;
  for (int i = 0; i < 1500; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    if (live.size() < 40 || (state >> 40) % 2 == 0) {
      const size_t bytes = 1 + (state >> 33) % 9000;
      unsigned char* pointer = nullptr;
      ASSERT_HIP(hipMalloc(&pointer, bytes));
      pointer[0] = pointer[bytes - 1] = static_cast<unsigned char>(bytes);
      live.emplace_back(pointer, bytes);
    } else {
      const size_t index = (state >> 35) % live.size();
      const auto [pointer, bytes] = live[index];
      ASSERT_EQ(pointer[0], static_cast<unsigned char>(bytes));
      ASSERT_EQ(pointer[bytes - 1], static_cast<unsigned char>(bytes));
      ASSERT_HIP(hipFree(pointer));
      live[index] = live.back();
      live.pop_back();
    }
  }
  for (const auto& [pointer, bytes] : live) ASSERT_HIP(hipFree(pointer));
}

#if defined(HIPFORGE_TEST_ASAN)

__global__ void write_at(char* pointer, long index) {
  pointer[index] = 1;
}

using PoisonTest = PlatformTest;

TEST_F(PoisonTest, SurroundingsOfAnAllocationArePoisoned) {
  auto* data = device<char>(100);
  EXPECT_EQ(__asan_region_is_poisoned(data, 100), nullptr);
  EXPECT_TRUE(__asan_address_is_poisoned(data + 100));
  EXPECT_TRUE(__asan_address_is_poisoned(data + 255));
  EXPECT_TRUE(__asan_address_is_poisoned(data - 1));
  char* freed = nullptr;
  ASSERT_HIP(hipMalloc(&freed, 100));
  ASSERT_HIP(hipFree(freed));
  EXPECT_TRUE(__asan_address_is_poisoned(freed));
}

TEST_F(PoisonTest, AWriteJustOutsideEndsTheProcessWithAReport) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const long index : {100L, -1L}) {
    EXPECT_DEATH(
        {
          char* data = nullptr;
          static_cast<void>(hipMalloc(&data, 100));
          hipLaunchKernelGGL(write_at, 1, 32, 0, nullptr, data, index);
        },
        "use-after-poison");
  }
}

TEST_F(PoisonTest, AUseAfterFreeEndsTheProcessWithAReport) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        char* data = nullptr;
        static_cast<void>(hipMalloc(&data, 100));
        static_cast<void>(hipFree(data));
        hipLaunchKernelGGL(write_at, 1, 32, 0, nullptr, data, 7L);
      },
      "use-after-poison");
}

#endif

}  // namespace
}  // namespace hipforge::test
