#include "kernels/flash_attention.h"

#include "harness/core/rig.h"
#include "kernels/runtime/device_error.h"
#include "reference/not_finite.h"
#include "tests/refusals.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>

namespace hipforge {
namespace {

using harness::Family;
using harness::Rig;
using harness::Shape;

const Target kCpu32{"cpu", 32, MatrixUnit::kNone};

// A legal dense call; each test spoils one thing.
struct Dense {
  Rig rig{1, nullptr};
  FlashAttentionParams params;

  explicit Dense(DType dtype = DType::kF32, std::int64_t head_dim = 8, std::int64_t kv_len = 5) {
    params.q = rig.input("q", dtype, {2, 3, 4, head_dim});
    params.k = rig.input("k", dtype, {2, kv_len, 2, head_dim});
    params.v = rig.input("v", dtype, {2, kv_len, 2, head_dim});
    params.o = rig.output("o", dtype, {2, 3, 4, head_dim});
  }
  void add_lse() { params.lse = rig.output("lse", DType::kF32, {2, 4, 3}); }
  [[nodiscard]] Status launch() const { return flash_attention(params, nullptr); }
};

// A legal call with packed queries and paged keys: sequences of 2 and 3 queries, 6 and 9 keys, pages of 4.
struct Paged {
  Rig rig{1, nullptr};
  FlashAttentionParams params;

  explicit Paged(std::vector<double> q_offsets = {0, 2, 5}, std::vector<double> kv_lens = {6, 9},
                 std::vector<double> table = {3, 0, -1, 5, 1, 4}) {
    params.q = rig.input("q", DType::kF32, {5, 4, 8});
    params.k = rig.input("k", DType::kF32, {6, 4, 2, 8});
    params.v = rig.input("v", DType::kF32, {6, 4, 2, 8});
    params.q_offsets = rig.input_values("q_offsets", DType::kI32, {3}, q_offsets);
    params.kv_lens = rig.input_values("kv_lens", DType::kI32, {2}, kv_lens);
    params.block_table = rig.input_values("block_table", DType::kI32, {2, 3}, table);
    params.o = rig.output("o", DType::kF32, {5, 4, 8});
    params.lse = rig.output("lse", DType::kF32, {4, 5});
    params.causal = true;
    params.error_word = rig.error_word();
  }

