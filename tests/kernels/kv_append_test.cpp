#include "kernels/kv_append.h"

#include "harness/core/rig.h"
#include "kernels/runtime/device_error.h"
#include "tests/refusals.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hipforge {
namespace {

using harness::Rig;

// A legal call: two sequences of 2 and 1 rows onto 3 and 0 tokens, pages of 4 slots. Each test spoils one
// thing.
struct KvAppendFixture {
  Rig rig{1, nullptr};
  KvAppendParams params;

  explicit KvAppendFixture(DType dtype = DType::kF32) {
    params.k = rig.input("k", dtype, {3, 2, 8});
    params.v = rig.input("v", dtype, {3, 2, 8});
    params.k_cache = rig.input("k_cache", dtype, {5, 4, 2, 8});
    params.v_cache = rig.input("v_cache", dtype, {5, 4, 2, 8});
    rig.allow_writes(rig.view("k_cache"));
    rig.allow_writes(rig.view("v_cache"));
    params.offsets = rig.input_values("offsets", DType::kI32, {3}, std::vector{0.0, 2.0, 3.0});
    params.kv_lens = rig.input_values("kv_lens", DType::kI32, {2}, std::vector{5.0, 1.0});
    params.block_table =
        rig.input_values("block_table", DType::kI32, {2, 2}, std::vector{4.0, 0.0, 2.0, 1.0});
    params.error_word = rig.error_word();
  }
};

TEST(KvAppend, RefusesWhatItsContractExcludes) {
  expect_refusals<KvAppendFixture>(
      kv_append,
      {{kInvalid,
        [](KvAppendFixture& f) { f.params.v.shape[0] = 2; },
        {"v has shape [2, 2, 8]", "needs 3 (tokens of k)"}},
       {kInvalid,
        [](KvAppendFixture& f) { f.params.k_cache.shape[2] = 1; },
        {"k_cache has shape [5, 4, 1, 8]", "needs 2 (kv_heads of k)"}},
       {kInvalid,
        [](KvAppendFixture& f) { f.params.v_cache.shape[1] = 3; },
        {"v_cache has shape [5, 3, 2, 8]", "needs 4 (page_size of k_cache)"}},
       {kInvalid,
        [](KvAppendFixture& f) { f.params.offsets.shape[0] = 2; },
        {"offsets has shape [2]", "needs 3"}},
       {kInvalid,
        [](KvAppendFixture& f) { f.params.block_table.shape[0] = 1; },
        {"block_table has shape [1, 2]", "needs 2 (batch of kv_lens)"}},
       {kInvalid, [](KvAppendFixture& f) { f.params.k.rank = 2; }, {"k has rank 2", "needs rank 3"}},
       {kInvalid,
        [](KvAppendFixture& f) { f.params.k_cache.elements = 319; },
        {"k_cache holds 319 elements, shape [5, 4, 2, 8] needs 320"}},
       {kInvalid,
        [](KvAppendFixture& f) { f.params.k_cache.shape[1] = f.params.v_cache.shape[1] = 0; },
        {"page_size is 0"}},
       {kInvalid,
        [](KvAppendFixture& f) {
          f.params.v.strides[2] = 2;
          f.params.v.elements = 100;
        },
        {"v has stride 2 along its last axis"}},
       {kInvalid,
        [](KvAppendFixture& f) { f.params.k_cache.strides[0] = 0; },
        {"k_cache of shape", "overlaps itself"}},
       {kUnsupported,
        [](KvAppendFixture& f) { f.params.k.dtype = DType::kI32; },
        {"k has dtype i32", "f32, f16, bf16"}},
       {kUnsupported,
        [](KvAppendFixture& f) { f.params.v_cache.dtype = DType::kF16; },
        {"v_cache has dtype f16", "f32"}},
       {kUnsupported,
        [](KvAppendFixture& f) { f.params.kv_lens.dtype = DType::kU32; },
        {"kv_lens has dtype u32", "i32"}},
       {kInvalid,
        [](KvAppendFixture& f) { f.params.v_cache.data = f.params.k_cache.data; },
        {"k_cache and v_cache overlap"}},
       {kInvalid,
        [](KvAppendFixture& f) { f.params.k.data = f.params.v_cache.as<float>() + 8; },
        {"k and v_cache overlap"}}});
  EXPECT_EQ(expect_operands_checked<KvAppendFixture>(kv_append), 19);
}

TEST(KvAppend, EmptyWorkLaunchesNothing) {
  KvAppendFixture f;
  f.params.k.shape[0] = f.params.v.shape[0] = 0;
  LaunchPlan plan;
  ASSERT_OK(kv_append_plan(f.params, Target{"cpu", 32, MatrixUnit::kNone}, plan));
  EXPECT_EQ(plan.grid.x, 0u);
  ASSERT_OK(kv_append(f.params, nullptr));
  KvAppendFixture g;
  g.params.kv_lens.shape[0] = g.params.block_table.shape[0] = 0;
  g.params.offsets.shape[0] = 1;
  ASSERT_OK(kv_append(g.params, nullptr));
  ASSERT_OK(g.rig.finish());
  EXPECT_EQ(g.rig.read("k_cache"), g.rig.values("k_cache"));
}

TEST(KvAppend, PlanIsAPureFunctionOfParamsAndTarget) {
  KvAppendFixture f(DType::kBF16);
  LaunchPlan first;
  LaunchPlan second;
  LaunchPlan wide;
  ASSERT_OK(kv_append_plan(f.params, Target{"sm_90", 32, MatrixUnit::kMma}, first));
  ASSERT_OK(kv_append_plan(f.params, Target{"sm_90", 32, MatrixUnit::kMma}, second));
  ASSERT_OK(kv_append_plan(f.params, Target{"gfx90a", 64, MatrixUnit::kMfma}, wide));
  EXPECT_STREQ(first.kernel, "kv_append_b16_w32_v8");
  EXPECT_STREQ(wide.kernel, "kv_append_b16_w64_v8");
  EXPECT_EQ(first.function, second.function);
  EXPECT_EQ(first.grid.x, 3u);
  EXPECT_EQ(wide.block.x % 64, 0u);
}

// Chronicle 001: a page of 4 tokens holds 4 tokens. The first append stores all; past the last page nothing
// changes.
TEST(KvAppend, PagesHoldTheirTokensAndAFullCacheIsAnErrorThatChangesNothing) {
  Rig rig(1, nullptr);
  KvAppendParams params;
  params.k = rig.input_values("k", DType::kF32, {4, 1, 1}, std::vector{1.0, 2.0, 3.0, 4.0});
  params.v = rig.input_values("v", DType::kF32, {4, 1, 1}, std::vector{-1.0, -2.0, -3.0, -4.0});
  params.k_cache = rig.input_values("k_cache", DType::kF32, {10, 4, 1, 1}, std::vector<double>(40, 0.0));
  params.v_cache = rig.input_values("v_cache", DType::kF32, {10, 4, 1, 1}, std::vector<double>(40, 0.0));
  rig.allow_writes(rig.view("k_cache"));
  rig.allow_writes(rig.view("v_cache"));
  params.offsets = rig.input_values("offsets", DType::kI32, {2}, std::vector{0.0, 4.0});
  params.block_table = rig.input_values("block_table", DType::kI32, {1, 10},
                                        std::vector{0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0});
  params.error_word = rig.error_word();
  const TensorView fits[] = {rig.input_values("new", DType::kI32, {1}, std::vector{4.0}),
                             rig.input_values("last", DType::kI32, {1}, std::vector{40.0})};
  for (const TensorView& kv_lens : fits) {
    params.kv_lens = kv_lens;
    ASSERT_OK(kv_append(params, nullptr));
    ASSERT_OK(rig.finish());
  }
  EXPECT_EQ(rig.read_error_word(), 0u);
  const std::vector<double> keys = rig.read("k_cache");
  const std::vector<double> values = rig.read("v_cache");
  for (std::size_t slot = 0; slot < 40; ++slot) {
    const bool stored = slot < 4 || slot >= 36;
    EXPECT_EQ(keys[slot], stored ? static_cast<double>(slot % 4 + 1) : 0.0) << slot;
    EXPECT_EQ(values[slot], -keys[slot]) << slot;
  }
  // 41 tokens: three of them would still fit, and none is written.
  params.kv_lens = rig.input_values("over", DType::kI32, {1}, std::vector{41.0});
  ASSERT_OK(rig.reset());
  ASSERT_OK(kv_append(params, nullptr));
  ASSERT_OK(rig.finish());
  EXPECT_EQ(rig.read_error_word(), kDeviceErrorLength);
  EXPECT_EQ(rig.read("k_cache"), std::vector<double>(40, 0.0));
}

TEST(KvAppend, ErrorsOfSeveralKindsAddUpAndTheWordIsOptional) {
  KvAppendFixture f;
  f.params.kv_lens = f.rig.input_values("lens", DType::kI32, {2}, std::vector{5.0, 9.0});
  f.params.block_table = f.rig.input_values("table", DType::kI32, {2, 2}, std::vector{4.0, 5.0, 2.0, 1.0});
  ASSERT_OK(kv_append(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  EXPECT_EQ(f.rig.read_error_word(), std::uint32_t{kDeviceErrorPage} | std::uint32_t{kDeviceErrorLength});
  const std::vector<double> with_word = f.rig.read("k_cache");
  ASSERT_OK(f.rig.reset());
  f.params.error_word = nullptr;
  ASSERT_OK(kv_append(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  EXPECT_EQ(f.rig.read("k_cache"), with_word);
}

TEST(KvAppend, BitsAreCopied) {
  // A signalling NaN, −0 and a subnormal in each of 16 bits, on 16-byte accesses and on single ones.
  const std::vector<std::uint16_t> bits{0x7c01u, 0x8000u, 0x0001u, 0xffffu,
                                        0xfc55u, 0x3c00u, 0x7f81u, 0x0000u};
  for (std::int64_t head_dim : {8, 4}) {
    Rig rig(1, nullptr);
    KvAppendParams params;
    params.k = rig.input("k", DType::kF16, {1, 8 / head_dim, head_dim});
    params.v = rig.input("v", DType::kF16, {1, 8 / head_dim, head_dim});
    params.k_cache = rig.output("k_cache", DType::kF16, {1, 1, 8 / head_dim, head_dim});
    params.v_cache = rig.output("v_cache", DType::kF16, {1, 1, 8 / head_dim, head_dim});
    params.offsets = rig.input_values("offsets", DType::kI32, {2}, std::vector{0.0, 1.0});
    params.kv_lens = rig.input_values("kv_lens", DType::kI32, {1}, std::vector{1.0});
    params.block_table = rig.input_values("block_table", DType::kI32, {1, 1}, std::vector{0.0});
    ASSERT_EQ(hipMemcpy(params.v.data, bits.data(), 16, hipMemcpyHostToDevice), hipSuccess);
    ASSERT_OK(kv_append(params, nullptr));
    std::vector<std::uint16_t> out(8);
    ASSERT_EQ(hipMemcpy(out.data(), params.v_cache.data, 16, hipMemcpyDeviceToHost), hipSuccess);
    EXPECT_EQ(out, bits);
  }
}

TEST(KvAppend, IndexTensorsMayHaveAnyStrides) {
  KvAppendFixture f;
  ASSERT_OK(kv_append(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  const std::vector<double> plain = f.rig.read("v_cache");
  ASSERT_OK(f.rig.reset());
  // Every other element of one buffer, and a block table stored as [max_pages, batch].
  f.params.offsets =
      f.rig.input_values("wide_offsets", DType::kI32, {5}, std::vector{0.0, -1.0, 2.0, -1.0, 3.0});
  f.params.offsets.shape[0] = 3;
  f.params.offsets.strides[0] = 2;
  f.params.kv_lens = f.rig.input_values("wide_lens", DType::kI32, {3}, std::vector{5.0, -1.0, 1.0});
  f.params.kv_lens.shape[0] = 2;
  f.params.kv_lens.strides[0] = 2;
  f.params.block_table =
      f.rig.input_values("swapped_table", DType::kI32, {2, 2}, std::vector{4.0, 2.0, 0.0, 1.0});
  std::swap(f.params.block_table.strides[0], f.params.block_table.strides[1]);
  ASSERT_OK(kv_append(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  EXPECT_EQ(f.rig.read("v_cache"), plain);
  EXPECT_EQ(f.rig.read_error_word(), 0u);
}

TEST(KvAppend, AnyChunkingOfAPrefillGivesTheSameCache) {
  Rig rig(1, nullptr);
  KvAppendParams params;
  params.k = rig.input("k", DType::kF16, {11, 2, 8});
  params.v = rig.input("v", DType::kF16, {11, 2, 8});
  params.k_cache = rig.output("k_cache", DType::kF16, {3, 4, 2, 8});
  params.v_cache = rig.output("v_cache", DType::kF16, {3, 4, 2, 8});
  params.block_table = rig.input_values("block_table", DType::kI32, {1, 3}, std::vector{2.0, 0.0, 1.0});
  params.offsets = rig.input_values("all", DType::kI32, {2}, std::vector{0.0, 11.0});
  params.kv_lens = rig.input_values("all_len", DType::kI32, {1}, std::vector{11.0});
  ASSERT_OK(rig.reset());
  ASSERT_OK(kv_append(params, nullptr));
  ASSERT_OK(rig.finish());
  // The twelfth slot stays poisoned; NaN is compared by class.
  const std::vector<double> whole = rig.read("v_cache");
  ASSERT_OK(rig.reset());
  int part = 0;
  for (const auto& [begin, end] : {std::pair{0.0, 3.0}, std::pair{3.0, 4.0}, std::pair{4.0, 11.0}}) {
    const std::string name = std::to_string(part++);
    params.offsets = rig.input_values("offsets" + name, DType::kI32, {2}, std::vector{begin, end});
    params.kv_lens = rig.input_values("kv_lens" + name, DType::kI32, {1}, std::vector{end});
    ASSERT_OK(kv_append(params, nullptr));
  }
  ASSERT_OK(rig.finish());
  const std::vector<double> chunks = rig.read("v_cache");
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_TRUE(chunks[i] == whole[i] || (std::isnan(chunks[i]) && std::isnan(whole[i]))) << i;
  }
}

TEST(KvAppend, OneBadOffsetKeepsEveryRowOut) {
  for (const std::vector<double>& offsets : {std::vector{0.0, 2.0, 4.0}, std::vector{0.0, 3.0, 1.0},
                                             std::vector{-1.0, 2.0, 3.0}, std::vector{1.0, 0.0, 3.0}}) {
    KvAppendFixture f;
    f.params.offsets = f.rig.input_values("bad_offsets", DType::kI32, {3}, offsets);
    ASSERT_OK(f.rig.reset());
    ASSERT_OK(kv_append(f.params, nullptr));
    ASSERT_OK(f.rig.finish());
    EXPECT_EQ(f.rig.read_error_word(), kDeviceErrorOffsets) << offsets[1];
    EXPECT_EQ(f.rig.read("k_cache"), f.rig.values("k_cache")) << offsets[1];
    EXPECT_EQ(f.rig.read("v_cache"), f.rig.values("v_cache")) << offsets[1];
  }
}

TEST(KvAppend, KeysAndValuesMayHaveStridesOfTheirOwn) {
  KvAppendFixture f;
  ASSERT_OK(f.rig.reset());
  ASSERT_OK(kv_append(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  // The same heads and slots, but all slots of a head side by side.
  f.params.v_cache = f.rig.output("by_head", DType::kF32, {5, 2, 4, 8});
  std::swap(f.params.v_cache.shape[1], f.params.v_cache.shape[2]);
  std::swap(f.params.v_cache.strides[1], f.params.v_cache.strides[2]);
  ASSERT_OK(f.rig.reset());
  ASSERT_OK(kv_append(f.params, nullptr));
  ASSERT_OK(f.rig.finish());
  const std::vector<double> by_head = f.rig.read("by_head");
  const std::vector<double>& v = f.rig.values("v");
  // Row 2 of v is the first token of sequence 1, in slot 0 of page 2; row 0 is the fourth of sequence 0.
  for (std::size_t head = 0; head < 2; ++head) {
    for (std::size_t dim = 0; dim < 8; ++dim) {
      EXPECT_EQ(by_head[((2 * 2 + head) * 4 + 0) * 8 + dim], v[(2 * 2 + head) * 8 + dim]);
      EXPECT_EQ(by_head[((4 * 2 + head) * 4 + 3) * 8 + dim], v[head * 8 + dim]);
    }
  }
}

TEST(KvAppend, ARowThatWholePacksDoNotFillLeavesTheGapBehindIt) {
  Rig rig(1, nullptr);
  KvAppendParams params;
  params.k = rig.input("k", DType::kF16, {3, 2, 16});
  params.v = rig.input("v", DType::kF16, {3, 2, 16});
  params.k_cache = rig.input("k_cache", DType::kF16, {1, 4, 2, 16});
  params.v_cache = rig.input("v_cache", DType::kF16, {1, 4, 2, 16});
  rig.allow_writes(rig.view("k_cache"));
  rig.allow_writes(rig.view("v_cache"));
  params.offsets = rig.input_values("offsets", DType::kI32, {2}, std::vector{0.0, 3.0});
  params.kv_lens = rig.input_values("kv_lens", DType::kI32, {1}, std::vector{3.0});
  params.block_table = rig.input_values("block_table", DType::kI32, {1, 1}, std::vector{0.0});
  // 12 of 16 elements: every row is aligned for packs of 8, and ends within one.
  params.k.shape[2] = params.v.shape[2] = params.k_cache.shape[3] = params.v_cache.shape[3] = 12;
  ASSERT_OK(rig.reset());
  ASSERT_OK(kv_append(params, nullptr));
  ASSERT_OK(rig.finish());
  const std::vector<double> stored = rig.read("v_cache");
  for (std::size_t i = 0; i < stored.size(); ++i) {
    const bool written = i / 32 < 3 && i % 16 < 12;
    EXPECT_EQ(stored[i], written ? rig.values("v")[i] : rig.values("v_cache")[i]) << i;
  }
}

}  // namespace
}  // namespace hipforge
