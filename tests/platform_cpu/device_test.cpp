// The device, its properties, and error names.
#include "platform_fixture.h"

#include <cstring>

namespace hipforge::test {
namespace {

using DeviceTest = PlatformTest;

TEST_F(DeviceTest, ThereIsOneDevice) {
  int value = -1;
  EXPECT_HIP(hipInit(0));
  EXPECT_HIP(hipGetDeviceCount(&value));
  EXPECT_EQ(value, 1);
  EXPECT_HIP(hipSetDevice(0));
  EXPECT_HIP(hipGetDevice(&value));
  EXPECT_EQ(value, 0);
  EXPECT_EQ(hipSetDevice(1), hipErrorInvalidDevice);
  EXPECT_EQ(hipSetDevice(-1), hipErrorInvalidDevice);
  EXPECT_EQ(hipGetDeviceCount(nullptr), hipErrorInvalidValue);
  EXPECT_EQ(hipGetDevice(nullptr), hipErrorInvalidValue);
  EXPECT_EQ(hipGetLastError(), hipErrorInvalidValue);
  EXPECT_HIP(hipDriverGetVersion(&value));
  EXPECT_GT(value, 0);
  EXPECT_HIP(hipRuntimeGetVersion(&value));
}

TEST_F(DeviceTest, Properties) {
  for (const int wave : {32, 64}) {
    hipforge_cpu_set_wave(wave);
    hipDeviceProp_t properties;
    ASSERT_HIP(hipGetDeviceProperties(&properties, 0));
    EXPECT_EQ(properties.warpSize, wave);
    EXPECT_EQ(properties.maxThreadsPerBlock, 1024);
    EXPECT_EQ(properties.sharedMemPerBlock, 65536u);
    EXPECT_GE(properties.multiProcessorCount, 1);
    EXPECT_GT(properties.totalGlobalMem, size_t{64} << 20);
    EXPECT_GT(std::strlen(properties.name), 0u);
    EXPECT_STREQ(properties.gcnArchName, "cpu");
    EXPECT_EQ(properties.maxGridSize[0], 2147483647);
    int value = 0;
    EXPECT_HIP(hipDeviceGetAttribute(&value, hipDeviceAttributeWarpSize, 0));
    EXPECT_EQ(value, wave);
    EXPECT_HIP(hipDeviceGetAttribute(&value, hipDeviceAttributeMultiprocessorCount, 0));
    EXPECT_EQ(value, properties.multiProcessorCount);
    EXPECT_EQ(hipDeviceGetAttribute(&value, hipDeviceAttributeWarpSize, 2), hipErrorInvalidDevice);
    EXPECT_EQ(hipGetDeviceProperties(&properties, 1), hipErrorInvalidDevice);
    EXPECT_EQ(hipGetDeviceProperties(nullptr, 0), hipErrorInvalidValue);
  }
}

TEST_F(DeviceTest, ErrorsHaveHipsNumbersNamesAndWords) {
  EXPECT_EQ(hipErrorInvalidValue, 1);
  EXPECT_EQ(hipErrorOutOfMemory, 2);
  EXPECT_EQ(hipErrorInvalidConfiguration, 9);
  EXPECT_EQ(hipErrorInvalidMemcpyDirection, 21);
  EXPECT_EQ(hipErrorNotFound, 500);
  EXPECT_EQ(hipErrorLaunchFailure, 719);
  EXPECT_STREQ(hipGetErrorName(hipSuccess), "hipSuccess");
  EXPECT_STREQ(hipGetErrorName(hipErrorLaunchFailure), "hipErrorLaunchFailure");
  EXPECT_STREQ(hipGetErrorName(static_cast<hipError_t>(1500)), "hipErrorUnknown");
  EXPECT_STREQ(hipGetErrorString(hipErrorOutOfMemory), "out of memory");
  EXPECT_STREQ(hipGetErrorString(static_cast<hipError_t>(1500)), "unknown error");
}

}  // namespace
}  // namespace hipforge::test
