#include "kernels/runtime/launch.h"

#include "harness/core/rig.h"
#include "kernels/runtime/kernel_registry.h"
#include "kernels/softmax.h"
#include "tests/status_matchers.h"

#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <thread>
#include <vector>

#if defined(HIPFORGE_PLATFORM_CPU)
#include <hipforge_cpu.h>
#endif

namespace hipforge {
namespace {

TEST(Launch, WhatTheDeviceRefusesIsAnErrorWithThePlansNumbers) {
  const RegisteredKernel* const kernel = find_kernel("fill_f32");
  ASSERT_NE(kernel, nullptr);
  LaunchPlan plan;
  plan.block = dim3(2048, 1, 1);
  const std::vector<std::byte> args(kernel->args_bytes());
  expect_status(kernel->launch(plan, args, nullptr), StatusCode::kHipError, "launch of fill_f32",
                "block [2048, 1, 1]");
  EXPECT_EQ(hipGetLastError(), hipSuccess) << "the error was taken";
}

#if defined(HIPFORGE_PLATFORM_CPU)
// The waves of the launches that it lived through.
class Waves {
 public:
  Waves() {
    hipforge_cpu_set_launch_hook(
        [](const HipforgeCpuLaunch* launch, void* waves) {
          const std::lock_guard lock(static_cast<Waves*>(waves)->mutex_);
          static_cast<Waves*>(waves)->seen_[launch->wave] += 1;
        },
        this);
  }
  ~Waves() { hipforge_cpu_set_launch_hook(nullptr, nullptr); }
  int operator[](int wave) { return seen_[wave]; }

 private:
  std::mutex mutex_;
  std::map<int, int> seen_;
};

struct Scores {
  harness::Rig rig{1, nullptr};
  SoftmaxParams params;

  Scores() {
    params.x = rig.input("x", DType::kF32, {1, 2, 3, 70});
    params.y = rig.output("y", DType::kF32, {1, 2, 3, 70});
  }
};

TEST(Launch, EachRunsOnTheWaveOfItsTarget) {
  const int own = hipforge_cpu_wave();
  Scores scores;
  Waves waves;
  ASSERT_OK(softmax(scores.params, nullptr, {"gfx942", 64, MatrixUnit::kMfma}));
  EXPECT_EQ(waves[64], 1);
  ASSERT_OK(softmax(scores.params, nullptr, {"gfx1100", 32, MatrixUnit::kWmma}));
  EXPECT_EQ(waves[32], 1);
  ASSERT_OK(softmax(scores.params, nullptr));
  EXPECT_EQ(waves[own], 2) << "the device's own, as before";
  EXPECT_EQ(hipforge_cpu_wave(), own);
  EXPECT_EQ(hip_status(hipDeviceSynchronize(), "kernels").message, "");
}

TEST(Launch, ThreadsWithTargetsOfTheirOwnDoNotDisturbEachOther) {
  constexpr int kLaunches = 50;
  Waves waves;
  const auto launch_many = [](const Target& target) {
    Scores scores;
    for (int i = 0; i < kLaunches; ++i) EXPECT_EQ(softmax(scores.params, nullptr, target).message, "");
    EXPECT_EQ(scores.rig.finish().message, "");
  };
  std::thread other(launch_many, Target{"gfx942", 64, MatrixUnit::kMfma});
  launch_many({"gfx1100", 32, MatrixUnit::kWmma});
  other.join();
  const int own = hipforge_cpu_wave();  // of the kernels that make inputs
  EXPECT_EQ(waves[96 - own], kLaunches);
  EXPECT_GE(waves[own], kLaunches);
}

TEST(Launch, ATargetsSharedMemoryIsTheLimit) {
  const RegisteredKernel* const kernel = find_kernel("fill_f32");
  ASSERT_NE(kernel, nullptr);
  const std::vector<std::byte> nothing(kernel->args_bytes());
  LaunchPlan plan;
  plan.block = dim3(64, 1, 1);
  plan.shared_bytes = 200 << 10;
  expect_status(kernel->launch(plan, nothing, nullptr), StatusCode::kHipError, "204800 bytes");
  plan.target = {"sm_90", 32, MatrixUnit::kWgmma, std::size_t{227} << 10};
  ASSERT_OK(kernel->launch(plan, nothing, nullptr));
  plan.target.wave = 16;
  expect_status(kernel->launch(plan, nothing, nullptr), StatusCode::kHipError, "target sm_90");
}
#else
TEST(Launch, ATargetOfAnotherWaveIsRefused) {
  Target device;
  ASSERT_OK(device_target(device));
  LaunchPlan plan;
  plan.target = {"other", 96 - device.wave, MatrixUnit::kNone};
  const RegisteredKernel* const kernel = find_kernel("fill_f32");
  ASSERT_NE(kernel, nullptr);
  const std::vector<std::byte> args(kernel->args_bytes());
  expect_status(kernel->launch(plan, args, nullptr), StatusCode::kUnsupported, "target other has waves of",
                device.architecture);
}
#endif

}  // namespace
}  // namespace hipforge
