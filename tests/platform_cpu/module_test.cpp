// Modules: load, find, launch by both argument forms, unload; and what is missing.
#include "module_kernels.h"
#include "platform_fixture.h"

#include <dlfcn.h>

#include <fstream>
#include <iterator>
#include <numeric>

namespace hipforge::test {
namespace {

class ModuleTest : public PlatformTest {
 protected:
  ModuleTest() { EXPECT_HIP(hipModuleLoad(&module_, HIPFORGE_TEST_MODULE)); }
  ~ModuleTest() override {
    hipforge_cpu_clear_fault();
    if (module_ != nullptr) static_cast<void>(hipModuleUnload(module_));
  }

  hipFunction_t function(const char* name) {
    hipFunction_t found = nullptr;
    EXPECT_HIP(hipModuleGetFunction(&found, module_, name));
    return found;
  }

  float* counting(unsigned count) {
    std::vector<float> values(count);
    std::iota(values.begin(), values.end(), 0.0f);
    auto* data = device<float>(count);
    EXPECT_HIP(hipMemcpy(data, values.data(), count * sizeof(float), hipMemcpyHostToDevice));
    return data;
  }

  static hipError_t launch_buffer(hipFunction_t kernel, unsigned grid, unsigned block, ScaleArgs args) {
    size_t bytes = sizeof(args);
    void* extra[] = {HIP_LAUNCH_PARAM_BUFFER_POINTER, &args, HIP_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
                     HIP_LAUNCH_PARAM_END};
    return hipModuleLaunchKernel(kernel, grid, 1, 1, block, 1, 1, 0, nullptr, nullptr, extra);
  }

  static bool loaded() { return dlopen(HIPFORGE_TEST_MODULE, RTLD_NOW | RTLD_NOLOAD) != nullptr; }

