#include "kernels/runtime/kernel_registry.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace hipforge {
namespace {

TEST(KernelRegistry, HoldsEveryKernelOnceUnderItsName) {
  std::set<std::string> names;
  for (const RegisteredKernel* kernel : registered_kernels()) {
    EXPECT_TRUE(names.insert(kernel->name()).second) << kernel->name() << " stands twice";
    EXPECT_GT(kernel->args_bytes(), 0u) << kernel->name();
    EXPECT_EQ(find_kernel(kernel->name()), kernel);
  }
  EXPECT_TRUE(names.contains("fill_f32"));
  EXPECT_EQ(find_kernel("fill"), nullptr);
  EXPECT_EQ(find_kernel(""), nullptr);
}

TEST(KernelRegistry, RefusesArgumentsOfAnotherSize) {
  const RegisteredKernel* const kernel = find_kernel("fill_f32");
  ASSERT_NE(kernel, nullptr);
  const std::vector<std::byte> args(kernel->args_bytes() - 1);
  const Status status = kernel->launch({}, args, nullptr);
  EXPECT_EQ(status.code, StatusCode::kInvalidArgument);
  EXPECT_NE(status.message.find(std::to_string(args.size())), std::string::npos) << status.message;
  EXPECT_NE(status.message.find(std::to_string(kernel->args_bytes())), std::string::npos) << status.message;
}

}  // namespace
}  // namespace hipforge
