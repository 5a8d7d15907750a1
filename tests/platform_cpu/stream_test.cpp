// Streams and events.
#include "platform_fixture.h"

namespace hipforge::test {
namespace {

using StreamTest = PlatformTest;

__global__ void spend_time(float* out) {
  float sum = 0;
  for (int i = 0; i < 200000; ++i) sum += static_cast<float>(i) * 1e-9f;
  out[threadIdx.x] = sum;
}

TEST_F(StreamTest, StreamsWorkAndBadOnesAreRefused) {
  hipStream_t stream = nullptr;
  ASSERT_HIP(hipStreamCreateWithFlags(&stream, hipStreamNonBlocking));
  auto* data = device<int>(4);
  EXPECT_HIP(hipMemsetAsync(data, 0, 16, stream));
  EXPECT_HIP(hipStreamSynchronize(stream));
  EXPECT_HIP(hipStreamQuery(stream));
  EXPECT_HIP(hipStreamDestroy(stream));
  EXPECT_EQ(hipStreamDestroy(stream), hipErrorInvalidHandle);
  EXPECT_EQ(hipStreamSynchronize(stream), hipErrorInvalidHandle);
  EXPECT_EQ(hipMemsetAsync(data, 0, 16, stream), hipErrorInvalidHandle);
  EXPECT_EQ(hipStreamCreate(nullptr), hipErrorInvalidValue);
  EXPECT_EQ(hipStreamDestroy(nullptr), hipErrorInvalidHandle);
  hipLaunchKernelGGL(spend_time, 1, 1, 0, stream, static_cast<float*>(nullptr));
  EXPECT_EQ(hipGetLastError(), hipErrorInvalidHandle);
}

TEST_F(StreamTest, MemoryFromAStream) {
  hipStream_t stream = nullptr;
  ASSERT_HIP(hipStreamCreate(&stream));
  float* data = nullptr;
  ASSERT_HIP(hipMallocAsync(&data, 64, stream));
  EXPECT_HIP(hipFreeAsync(data, stream));
  EXPECT_EQ(hipFreeAsync(data, stream), hipErrorInvalidValue);
  EXPECT_HIP(hipStreamDestroy(stream));
}

TEST_F(StreamTest, EventsMeasureTime) {
  hipEvent_t start = nullptr;
  hipEvent_t stop = nullptr;
  ASSERT_HIP(hipEventCreate(&start));
  ASSERT_HIP(hipEventCreate(&stop));
  float milliseconds = -1;
  EXPECT_EQ(hipEventElapsedTime(&milliseconds, start, stop), hipErrorInvalidHandle) << "never recorded";
  auto* out = device<float>(32);
  ASSERT_HIP(hipEventRecord(start, nullptr));
  hipLaunchKernelGGL(spend_time, 1, 32, 0, nullptr, out);
  ASSERT_HIP(hipEventRecord(stop));
  ASSERT_HIP(hipEventSynchronize(stop));
  ASSERT_HIP(hipEventQuery(stop));
  ASSERT_HIP(hipStreamWaitEvent(nullptr, stop));
  ASSERT_HIP(hipEventElapsedTime(&milliseconds, start, stop));
  EXPECT_GT(milliseconds, 0.0f);
  EXPECT_LT(milliseconds, 60000.0f);
  EXPECT_HIP(hipEventDestroy(start));
  EXPECT_EQ(hipEventDestroy(start), hipErrorInvalidHandle);
  EXPECT_EQ(hipEventRecord(start, nullptr), hipErrorInvalidHandle);
  hipEvent_t untimed = nullptr;
  ASSERT_HIP(hipEventCreateWithFlags(&untimed, hipEventDisableTiming));
  ASSERT_HIP(hipEventRecord(untimed, nullptr));
  EXPECT_EQ(hipEventElapsedTime(&milliseconds, untimed, stop), hipErrorInvalidHandle);
  EXPECT_HIP(hipEventDestroy(untimed));
  EXPECT_HIP(hipEventDestroy(stop));
}

}  // namespace
}  // namespace hipforge::test
