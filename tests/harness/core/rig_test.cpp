#include "harness/core/rig.h"

#include "harness/core/case.h"
#include "kernels/runtime/check.h"
#include "tests/status_matchers.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hipforge::harness {
namespace {

void poke(void* address, float value) {
  HIPFORGE_HIP_CHECK(hipMemcpy(address, &value, sizeof(value), hipMemcpyHostToDevice));
}

// A case whose "kernel" is `act`: what the harness must notice, without any op.
CaseResult run_with(const std::function<void(Rig&)>& act) {
  Case test;
  test.id = "rig/f32/contiguous/4";
  test.prepare = [&act](const CaseEnvironment& environment) {
    PreparedCase prepared;
    prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
    Rig& rig = *prepared.rig;
    rig.input("x", DType::kF32, {4});
    rig.output("y", DType::kF32, {2, 2}, Layout::kStrided);
    rig.error_word();
    prepared.launch = [&act, &rig](hipStream_t) {
      act(rig);
      return Status{};
    };
    prepared.expect = [] {
      Expected expected;
      expected.shape = {2, 2};
      expected.value = {1, 2, 3, 4};
      expected.bound.assign(4, 1e-6);
      return std::vector<OutputExpectation>{{"y", expected}};
    };
    return prepared;
  };
  return run_case(test, {});
}

void write_right_answer(Rig& rig) {
  const TensorView y = rig.view("y");
  for (std::int64_t i = 0; i < 4; ++i) {
    poke(y.as<float>() + i / 2 * y.strides[0] + i % 2, static_cast<float>(i + 1));
  }
}

TEST(Rig, ARightAnswerPasses) {
  const CaseResult result = run_with(write_right_answer);
  EXPECT_TRUE(result.passed) << result.message;
  EXPECT_EQ(result.worst_share, 0.0);
  EXPECT_TRUE(result.bounded);
}

TEST(Rig, AnOutputLeftUnwrittenFails) {
  const CaseResult result = run_with([](Rig&) {});
  EXPECT_FALSE(result.passed);
  EXPECT_NE(result.message.find("4 of 4"), std::string::npos) << result.message;
}

TEST(Rig, AStaleOutputOfAnEarlierLaunchFails) {
  PreparedCase prepared;
  Rig rig(1, nullptr);
  rig.output("y", DType::kF32, {2, 2}, Layout::kStrided);
  write_right_answer(rig);
  ASSERT_OK(rig.reset());
  for (double value : rig.read("y")) EXPECT_TRUE(std::isnan(value));
}

TEST(Rig, AWritePastTheEndOrBeforeTheStartFails) {
  for (int past : {1, 3, 200}) {
    const CaseResult result = run_with([past](Rig& rig) {
      write_right_answer(rig);
      poke(rig.view("x").as<float>() + 3 + past, 0.0f);
    });
    EXPECT_FALSE(result.passed);
    EXPECT_NE(result.message.find("operand x: written past the end"), std::string::npos) << result.message;
  }
  const CaseResult result = run_with([](Rig& rig) {
    write_right_answer(rig);
    poke(rig.view("x").as<float>() - 1, 0.0f);
  });
  EXPECT_NE(result.message.find("operand x: written before the start"), std::string::npos) << result.message;
}

TEST(Rig, AWriteIntoAnInputOrAGapFails) {
  CaseResult result = run_with([](Rig& rig) {
    write_right_answer(rig);
    poke(rig.view("x").data, 123.0f);
  });
  EXPECT_NE(result.message.find("an input was written"), std::string::npos) << result.message;
  result = run_with([](Rig& rig) {
    write_right_answer(rig);
    poke(rig.view("y").as<float>() + 2, 0.0f);
  });
  EXPECT_NE(result.message.find("a gap between its rows was written"), std::string::npos) << result.message;
}

TEST(Rig, AnUnexpectedErrorWordFails) {
  const CaseResult result = run_with([](Rig& rig) {
    write_right_answer(rig);
    const std::uint32_t word = 1;
    HIPFORGE_HIP_CHECK(hipMemcpy(rig.view("error_word").data, &word, sizeof(word), hipMemcpyHostToDevice));
  });
  EXPECT_FALSE(result.passed);
  EXPECT_NE(result.message.find("token id out of range"), std::string::npos) << result.message;
}

TEST(Rig, AThrowingCaseIsAFailedResult) {
  const CaseResult result = run_with([](Rig& rig) { (void)rig.view("nothing"); });
  EXPECT_FALSE(result.passed);
  EXPECT_NE(result.message.find("no operand nothing"), std::string::npos);
}

TEST(Rig, StridesAndMisalignmentDoNotChangeTheValues) {
  Rig plain(5, nullptr);
  Rig strided(5, nullptr);
  plain.input("x", DType::kF16, {3, 5, 7});
  strided.input("x", DType::kF16, {3, 5, 7}, Family::kNormal, 1.0, Layout::kStrided);
  EXPECT_EQ(plain.values("x"), strided.values("x"));
  EXPECT_NE(reinterpret_cast<std::uintptr_t>(strided.view("x").data) % 4, 0u);
  EXPECT_GT(strided.view("x").strides[0], 5 * strided.view("x").strides[1]);
}

}  // namespace
}  // namespace hipforge::harness
