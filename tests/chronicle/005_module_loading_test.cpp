// hipModuleGetFunction may report success with a null function, which crashed at the launch.

#include "kernels/runtime/launch.h"
#include "kernels/runtime/module.h"
#include "tests/status_matchers.h"

namespace hipforge {
namespace {

TEST(Chronicle005, AMissingModuleIsAnErrorThatNamesIt) {
  try {
    const Module module("/no/such/module.so");
    FAIL() << "no error";
  } catch (const Error& error) {
    expect_status(error.status(), StatusCode::kNotFound, "/no/such/module.so");
  }
}

TEST(Chronicle005, AMissingKernelIsAnErrorThatNamesModuleAndKernel) {
  const Module module(HIPFORGE_TEST_MODULE);
  EXPECT_NE(module.function("chronicle_kernel"), nullptr);
  try {
    (void)module.function("no_such_kernel");
    FAIL() << "no error";
  } catch (const Error& error) {
    expect_status(error.status(), StatusCode::kNotFound, "no_such_kernel", HIPFORGE_TEST_MODULE);
  }
}

TEST(Chronicle005, AKernelWithoutAnAddressIsNeverLaunched) {
  LaunchPlan plan;
  plan.kernel = "nothing_f32_w32";
  expect_status(launch(plan, 0, nullptr), StatusCode::kNotFound, "nothing_f32_w32");
}

}  // namespace
}  // namespace hipforge
