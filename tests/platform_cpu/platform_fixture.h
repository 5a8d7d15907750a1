// Leaves the platform as it found it, whatever a test sets or breaks.
#pragma once

#include <gtest/gtest.h>

#include <hip/hip_runtime.h>
#include <hipforge_cpu.h>

#include <cstdint>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define HIPFORGE_TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HIPFORGE_TEST_ASAN 1
#endif
#endif

namespace hipforge::test {

#if defined(HIPFORGE_TEST_ASAN)
inline constexpr bool kAsan = true;
#else
inline constexpr bool kAsan = false;
#endif

#define EXPECT_HIP(call) EXPECT_EQ(call, hipSuccess) << hipforge_cpu_last_error_detail()
#define ASSERT_HIP(call) ASSERT_EQ(call, hipSuccess) << hipforge_cpu_last_error_detail()

class PlatformTest : public ::testing::Test {
 protected:
  PlatformTest()
      : wave_(hipforge_cpu_wave()),
        schedule_(hipforge_cpu_schedule()),
        timeout_ms_(hipforge_cpu_timeout_ms()) {
    hipforge_cpu_clear_fault();
  }
  ~PlatformTest() override {
    hipforge_cpu_clear_fault();
    for (void* pointer : allocations_) static_cast<void>(hipFree(pointer));
    hipforge_cpu_clear_fault();
    hipforge_cpu_set_wave(wave_);
    hipforge_cpu_set_thread_target(0, 0);
    hipforge_cpu_set_schedule(schedule_);
    hipforge_cpu_set_timeout_ms(timeout_ms_);
    hipforge_cpu_set_workers(0);
  }

  /// Freed when the test ends.
  template <typename T>
  T* device(size_t count) {
    T* pointer = nullptr;
    EXPECT_HIP(hipMalloc(&pointer, count * sizeof(T)));
    allocations_.push_back(pointer);
    return pointer;
  }

  template <typename T>
  std::vector<T> host(const T* source, size_t count) {
    std::vector<T> values(count);
    EXPECT_HIP(hipMemcpy(values.data(), source, count * sizeof(T), hipMemcpyDeviceToHost));
    return values;
  }

  /// What the next synchronisation must report after a launch that faulted.
  static std::string fault() {
    EXPECT_EQ(hipGetLastError(), hipSuccess)
        << "a fault shows at the next synchronisation, not at the launch";
    EXPECT_EQ(hipDeviceSynchronize(), hipErrorLaunchFailure);
    return hipforge_cpu_last_fault();
  }

  static ::testing::AssertionResult contains(const std::string& text, const std::string& part) {
    if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "\"" << part << "\" is not in \"" << text << "\"";
  }

  std::vector<void*> allocations_;

 private:
  int wave_;
  uint64_t schedule_;
  int timeout_ms_;
};

}  // namespace hipforge::test
