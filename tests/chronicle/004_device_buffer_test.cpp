// A shallow clone of a raw device pointer: two owners, freed twice.

#include "kernels/runtime/check.h"
#include "kernels/runtime/device_buffer.h"
#include "tests/status_matchers.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace hipforge {
namespace {

TEST(Chronicle004, ThereIsOneOwner) {
  static_assert(!std::is_copy_constructible_v<DeviceBuffer>);
  DeviceBuffer first(64);
  const DeviceBuffer second(std::move(first));
  EXPECT_EQ(first.data(), nullptr);  // NOLINT(bugprone-use-after-move): this is the point
  EXPECT_NE(second.data(), nullptr);
}

TEST(Chronicle004, ASecondFreeIsAnErrorOfTheRuntime) {
  void* memory = nullptr;
  ASSERT_EQ(hipMalloc(&memory, 64), hipSuccess);
  ASSERT_EQ(hipFree(memory), hipSuccess);
  EXPECT_NE(hipFree(memory), hipSuccess);
  (void)hipGetLastError();
}

TEST(Chronicle004, ConcurrentDropsOfASharedBufferFreeItOnce) {
  for (int round = 0; round < 200; ++round) {
    auto shared = std::make_shared<DeviceBuffer>(256);
    std::atomic<bool> go{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&go, copy = shared]() mutable {
        while (!go) std::this_thread::yield();
        copy.reset();
      });
    }
    shared.reset();
    go = true;
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(hipGetLastError(), hipSuccess);
  EXPECT_EQ(hipDeviceSynchronize(), hipSuccess);
}

}  // namespace
}  // namespace hipforge