  // Which rows of o are NaN: "..NNN"; a row of which a part only is NaN shows as "?".
  std::string run() {
    EXPECT_EQ(rig.reset().message, "");
    EXPECT_EQ(flash_attention(params, nullptr).message, "");
    EXPECT_EQ(rig.finish().message, "");
    const std::vector<double> o = rig.read("o");
    const std::vector<double> lse = rig.read("lse");
    std::string rows;
    for (std::size_t row = 0; row < 5; ++row) {
      std::size_t nans = 0;
      for (std::size_t at = 0; at < 32; ++at) nans += std::isnan(o[row * 32 + at]) ? 1 : 0;
      for (std::size_t head = 0; head < 4; ++head) nans += std::isnan(lse[head * 5 + row]) ? 1 : 0;
      rows += nans == 0 ? '.' : (nans == 36 ? 'N' : '?');
    }
    return rows;
  }
};

TEST(FlashAttention, RefusesDenseCallsThatItsContractExcludes) {
  expect_refusals<Dense>(
      flash_attention,
      {{kInvalid,
        [](Dense& f) { f.params.q.elements = 191; },
        {"q holds 191 elements, shape [2, 3, 4, 8] needs 192"}},
       {kInvalid,
        [](Dense& f) { f.params.v.elements = 100; },
        {"v holds 100 elements, shape [2, 5, 2, 8] needs 160"}},
       {kInvalid,
        [](Dense& f) { f.params.k.shape[3] = 7; },
        {"k has shape [2, 5, 2, 7]", "needs 8 (head_dim of q)"}},
       {kInvalid,
        [](Dense& f) { f.params.v.shape[1] = 4; },
        {"v has shape [2, 4, 2, 8]", "needs 5 (kv_len of k)"}},
       {kInvalid,
        [](Dense& f) { f.params.o.shape[2] = 3; },
        {"o has shape [2, 3, 3, 8]", "needs 4 (q_heads of q)"}},
       {kInvalid,
        [](Dense& f) { f.params.k.shape[0] = f.params.v.shape[0] = 1; },
        {"k has shape [1, 5, 2, 8]", "needs 2 (batch of q)"}},
       {kInvalid, [](Dense& f) { f.params.q.rank = 3; }, {"q has rank 3", "needs rank 4"}},
       {kInvalid,
        [](Dense& f) {
          f.add_lse();
          f.params.lse.shape[2] = 2;
        },
        {"lse has shape [2, 4, 2]", "needs 3 (q_len of q)"}},
       {kInvalid,
        [](Dense& f) {
          f.params.k = f.rig.input("k3", DType::kF32, {2, 5, 3, 8});
          f.params.v = f.rig.input("v3", DType::kF32, {2, 5, 3, 8});
        },
        {"q has 4 heads, k has 3 (axis 2)", "a divisor of 4"}},
       {kUnsupported,
        [](Dense& f) {
          for (TensorView* tensor : {&f.params.q, &f.params.k, &f.params.v, &f.params.o})
            tensor->shape[3] = 0;
        },
        {"head_dim is 0, supported: 1 to 256"}},
       {kUnsupported,
        [](Dense& f) { f.params.q.dtype = DType::kI32; },
        {"q has dtype i32, supported: f32, f16, bf16"}},
       {kUnsupported,
        [](Dense& f) {
          f.params.q.dtype = DType::kF16;
          f.params.k.dtype = DType::kBF16;
        },
        {"k has dtype bf16, supported: f16"}},
       {kInvalid,
        [](Dense& f) {
          f.params.v.strides[3] = 2;
          f.params.v.elements = 1000;
        },
        {"v has stride 2 along its last axis, needs 1"}},
       {kUnsupported,
        [](Dense& f) {
          f.add_lse();
          f.params.lse.dtype = DType::kF16;
        },
        {"lse has dtype f16, supported: f32"}},
       {kInvalid, [](Dense& f) { f.params.o = f.params.q; }, {"q and o overlap"}},
       {kInvalid,
        [](Dense& f) { f.params.o.strides[1] = 31; },
        {"o of shape [2, 3, 4, 8] overlaps itself", "stride 31"}},
       {kInvalid,
        [](Dense& f) {
          f.add_lse();
          f.params.lse.data = f.params.o.data;
        },
        {"o and lse overlap"}},
       {kInvalid, [](Dense& f) { f.params.scale = INFINITY; }, {"scale is inf, needs a finite number"}},
       {kInvalid, [](Dense& f) { f.params.soft_cap = NAN; }, {"soft_cap is nan"}},
       {kInvalid, [](Dense& f) { f.params.soft_cap = -1.0f; }, {"soft_cap is -1, needs 0 (none) or more"}},
       {kInvalid, [](Dense& f) { f.params.window = -3; }, {"window is -3, needs 0"}},
       {kInvalid, [](Dense& f) { f.params.prefix_len = -1; }, {"prefix_len is -1, needs 0"}},
       {kInvalid, [](Dense& f) { f.params.max_kv_len = -1; }, {"max_kv_len is -1, needs 0"}},
       {kInvalid,
        [](Dense& f) {
          f.params.kv_offsets =
              f.rig.input_values("kv_offsets", DType::kI32, {3}, std::vector<double>{0, 5, 10});
        },
        {"kv_offsets need q_offsets"}},
       {kInvalid,
        [](Dense& f) {
          f.params.mask = f.rig.input("mask", DType::kF32, {2, 4, 2, 5});
        },
        {"mask has shape [2, 4, 2, 5]", "needs 3 (1, or q_len of q)"}},
       {kUnsupported,
        [](Dense& f) {
          f.params.mask = f.rig.input("half", DType::kF16, {1, 1, 1, 5});
        },
        {"mask has dtype f16, supported: f32"}}});
  const Dense wide(DType::kF32, 257);
  expect_status(wide.launch(), kUnsupported, "head_dim is 257, supported: 1 to 256");
  EXPECT_EQ(expect_operands_checked<Dense>(flash_attention), 7);
}

TEST(FlashAttention, RefusesCombinationsThatAreNoLayout) {
  expect_refusals<Paged>(
      flash_attention,
      {{kUnsupported,
        [](Paged& f) { f.params.block_table.dtype = DType::kF32; },
        {"block_table has dtype f32", "supported: i32"}},
       {kInvalid, [](Paged& f) { f.params.max_q_len = 6; }, {"max_q_len is 6, needs 0 to 5"}},
       {kInvalid, [](Paged& f) { f.params.kv_lens = {}; }, {"got block_table alone"}},
       {kInvalid, [](Paged& f) { f.params.block_table = {}; }, {"got kv_lens alone"}},
       {kInvalid,
        [](Paged& f) { f.params.kv_offsets = f.params.q_offsets; },
        {"kv_offsets and block_table are both given"}},
       {kInvalid,
        [](Paged& f) { f.params.kv_lens = f.params.block_table = {}; },
        {"q_offsets need kv_offsets or block_table"}},
       {kInvalid,
        [](Paged& f) {
          f.params.mask = f.rig.input("mask", DType::kF32, {1, 1, 1, 9});
        },
        {"mask goes with dense queries and dense keys only, got q_offsets"}},
       {kInvalid, [](Paged& f) { f.params.kv_lens.shape[0] = 1; }, {"kv_lens has shape [1]"}},
       {kInvalid, [](Paged& f) { f.params.block_table.shape[0] = 1; }, {"block_table has shape [1, 3]"}},
       {kInvalid,
        [](Paged& f) { f.params.q_offsets.shape[0] = 0; },
        {"q_offsets is empty, needs batch + 1 elements"}},
       {kInvalid,
        [](Paged& f) { f.params.k.shape[1] = f.params.v.shape[1] = 0; },
        {"page_size 0, needs 1 or more"}}});
  EXPECT_EQ(expect_operands_checked<Paged>(flash_attention), 18);
}

TEST(FlashAttention, RefusesMoreBlocksThanAGridHas) {
  Dense f;
  // One element, seen as 2⁴⁰ queries; o may not repeat itself, so it claims its memory.
  constexpr std::int64_t kQueries = std::int64_t{1} << 40;
  f.params.q.shape = f.params.o.shape = {1, kQueries, 4, 8};
  f.params.q.strides = {0, 0, 0, 1};
  f.params.o.strides = {kQueries * 32, 32, 8, 1};
  f.params.o.elements = kQueries * 32;
  f.params.o.data = f.params.q.as<float>() + (1 << 20);
  f.params.k.shape[0] = f.params.v.shape[0] = 1;
  f.params.k.data = f.params.v.data = nullptr;
  f.params.k.shape[1] = f.params.v.shape[1] = 0;
  LaunchPlan plan;
  expect_status(flash_attention_plan(f.params, kCpu32, plan), StatusCode::kUnsupported,
                "tiles of 32 rows for each of 2 sequences and kv heads", "2147483647");
}

TEST(FlashAttention, EmptyWorkLaunchesNothing) {
  for (std::size_t axis : {std::size_t{0}, std::size_t{1}}) {
    Dense f;
    f.params.q.shape[axis] = f.params.o.shape[axis] = 0;
    if (axis == 0) f.params.k.shape[0] = f.params.v.shape[0] = 0;
    f.params.q.data = f.params.o.data = nullptr;
    ASSERT_OK(f.launch());
    LaunchPlan plan;
    ASSERT_OK(flash_attention_plan(f.params, kCpu32, plan));
    EXPECT_EQ(plan.grid.x, 0u);
  }
}

TEST(FlashAttention, PlanIsAPureFunctionOfParamsAndTarget) {
  Dense f(DType::kF16, 80);
  const Target wide{"gfx942", 64, MatrixUnit::kMfma};
  LaunchPlan first;
  LaunchPlan second;
  LaunchPlan other;
  ASSERT_OK(flash_attention_plan(f.params, kCpu32, first));
  ASSERT_OK(flash_attention_plan(f.params, kCpu32, second));
  ASSERT_OK(flash_attention_plan(f.params, wide, other));
  EXPECT_STREQ(first.kernel, "flash_attention_f16_d96_w32_mma");
  EXPECT_EQ(first.function, second.function);
  EXPECT_EQ(first.block.x, second.block.x);
  EXPECT_EQ(first.shared_bytes, second.shared_bytes);
  // 3 queries of 2 heads fit into the smallest tile; one block for each sequence and kv head.
  EXPECT_EQ(first.grid.x, 4u);
  EXPECT_EQ(first.block.x, 32u);
  EXPECT_STREQ(other.kernel, "flash_attention_f16_d96_w64_mma");
  EXPECT_EQ(other.block.x, 64u);
#if !defined(HIPFORGE_PLATFORM_NVIDIA)  // nvcc builds no kernel that RDNA alone gets
  ASSERT_OK(flash_attention_plan(f.params, Target{"gfx1100", 32, MatrixUnit::kWmma}, other));
  EXPECT_STREQ(other.kernel, "flash_attention_f16_d96_w32_mma_small");
  ASSERT_OK(flash_attention_plan(f.params, Target{"gfx1030", 32, MatrixUnit::kNone}, other));
  EXPECT_STREQ(other.kernel, "flash_attention_f16_d96_w32");
#endif
  EXPECT_EQ(flash_attention_workspace_bytes(f.params), 0u);
}

TEST(FlashAttention, WarpgroupsTakeWhatIsMoreThanADecodedRow) {
  const Target target{"sm_90", 32, MatrixUnit::kWgmma, std::size_t{227} << 10};
  const auto kernel_of = [&](std::int64_t q_len, std::int64_t q_heads, std::int64_t head_dim) {
    Rig rig(1, nullptr);
    FlashAttentionParams params;
    params.q = rig.input("q", DType::kBF16, {1, q_len, q_heads, head_dim});
    params.k = rig.input("k", DType::kBF16, {1, 300, 1, head_dim});
    params.v = rig.input("v", DType::kBF16, {1, 300, 1, head_dim});
    params.o = rig.output("o", DType::kBF16, {1, q_len, q_heads, head_dim});
    LaunchPlan plan;
    EXPECT_EQ(flash_attention_plan(params, target, plan).message, "");
    EXPECT_LE(plan.shared_bytes, target.shared_bytes);
    return std::string(plan.kernel) + " " + std::to_string(plan.block.x);
  };
  EXPECT_EQ(kernel_of(1, 16, 128), "flash_attention_bf16_d128_w32_mma 128");
  EXPECT_EQ(kernel_of(17, 1, 128), "flash_attention_bf16_d128_w32_wgmma 256");
  EXPECT_EQ(kernel_of(200, 1, 64), "flash_attention_bf16_d64_w32_wgmma 256");
  EXPECT_EQ(kernel_of(200, 1, 80), "flash_attention_bf16_d96_w32_mma 256");
}

TEST(FlashAttention, EveryTileFitsInto64KiBOfSharedMemory) {
  const Target targets[] = {{"cpu", 32, MatrixUnit::kNone},
                            {"cpu", 64, MatrixUnit::kNone},
                            {"gfx942", 64, MatrixUnit::kMfma},
                            {"gfx1100", 32, MatrixUnit::kWmma}};
  for (const Target& target : targets) {
    for (DType dtype : {DType::kF32, DType::kBF16}) {
      for (std::int64_t head_dim : {1, 32, 33, 64, 65, 96, 97, 128, 129, 256}) {
        for (std::int64_t q_len : {1, 200}) {
          Rig rig(1, nullptr);
          FlashAttentionParams params;
          params.q = rig.input("q", dtype, {1, q_len, 1, head_dim});
          params.k = rig.input("k", dtype, {1, 1, 1, head_dim});
          params.v = rig.input("v", dtype, {1, 1, 1, head_dim});
          params.o = rig.output("o", dtype, {1, q_len, 1, head_dim});
          LaunchPlan plan;
          ASSERT_OK(flash_attention_plan(params, target, plan));
          EXPECT_LE(plan.shared_bytes, 65536u) << plan.kernel;
          EXPECT_EQ(plan.block.x % static_cast<unsigned>(target.wave), 0u) << plan.kernel;
        }
      }
    }
  }
}

TEST(FlashAttention, AVisibleNaNOrInfiniteScoreSpoilsItsRowAlone) {
  for (const double bad : {kNaN, kInfinity}) {
    Rig rig(1, nullptr);
    std::vector<double> q{1.0, bad, 1.0};
    FlashAttentionParams params;
    params.q = rig.input_values("q", DType::kF32, {1, 3, 1, 1}, q);
    params.k = rig.input_values("k", DType::kF32, {1, 2, 1, 1}, std::vector<double>{1.0, 1.0});
    params.v = rig.input_values("v", DType::kF32, {1, 2, 1, 1}, std::vector<double>{2.0, 4.0});
    params.o = rig.output("o", DType::kF32, {1, 3, 1, 1});
    params.lse = rig.output("lse", DType::kF32, {1, 1, 3});
    ASSERT_OK(flash_attention(params, nullptr));
    ASSERT_OK(rig.finish());
    EXPECT_EQ(rig.read("o")[0], 3.0);
    EXPECT_TRUE(std::isnan(rig.read("o")[1]));
    EXPECT_TRUE(std::isnan(rig.read("lse")[1]));
    EXPECT_EQ(rig.read("o")[2], 3.0);
  }
}

TEST(FlashAttention, AScoreOfMinusInfinityRemovesItsElement) {
  Rig rig(1, nullptr);
  FlashAttentionParams params;
  params.q = rig.input_values("q", DType::kF32, {1, 1, 1, 1}, std::vector<double>{1.0});
  params.k = rig.input_values("k", DType::kF32, {1, 3, 1, 1}, std::vector<double>{-kInfinity, 0.0, 0.0});
  params.v = rig.input_values("v", DType::kF32, {1, 3, 1, 1}, std::vector<double>{kNaN, 2.0, 4.0});
  params.mask = rig.input_values("mask", DType::kF32, {1, 1, 1, 3}, std::vector<double>{0.0, 0.0, 0.0});
  params.o = rig.output("o", DType::kF32, {1, 1, 1, 1});
  ASSERT_OK(flash_attention(params, nullptr));
  ASSERT_OK(rig.finish());
  EXPECT_EQ(rig.read("o")[0], 3.0);
}

TEST(FlashAttention, AKeyOfMinusInfinityRemovesItsElementWithoutAMask) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    Rig rig(1, nullptr);
    FlashAttentionParams params;
    params.q = rig.input_values("q", dtype, {1, 1, 1, 1}, std::vector<double>{1.0});
    params.k = rig.input_values("k", dtype, {1, 3, 1, 1}, std::vector<double>{-kInfinity, 0.0, 0.0});
    params.v = rig.input_values("v", dtype, {1, 3, 1, 1}, std::vector<double>{kNaN, 2.0, 4.0});
    params.o = rig.output("o", dtype, {1, 1, 1, 1});
    ASSERT_OK(flash_attention(params, nullptr));
    ASSERT_OK(rig.finish());
    EXPECT_EQ(rig.read("o")[0], 3.0);
  }
}

