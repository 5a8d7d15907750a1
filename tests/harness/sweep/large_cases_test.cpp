#include "harness/sweep/large_cases.h"

#include "kernels/runtime/check.h"
#include "tests/status_matchers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

namespace hipforge::harness {
namespace {

// Lengths divided by this: every case runs in a moment on the cpu platform.
constexpr std::int64_t kShrink = 256;

void poke(const TensorView& tensor, std::int64_t element, float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto half = static_cast<std::uint16_t>(bits >> 16);  // bf16 by truncation; in f16 a number as well
  const bool wide = tensor.dtype == DType::kF32;
  auto* at = static_cast<std::byte*>(tensor.data) + static_cast<std::size_t>(element) * (wide ? 4 : 2);
  HIPFORGE_HIP_CHECK(
      hipMemcpy(at, wide ? static_cast<const void*>(&bits) : &half, wide ? 4 : 2, hipMemcpyHostToDevice));
}

CaseEnvironment environment() {
  CaseEnvironment made;
  throw_if_error(device_target(made.target));
  return made;
}

TEST(LargeCases, EveryOneIsRightWhenItsKernelIs) {
  std::size_t count = 0;
  std::set<std::string> ids;
  for (const OpSuite& suite : all_suites()) {
    if (!suite.large_cases) continue;
    for (const Case& test : suite.large_cases(kShrink)) {
      const CaseResult result = run_case(test, environment());
      EXPECT_TRUE(result.passed) << test.id << ": " << result.message;
      EXPECT_TRUE(result.bounded) << test.id;
      EXPECT_GT(result.elements, 0u) << test.id;
      ++count;
    }
    // What is measured has names of its own, and none without a purpose.
    for (const Case& test : suite.large_cases(1)) {
      EXPECT_TRUE(ids.insert(test.id).second) << test.id;
      EXPECT_NE(test.id.find("/large/"), std::string::npos) << test.id;
      EXPECT_LT(test.floor_share, 1.0) << test.id;
    }
  }
  EXPECT_EQ(ids.size(), count);
}

TEST(LargeCases, OneWrongSampleFailsAndIsNamed) {
  for (const OpSuite& suite : all_suites()) {
    if (!suite.large_cases) continue;
    const Case test = suite.large_cases(kShrink).front();
    PreparedCase prepared = test.prepare(environment());
    ASSERT_OK(prepared.rig->reset());
    ASSERT_OK(prepared.launch(nullptr));
    const std::string output = suite.op == "weighted_matmul"   ? "out"
                               : suite.op == "flash_attention" ? "o"
                                                               : "y";
    // The first element is always in the sample.
    poke(prepared.rig->view(output), 0, 1000.0f);
    const CaseResult result = check_case(prepared);
    EXPECT_FALSE(result.passed) << test.id;
    EXPECT_NE(result.message.find("sampled elements are wrong, the worst is " + output + "[0, 0"),
              std::string::npos)
        << result.message;
  }
}

TEST(LargeCases, PoisonLeftAnywhereFailsThoughNoSampleSeesIt) {
  Rig rig(1, nullptr, HostCopy::kNone);
  const TensorView y = rig.output("y", DType::kBF16, {4096});
  ASSERT_OK(rig.reset());
  EXPECT_EQ(rig.not_finite(y), 4096u);
  for (std::int64_t i = 0; i < 4096; ++i) poke(y, i, 1.0f);
  EXPECT_EQ(rig.not_finite(y), 0u);
  Expected expected;
  expected.dtype = DType::kBF16;
  expected.shape = {2};
  expected.value = {1.0, 1.0};
  expected.bound = {1e-9, 1e-9};
  SampledOutputs sampled;
  sampled.add({"y", expected, slice_axis(y, 0, 0, 2, 4095)}, y);
  EXPECT_TRUE(sampled.judge(rig).passed);
  poke(y, 77, INFINITY);
  const Comparison comparison = sampled.judge(rig);
  EXPECT_FALSE(comparison.passed);
  EXPECT_NE(comparison.message.find("1 of 4096 elements are NaN or infinite"), std::string::npos)
      << comparison.message;
}

TEST(LargeCases, AWrittenInputAndAWriteOutsideAreFoundWithoutHostCopies) {
  Rig rig(1, nullptr, HostCopy::kNone);
  const TensorView x = rig.input("x", DType::kF32, {64, 33});
  EXPECT_TRUE(rig.finish().ok());
  Rig known(1, nullptr);
  known.input("x", DType::kF32, {64, 33});
  const std::vector<double> values = rig.before(slice_axis(x, 0, 0, 2, 5));
  for (std::size_t i = 0; i < 33; ++i) {
    EXPECT_EQ(values[i], known.values("x")[i]);
    EXPECT_EQ(values[33 + i], known.values("x")[5 * 33 + i]);
  }
  const float before = static_cast<float>(values[34]);
  poke(x, 5 * 33 + 1, before + 1.0f);
  EXPECT_NE(rig.finish().message.find("an input was written"), std::string::npos);
  poke(x, 5 * 33 + 1, before);
  EXPECT_TRUE(rig.finish().ok());
  poke(x, 64 * 33, 0.0f);
  EXPECT_NE(rig.finish().message.find("written past the end"), std::string::npos);
  EXPECT_THROW(rig.allow_writes(x), Error);
  EXPECT_THROW((void)rig.values("x"), Error);
  EXPECT_THROW((void)rig.now(slice_axis(x, 0, 64, 1)), Error);
}

TEST(LargeCases, SamplesSpreadFromTheFirstToTheLast) {
  EXPECT_EQ(spread(3, 10, 1), (std::vector<std::int64_t>{0, 1, 2}));
  const std::vector<std::int64_t> chosen = spread(1000, 10, 1);
  ASSERT_EQ(chosen.size(), 10u);
  EXPECT_EQ(chosen.front(), 0);
  EXPECT_EQ(chosen.back(), 999);
  for (std::size_t i = 0; i < chosen.size(); ++i) EXPECT_EQ(chosen[i] / 100, static_cast<std::int64_t>(i));
  EXPECT_NE(chosen, spread(1000, 10, 2));
}

TEST(LargeCases, CombsTakeOneIndexOutOfEachPartWithBothEnds) {
  for (std::int64_t size : {1, 2, 16, 17, 56, 127, 1000, 8192, 14336}) {
    std::set<std::int64_t> chosen;
    std::int64_t count = 0;
    for (const Comb& comb : combs(size, 8, 16, 1)) {
      for (std::int64_t i = 0; i < comb.count; ++i) chosen.insert(comb.first + i * comb.step);
      count += comb.count;
    }
    EXPECT_EQ(static_cast<std::int64_t>(chosen.size()), count) << "one twice, of " << size;
    EXPECT_EQ(*chosen.begin(), 0) << size;
    EXPECT_EQ(*chosen.rbegin(), size - 1) << size;
    if (size < 128) {
      EXPECT_EQ(count, size);
    }
    if (size != 8192) continue;
    std::int64_t part = 0;
    for (std::int64_t index : chosen) EXPECT_EQ(index / 64, part++);
    EXPECT_EQ(part, 128);
  }
}

}  // namespace
}  // namespace hipforge::harness
