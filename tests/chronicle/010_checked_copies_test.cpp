// A copy to the host failed with error code 1, and nobody looked: the result was never read back.

#include "kernels/runtime/check.h"
#include "kernels/runtime/device_buffer.h"
#include "tests/status_matchers.h"

#include <array>

namespace hipforge {
namespace {

TEST(Chronicle010, ACopyThatDoesNotFitNamesBothSizes) {
  const DeviceBuffer buffer(100);
  std::array<std::byte, 128> host{};
  try {
    buffer.download(host);
    FAIL() << "no error";
  } catch (const Error& error) {
    expect_status(error.status(), StatusCode::kInvalidArgument, "128 bytes", "100 bytes");
  }
}

TEST(Chronicle010, ANullPointerIsAnError) {
  std::array<std::byte, 8> host{};
  expect_status(hip_status(hipMemcpy(host.data(), nullptr, 8, hipMemcpyDeviceToHost), "copy of 8 bytes"),
                StatusCode::kHipError, "copy of 8 bytes", "hipErrorInvalidValue");
  (void)hipGetLastError();
}

TEST(Chronicle010, TheRuntimeItselfRefusesACopyPastAnAllocation) {
#if !defined(HIPFORGE_PLATFORM_CPU)
  GTEST_SKIP() << "CUDA does not check a copy against its allocation; DeviceBuffer does";
#endif
  const DeviceBuffer buffer(100);
  std::array<std::byte, 128> host{};
  EXPECT_EQ(hipMemcpy(host.data(), buffer.data(), 101, hipMemcpyDeviceToHost), hipErrorInvalidValue);
  (void)hipGetLastError();
}

}  // namespace
}  // namespace hipforge