TEST(FlashAttention, TheLowestFiniteMaskRemovesNothing) {
  // Models write it for "masked"; a row that has nothing else is the mean of its values, as in f32.
  constexpr double kLowest = -std::numeric_limits<float>::max();
  Rig rig(1, nullptr);
  FlashAttentionParams params;
  params.q = rig.input_values("q", DType::kBF16, {1, 1, 1, 1}, std::vector<double>{1.0});
  params.k = rig.input_values("k", DType::kBF16, {1, 2, 1, 1}, std::vector<double>{1.0, -1.0});
  params.v = rig.input_values("v", DType::kBF16, {1, 2, 1, 1}, std::vector<double>{2.0, 4.0});
  params.mask = rig.input_values("mask", DType::kF32, {1, 1, 1, 2}, std::vector<double>{kLowest, kLowest});
  params.o = rig.output("o", DType::kBF16, {1, 1, 1, 1});
  ASSERT_OK(flash_attention(params, nullptr));
  ASSERT_OK(rig.finish());
  EXPECT_EQ(rig.read("o")[0], 3.0);
}

TEST(FlashAttention, BadPagesSpoilTheRowsThatSeeThem) {
  EXPECT_EQ(Paged().run(), ".....");
  for (double page : {6.0, -1.0, 2147483647.0, -2147483648.0}) {
    // Keys 8 of sequence 1 lie in its third page: the last query alone sees them.
    Paged last({0, 2, 5}, {6, 9}, {3, 0, -1, 5, 1, page});
    EXPECT_EQ(last.run(), "....N") << page;
    EXPECT_EQ(last.rig.read_error_word(), kDeviceErrorPage);
    // The first page of sequence 0 is seen by all of its queries.
    Paged first({0, 2, 5}, {6, 9}, {page, 0, -1, 5, 1, 4});
    EXPECT_EQ(first.run(), "NN...") << page;
    EXPECT_EQ(first.rig.read_error_word(), kDeviceErrorPage);
  }
}

