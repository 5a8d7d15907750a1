#include "harness/candidate/candidate.h"

#define HIPFORGE_CANDIDATE_TYPES_ALONE
#include "harness/candidate/hipforge_candidate.h"
#include "harness/sweep/op_cases.h"
#include "kernels/flash_attention.h"
#include "kernels/sample.h"

#include <gtest/gtest.h>

#include <cstring>

namespace hipforge::harness {
namespace {

// The struct as a C compiler lays it out, written by hand: what candidates were compiled against must stay.
struct SampleStruct {
  hipforge_tensor logits, ids, draws;
  float temperature;
  std::int64_t top_k;
  float top_p;
  std::uint64_t seed, position;
};

TEST(CandidateEntry, AStructIsLaidOutAsInC) {
  SampleParams params;
  params.ids.rank = 1;
  params.ids.shape[0] = 7;
  params.ids.strides[0] = 3;
  params.temperature = 0.5f;
  params.top_k = 40;
  params.top_p = 0.25f;
  params.seed = 1ull << 63;
  params.position = 9;
  const CandidateStruct made(params);
  ASSERT_EQ(made.bytes().size(), sizeof(SampleStruct));
  SampleStruct seen;
  std::memcpy(&seen, made.bytes().data(), sizeof(seen));
  EXPECT_EQ(seen.logits.rank, 0);
  EXPECT_EQ(seen.ids.shape[0], 7);
  EXPECT_EQ(seen.ids.strides[0], 3);
  EXPECT_EQ(seen.temperature, 0.5f);
  EXPECT_EQ(seen.top_k, 40);
  EXPECT_EQ(seen.top_p, 0.25f);
  EXPECT_EQ(seen.seed, 1ull << 63);
  EXPECT_EQ(seen.position, 9u);
}

TEST(CandidateEntry, TheHeaderDeclaresEveryOp) {
  const std::string header = candidate_ops_header();
  for (const OpSuite& suite : all_suites()) {
    EXPECT_NE(header.find("int hipforge_candidate_" + suite.op + "("), std::string::npos) << suite.op;
  }
  const std::string attention = candidate_declaration<FlashAttentionParams>();
  for (const char* field : {"hipforge_tensor lse; /* out, or absent */", "hipforge_tensor q; /* in */",
                            "float scale;", "int32_t causal;", "int64_t window;", "uint32_t* error_word;"}) {
    EXPECT_NE(attention.find(field), std::string::npos) << field << " in " << attention;
  }
}

TEST(CandidateEntry, AnUnknownOpAndAnotherOpsParamsAreRefused) {
  EXPECT_THROW((void)bind_candidate_entry("nope", nullptr), Error);
  const auto bound = bind_candidate_entry("flash_attention", nullptr);
  EXPECT_THROW((void)bound(SampleParams{}, nullptr), std::bad_any_cast);
}

}  // namespace
}  // namespace hipforge::harness
