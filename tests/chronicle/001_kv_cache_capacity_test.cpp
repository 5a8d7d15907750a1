// A page's token store was made with capacity 0, and can_append compared length + n with it: no token ever
// fitted.

#include "kernels/kv_append.h"
#include "model_runner/kv_cache.h"
#include "tests/chronicle/attention.h"

namespace hipforge {
namespace {

runner::KvCacheShape ten_pages_of_four() {
  return {.layers = 1, .kv_heads = 1, .head_dim = 8, .page_size = 4, .max_pages = 10, .dtype = DType::kF32};
}

TEST(Chronicle001, FourTokensFitANewSequenceOfPagesOfFour) {
  runner::KvCache cache(ten_pages_of_four());
  const runner::SequenceId sequence = cache.create_sequence();
  ASSERT_OK(cache.append(sequence, 4));
  EXPECT_EQ(cache.length(sequence), 4);
  EXPECT_EQ(cache.block_table(sequence).size(), 1u);
  ASSERT_OK(cache.append(sequence, 1));
  EXPECT_EQ(cache.block_table(sequence).size(), 2u);
}

TEST(Chronicle001, AppendingPastTheLastPageIsAnErrorAndChangesNothing) {
  runner::KvCache cache(ten_pages_of_four());
  const runner::SequenceId sequence = cache.create_sequence();
  ASSERT_OK(cache.append(sequence, 39));
  expect_status(cache.append(sequence, 2), StatusCode::kCapacity, "2 tokens after 39", "0 of 10");
  EXPECT_EQ(cache.length(sequence), 39);
  EXPECT_EQ(cache.free_pages(), 0);
  ASSERT_OK(cache.append(sequence, 1));
  expect_status(cache.append(sequence, 1), StatusCode::kCapacity);
  EXPECT_EQ(cache.length(sequence), 40);
}

TEST(Chronicle001, WhatWasAppendedIsThere) {
  runner::KvCache cache(ten_pages_of_four());
  const runner::SequenceId sequence = cache.create_sequence();
  ASSERT_OK(cache.append(sequence, 4));
  harness::Rig rig(1, nullptr);
  const auto page = static_cast<double>(cache.block_table(sequence)[0]);
  KvAppendParams params;
  params.k = rig.input("k", DType::kF32, {4, 1, 8});
  params.v = rig.input("v", DType::kF32, {4, 1, 8});
  params.k_cache = cache.keys(0);
  params.v_cache = cache.values(0);
  params.offsets = rig.input_values("offsets", DType::kI32, {2}, std::vector<double>{0, 4});
  params.kv_lens = rig.input_values("kv_lens", DType::kI32, {1}, std::vector<double>{4});
  params.block_table = rig.input_values("block_table", DType::kI32, {1, 1}, std::vector<double>{page});
  ASSERT_OK(kv_append(params, nullptr));
  ASSERT_OK(rig.finish());
  std::vector<float> stored(4 * 8);
  const auto offset = static_cast<std::size_t>(page) * stored.size();
  ASSERT_EQ(hipMemcpy(stored.data(), cache.values(0).as<float>() + offset, stored.size() * sizeof(float),
                      hipMemcpyDeviceToHost),
            hipSuccess);
  const std::vector<double>& values = rig.values("v");
  for (std::size_t i = 0; i < stored.size(); ++i) EXPECT_EQ(static_cast<double>(stored[i]), values[i]);
}

}  // namespace
}  // namespace hipforge