TEST(FlashAttention, PagesThatNoRowSeesAreNotRead) {
  // Every row's window has left the first page of sequence 1 behind.
  Paged f({0, 2, 5}, {6, 9}, {3, 0, -1, -7, 1, 4});
  f.params.window = 2;
  EXPECT_EQ(f.run(), ".....");
  EXPECT_EQ(f.rig.read_error_word(), 0u);
}

TEST(FlashAttention, BadLengthsSpoilTheirSequence) {
  for (double length : {-1.0, 13.0, 2147483647.0}) {
    Paged f({0, 2, 5}, {length, 9});
    EXPECT_EQ(f.run(), "NN...") << length;
    EXPECT_EQ(f.rig.read_error_word(), kDeviceErrorLength);
  }
  Paged promised;
  promised.params.max_kv_len = 8;
  EXPECT_EQ(promised.run(), "..NNN");
  EXPECT_EQ(promised.rig.read_error_word(), kDeviceErrorLength);
}

TEST(FlashAttention, BadQueryOffsetsSpoilEveryRow) {
  for (const std::vector<double>& offsets :
       {std::vector<double>{-1, 2, 5}, {0, 2, 6}, {0, 4, 2}, {3, 0, 5}}) {
    Paged f(offsets);
    EXPECT_EQ(f.run(), "NNNNN");
    EXPECT_EQ(f.rig.read_error_word(), kDeviceErrorOffsets);
  }
  Paged longer;
  longer.params.max_q_len = 2;
  EXPECT_EQ(longer.run(), "NNNNN");
  EXPECT_EQ(longer.rig.read_error_word(), kDeviceErrorLength);
}

