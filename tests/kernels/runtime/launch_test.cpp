#include "kernels/runtime/kernel_registry.h"
#include "tests/status_matchers.h"

#include <gtest/gtest.h>

#include <vector>

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

}  // namespace
}  // namespace hipforge
