#include "harness/bench/ceilings.h"

#include <gtest/gtest.h>

#include <string>

namespace hipforge::harness {
namespace {

TEST(Ceilings, ByteCountsWithinHalfAPercentShareAMeasurement) {
  Ceilings ceilings(true);
  constexpr std::int64_t kBytes = std::int64_t{8} << 20;
  const Bandwidth& first = ceilings.bandwidth(Traffic::kRead, kBytes);
  EXPECT_EQ(&ceilings.bandwidth(Traffic::kRead, kBytes), &first);
  EXPECT_EQ(&ceilings.bandwidth(Traffic::kRead, kBytes + kBytes / 1024), &first);
  EXPECT_NE(&ceilings.bandwidth(Traffic::kRead, kBytes + kBytes / 64), &first);
  EXPECT_NE(&ceilings.bandwidth(Traffic::kWrite, kBytes), &first);
}

TEST(Ceilings, AFigureHasItsSpreadAndSaysWhatReachedIt) {
  Ceilings ceilings(true);
  const Bandwidth& copy = ceilings.bandwidth(Traffic::kCopy, 1);
  EXPECT_EQ(copy.bytes, 4096) << "the least that can be moved";
  EXPECT_GT(copy.low_gbps, 0.0);
  EXPECT_LE(copy.low_gbps, copy.gbps);
  EXPECT_LE(copy.gbps, copy.high_gbps);
  EXPECT_TRUE(copy.how == "hipMemcpyAsync" || copy.how.starts_with("own kernel, variant ")) << copy.how;
}

TEST(Ceilings, ThereIsNoMatrixRateInADtypeThatNoMatrixUnitTakes) {
  Ceilings ceilings(true);
  try {
    (void)ceilings.matrix(DType::kF32);
    FAIL() << "a rate in f32";
  } catch (const Error& error) {
    EXPECT_EQ(error.status().code, StatusCode::kUnsupported);
    EXPECT_NE(std::string(error.what()).find("8192x8192x8192 in f32"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace hipforge::harness