TEST(FlashAttention, WithoutAnErrorWordBadIndicesStillSpoilTheirRows) {
  Paged f({0, 2, 5}, {6, -9});
  f.params.error_word = nullptr;
  EXPECT_EQ(f.run(), "..NNN");
}

TEST(FlashAttention, RowsOfNoSequenceAreNotWritten) {
  // The poison under rows 0 and 4 is NaN, their lse too.
  Paged f({1, 2, 4});
  EXPECT_EQ(f.run(), "N...N");
  EXPECT_EQ(f.rig.read_error_word(), 0u);
}

TEST(FlashAttention, BadKeyOffsetsSpoilTheirSequence) {
  for (const std::vector<double>& offsets : {std::vector<double>{0, 8, 5}, {0, 4, 13}, {0, -4, -2}}) {
    Paged f;
    f.params.k = f.rig.input("packed_k", DType::kF32, {12, 2, 8});
    f.params.v = f.rig.input("packed_v", DType::kF32, {12, 2, 8});
    f.params.block_table = f.params.kv_lens = {};
    f.params.kv_offsets = f.rig.input_values("kv_offsets", DType::kI32, {3}, offsets);
    const std::string rows = f.run();
    EXPECT_EQ(rows.substr(2), "NNN");
    EXPECT_EQ(rows.substr(0, 2), offsets[1] < 0 ? "NN" : "..");
    EXPECT_EQ(f.rig.read_error_word(), kDeviceErrorOffsets);
  }
}

// ---- Facts that need no oracle: the same rows, reached in different ways, have the same bits. ----

struct Rule {
  bool causal = true;
  std::int64_t window = 0;
  std::int64_t prefix_len = 0;
  float soft_cap = 0.0f;
};