  hipModule_t module_ = nullptr;
};

TEST_F(ModuleTest, ABufferLaunchesAnyKernelOfOneStruct) {
  for (const char* name : {"module_scale", "module_scale_exported"}) {
    auto* data = counting(100);
    ASSERT_HIP(launch_buffer(function(name), 4, 32, ScaleArgs{data, 3.0f, 100, {}}));
    const auto values = host(data, 100);
    for (unsigned i = 0; i < 100; ++i) ASSERT_EQ(values[i], 3.0f * static_cast<float>(i));
  }
}

TEST_F(ModuleTest, ParametersLaunchExportedKernels) {
  auto* data = counting(100);
  ScaleArgs args{data, 2.0f, 100, {}};
  void* one[] = {&args};
  ASSERT_HIP(
      hipModuleLaunchKernel(function("module_scale_exported"), 4, 1, 1, 32, 1, 1, 0, nullptr, one, nullptr));
  float what = 0.5f;
  unsigned count = 100;
  void* three[] = {&data, &what, &count};
  ASSERT_HIP(hipModuleLaunchKernel(function("module_add"), 4, 1, 1, 32, 1, 1, 0, nullptr, three, nullptr));
  const auto values = host(data, 100);
  for (unsigned i = 0; i < 100; ++i) ASSERT_EQ(values[i], 2.0f * static_cast<float>(i) + 0.5f);
  EXPECT_EQ(hipModuleLaunchKernel(function("module_scale"), 4, 1, 1, 32, 1, 1, 0, nullptr, one, nullptr),
            hipErrorInvalidDeviceFunction);
  EXPECT_TRUE(contains(hipforge_cpu_last_error_detail(), "module_scale has no HIPFORGE_EXPORT_KERNEL"));
}

TEST_F(ModuleTest, BarriersAndSharedArraysOfAModule) {
  auto* data = counting(64);
  ASSERT_HIP(launch_buffer(function("module_reverse"), 1, 64, ScaleArgs{data, 0, 64, {}}));
  const auto values = host(data, 64);
  for (unsigned i = 0; i < 64; ++i) ASSERT_EQ(values[i], static_cast<float>(63 - i));
  for (int round = 0; round < 2; ++round) {
    ASSERT_HIP(launch_buffer(function("module_shared_poison"), 1, 32, ScaleArgs{data, 0, 32, {}}));
    for (const float poisoned : host(data, 32)) ASSERT_EQ(poisoned, 1.0f);
  }
}

TEST_F(ModuleTest, AFaultNamesTheKernel) {
  auto* data = device<float>(1024);
  ASSERT_HIP(launch_buffer(function("module_out_of_bounds"), 1, 32, ScaleArgs{data, 0, 1024, {}}));
  EXPECT_TRUE(
      contains(fault(), "kernel module_out_of_bounds block (0,0,0) thread (1,0,0): out-of-bounds write"));
}

TEST_F(ModuleTest, AMissingKernelIsAnErrorThatNamesBoth) {
  auto* found = reinterpret_cast<hipFunction_t>(uintptr_t{1});
  EXPECT_EQ(hipModuleGetFunction(&found, module_, "no_such_kernel"), hipErrorNotFound);
  EXPECT_EQ(found, nullptr);
  EXPECT_TRUE(contains(hipforge_cpu_last_error_detail(), "no_such_kernel"));
  EXPECT_TRUE(contains(hipforge_cpu_last_error_detail(), HIPFORGE_TEST_MODULE));
  EXPECT_EQ(launch_buffer(nullptr, 1, 1, ScaleArgs{}), hipErrorInvalidHandle);
  EXPECT_EQ(hipModuleGetFunction(nullptr, module_, "module_scale"), hipErrorInvalidValue);
  EXPECT_EQ(hipModuleGetFunction(&found, nullptr, "module_scale"), hipErrorInvalidHandle);
}

TEST_F(ModuleTest, FilesThatAreNoModules) {
  hipModule_t module = nullptr;
  EXPECT_EQ(hipModuleLoad(&module, "/no/such/file.so"), hipErrorFileNotFound);
  EXPECT_EQ(module, nullptr);
  EXPECT_EQ(hipModuleLoad(&module, "/proc/self/cmdline"), hipErrorInvalidImage);
  EXPECT_EQ(hipModuleLoad(nullptr, HIPFORGE_TEST_MODULE), hipErrorInvalidValue);
  EXPECT_EQ(hipModuleLoadData(&module, std::string(100, 'x').c_str()), hipErrorInvalidImage);
}

TEST_F(ModuleTest, BadArguments) {
  const hipFunction_t scale = function("module_scale_exported");
  void* none[] = {HIP_LAUNCH_PARAM_END};
  EXPECT_EQ(hipModuleLaunchKernel(scale, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, none), hipErrorInvalidValue);
  ScaleArgs args{};
  size_t bytes = 8;
  void* extra[] = {HIP_LAUNCH_PARAM_BUFFER_POINTER, &args, HIP_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
                   HIP_LAUNCH_PARAM_END};
  EXPECT_EQ(hipModuleLaunchKernel(scale, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, extra), hipErrorInvalidValue);
  EXPECT_EQ(hipModuleLaunchKernel(scale, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr),
            hipErrorInvalidValue);
  EXPECT_EQ(launch_buffer(scale, 1, 1025, args), hipErrorInvalidConfiguration);
}

TEST_F(ModuleTest, Globals) {
  void* table = nullptr;
  size_t bytes = 0;
  ASSERT_HIP(hipModuleGetGlobal(&table, &bytes, module_, "module_table"));
  EXPECT_EQ(bytes, 3 * sizeof(int));
  EXPECT_EQ(static_cast<int*>(table)[2], 30);
  EXPECT_EQ(hipModuleGetGlobal(&table, &bytes, module_, "no_table"), hipErrorNotFound);
}

TEST_F(ModuleTest, FromMemory) {
  std::ifstream file(HIPFORGE_TEST_MODULE, std::ios::binary);
  const std::vector<char> image((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  hipModule_t copy = nullptr;
  ASSERT_HIP(hipModuleLoadData(&copy, image.data()));
  hipFunction_t scale = nullptr;
  ASSERT_HIP(hipModuleGetFunction(&scale, copy, "module_shared_poison"));
  auto* data = counting(32);
  ASSERT_HIP(launch_buffer(scale, 1, 32, ScaleArgs{data, 0, 32, {}}));
  EXPECT_EQ(host(data, 32), std::vector<float>(32, 1.0f));
  ASSERT_HIP(hipModuleUnload(copy));
}

TEST_F(ModuleTest, UnloadingEndsItsKernels) {
  for (int round = 0; round < 3; ++round) {
    hipModule_t again = nullptr;
    ASSERT_HIP(hipModuleLoad(&again, HIPFORGE_TEST_MODULE));
    hipFunction_t scale = nullptr;
    ASSERT_HIP(hipModuleGetFunction(&scale, again, "module_scale"));
    auto* data = counting(10);
    ASSERT_HIP(launch_buffer(scale, 1, 32, ScaleArgs{data, 2.0f, 10, {}}));
    ASSERT_HIP(hipModuleUnload(again));
    EXPECT_EQ(hipModuleUnload(again), hipErrorInvalidHandle);
    EXPECT_EQ(launch_buffer(scale, 1, 32, ScaleArgs{data, 2.0f, 10, {}}), hipErrorInvalidHandle);
  }
  ASSERT_HIP(hipModuleUnload(module_));
  module_ = nullptr;
  EXPECT_EQ(loaded(), kAsan) << "AddressSanitizer needs libraries to stay";
}

extern "C" __global__ void exported_in_program(float* out, int value) {
  *out = static_cast<float>(value);
}
HIPFORGE_EXPORT_KERNEL(exported_in_program);
extern "C" __global__ void not_exported_in_program(float* out) {
  *out = 1;
}

TEST_F(ModuleTest, LaunchByAddressAlone) {
  auto* out = device<float>(1);
  int value = 42;
  void* arguments[] = {&out, &value};
  ASSERT_HIP(hipLaunchKernel(reinterpret_cast<const void*>(&exported_in_program), dim3(1), dim3(1), arguments,
                             0, nullptr));
  EXPECT_EQ(host(out, 1)[0], 42.0f);
  EXPECT_EQ(hipLaunchKernel(reinterpret_cast<const void*>(&not_exported_in_program), dim3(1), dim3(1),
                            arguments, 0, nullptr),
            hipErrorInvalidDeviceFunction);
  EXPECT_TRUE(contains(hipforge_cpu_last_error_detail(), "not_exported_in_program"));
}

}  // namespace
}  // namespace hipforge::test
