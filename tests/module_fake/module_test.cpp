// Chronicle 005 with the runtime that it happened on: success reported with a null handle.

#include "kernels/runtime/module.h"
#include "tests/status_matchers.h"

#include <utility>

namespace {

struct Answer {
  hipError_t error = hipSuccess;
  void* handle = nullptr;
};
Answer load_answer;
Answer function_answer;
int unloads = 0;

int some_object = 0;

}  // namespace

extern "C" hipError_t hipModuleLoad(hipModule_t* module, const char*) {
  *module = static_cast<hipModule_t>(load_answer.handle);
  return load_answer.error;
}
extern "C" hipError_t hipModuleGetFunction(hipFunction_t* function, hipModule_t, const char*) {
  *function = static_cast<hipFunction_t>(function_answer.handle);
  return function_answer.error;
}
extern "C" hipError_t hipModuleUnload(hipModule_t) {
  ++unloads;
  return hipSuccess;
}

namespace hipforge {
namespace {

template <class Call>
Status status_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.status();
  }
  return {};
}

class ModuleFake : public ::testing::Test {
 protected:
  void SetUp() override {
    load_answer = {hipSuccess, &some_object};
    function_answer = {hipSuccess, &some_object};
    unloads = 0;
  }
};

TEST_F(ModuleFake, SuccessWithANullFunctionIsAnErrorThatNamesModuleAndKernel) {
  const Module module("kernels.co");
  EXPECT_EQ(module.function("softmax_f32_w64"), static_cast<hipFunction_t>(function_answer.handle));
  function_answer.handle = nullptr;
  expect_status(status_of([&] { (void)module.function("softmax_f32_w64"); }), StatusCode::kNotFound,
                "softmax_f32_w64", "kernels.co", "null function");
}

TEST_F(ModuleFake, AMissingKernelIsAnErrorThatNamesModuleAndKernel) {
  const Module module("kernels.co");
  function_answer = {hipErrorNotFound, nullptr};
  expect_status(status_of([&] { (void)module.function("softmax_f32_w64"); }), StatusCode::kNotFound,
                "softmax_f32_w64", "kernels.co", "hipErrorNotFound");
}

TEST_F(ModuleFake, SuccessWithANullModuleIsAnErrorThatNamesIt) {
  load_answer.handle = nullptr;
  expect_status(status_of([] { const Module module("kernels.co"); }), StatusCode::kNotFound, "kernels.co",
                "null handle");
  EXPECT_EQ(unloads, 0);
}

TEST_F(ModuleFake, AModuleThatDoesNotLoadIsAnErrorThatNamesIt) {
  load_answer = {hipErrorInvalidImage, nullptr};
  expect_status(status_of([] { const Module module("kernels.co"); }), StatusCode::kHipError, "kernels.co",
                "hipErrorInvalidImage");
  load_answer = {hipErrorFileNotFound, nullptr};
  expect_status(status_of([] { const Module module("kernels.co"); }), StatusCode::kNotFound, "kernels.co");
}

TEST_F(ModuleFake, OneOwnerUnloadsOnce) {
  {
    Module first("a.co");
    Module second(std::move(first));
    EXPECT_EQ(second.path(), "a.co");
  }
  EXPECT_EQ(unloads, 1);
}

}  // namespace
}  // namespace hipforge