const Rule kRules[] = {{}, {.window = 50}, {.window = 9, .prefix_len = 30}, {.soft_cap = 3.0f}};

struct Heads {
  std::int64_t q;
  std::int64_t kv;
  std::int64_t dim;
};

// One sequence's values, and its attention with queries [begin, end) and the keys up to `end`.
struct Sequence {
  Heads heads;
  DType dtype;
  std::int64_t length;
  Rig source;

  Sequence(Heads sizes, DType type, std::int64_t len, std::uint64_t seed)
      : heads(sizes), dtype(type), length(len), source(seed, nullptr) {
    source.input("q", dtype, {length, heads.q, heads.dim});
    // A wide spread of scores, so that references rise and sums are rescaled.
    source.input("k", dtype, {length, heads.kv, heads.dim}, Family::kOutliers, 3.0);
    source.input("v", dtype, {length, heads.kv, heads.dim});
  }
  [[nodiscard]] std::span<const double> rows(const std::string& name, std::int64_t begin,
                                             std::int64_t end) const {
    const std::int64_t row = (name == "q" ? heads.q : heads.kv) * heads.dim;
    return std::span(source.values(name))
        .subspan(static_cast<std::size_t>(begin * row), static_cast<std::size_t>((end - begin) * row));
  }
  [[nodiscard]] std::vector<double> attend(std::int64_t begin, std::int64_t end, const Rule& rule,
                                           const Target& target = kCurrentDevice) const {
    Rig rig(1, nullptr);
    FlashAttentionParams params;
    params.q = rig.input_values("q", dtype, {1, end - begin, heads.q, heads.dim}, rows("q", begin, end));
    params.k = rig.input_values("k", dtype, {1, end, heads.kv, heads.dim}, rows("k", 0, end));
    params.v = rig.input_values("v", dtype, {1, end, heads.kv, heads.dim}, rows("v", 0, end));
    params.o = rig.output("o", dtype, {1, end - begin, heads.q, heads.dim});
    params.causal = rule.causal;
    params.window = rule.window;
    params.prefix_len = rule.prefix_len;
    params.soft_cap = rule.soft_cap;
    EXPECT_EQ(flash_attention(params, nullptr, target).message, "");
    EXPECT_EQ(rig.finish().message, "");
    return rig.read("o");
  }
};

// Equal to the bit, zeros by sign.
void expect_same_bits(std::span<const double> a, std::span<const double> b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(std::bit_cast<std::uint64_t>(a[i]), std::bit_cast<std::uint64_t>(b[i]))
        << what << ", element " << i << ": " << a[i] << " and " << b[i];
  }
}

