// Settings: the environment, the setters, and what a bad value does. The environment is read when a program
// starts, so those cases run this program again.
#include "platform_fixture.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>

namespace hipforge::test {
namespace {

using ConfigTest = PlatformTest;

struct Output {
  int status;
  std::string text;
};

/// Runs the hidden test below in a fresh process.
Output run_again(const std::string& environment) {
  std::array<char, 4096> self{};
  const ssize_t length = readlink("/proc/self/exe", self.data(), self.size() - 1);
  EXPECT_GT(length, 0);
  const std::string command =
      "env -u HIPFORGE_CPU_WAVE -u HIPFORGE_CPU_SCHEDULE -u HIPFORGE_CPU_WORKERS " + environment + " '" +
      self.data() + "' --gtest_also_run_disabled_tests --gtest_filter=ConfigTest.DISABLED_PrintSettings 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  Output output{0, ""};
  std::array<char, 512> line{};
  while (fgets(line.data(), line.size(), pipe) != nullptr) output.text += line.data();
  output.status = pclose(pipe);
  return output;
}

TEST_F(ConfigTest, DISABLED_PrintSettings) {
  int devices = -1;
  const hipError_t error = hipGetDeviceCount(&devices);
  void* pointer = nullptr;
  const hipError_t malloc_error = hipMalloc(&pointer, 256);
  printf("first=%s devices=%d malloc=%s address=%p wave=%d schedule=%llu workers=%d timeout=%d detail=%s\n",
         hipGetErrorName(error), devices, hipGetErrorName(malloc_error), pointer, hipforge_cpu_wave(),
         static_cast<unsigned long long>(hipforge_cpu_schedule()), hipforge_cpu_workers(),
         hipforge_cpu_timeout_ms(), hipforge_cpu_last_error_detail());
}

TEST_F(ConfigTest, TheEnvironmentGivesInitialValues) {
  const Output output = run_again(
      "HIPFORGE_CPU_WAVE=64 HIPFORGE_CPU_SCHEDULE=18446744073709551615 HIPFORGE_CPU_WORKERS=3 "
      "HIPFORGE_CPU_TIMEOUT_MS=1234");
  EXPECT_TRUE(contains(output.text, "first=hipSuccess devices=1 malloc=hipSuccess")) << output.text;
  EXPECT_TRUE(contains(output.text, "wave=64 schedule=18446744073709551615 workers=3 timeout=1234"));
}

TEST_F(ConfigTest, ASeededScheduleRunsOnOneWorker) {
  EXPECT_TRUE(contains(run_again("HIPFORGE_CPU_SCHEDULE=9").text, "schedule=9 workers=1"));
  hipforge_cpu_set_schedule(0);
  EXPECT_GE(hipforge_cpu_workers(), 1);
  hipforge_cpu_set_schedule(5);
  EXPECT_EQ(hipforge_cpu_workers(), 1);
  EXPECT_HIP(hipforge_cpu_set_workers(4));
  EXPECT_EQ(hipforge_cpu_workers(), 4);
}

TEST_F(ConfigTest, ABadValueIsOneLineAndAnErrorFromTheFirstCall) {
  for (const char* bad : {"HIPFORGE_CPU_WAVE=48", "HIPFORGE_CPU_WAVE=", "HIPFORGE_CPU_WAVE=32x",
                          "HIPFORGE_CPU_SCHEDULE=-1", "HIPFORGE_CPU_WORKERS=0", "HIPFORGE_CPU_WORKERS=many",
                          "HIPFORGE_CPU_TIMEOUT_MS=0", "HIPFORGE_CPU_MEMORY_MIB=none"}) {
    const Output output = run_again(bad);
    const std::string variable = std::string(bad).substr(0, std::string(bad).find('='));
    EXPECT_TRUE(contains(output.text, "hipforge cpu: " + variable + " is \""));
    EXPECT_TRUE(
        contains(output.text, "first=hipErrorNotInitialized devices=0 malloc=hipErrorNotInitialized"));
    EXPECT_TRUE(contains(output.text, "detail=" + variable));
    const size_t once = output.text.find("hipforge cpu: ");
    EXPECT_EQ(output.text.find("hipforge cpu: ", once + 1), std::string::npos) << output.text;
  }
}

TEST_F(ConfigTest, AddressesRepeatFromRunToRun) {
  const auto address = [](const std::string& text) {
    const size_t at = text.find("address=");
    return at == std::string::npos ? std::string() : text.substr(at, text.find(' ', at) - at);
  };
  const std::string first = address(run_again("").text);
  EXPECT_NE(first, "");
  EXPECT_NE(first, "address=(nil)");
  EXPECT_EQ(first, address(run_again("").text));
  EXPECT_EQ(first, address(run_again("HIPFORGE_CPU_WAVE=64").text));
}

TEST_F(ConfigTest, MemoryIsLimited) {
  EXPECT_TRUE(contains(run_again("HIPFORGE_CPU_MEMORY_MIB=1").text, "malloc=hipSuccess"));
  size_t free_bytes = 0;
  size_t total_bytes = 0;
  ASSERT_HIP(hipMemGetInfo(&free_bytes, &total_bytes));
  void* pointer = nullptr;
  EXPECT_EQ(hipMalloc(&pointer, total_bytes + 1), hipErrorOutOfMemory);
  EXPECT_EQ(pointer, nullptr);
  EXPECT_EQ(hipMalloc(&pointer, ~size_t{0} - 10), hipErrorOutOfMemory);
  EXPECT_EQ(hipGetLastError(), hipErrorOutOfMemory);
}

TEST_F(ConfigTest, SettersRefuseWhatTheyCannotMean) {
  EXPECT_EQ(hipforge_cpu_set_wave(16), hipErrorInvalidValue);
  EXPECT_EQ(hipforge_cpu_set_wave(0), hipErrorInvalidValue);
  EXPECT_EQ(hipforge_cpu_set_workers(-1), hipErrorInvalidValue);
  EXPECT_EQ(hipforge_cpu_set_workers(1025), hipErrorInvalidValue);
  EXPECT_EQ(hipforge_cpu_set_timeout_ms(0), hipErrorInvalidValue);
  EXPECT_HIP(hipforge_cpu_set_wave(64));
  EXPECT_EQ(warpSize, 64);
}

TEST_F(ConfigTest, AThreadsTargetIsItsOwn) {
  EXPECT_HIP(hipforge_cpu_set_wave(32));
  EXPECT_HIP(hipforge_cpu_set_thread_target(64, size_t{227} << 10));
  const auto properties = [] {
    hipDeviceProp_t asked;
    EXPECT_HIP(hipGetDeviceProperties(&asked, 0));
    return std::pair(asked.warpSize, asked.sharedMemPerBlock);
  };
  EXPECT_EQ(properties(), std::pair(64, size_t{227} << 10));
  EXPECT_EQ(warpSize, 64);
  EXPECT_EQ(hipforge_cpu_wave(), 32) << "the device's own";
  std::thread([&] { EXPECT_EQ(properties(), std::pair(32, size_t{64} << 10)); }).join();
  EXPECT_EQ(hipforge_cpu_set_thread_target(16, 0), hipErrorInvalidValue);
  EXPECT_EQ(hipforge_cpu_set_thread_target(32, (size_t{256} << 10) + 1), hipErrorInvalidValue);
  EXPECT_EQ(properties().first, 64) << "what is refused changes nothing";
  EXPECT_HIP(hipforge_cpu_set_thread_target(0, 0));
  EXPECT_EQ(properties(), std::pair(32, size_t{64} << 10));
  EXPECT_EQ(warpSize, 32);
}

}  // namespace
}  // namespace hipforge::test