TEST(FlashAttention, AnyChunkingOfAPrefillAndDecodingGiveTheSameBits) {
  for (const Heads& heads : {Heads{4, 2, 32}, Heads{3, 1, 40}, Heads{2, 1, 128}, Heads{2, 2, 256}}) {
    for (DType dtype : {DType::kF32, DType::kBF16}) {
      const Sequence sequence(heads, dtype, 139, 5);
      for (const Rule& rule : kRules) {
        // A prefix longer than a chunk's keys would be a different mask.
        const std::int64_t first = std::max<std::int64_t>(rule.prefix_len, 1);
        const std::vector<double> whole = sequence.attend(0, sequence.length, rule);
        const auto row = static_cast<std::size_t>(heads.q * heads.dim);
        for (std::int64_t chunk : {1, 7, 64, 100}) {
          std::int64_t begin = 0;
          for (std::int64_t end = std::max(first, chunk); begin < sequence.length;
               begin = end, end = std::min(end + chunk, sequence.length)) {
            if (chunk == 1 && begin > first && begin < 125) continue;
            const std::vector<double> part = sequence.attend(begin, end, rule);
            expect_same_bits(part,
                             std::span(whole).subspan(static_cast<std::size_t>(begin) * row, part.size()),
                             "rows " + std::to_string(begin) + " to " + std::to_string(end));
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

// All sequences in one launch, packed queries over paged keys in an order of pages.
std::vector<double> attend_paged(const std::vector<Sequence*>& sequences, std::int64_t page_size,
                                 std::uint64_t order_seed, bool packed_keys = false) {
  const Heads heads = sequences[0]->heads;
  const DType dtype = sequences[0]->dtype;
  const std::int64_t row = heads.kv * heads.dim;
  std::vector<double> q;
  std::vector<double> packed_k;
  std::vector<double> packed_v;
  std::vector<double> offsets{0.0};
  std::vector<double> lens;
  std::int64_t max_pages = 0;
  std::int64_t pages = 1;
  for (const Sequence* sequence : sequences) {
    const auto append = [&](std::vector<double>& all, const char* name) {
      const auto rows = sequence->rows(name, 0, sequence->length);
      all.insert(all.end(), rows.begin(), rows.end());
    };
    append(q, "q");
    append(packed_k, "k");
    append(packed_v, "v");
    lens.push_back(static_cast<double>(sequence->length));
    offsets.push_back(offsets.back() + lens.back());
    const std::int64_t count = (sequence->length + page_size - 1) / page_size;
    pages += count;
    max_pages = std::max(max_pages, count);
  }
  std::vector<std::int64_t> order(static_cast<std::size_t>(pages));
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t i = order.size(); i > 1; --i) {
    order_seed = order_seed * 6364136223846793005u + 1442695040888963407u;
    std::swap(order[i - 1], order[(order_seed >> 33) % i]);
  }
  std::vector<double> k(static_cast<std::size_t>(pages * page_size * row), kNaN);
  std::vector<double> v = k;
  std::vector<double> table(sequences.size() * static_cast<std::size_t>(max_pages), -1.0);
  std::size_t next = 0;
  for (std::size_t b = 0; b < sequences.size(); ++b) {
    for (std::int64_t key = 0; key < sequences[b]->length; ++key) {
      double& entry =
          table[b * static_cast<std::size_t>(max_pages) + static_cast<std::size_t>(key / page_size)];
      if (entry < 0.0) entry = static_cast<double>(order[next++]);
      const std::int64_t at = (static_cast<std::int64_t>(entry) * page_size + key % page_size) * row;
      std::ranges::copy(sequences[b]->rows("k", key, key + 1), k.begin() + at);
      std::ranges::copy(sequences[b]->rows("v", key, key + 1), v.begin() + at);
    }
  }
  Rig rig(1, nullptr);
  FlashAttentionParams params;
  const auto batch = static_cast<std::int64_t>(sequences.size());
  const auto total = static_cast<std::int64_t>(offsets.back());
  params.q = rig.input_values("q", dtype, {total, heads.q, heads.dim}, q);
  params.q_offsets = rig.input_values("q_offsets", DType::kI32, {batch + 1}, offsets);
  if (packed_keys) {
    params.k = rig.input_values("k", dtype, {total, heads.kv, heads.dim}, packed_k);
    params.v = rig.input_values("v", dtype, {total, heads.kv, heads.dim}, packed_v);
    params.kv_offsets = rig.input_values("kv_offsets", DType::kI32, {batch + 1}, offsets);
  } else {
    params.k = rig.input_values("k", dtype, {pages, page_size, heads.kv, heads.dim}, k);
    params.v = rig.input_values("v", dtype, {pages, page_size, heads.kv, heads.dim}, v);
    params.kv_lens = rig.input_values("kv_lens", DType::kI32, {batch}, lens);
    params.block_table = rig.input_values("block_table", DType::kI32, {batch, max_pages}, table);
  }
  params.o = rig.output("o", dtype, {total, heads.q, heads.dim});
  params.causal = true;
  EXPECT_EQ(flash_attention(params, nullptr).message, "");
  EXPECT_EQ(rig.finish().message, "");
  return rig.read("o");
}

#if defined(HIPFORGE_PLATFORM_CPU)  // where a target's blocks and stages can be had without its GPU
TEST(FlashAttention, DecodingIsTheLastRowOfAPrefillOnEveryTarget) {
  for (const char* name : {"sm_90", "sm_80", "gfx942", "gfx1100"}) {
    Target target;
    ASSERT_OK(target_from_name(name, kCpu32.wave, target));
    for (const Heads& heads : {Heads{4, 2, 64}, Heads{2, 1, 128}, Heads{2, 2, 200}}) {
      const Sequence sequence(heads, DType::kF16, 197, 9);
      for (const Rule& rule : kRules) {
        const std::vector<double> whole = sequence.attend(0, sequence.length, rule, target);
        const std::vector<double> last = sequence.attend(sequence.length - 1, sequence.length, rule, target);
        expect_same_bits(last, std::span(whole).last(last.size()), name);
      }
    }
  }
}
#endif

TEST(FlashAttention, BatchMatesLayoutAndPageOrderNeverChangeABit) {
  const Heads heads{4, 2, 48};
  Sequence longest(heads, DType::kF16, 150, 3);
  Sequence middle(heads, DType::kF16, 67, 4);
  Sequence one(heads, DType::kF16, 1, 5);
  std::vector<double> alone;
  for (const Sequence* sequence : {&longest, &middle, &one}) {
    const std::vector<double> o = sequence->attend(0, sequence->length, Rule{});
    alone.insert(alone.end(), o.begin(), o.end());
  }
  const std::vector<Sequence*> all{&longest, &middle, &one};
  expect_same_bits(attend_paged(all, 16, 1, true), alone, "packed keys");
  for (std::int64_t page_size : {1, 4, 7, 16}) {
    for (std::uint64_t order : {1, 2}) {
      expect_same_bits(attend_paged(all, page_size, order), alone, "pages of " + std::to_string(page_size));
    }
  }
}

TEST(FlashAttention, TheWaveNeverChangesABit) {
#if !defined(HIPFORGE_PLATFORM_CPU)
  GTEST_SKIP() << "the cpu platform alone has both wave sizes";
#endif
  const Sequence sequence({4, 2, 72}, DType::kF32, 100, 6);
  std::vector<std::vector<double>> results;
  for (const Target& target : {kCpu32, Target{"cpu", 2 * kCpu32.wave, MatrixUnit::kNone}}) {
    results.push_back(sequence.attend(0, 100, Rule{}, target));
  }
  expect_same_bits(results[0], results[1], "waves");
}

TEST(FlashAttention, NothingBehindTheMaskChangesABit) {
  const Heads heads{2, 1, 32};
  const Sequence sequence(heads, DType::kF32, 100, 8);
  const std::vector<double> clean = sequence.attend(0, 100, {.window = 20});
  Sequence wild(heads, DType::kF32, 100, 8);
  std::vector<double> k = wild.source.values("k");
  std::vector<double> v = wild.source.values("v");
  // Rows 70 and later see keys from 51 on.
  for (std::size_t at = 0; at < 50 * 32; ++at) {
    k[at] = at % 2 == 0 ? kNaN : kInfinity;
    v[at] = at % 3 == 0 ? -kInfinity : kNaN;
  }
  Rig rig(1, nullptr);
  FlashAttentionParams params;
  params.q = rig.input_values("q", DType::kF32, {1, 30, 2, 32}, sequence.rows("q", 70, 100));
  params.k = rig.input_values("k", DType::kF32, {1, 100, 1, 32}, k);
  params.v = rig.input_values("v", DType::kF32, {1, 100, 1, 32}, v);
  params.o = rig.output("o", DType::kF32, {1, 30, 2, 32});
  params.window = 20;
  ASSERT_OK(flash_attention(params, nullptr));
  ASSERT_OK(rig.finish());
  expect_same_bits(rig.read("o"), std::span(clean).subspan(70 * 64), "window");
}

TEST(FlashAttention, ErrorDoesNotGrowWithTheNumberOfKeys) {
  // All weights equal: the output is the mean of the values. Their tiles of 64 sum exactly; added one by one
  // in f32 the 2⁻¹¹ that a tile holds beyond 64 is rounded away from 2¹³ on, and 115 u of the mean's 128 u
  // are lost.
  constexpr double kValue = 1.0 + 0x1p-17;
  for (std::int64_t kv_len : {64, 4096, 131072}) {
    for (Family family : {Family::kPositive, Family::kEqual}) {
      Rig rig(2, nullptr);
      FlashAttentionParams params;
      params.q = rig.input("q", DType::kF32, {1, 1, 1, 2}, Family::kEqual, 0.0);
      params.k = rig.input("k", DType::kF32, {1, kv_len, 1, 2});
      params.v = rig.input("v", DType::kF32, {1, kv_len, 1, 2}, family, kValue);
      params.o = rig.output("o", DType::kF32, {1, 1, 1, 2});
      params.lse = rig.output("lse", DType::kF32, {1, 1, 1});
      params.causal = true;
      ASSERT_OK(flash_attention(params, nullptr));
      ASSERT_OK(rig.finish());
      double sum = 0.0;
      for (std::size_t i = 0; i < rig.values("v").size(); i += 2) sum += rig.values("v")[i];
      const double mean = sum / static_cast<double>(kv_len);
      EXPECT_NEAR(rig.read("o")[0], mean, 4.0 * 0x1p-24 * mean) << kv_len;
      EXPECT_NEAR(rig.read("lse")[0], std::log(static_cast<double>(kv_len)), 1e-6) << kv_len;
    }
  }
}

TEST(FlashAttention, RefusesMoreBlocksThanALaunchHas) {
  Dense f;
  // Planned, not launched: the memory is never touched.
  f.params.q.data = reinterpret_cast<void*>(std::uintptr_t{1} << 50);
  f.params.o.data = reinterpret_cast<void*>(std::uintptr_t{1} << 52);
  const auto plan_for = [&](std::int64_t rows, LaunchPlan& plan) {
    f.params.q.shape[1] = f.params.o.shape[1] = rows;
    f.params.q.strides[0] = f.params.o.strides[0] = rows * 32;
    f.params.q.elements = f.params.o.elements = rows * 64;
    return flash_attention_plan(f.params, kCpu32, plan);
  };
  LaunchPlan plan;
  constexpr std::int64_t kRows = std::int64_t{1} << 20;
  ASSERT_OK(plan_for(kRows, plan));
  const std::int64_t most = kRows * std::numeric_limits<std::int32_t>::max() / plan.grid.x;
  ASSERT_OK(plan_for(most / 1024 * 1024, plan));
  EXPECT_GT(plan.grid.x, std::numeric_limits<std::int32_t>::max() - 1024u * 64u);
  for (const std::int64_t rows : {most / 1024 * 1024 + 1024, std::int64_t{1} << 40}) {
    expect_status(plan_for(rows, plan), StatusCode::kUnsupported, "tiles of", "supported: 2147483647 in all");
  }
}

}  // namespace
}  // namespace hipforge
